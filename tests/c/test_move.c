/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto */
/* Two workers of one segment, played in turn by one process, with real sockets: clients go from the
 * first to the second, or come back. PostgreSQL is the other end of a socketpair. */
#include "check.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "move.h"

enum { EVENTS = 64, SECOND_NS = 1000000000 };

struct worker {
    struct gp_engine *engine;
    uint32_t arrived, drained, goodbyes;
    uint32_t open_slot; /* of the last OPEN */
};

struct peer {
    uint32_t client;
    int32_t far;
};

static struct gp_segment *seg;
static struct worker workers[2];
static uint32_t pool;
static int32_t postgres[2]; /* far ends of servers, by slot */

static void nonblocking(int fd)
{
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}

static void pair(int32_t ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    nonblocking(ends[0]);
    nonblocking(ends[1]);
}

static void setup(uint32_t size)
{
    const struct gp_pool_settings settings = {
        .size = size, .max_creates = 2, .wait_timeout_ms = 60000};

    seg = gp_segment_create(2, 1, 16);
    CHECK(seg != NULL);
    gp_segment_limits(seg, 16, 4);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &pool), GP_OK);
    for (uint32_t w = 0; w < 2; w++) {
        workers[w] =
            (struct worker){.engine = gp_engine_new(seg, w, GP_IO_EPOLL), .open_slot = GP_NO_SLOT};
        CHECK(workers[w].engine != NULL);
    }
    postgres[0] = postgres[1] = -1;
}

static void note(struct worker *w, const struct gp_event *event)
{
    w->drained += event->kind == GP_EVENT_DRAINED;
    w->goodbyes += event->kind == GP_EVENT_GOODBYE;
    if (event->kind == GP_EVENT_OPEN)
        w->open_slot = event->slot;
    w->arrived += event->kind == GP_EVENT_ARRIVED;
}

static void step(uint32_t worker)
{
    struct worker *w = &workers[worker];
    struct gp_event events[EVENTS];
    uint32_t count = gp_engine_step(w->engine, events, EVENTS);

    for (uint32_t i = 0; i < count; i++)
        note(w, &events[i]);
}

static void step_both(void)
{
    for (int i = 0; i < 4; i++) {
        step(0);
        step(1);
    }
}

static void sweep(uint32_t worker)
{
    gp_engine_sweep(workers[worker].engine);
    step(worker);
}

static struct peer log_in(uint32_t worker)
{
    struct gp_engine *e = workers[worker].engine;
    int32_t ends[2];

    pair(ends);
    struct peer peer = {gp_client_enter(e, false, "here"), ends[1]};
    const struct gp_plan_settings settings = {
        .method = GP_LOGIN_NONE,
        .terms = {.pool = pool, .look_sql = (const uint8_t *)"look", .look_length = 4},
    };
    struct gp_plan *plan = gp_plan_new(&settings);
    CHECK_EQ(gp_client_login(e, peer.client, plan, ends[0], NULL, 0, NULL, 0), GP_OK);
    gp_plan_free(plan);
    return peer;
}

static void say(int32_t fd, const char *text, size_t len)
{
    CHECK_EQ(send(fd, text, len, 0), (ssize_t)len);
}

static void hear(int32_t fd, const char *text, size_t len)
{
    char bytes[256];

    CHECK_EQ(recv(fd, bytes, sizeof(bytes), 0), (ssize_t)len);
    CHECK_MEM(bytes, text, len);
}

static void hear_nothing(int32_t fd)
{
    char byte;

    CHECK_EQ(recv(fd, &byte, 1, MSG_PEEK), -1);
}

#define LITERAL(text) (text), sizeof(text) - 1
#define QUERY         "Q\0\0\0\x09now\0\0"
#define ROW           "D\0\0\0\x0a\0\x01\xff\xff\xff\xff"
#define DONE          "C\0\0\0\x05\0"
#define IDLE_NOW      "Z\0\0\0\x05I"
#define IN_BLOCK      "Z\0\0\0\x05T"

/* The server that the worker has asked for. */
static void log_in_server(uint32_t worker)
{
    uint32_t slot = workers[worker].open_slot;
    int32_t ends[2];

    CHECK(slot < 2);
    pair(ends);
    postgres[slot] = ends[1];
    CHECK_EQ(gp_server_opened(workers[worker].engine, pool, slot, ends[0], NULL, 4711,
                              (const uint8_t *)"key!", 4, 0, "there"),
             GP_OK);
    step_both();
}

/* A client of worker 0 whose query is under way on slot 0. */
static struct peer linked(void)
{
    struct peer peer = log_in(0);

    say(peer.far, LITERAL(QUERY));
    step(0);
    log_in_server(0);
    hear(postgres[0], LITERAL(QUERY));
    return peer;
}

static void hang_up(struct peer *peer)
{
    close(peer->far);
}

static void teardown(void)
{
    for (uint32_t w = 0; w < 2; w++) {
        for (uint32_t row = 0; row < 16; row++) {
            int32_t fd = gp_client_forget(workers[w].engine, row + 1);
            if (fd != -1)
                close(fd);
        }
        for (uint32_t slot = 0; slot < 2; slot++) {
            struct gp_server *s = gp_server_find(workers[w].engine, pool, slot);
            if (s)
                gp_server_drop(workers[w].engine, s);
        }
        step(w);
        gp_engine_free(workers[w].engine);
    }
    for (uint32_t slot = 0; slot < 2; slot++)
        if (postgres[slot] != -1)
            close(postgres[slot]);
    gp_segment_destroy(seg);
}

static void move(const struct peer *peer)
{
    CHECK_EQ(gp_engine_move(workers[0].engine, peer->client, 1), GP_OK);
    step(0);
}

/* It has gone to worker 1, and nobody else has it. */
static void check_moved(const struct peer *peer)
{
    CHECK_EQ(workers[0].engine->me->moved_out, 1);
    CHECK_EQ(workers[1].arrived, 1);
    CHECK_EQ(gp_client_worker(seg, peer->client), 1);
    CHECK_EQ(workers[0].engine->clients_live, 0);
    CHECK(workers[0].engine->away == NULL);
}

static void check_stayed(const struct peer *peer)
{
    CHECK_EQ(workers[0].engine->me->moved_out, 0);
    CHECK_EQ(workers[1].arrived, 0);
    CHECK_EQ(gp_client_worker(seg, peer->client), 0);
    CHECK_EQ(workers[0].engine->clients_live, 1);
    CHECK(workers[0].engine->away == NULL);
}

/* The query of a linked client is answered, wherever it is. */
static void check_answer(const struct peer *peer)
{
    say(postgres[0], LITERAL(ROW DONE IDLE_NOW));
    step_both();
    hear(peer->far, LITERAL(ROW DONE IDLE_NOW));
}

static void test_an_idle_client_is_served_by_the_other(void)
{
    setup(1);
    struct peer peer = log_in(0);
    move(&peer);
    step_both();
    check_moved(&peer);
    say(peer.far, LITERAL(QUERY));
    step(1);
    log_in_server(1);
    hear(postgres[0], LITERAL(QUERY));
    check_answer(&peer);
    hang_up(&peer);
    teardown();
}

static void test_a_server_goes_with_its_client(void)
{
    setup(1);
    struct peer peer = linked();
    say(postgres[0], LITERAL("D\0\0\0\x0a\0"));
    step_both();
    move(&peer);
    step_both();
    check_moved(&peer);
    say(postgres[0], LITERAL("\x01\xff\xff\xff\xff" DONE IN_BLOCK));
    step_both();
    hear(peer.far, LITERAL(ROW DONE IN_BLOCK));
    say(peer.far, LITERAL("Q\0\0"));
    step_both();
    say(peer.far, LITERAL("\0\x09now\0\0"));
    step_both();
    hear(postgres[0], LITERAL(QUERY));
    check_answer(&peer);
    struct gp_slot_row slot;
    CHECK_EQ(gp_slot_row(seg, pool, 0, &slot), GP_OK);
    CHECK_EQ(slot.state, GP_SLOT_IDLE);
    CHECK_EQ(slot.worker, 1);
    hang_up(&peer);
    teardown();
}

static void test_a_worker_that_ends_takes_nobody(void)
{
    setup(1);
    struct peer peer = linked();
    gp_engine_drain(workers[1].engine);
    move(&peer);
    step_both();
    check_stayed(&peer);
    check_answer(&peer);
    hang_up(&peer);
    teardown();
}

static void test_nobody_waits_long_for_a_worker(void)
{
    setup(1);
    struct peer peer = linked();
    move(&peer);
    say(postgres[0], LITERAL(ROW DONE IDLE_NOW)); /* while it is nobody's */
    sweep(0);
    CHECK(workers[0].engine->away != NULL);
    usleep(GP_OFFER_NS / 1000 + 1000); /* the time is what is tested */
    sweep(0);
    check_stayed(&peer);
    step_both(); /* the message is read too late */
    check_stayed(&peer);
    hear(peer.far, LITERAL(ROW DONE IDLE_NOW));
    hang_up(&peer);
    teardown();
}

static void test_it_comes_back_from_the_dead(void)
{
    setup(1);
    struct peer peer = linked();
    move(&peer);
    gp_segment_reclaim(seg, 1);
    step(0);
    check_stayed(&peer);
    check_answer(&peer);
    hang_up(&peer);
    teardown();
}

static void test_the_clients_of_the_dead_are_not_taken(void)
{
    setup(1);
    struct peer peer = linked();
    move(&peer);
    gp_segment_reclaim(seg, 0);
    step(1);
    CHECK_EQ(workers[1].arrived, 0);
    CHECK_EQ(workers[1].engine->clients_live, 0);
    struct gp_slot_row slot;
    CHECK_EQ(gp_slot_row(seg, pool, 0, &slot), GP_OK);
    CHECK(slot.state == GP_SLOT_REAP || slot.state == GP_SLOT_CLOSING);
    hang_up(&peer);
    teardown();
}

static void test_who_has_waited_longer_is_served_first(void)
{
    setup(1);
    struct peer first = linked(), second = log_in(0), third = log_in(1);
    say(second.far, LITERAL(QUERY));
    step_both();
    say(third.far, LITERAL(QUERY));
    step_both();
    CHECK_EQ(gp_engine_move(workers[0].engine, second.client, 1), GP_OK);
    step_both();
    CHECK_EQ(workers[1].arrived, 1);
    check_answer(&first);
    step_both();
    hear(postgres[0], LITERAL(QUERY));
    say(postgres[0], LITERAL(ROW DONE IDLE_NOW));
    step_both();
    hear(second.far, LITERAL(ROW DONE IDLE_NOW));
    hear_nothing(third.far);
    hang_up(&first);
    hang_up(&second);
    hang_up(&third);
    teardown();
}

static void test_a_cancel_follows_who_waits(void)
{
    setup(1);
    struct peer first = linked(), second = log_in(0);
    say(second.far, LITERAL(QUERY));
    step_both();
    CHECK_EQ(gp_engine_move(workers[0].engine, second.client, 1), GP_OK);
    step(0);
    gp_move_cancel(workers[0].engine, second.client); /* it came for who was here */
    step_both();
    char answer[256];
    ssize_t n = recv(second.far, answer, sizeof(answer), 0);
    CHECK(n > 0 && memmem(answer, (size_t)n, "57014", 5) != NULL);
    hang_up(&first);
    hang_up(&second);
    teardown();
}

static void test_a_worker_hands_over_all_it_has(void)
{
    setup(1);
    struct peer peer = linked();
    check_answer(&peer);
    gp_engine_hand_over(workers[0].engine, (const uint32_t[]){1}, 1);
    step_both();
    sweep(0);
    check_moved(&peer);
    CHECK_EQ(workers[0].drained, 1);
    struct gp_slot_row slot;
    CHECK_EQ(gp_slot_row(seg, pool, 0, &slot), GP_OK);
    CHECK_EQ(slot.state, GP_SLOT_IDLE);
    CHECK_EQ(slot.worker, 1);
    say(peer.far, LITERAL(QUERY));
    step_both();
    hear(postgres[0], LITERAL(QUERY));
    check_answer(&peer);
    hang_up(&peer);
    teardown();
}

int main(void)
{
    RUN(test_an_idle_client_is_served_by_the_other);
    RUN(test_a_server_goes_with_its_client);
    RUN(test_a_worker_that_ends_takes_nobody);
    RUN(test_nobody_waits_long_for_a_worker);
    RUN(test_it_comes_back_from_the_dead);
    RUN(test_the_clients_of_the_dead_are_not_taken);
    RUN(test_who_has_waited_longer_is_served_first);
    RUN(test_a_cancel_follows_who_waits);
    RUN(test_a_worker_hands_over_all_it_has);
    return check_done();
}
