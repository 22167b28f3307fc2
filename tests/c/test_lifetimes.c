/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto -Wl,--wrap=gp_now_ns */
/* How long servers are kept: hours of a pool whose clock is the test's. PostgreSQL is the other end
 * of a socketpair, and answers at once. */
#include "lifetimes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { SIZE = 6, CLIENT = 1, EVENTS = 64 };

static const uint64_t second = 1000000000, ms = 1000000;

static struct gp_segment *seg;
static struct gp_engine *engine;
static uint32_t pool;
static int32_t postgres[SIZE]; /* far ends of servers, by slot; -1: none */
static uint64_t now;
static uint64_t lifetime;
static uint32_t opened, retired; /* so far */
static uint32_t most;            /* servers at a time */

uint64_t __wrap_gp_now_ns(void);

uint64_t __wrap_gp_now_ns(void)
{
    return now;
}

static void setup(uint32_t min_size, uint64_t lifetime_s, uint32_t retain_max)
{
    const struct gp_pool_settings settings = {.size = SIZE,
                                              .min_size = min_size,
                                              .max_creates = 2,
                                              .wait_timeout_ms = 60000,
                                              .connect_timeout_ms = 3000,
                                              .idle_timeout_ms = 100000,
                                              .retain_time_ms = 30000,
                                              .retain_max = retain_max};

    now = 1000000 * second;
    lifetime = lifetime_s * second;
    opened = retired = most = 0;
    seg = gp_segment_create(1, 1, 16);
    CHECK(seg != NULL);
    gp_segment_limits(seg, 16, 4);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &pool), GP_OK);
    engine = gp_engine_new(seg, 0, GP_IO_EPOLL);
    CHECK(engine != NULL);
    memset(postgres, 0xff, sizeof(postgres));
}

static enum gp_slot_state state_of(uint32_t slot)
{
    return gp_word_unpack(atomic_load(&gp_slot_at(seg, pool, slot)->word)).state;
}

static uint32_t count(enum gp_slot_state state)
{
    uint32_t found = 0;

    for (uint32_t slot = 0; slot < SIZE; slot++)
        found += state_of(slot) == state;
    return found;
}

static uint32_t servers(void)
{
    return SIZE - count(GP_SLOT_FREE);
}

static void on_open(uint32_t slot)
{
    uint64_t jitter = lifetime / 5;
    int32_t ends[2];

    CHECK(slot < SIZE && postgres[slot] == -1);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    postgres[slot] = ends[1];
    uint64_t ns = lifetime ? lifetime - jitter + (uint64_t)random() % (2 * jitter) : 0;
    CHECK_EQ(gp_server_opened(engine, pool, slot, ends[0], NULL, 4711, NULL, 0, ns, "here"), GP_OK);
    opened++;
}

static void on_retire(uint32_t slot)
{
    struct gp_tls *tls;

    close(gp_server_surrender(engine, pool, slot, &tls));
    close(postgres[slot]);
    postgres[slot] = -1;
    gp_server_freed(engine, pool, slot);
    retired++;
}

/* Do what the engine asks for until it asks for nothing. */
static void settle(void)
{
    struct gp_event events[EVENTS];
    uint32_t told;

    do {
        most = servers() > most ? servers() : most;
        told = gp_engine_step(engine, events, EVENTS);
        for (uint32_t i = 0; i < told; i++) {
            if (events[i].kind == GP_EVENT_OPEN)
                on_open(events[i].slot);
            else if (events[i].kind == GP_EVENT_RETIRE)
                on_retire(events[i].slot);
        }
    } while (told);
}

static void teardown(void)
{
    (void)gp_pool_retire_idle(engine, pool, GP_REASON_SHUTDOWN);
    gp_engine_sweep(engine);
    settle();
    gp_engine_free(engine);
    for (uint32_t slot = 0; slot < SIZE; slot++) {
        if (postgres[slot] != -1)
            close(postgres[slot]);
    }
    gp_segment_destroy(seg);
}

static void pass(uint64_t ns)
{
    now += ns;
    gp_engine_sweep(engine);
    settle();
}

static void give_back(uint32_t slot)
{
    struct gp_server *s = gp_server_find(engine, pool, slot);

    if (gp_pool_release(seg, pool, slot, 0, now, 0, 0) == GP_RELEASED_STALE)
        gp_server_retire(engine, s, gp_lifetime_ended(engine, s));
    settle();
}

/* So many clients at a time have a server for a while; gives how many of them found none. */
static uint32_t use(uint32_t clients, uint64_t ns)
{
    uint32_t slots[SIZE], missed = 0;

    for (uint32_t i = 0; i < clients; i++) {
        slots[i] = gp_pool_take(seg, pool, 0, CLIENT);
        missed += slots[i] == GP_NO_SLOT;
    }
    pass(ns);
    for (uint32_t i = 0; i < clients; i++) {
        if (slots[i] != GP_NO_SLOT)
            give_back(slots[i]);
    }
    return missed;
}

/* Open so many, as if clients had waited for them. */
static void warm_up(uint32_t wanted)
{
    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t slot = gp_pool_claim(seg, pool, 0);
        CHECK(slot != GP_NO_SLOT);
        on_open(slot);
    }
    settle();
}

static void test_ripe_at_95_percent_or_two_seconds_before(void)
{
    CHECK_EQ(gp_lifetime_ripe_ns(7 * second, 1207 * second), 1147 * second);
    CHECK_EQ(gp_lifetime_ripe_ns(0, 10 * second), 8 * second);
    CHECK_EQ(gp_lifetime_ripe_ns(0, second), second / 2);
}

/* Hours of steady use with lifetimes of five minutes: nobody ever finds no server. */
static void test_who_comes_finds_a_server_whatever_ends(void)
{
    for (uint32_t clients = 1; clients < SIZE; clients += 2) {
        setup(0, 300, 3);
        warm_up(clients);
        for (uint32_t turn = 0; turn < 7200; turn++) {
            CHECK_EQ(use(clients, 400 * ms), 0);
            pass(600 * ms);
        }
        CHECK(opened > 20 * clients && opened < 34 * clients); /* one behind the other */
        CHECK(most <= clients + 1);
        teardown();
    }
}

/* A full pool closes one that rests, and opens another at once; it never has more than its size. */
static void test_full_pool_replaces_what_rests(void)
{
    setup(0, 300, 3);
    warm_up(SIZE);
    for (uint32_t turn = 0; turn < 3600; turn++) {
        CHECK_EQ(use(SIZE, (turn % 2 ? 400 : 500) * ms), 0);
        pass(550 * ms); /* the census finds it at rest now and then */
        CHECK_EQ(servers(), SIZE);
    }
    CHECK(opened > 10 * SIZE);
    CHECK_EQ(most, SIZE);
    teardown();
}

static void test_minimum_is_never_undercut(void)
{
    setup(3, 300, 0);
    for (uint32_t turn = 0; turn < 4; turn++)
        pass(second);
    for (uint32_t turn = 0; turn < 3600; turn++) {
        CHECK(servers() >= 3);
        pass(second);
    }
    CHECK(opened > 3 * 10);
    CHECK(most <= 4);
    teardown();
}

static void test_unused_servers_are_not_replaced(void)
{
    setup(0, 60, 0);
    warm_up(4);
    for (uint32_t turn = 0; turn < 120; turn++)
        pass(second);
    CHECK_EQ(servers(), 0);
    CHECK_EQ(opened, 4);
    teardown();
}

static void test_drained_worker_replaces_nothing(void)
{
    setup(0, 60, 0);
    warm_up(2);
    gp_engine_drain(engine);
    for (uint32_t turn = 0; turn < 120; turn++) {
        if (count(GP_SLOT_IDLE))
            (void)use(1, second);
        pass(second);
    }
    CHECK_EQ(opened, 2);
    teardown();
}

/* Of six that idle_timeout ends, two go in each half minute. */
static void test_pool_retains_what_it_may_not_close_yet(void)
{
    uint32_t before = 0;
    uint64_t period = 0;

    setup(0, 0, 2);
    warm_up(SIZE);
    for (uint32_t turn = 0; turn < 300; turn++) {
        if (now / (30 * second) != period) {
            period = now / (30 * second);
            before = retired;
        }
        pass(second);
        CHECK(now - 1000000 * second >= 100 * second || retired == 0);
        if (now / (30 * second) == period)
            CHECK(retired - before <= 2);
    }
    CHECK_EQ(servers(), 0);
    teardown();
}

static void test_closings_are_counted_over_all_workers(void)
{
    setup(0, 0, 3);
    for (uint32_t period = 1; period < 5; period++) {
        uint64_t at = period * 30 * second;
        for (uint32_t i = 0; i < 10; i++)
            CHECK_EQ(gp_lifetime_allows(seg, pool, at + i * second), i < 3);
    }
    atomic_store(&gp_pool_at(seg, pool)->retain_max, 0);
    for (uint32_t i = 0; i < 10; i++)
        CHECK(gp_lifetime_allows(seg, pool, 200 * second));
    teardown();
}

int main(void)
{
    RUN(test_ripe_at_95_percent_or_two_seconds_before);
    RUN(test_who_comes_finds_a_server_whatever_ends);
    RUN(test_full_pool_replaces_what_rests);
    RUN(test_minimum_is_never_undercut);
    RUN(test_unused_servers_are_not_replaced);
    RUN(test_drained_worker_replaces_nothing);
    RUN(test_pool_retains_what_it_may_not_close_yet);
    RUN(test_closings_are_counted_over_all_workers);
    return check_done();
}
