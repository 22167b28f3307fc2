/* sources: @segment */
/* libraries: -Wl,--wrap=gp_now_ns */
/* Servers and pools whose logins fail: who may try, and when; the clock is the test's. */
#include "outage.h"

#include "pool_fixture.h"

enum { MS = 1000000 };

static uint64_t now;

uint64_t __wrap_gp_now_ns(void);

uint64_t __wrap_gp_now_ns(void)
{
    return now;
}

/* The pool of the fixture, and beside it `sibling` at the same server, `stranger` at another. */
static uint32_t sibling, stranger;

static void setup_ailing(void)
{
    struct gp_pool_settings elsewhere = settings;

    now = 1000ull * SECOND_NS;
    elsewhere.server_tag = 2;
    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &sibling), GP_OK);
    CHECK_EQ(gp_pool_define(seg, "till", "bob", &elsewhere, &stranger), GP_OK);
}

/* What the engine does with a login that failed. */
static void fails(uint32_t p, uint32_t slot, uint32_t worker, uint32_t ailment)
{
    gp_outage_failed(seg, p, ailment);
    gp_slot_free(seg, p, slot, worker);
}

static void opens(uint32_t p, uint32_t slot, uint32_t worker)
{
    gp_slot_opened(seg, p, slot, worker, 4711, NULL, 0, now, 0);
}

/* Let time pass until somebody may try; gives the slot, and how long that took. */
static uint32_t next_try(uint32_t p, uint32_t worker, uint64_t *waited)
{
    uint64_t begin = now;
    uint32_t slot;

    while ((slot = gp_pool_claim(seg, p, worker)) == GP_NO_SLOT && now - begin < 60ull * SECOND_NS)
        now += MS;
    *waited = now - begin;
    CHECK(slot != GP_NO_SLOT);
    return slot;
}

static void forget_wakes(void)
{
    for (uint32_t w = 0; w < W; w++)
        while (woken(w))
            ;
}

static void test_delays_double_up_to_their_bound(void)
{
    for (uint64_t chance = 0; chance < 5000ull * MS; chance += 7ull * MS + 1) {
        uint64_t first = gp_outage_delay_ns(GP_AILS_SERVER, 1, chance);
        uint64_t third = gp_outage_delay_ns(GP_AILS_SERVER, 3, chance);
        uint64_t last = gp_outage_delay_ns(GP_AILS_SERVER, UINT32_MAX, chance);
        uint64_t refused = gp_outage_delay_ns(GP_AILS_POOL, 100, chance);
        CHECK(first >= 37 * MS && first <= 63 * MS);
        CHECK(third >= 150 * MS && third <= 250 * MS);
        CHECK(last >= 187 * MS &&
              last <= 313 * MS); /* and a sweep of 100 ms: below half a second */
        CHECK(refused >= 750 * MS && refused <= 1250 * MS);
    }
}

static void test_one_login_at_a_time_over_all_workers_and_none_before_its_time(void)
{
    uint64_t waited;
    uint32_t slot;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_POOL);
    CHECK(gp_pool_ailing(seg, pool) && !gp_pool_ailing(seg, sibling));
    for (uint32_t round = 0; round < 20; round++) {
        slot = next_try(pool, round % W, &waited);
        CHECK(waited >= (round < 4 ? 75ull << round : 750ull) * MS && waited <= 1251ull * MS);
        for (uint32_t w = 0; w < W; w++)
            CHECK_EQ(gp_pool_claim(seg, pool, w), GP_NO_SLOT);
        fails(pool, slot, round % W, GP_AILS_POOL);
    }
    check_sound();
    teardown();
}

static void test_logins_that_began_before_the_failure_count_too(void)
{
    uint32_t first, second;
    uint64_t waited;

    setup_ailing();
    first = gp_pool_claim(seg, pool, 0);
    second = gp_pool_claim(seg, pool, 1);
    fails(pool, first, 0, GP_AILS_POOL);
    now += SECOND_NS;
    CHECK_EQ(gp_pool_claim(seg, pool, 2), GP_NO_SLOT);
    fails(pool, second, 1, GP_AILS_POOL);
    next_try(pool, 2, &waited);
    teardown();
}

static void test_outage_of_a_server_is_that_of_all_its_pools_and_of_no_other(void)
{
    uint64_t waited;
    uint32_t slot;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    CHECK(gp_pool_ailing(seg, pool) && gp_pool_ailing(seg, sibling));
    CHECK(!gp_pool_ailing(seg, stranger));
    CHECK(gp_pool_claim(seg, stranger, 0) != GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim(seg, sibling, 0), GP_NO_SLOT);
    slot = next_try(sibling, 1, &waited);
    CHECK(waited <= 63 * MS);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT); /* one of all of them */
    fails(sibling, slot, 1, GP_AILS_SERVER);
    slot = next_try(pool, 0, &waited);
    CHECK(waited >= 75ull * MS && waited <= 126ull * MS);
    teardown();
}

static void test_success_ends_the_outage_for_all_and_wakes_who_waits(void)
{
    uint64_t waited;
    uint32_t slot;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    slot = next_try(pool, 1, &waited);
    CHECK(gp_lane_publish(seg, pool, 2, 70));
    CHECK(gp_lane_publish(seg, sibling, 0, 70));
    forget_wakes();
    opens(pool, slot, 1);
    CHECK(!gp_pool_ailing(seg, pool) && !gp_pool_ailing(seg, sibling));
    CHECK(woken(2) && woken(0));
    CHECK(gp_pool_claim(seg, sibling, 0) != GP_NO_SLOT);
    check_sound();
    teardown();
}

static void test_refusal_says_that_the_server_is_back(void)
{
    uint64_t waited;
    uint32_t slot;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    slot = next_try(pool, 1, &waited);
    fails(pool, slot, 1, GP_AILS_POOL);
    CHECK(gp_pool_ailing(seg, pool) && !gp_pool_ailing(seg, sibling));
    CHECK(gp_pool_claim(seg, sibling, 0) != GP_NO_SLOT);
    teardown();
}

/* Two logins at a time behind an outage, then four, then as many as the house allows. */
static void test_logins_start_slowly_behind_an_outage(void)
{
    struct gp_pool_settings wide = settings;
    uint32_t slots[6], count = 0;
    uint64_t waited;

    setup_ailing();
    wide.max_creates = 64;
    wide.size = 20;
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &wide, &pool), GP_OK);
    gp_segment_limits(seg, 8, 6);
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    opens(pool, next_try(pool, 0, &waited), 0);
    while ((slots[count] = gp_pool_claim(seg, pool, 0)) != GP_NO_SLOT)
        count++;
    CHECK_EQ(count, 2);
    CHECK_EQ(gp_pool_claim(seg, sibling, 1), GP_NO_SLOT);
    forget_wakes();
    opens(pool, slots[0], 0);
    CHECK(woken(0) && woken(1)); /* who found no place looks again */
    for (count = 1; (slots[count] = gp_pool_claim(seg, pool, 0)) != GP_NO_SLOT; count++)
        ;
    CHECK_EQ(count, 4);
    opens(pool, slots[0 + 1], 0);
    for (count = 0; gp_pool_claim(seg, pool, 0) != GP_NO_SLOT; count++)
        ;
    CHECK_EQ(count, 3); /* six in all */
    teardown();
}

static void test_pool_that_cannot_log_in_leaves_the_last_place_to_others(void)
{
    uint64_t waited;

    setup_ailing(); /* three places in the house */
    fails(stranger, gp_pool_claim(seg, stranger, 0), 0, GP_AILS_SERVER);
    CHECK(gp_pool_claim(seg, pool, 0) != GP_NO_SLOT);
    CHECK(gp_pool_claim(seg, pool, 0) != GP_NO_SLOT);
    now += SECOND_NS;
    CHECK_EQ(gp_pool_claim(seg, stranger, 1), GP_NO_SLOT);
    gp_segment_limits(seg, 8, 4);
    next_try(stranger, 1, &waited);
    teardown();
}

static void test_reload_changes_nothing_but_what_was_changed(void)
{
    struct gp_pool_settings moved = settings;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    fails(stranger, gp_pool_claim(seg, stranger, 0), 0, GP_AILS_POOL);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &pool), GP_OK);
    gp_pool_renew(seg, pool);     /* another password: the server is as it was */
    gp_pool_renew(seg, stranger); /* another password: it may be the right one */
    CHECK(gp_pool_ailing(seg, pool) && !gp_pool_ailing(seg, stranger));
    CHECK_EQ(gp_pool_claim(seg, pool, 1), GP_NO_SLOT);
    moved.server_tag = 3;
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &moved, &pool), GP_OK);
    CHECK(!gp_pool_ailing(seg, pool) && gp_pool_ailing(seg, sibling));
    CHECK(gp_pool_claim(seg, pool, 1) != GP_NO_SLOT);
    teardown();
}

static void test_place_of_a_server_is_used_again(void)
{
    struct gp_pool_settings third = settings;
    uint32_t fourth;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    CHECK_EQ(gp_pool_remove(seg, pool), GP_OK);
    CHECK_EQ(gp_pool_vacate(seg, pool, sibling), GP_OK);
    third.server_tag = 9;
    CHECK_EQ(gp_pool_define(seg, "third", "eve", &third, &fourth), GP_OK);
    CHECK_EQ(fourth, pool); /* the place, but not the server, which is its sibling's still */
    CHECK(!gp_pool_ailing(seg, fourth) && gp_pool_ailing(seg, sibling));
    teardown();
}

static void test_death_of_who_tries_leaves_the_try_to_others(void)
{
    uint64_t waited;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    next_try(pool, 1, &waited);
    CHECK_EQ(gp_pool_claim(seg, sibling, 0), GP_NO_SLOT);
    gp_segment_reclaim(seg, 1);
    CHECK(gp_pool_claim(seg, sibling, 0) != GP_NO_SLOT);
    check_sound();
    teardown();
}

static void test_turn_of_a_login_that_came_to_nothing_is_the_next_ones(void)
{
    uint64_t waited;

    setup_ailing();
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    fails(pool, next_try(pool, 1, &waited), 1, GP_AILS_NOTHING);
    CHECK(gp_pool_claim(seg, sibling, 2) != GP_NO_SLOT);
    teardown();
}

static void test_words_are_for_those_who_wait_at_that_server(void)
{
    struct gp_outage_words words;

    setup_ailing();
    CHECK(!gp_outage_why(seg, pool, 0, &words));
    fails(pool, gp_pool_claim(seg, pool, 0), 0, GP_AILS_SERVER);
    gp_outage_tell(seg, pool, 0, GP_AILS_SERVER, "", "nobody listens");
    CHECK(gp_outage_why(seg, sibling, now, &words));
    CHECK(strcmp(words.text, "nobody listens") == 0 && words.sqlstate[0] == '\0');
    CHECK(!gp_outage_why(seg, sibling, now + 1, &words)); /* a failure of the past is no cause */
    CHECK(!gp_outage_why(seg, stranger, 0, &words));
    now += MS;
    gp_outage_tell(seg, sibling, 1, GP_AILS_POOL, "28P01", "a wrong password");
    CHECK(gp_outage_why(seg, sibling, now, &words));
    CHECK(strcmp(words.text, "a wrong password") == 0 && strcmp(words.sqlstate, "28P01") == 0);
    CHECK(gp_outage_why(seg, pool, now - MS, &words));
    CHECK(strcmp(words.text, "nobody listens") == 0);
    gp_pool_renew(seg, sibling);
    CHECK(!gp_outage_said(seg, sibling, &words));
    teardown();
}

int main(void)
{
    RUN(test_delays_double_up_to_their_bound);
    RUN(test_one_login_at_a_time_over_all_workers_and_none_before_its_time);
    RUN(test_logins_that_began_before_the_failure_count_too);
    RUN(test_outage_of_a_server_is_that_of_all_its_pools_and_of_no_other);
    RUN(test_success_ends_the_outage_for_all_and_wakes_who_waits);
    RUN(test_refusal_says_that_the_server_is_back);
    RUN(test_logins_start_slowly_behind_an_outage);
    RUN(test_pool_that_cannot_log_in_leaves_the_last_place_to_others);
    RUN(test_reload_changes_nothing_but_what_was_changed);
    RUN(test_place_of_a_server_is_used_again);
    RUN(test_death_of_who_tries_leaves_the_try_to_others);
    RUN(test_turn_of_a_login_that_came_to_nothing_is_the_next_ones);
    RUN(test_words_are_for_those_who_wait_at_that_server);
    return check_done();
}
