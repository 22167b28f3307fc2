/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto -Wl,--wrap=gp_now_ns,--wrap=timerfd_settime */
/* Those who wait: in what order they are served over all workers, what their leaving leaves, and how
 * long their waits were. */
#include "engine_play.h"

static const struct gp_pool_settings one_server = {.size = 1, .max_creates = 1};

/* A client that has the only server for so long. */
static int busy_for(uint64_t ns)
{
    int holder = play_come(0);

    play_ask(holder, ns);
    play_run(play.login_ns + 2 * MS);
    CHECK(play.clients[holder].works);
    return holder;
}

/* Comes to this worker and waits, 5 ms behind the last one. */
static int waiter(uint32_t worker)
{
    int client = play_come(worker);

    play_run(5 * MS);
    play_ask(client, 3 * MS);
    play_settle();
    return client;
}

static uint64_t waits_counted(void)
{
    struct gp_time_sums sums;
    uint64_t count = 0;

    gp_times_read(play.seg, play.pool, GP_ALL, GP_TIME_WAIT, &sums);
    for (uint32_t i = 0; i < GP_TIME_BUCKETS; i++)
        count += sums.counts[i];
    return count;
}

static uint64_t waited_ns(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < PLAY_CLIENTS; i++)
        sum += play.clients[i].waited_ns;
    return sum;
}

static void test_order_is_that_of_arrival_over_all_workers(void)
{
    int clients[9];

    play_setup(&one_server, 3);
    busy_for(100 * MS);
    for (uint32_t i = 0; i < 9; i++)
        clients[i] = waiter(i * 2 % 3);
    play_run(200 * MS); /* play_check_order looks at each */
    for (uint32_t i = 0; i < 9; i++)
        CHECK_EQ(play.clients[clients[i]].answers, 1);
    play_check_empty();
    play_teardown();
}

/* Once a waiter had left, those before it had the tickets of those behind them. */
static void test_who_leaves_leaves_others_their_places(void)
{
    int first, second, other;

    play_setup(&one_server, 2);
    busy_for(100 * MS);
    first = waiter(1);
    other = waiter(0);
    second = waiter(1);
    play_leave(second);
    play_settle();
    while (!play.clients[other].works)
        play_run(MS / 2);
    CHECK_EQ(play.clients[first].answers, 1);
    play_teardown();
}

static void test_who_moves_keeps_its_place(void)
{
    int moved, other, last;

    play_setup(&one_server, 2);
    busy_for(100 * MS);
    moved = waiter(0);
    other = waiter(1);
    last = waiter(1);
    CHECK_EQ(gp_engine_move(play.engines[0], play.clients[moved].id, 1), GP_OK);
    play_run(5 * MS);
    CHECK_EQ(gp_client_worker(play.seg, play.clients[moved].id), 1);
    while (!play.clients[other].works)
        play_run(MS / 2);
    CHECK_EQ(play.clients[moved].answers, 1);
    CHECK_EQ(play.clients[last].answers, 0);
    play_run(20 * MS);
    CHECK_EQ(play_row().wait_ns, waited_ns());
    play_teardown();
}

static void test_every_wait_is_counted_once_from_arrival(void)
{
    struct gp_pool_settings settings = one_server;
    int holder, served, late, left, cancelled, moved;

    settings.wait_timeout_ms = 60;
    play_setup(&settings, 2);
    holder = busy_for(150 * MS);
    cancelled = waiter(1);
    late = waiter(1);
    left = waiter(0);
    play_run(30 * MS);
    moved = waiter(0);
    served = waiter(0);
    CHECK_EQ(play_row().maxwait_ns, play.now_ns - play.clients[cancelled].asked_ns);
    CHECK_EQ(gp_engine_move(play.engines[0], play.clients[moved].id, 1), GP_OK);
    CHECK_EQ(gp_inbox_cancel(play.engines[0], 1, play.clients[cancelled].id), GP_OK);
    play_run(2 * MS);
    CHECK_EQ(play.clients[cancelled].refusals, 1);
    play.clients[left].waited_ns += play.now_ns - play.clients[left].asked_ns;
    play_leave(left);
    play_run(200 * MS);
    CHECK_EQ(play.clients[late].refusals, 1);
    CHECK_EQ(play.clients[moved].answers + play.clients[served].answers, 2);
    CHECK_EQ(play_row().waits_left, 3);
    CHECK_EQ(play_row().timeouts, 1);
    CHECK_EQ(play_row().wait_count, 3); /* with the holder, who waited for a login */
    CHECK_EQ(waits_counted(), 6);
    CHECK_EQ(play_row().wait_ns, waited_ns());
    CHECK_EQ(play.clients[holder].answers, 1);
    play_check_empty();
    play_teardown();
}

/* More than have tickets; every third leaves. */
static void test_crowd_that_thins_out_leaves_no_ticket(void)
{
    int clients[48];

    play_setup(&one_server, 2);
    busy_for(300 * MS);
    for (uint32_t i = 0; i < 48; i++)
        clients[i] = waiter(i % 2);
    for (uint32_t i = 0; i < 48; i += 3)
        play_leave(clients[i]);
    play_settle();
    for (uint32_t w = 0; w < 2; w++)
        CHECK_EQ(gp_lane_outstanding(play.seg, play.pool, w), 16);
    play_run(500 * MS);
    for (uint32_t i = 0; i < 48; i++)
        CHECK_EQ(play.clients[clients[i]].answers, i % 3 != 0);
    play_check_empty();
    play_teardown();
}

int main(void)
{
    RUN(test_order_is_that_of_arrival_over_all_workers);
    RUN(test_who_leaves_leaves_others_their_places);
    RUN(test_who_moves_keeps_its_place);
    RUN(test_every_wait_is_counted_once_from_arrival);
    RUN(test_crowd_that_thins_out_leaves_no_ticket);
    return check_done();
}
