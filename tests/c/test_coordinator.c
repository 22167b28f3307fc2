/* sources: @segment */
/* Who gets a place of a database, and who makes room: one rule of coordinator.h a test. Times are
 * those of a clock that stands at NOW. */
#include <poll.h>

#include "database_fixture.h"
#include "outage.h"

static const uint64_t SECOND = 1000000000ull, NOW = 100 * 1000000000ull;

static uint32_t cyd;

/* min_connection_lifetime 30 s, reserve_pool_timeout 3 s; three pools. */
static void setup(uint32_t max, uint32_t reserve, uint32_t guarantee)
{
    setup_database(max, reserve);
    database_settings.min_lifetime_ms = 30000;
    database_settings.reserve_timeout_ms = 3000;
    database_settings.guarantee = guarantee;
    limit_change(max, reserve);
    CHECK_EQ(gp_pool_define(seg, "shop", "cyd", &pool_settings, &cyd), GP_OK);
}

/* So many clients wait in a worker, the oldest for so long. */
static void wait_in(uint32_t pool, uint32_t worker, uint32_t count, uint64_t age_ns)
{
    struct gp_lane *lane = gp_lane_at(seg, pool, worker);

    CHECK(gp_lane_publish(seg, pool, worker, NOW - age_ns));
    atomic_store(&lane->waiting, count);
    atomic_store(&lane->oldest_ns, NOW - age_ns);
}

/* A server of worker 0, open for an age, idle for a time; ages are before NOW. */
static uint32_t idle_server(uint32_t pool, uint64_t age_ns, uint64_t idle_ns)
{
    uint32_t slot = server_open_at(pool, 0, NOW - age_ns);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, NOW - idle_ns, 0, 0), GP_RELEASED_IDLE);
    return slot;
}

static uint32_t busy_server(uint32_t pool, uint64_t age_ns)
{
    return server_open_at(pool, 0, NOW - age_ns);
}

static enum gp_relief relief(uint32_t pool, struct gp_victim *victim)
{
    *victim = (struct gp_victim){99, 99};
    return gp_coordinator_relief(seg, pool, NOW, victim);
}

static bool woken(uint32_t worker)
{
    struct pollfd p = {.fd = gp_common_worker_at(seg, worker)->wake_fd, .events = POLLIN};
    bool ready = poll(&p, 1, 0) == 1;
    gp_worker_unpoke(seg, worker);
    return ready;
}

/* ---- eviction ---- */

static void test_place_that_is_left_is_claimed(void)
{
    struct gp_victim v;
    setup(2, 0, 0);
    idle_server(ann, 60 * SECOND, SECOND);
    wait_in(bob, 1, 1, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_CLAIM);
    teardown();
}

static void test_largest_surplus_yields_and_of_it_who_rested_longest(void)
{
    struct gp_victim v;
    uint32_t longest;
    setup(5, 0, 0);
    idle_server(ann, 60 * SECOND, 50 * SECOND);
    idle_server(ann, 60 * SECOND, 50 * SECOND);
    idle_server(cyd, 60 * SECOND, SECOND);
    longest = idle_server(cyd, 60 * SECOND, 9 * SECOND);
    idle_server(cyd, 60 * SECOND, 3 * SECOND);
    wait_in(bob, 1, 1, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    CHECK_EQ(v.pool, cyd);
    CHECK_EQ(v.slot, longest);
    teardown();
}

/* Busy servers count for the surplus, though only an idle one can go. */
static void test_surplus_counts_all_servers(void)
{
    struct gp_victim v;
    setup(5, 0, 0);
    busy_server(ann, 60 * SECOND);
    busy_server(ann, 60 * SECOND);
    idle_server(ann, 60 * SECOND, SECOND);
    idle_server(cyd, 60 * SECOND, 50 * SECOND);
    idle_server(cyd, 60 * SECOND, 50 * SECOND);
    wait_in(bob, 1, 1, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    CHECK_EQ(v.pool, ann);
    teardown();
}

static void transactions(uint32_t pool, uint64_t ns, uint32_t count)
{
    struct gp_histogram *h = &gp_times_at(seg, pool, 0)->of[GP_TIME_TRANSACTION];

    gp_count(&gp_meter_at(seg, pool, 0)->counters.xact_count, count);
    while (count-- > 0)
        gp_time_note(h, ns);
}

static void slower_one_yields(uint32_t slower, uint32_t faster)
{
    struct gp_victim v;
    setup(2, 0, 0);
    idle_server(ann, 60 * SECOND, SECOND);
    idle_server(cyd, 60 * SECOND, SECOND);
    transactions(slower, MS, 90);
    transactions(slower, 80 * MS, 10); /* its mean is 9 ms */
    transactions(faster, 20 * MS, 100);
    wait_in(bob, 1, 1, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    CHECK_EQ(v.pool, slower);
    teardown();
}

static void test_of_equals_the_slower_one_yields(void)
{
    slower_one_yields(0, 2);
    slower_one_yields(2, 0);
}

static void test_young_servers_stay(void)
{
    struct gp_victim v;
    setup(2, 0, 0);
    idle_server(ann, 60 * SECOND, SECOND);
    idle_server(cyd, 30 * SECOND - 1, SECOND);
    database_settings.min_lifetime_ms = 60001;
    limit_change(2, 0);
    wait_in(bob, 1, 1, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_DENIED);
    database_settings.min_lifetime_ms = 60000;
    limit_change(2, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    CHECK_EQ(v.pool, ann);
    teardown();
}

static void test_guarantee_and_min_pool_size_are_kept(void)
{
    struct gp_pool_settings least = pool_settings;
    struct gp_victim v;
    uint32_t index;
    setup(4, 0, 2);
    idle_server(ann, 60 * SECOND, SECOND);
    idle_server(ann, 60 * SECOND, SECOND);
    idle_server(cyd, 60 * SECOND, SECOND);
    idle_server(cyd, 60 * SECOND, SECOND);
    wait_in(bob, 1, 1, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_DENIED);
    database_settings.guarantee = 1;
    limit_change(4, 0);
    least = pool_settings;
    least.min_size = 2; /* the greater of both counts */
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &least, &index), GP_OK);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    CHECK_EQ(v.pool, cyd);
    teardown();
}

/* What is closing already will do for as many, and is nobody's any more. */
static void test_no_more_are_closed_than_are_needed(void)
{
    struct gp_victim v;
    setup(3, 0, 1);
    for (uint32_t i = 0; i < 3; i++)
        idle_server(ann, 60 * SECOND, SECOND);
    wait_in(bob, 1, 1, 0);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    CHECK(gp_slot_seize(seg, ann, v.slot, 0) && gp_slot_closing(seg, ann, v.slot, 0));
    CHECK_EQ(relief(bob, &v), GP_RELIEF_WAIT);
    atomic_store(&gp_lane_at(seg, bob, 1)->waiting, 5);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    CHECK(gp_slot_seize(seg, ann, v.slot, 0) && gp_slot_closing(seg, ann, v.slot, 0));
    CHECK_EQ(relief(bob, &v), GP_RELIEF_WAIT); /* ann has one left, which is guaranteed */
    teardown();
}

static void test_who_could_not_open_one_has_nobody_closed(void)
{
    struct gp_pool_settings small = pool_settings;
    struct gp_victim v;
    uint32_t index;
    setup(3, 0, 0);
    small = pool_settings;
    small.size = 1;
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &small, &index), GP_OK);
    idle_server(ann, 60 * SECOND, SECOND);
    idle_server(ann, 60 * SECOND, SECOND);
    busy_server(bob, 60 * SECOND);
    wait_in(bob, 1, 3, 9 * SECOND);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_WAIT); /* its pool_size is reached */
    CHECK_EQ(relief(cyd, &v), GP_RELIEF_WAIT); /* nobody waits there */
    teardown();
}

/* ---- the line ---- */

static uint32_t first(void)
{
    return gp_coordinator_first(seg, gp_database_at(seg, 0), NOW);
}

static void test_starving_stands_before_who_came_earlier(void)
{
    setup(3, 0, 2);
    busy_server(ann, SECOND);
    busy_server(ann, SECOND);
    busy_server(bob, SECOND);
    wait_in(ann, 0, 9, 5 * SECOND);
    CHECK_EQ(first(), ann);
    wait_in(bob, 1, 1, SECOND); /* it has one of two */
    CHECK_EQ(first(), bob);
    wait_in(cyd, 2, 1, 2 * SECOND); /* none of two, and earlier */
    CHECK_EQ(first(), cyd);
    teardown();
}

static void test_dead_paused_and_ailing_stand_in_nobody_s_way(void)
{
    setup(1, 0, 0);
    busy_server(cyd, SECOND);
    wait_in(ann, 0, 1, 5 * SECOND);
    wait_in(bob, 1, 1, SECOND);
    CHECK_EQ(first(), ann);
    atomic_store(&gp_common_pool_at(seg, ann)->hold, GP_HOLD_PAUSED);
    CHECK_EQ(first(), bob);
    atomic_store(&gp_common_pool_at(seg, ann)->hold, 0);
    gp_outage_failed(seg, ann, GP_AILS_POOL);
    CHECK_EQ(first(), bob);
    gp_segment_reclaim(seg, 1);
    CHECK_EQ(first(), UINT32_MAX);
    teardown();
}

static void test_place_that_comes_free_wakes_the_first_alone(void)
{
    uint32_t slot;
    setup(1, 0, 0);
    slot = busy_server(cyd, SECOND);
    wait_in(ann, 0, 1, SECOND);
    wait_in(bob, 1, 1, 5 * SECOND);
    gp_coordinator_want(seg, gp_database_at(seg, 0), gp_now_ns());
    while (woken(0) || woken(1) || woken(2))
        ;
    CHECK(gp_slot_closing(seg, cyd, slot, 0));
    gp_slot_free(seg, cyd, slot, 0);
    CHECK(!woken(0));
    CHECK(woken(1));
    CHECK_EQ(gp_pool_claim(seg, ann, 0), GP_NO_SLOT); /* it is fresh, and bob's */
    CHECK(gp_pool_claim(seg, bob, 1) != GP_NO_SLOT);
    teardown();
}

static void test_place_that_nobody_takes_is_anybody_s_after_a_while(void)
{
    uint32_t slot;
    setup(1, 0, 0);
    slot = busy_server(cyd, SECOND);
    wait_in(bob, 1, 1, 5 * SECOND);
    CHECK(gp_slot_closing(seg, cyd, slot, 0));
    gp_slot_free(seg, cyd, slot, 0);
    CHECK_EQ(gp_pool_claim(seg, ann, 0), GP_NO_SLOT);
    atomic_fetch_sub(&gp_database_at(seg, 0)->freed_ns, GP_FRESH_NS);
    CHECK(gp_pool_claim(seg, ann, 0) != GP_NO_SLOT);
    teardown();
}

/* ---- the reserve ---- */

static void test_reserve_is_for_who_has_waited(void)
{
    struct gp_victim v;
    setup(1, 1, 0);
    busy_server(ann, SECOND);
    wait_in(bob, 1, 1, 3 * SECOND - 1);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_DENIED);
    atomic_store(&gp_lane_at(seg, bob, 1)->oldest_ns, NOW - 3 * SECOND);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_RESERVE);
    settings_change(bob, 0); /* none of it is bob's */
    CHECK_EQ(relief(bob, &v), GP_RELIEF_DENIED);
    teardown();
}

static void test_reserve_is_for_the_starving_and_then_for_the_many(void)
{
    struct gp_victim v;
    setup(2, 1, 0);
    busy_server(ann, SECOND);
    busy_server(bob, SECOND);
    wait_in(ann, 0, 2, 9 * SECOND);
    wait_in(bob, 1, 5, 4 * SECOND);
    CHECK_EQ(relief(ann, &v), GP_RELIEF_DENIED);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_RESERVE);
    wait_in(cyd, 2, 1, SECOND); /* it is starving, and has not waited for so long */
    CHECK_EQ(relief(bob, &v), GP_RELIEF_RESERVE);
    atomic_store(&gp_lane_at(seg, cyd, 2)->oldest_ns, NOW - 3 * SECOND);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_DENIED);
    CHECK_EQ(relief(cyd, &v), GP_RELIEF_RESERVE);
    limit_change(2, 2); /* there is one for each */
    CHECK_EQ(relief(bob, &v), GP_RELIEF_RESERVE);
    teardown();
}

static void test_eviction_comes_before_the_reserve(void)
{
    struct gp_victim v;
    setup(1, 1, 0);
    idle_server(ann, 60 * SECOND, SECOND);
    wait_in(bob, 1, 1, 9 * SECOND);
    CHECK_EQ(relief(bob, &v), GP_RELIEF_EVICT);
    teardown();
}

/* ---- busy pools ---- */

/* Whether ann cedes a busy server, with looks that are not spared. */
static bool cedes(uint32_t slot)
{
    struct gp_database *d = gp_database_at(seg, 0);

    atomic_store(&d->looked_ns, 0);
    return gp_coordinator_cedes(seg, ann, slot, NOW);
}

static uint32_t busy_pool(uint32_t max, uint32_t count, uint64_t age_ns)
{
    uint32_t slot = GP_NO_SLOT;
    setup(max, 0, 0);
    while (count-- > 0)
        slot = busy_server(ann, age_ns);
    gp_coordinator_want(seg, gp_database_at(seg, 0), NOW);
    return slot;
}

static void test_busy_pool_cedes_to_the_starving_and_to_the_older(void)
{
    uint32_t slot = busy_pool(3, 3, 60 * SECOND);
    CHECK(!cedes(slot)); /* nobody waits */
    wait_in(ann, 0, 9, 5 * SECOND);
    CHECK(!cedes(slot));
    wait_in(bob, 1, 1, SECOND);
    CHECK(cedes(slot)); /* bob has none */
    teardown();
    slot = busy_pool(3, 2, 60 * SECOND);
    busy_server(bob, SECOND);
    wait_in(ann, 0, 9, 5 * SECOND);
    wait_in(bob, 1, 1, SECOND);
    CHECK(!cedes(slot)); /* both have some, ann's client is older */
    atomic_store(&gp_lane_at(seg, bob, 1)->oldest_ns, NOW - 10 * SECOND);
    CHECK(!cedes(slot)); /* they wait alike */
    atomic_store(&gp_lane_at(seg, bob, 1)->oldest_ns, NOW - 10 * SECOND - 1);
    CHECK(cedes(slot));
    teardown();
}

static void test_busy_pool_keeps_young_and_guaranteed_servers(void)
{
    uint32_t slot = busy_pool(2, 2, 30 * SECOND - 1);
    wait_in(bob, 1, 1, 5 * SECOND);
    CHECK(!cedes(slot));
    teardown();
    slot = busy_pool(2, 2, 60 * SECOND);
    wait_in(bob, 1, 1, 5 * SECOND);
    database_settings.guarantee = 2;
    limit_change(2, 0);
    CHECK(!cedes(slot));
    database_settings.guarantee = 1;
    limit_change(2, 0);
    CHECK(cedes(slot));
    teardown();
}

/* Two pools and one place: it goes to and fro by who waits for much longer. */
static void test_last_server_is_ceded_to_who_has_waited_longer(void)
{
    uint32_t slot = busy_pool(1, 1, 60 * SECOND);
    wait_in(ann, 0, 1, 2 * SECOND);
    wait_in(bob, 1, 1, SECOND);
    CHECK(!cedes(slot));
    atomic_store(&gp_lane_at(seg, bob, 1)->oldest_ns, NOW - 5 * SECOND);
    CHECK(cedes(slot));
    teardown();
}

static void test_nothing_is_ceded_when_room_is_on_its_way(void)
{
    uint32_t slot = busy_pool(3, 3, 60 * SECOND);
    wait_in(bob, 1, 1, SECOND);
    CHECK(cedes(slot));
    CHECK(gp_slot_closing(seg, ann, slot, 0));
    CHECK(!cedes(0));
    teardown();
}

static void test_nothing_is_ceded_that_nobody_asked_for_lately(void)
{
    uint32_t slot = busy_pool(2, 2, 60 * SECOND);
    wait_in(bob, 1, 1, SECOND);
    gp_coordinator_want(seg, gp_database_at(seg, 0), NOW - GP_WANTED_NS);
    CHECK(!cedes(slot));
    teardown();
}

int main(void)
{
    RUN(test_place_that_is_left_is_claimed);
    RUN(test_largest_surplus_yields_and_of_it_who_rested_longest);
    RUN(test_surplus_counts_all_servers);
    RUN(test_of_equals_the_slower_one_yields);
    RUN(test_young_servers_stay);
    RUN(test_guarantee_and_min_pool_size_are_kept);
    RUN(test_no_more_are_closed_than_are_needed);
    RUN(test_who_could_not_open_one_has_nobody_closed);
    RUN(test_starving_stands_before_who_came_earlier);
    RUN(test_dead_paused_and_ailing_stand_in_nobody_s_way);
    RUN(test_place_that_comes_free_wakes_the_first_alone);
    RUN(test_place_that_nobody_takes_is_anybody_s_after_a_while);
    RUN(test_reserve_is_for_who_has_waited);
    RUN(test_reserve_is_for_the_starving_and_then_for_the_many);
    RUN(test_eviction_comes_before_the_reserve);
    RUN(test_busy_pool_cedes_to_the_starving_and_to_the_older);
    RUN(test_busy_pool_keeps_young_and_guaranteed_servers);
    RUN(test_last_server_is_ceded_to_who_has_waited_longer);
    RUN(test_nothing_is_ceded_when_room_is_on_its_way);
    RUN(test_nothing_is_ceded_that_nobody_asked_for_lately);
    return check_done();
}
