/* sources: @segment */
/* Every way of a slot, and every refusal with nothing changed: open, take, wait, hand off, close.
 * The races between processes are in model/pool.pml and test_pool_stress.c. */
#include "pool_fixture.h"

/* ---- open and close ---- */

static void test_slot_lives_and_its_generation_grows(void)
{
    uint32_t slot;
    setup();
    slot = gp_pool_claim(seg, pool, 1);
    CHECK_EQ(slot, 0);
    CHECK(slot_is(slot, GP_SLOT_CONNECTING, 1, 0));
    CHECK_EQ(word_of(slot).generation, 0);
    gp_slot_opened(seg, pool, slot, 1, 4711, (const uint8_t *)"key!", 4, 50, 99);
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 1, 0));
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->holders), 1u << 1);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 1, 60, 0, 0), GP_RELEASED_IDLE);
    CHECK(slot_is(slot, GP_SLOT_IDLE, 1, 0));
    CHECK(gp_slot_seize(seg, pool, slot, 1));
    CHECK(gp_slot_closing(seg, pool, slot, 1));
    CHECK(slot_is(slot, GP_SLOT_CLOSING, 1, 0));
    gp_slot_free(seg, pool, slot, 1);
    CHECK(slot_is(slot, GP_SLOT_FREE, 0, 0));
    CHECK_EQ(word_of(slot).generation, 1);
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->holders), 0);
    check_sound();
    teardown();
}

static void test_generation_wraps(void)
{
    uint32_t slot;
    struct gp_word w;
    setup();
    slot = gp_pool_claim(seg, pool, 0);
    w = word_of(slot);
    w.generation = 0xffffff;
    atomic_store(&gp_slot_at(seg, pool, slot)->word, gp_word_pack(w));
    gp_slot_free(seg, pool, slot, 0);
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->word), 0);
    teardown();
}

static void test_open_and_close_refuse_other_workers_and_states(void)
{
    uint32_t slot;
    uint64_t before;
    setup();
    slot = gp_pool_claim(seg, pool, 1);
    before = atomic_load(&gp_slot_at(seg, pool, slot)->word);
    gp_slot_opened(seg, pool, slot, 0, 1, NULL, 0, 1, 0);
    gp_slot_free(seg, pool, slot, 0);
    gp_slot_assign(seg, pool, slot, 1, ANN);
    CHECK(!gp_slot_closing(seg, pool, slot, 1));
    CHECK(!gp_slot_seize(seg, pool, slot, 1));
    CHECK(!gp_slot_hold(seg, pool, slot, 0, 1));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 1, 1, 0, 0), GP_RELEASED_AWAY);
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->word), before);
    gp_slot_opened(seg, pool, slot, 1, 1, NULL, 0, 1, 0);
    before = atomic_load(&gp_slot_at(seg, pool, slot)->word);
    gp_slot_opened(seg, pool, slot, 1, 2, NULL, 0, 1, 0);
    gp_slot_free(seg, pool, slot, 1); /* not without gp_slot_closing */
    gp_slot_assign(seg, pool, slot, 0, ANN);
    CHECK(!gp_slot_closing(seg, pool, slot, 0));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 1, 0, 0), GP_RELEASED_AWAY);
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->word), before);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 1, 1, 0, 0), GP_RELEASED_IDLE);
    CHECK(!gp_slot_seize(seg, pool, slot, 0)); /* does not hold the descriptor */
    CHECK(!gp_slot_closing(seg, pool, slot, 1));
    CHECK(slot_is(slot, GP_SLOT_IDLE, 1, 0));
    teardown();
}

static void test_claim_stops_at_every_limit(void)
{
    uint32_t other, slots[4];
    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &other), GP_OK);
    CHECK(woken(1) && woken(2)); /* settings have changed */
    slots[0] = gp_pool_claim(seg, pool, 0);
    slots[1] = gp_pool_claim(seg, pool, 1);
    CHECK_EQ(gp_pool_claim(seg, pool, 2), GP_NO_SLOT); /* two logins in this pool */
    CHECK_EQ(gp_pool_claim(seg, other, 2), 0);
    CHECK_EQ(gp_pool_claim(seg, other, 2), GP_NO_SLOT); /* three in the house */
    CHECK(!woken(2));
    gp_slot_opened(seg, pool, slots[0], 0, 1, NULL, 0, 1, 0);
    CHECK(woken(2)); /* a login has ended, and it wanted one */
    CHECK(!woken(1));
    gp_slot_opened(seg, pool, slots[1], 1, 1, NULL, 0, 1, 0);
    slots[2] = gp_pool_claim(seg, pool, 0);
    slots[3] = gp_pool_claim(seg, pool, 0);
    gp_slot_opened(seg, pool, slots[2], 0, 1, NULL, 0, 1, 0);
    gp_slot_opened(seg, pool, slots[3], 0, 1, NULL, 0, 1, 0);
    CHECK_EQ(slots[3], 3);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT); /* pool_size */
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT); /* remembered, not searched */
    CHECK(gp_lane_publish(seg, pool, 2, 10));
    CHECK(gp_slot_closing(seg, pool, slots[1], 1));
    CHECK_EQ(gp_pool_claim(seg, pool, 2), GP_NO_SLOT); /* still PostgreSQL's */
    gp_slot_free(seg, pool, slots[1], 1);
    CHECK(woken(2));
    CHECK_EQ(gp_pool_claim(seg, pool, 2), 1);
    check_sound();
    teardown();
}

static void test_a_larger_pool_has_room_again(void)
{
    struct gp_pool_settings larger = settings;
    setup();
    for (int i = 0; i < 4; i++)
        server_idle(0, 0);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT);
    larger.size = 5;
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &larger, &pool), GP_OK);
    CHECK(woken(1));
    CHECK_EQ(gp_pool_claim(seg, pool, 0), 4);
    teardown();
}

static void test_failed_login_frees_its_places(void)
{
    struct gp_pool_row row;
    setup();
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(gp_pool_claim(seg, pool, 2), 0);
        CHECK_EQ(gp_pool_claim(seg, pool, 2), 1);
        gp_slot_free(seg, pool, 0, 2);
        gp_slot_free(seg, pool, 1, 2);
    }
    CHECK_EQ(gp_pool_row(seg, pool, &row), GP_OK);
    CHECK_EQ(row.login_failures, 20);
    CHECK_EQ(row.logins, 0);
    CHECK_EQ(audit().slots_in_use, 0);
    check_sound();
    teardown();
}

static void test_hold_fits_one_life_only(void)
{
    uint32_t slot;
    setup();
    slot = server_idle(0, 0);
    CHECK(!gp_slot_hold(seg, pool, slot, 1, 1));
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->holders), 1);
    CHECK(gp_slot_hold(seg, pool, slot, 0, 1));
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->holders), 3);
    CHECK(gp_slot_seize(seg, pool, slot, 1));
    CHECK(gp_slot_closing(seg, pool, slot, 1));
    gp_slot_free(seg, pool, slot, 1);
    CHECK(!gp_slot_hold(seg, pool, slot, 0, 2));
    CHECK(!gp_slot_hold(seg, pool, slot, 1, 2));
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->holders), 0);
    teardown();
}

/* ---- take ---- */

static void test_take_prefers_own_then_lowest(void)
{
    struct gp_pool_row row;
    setup();
    CHECK_EQ(server_idle(1, 7), 0);
    CHECK_EQ(server_idle(0, 7), 1);
    CHECK_EQ(server_idle(0, 7), 2);
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), 1);
    CHECK(slot_is(1, GP_SLOT_ACTIVE, 0, ANN));
    CHECK_EQ(gp_pool_take(seg, pool, 0, BOB), 2);
    CHECK_EQ(gp_pool_take(seg, pool, 0, BOB), 0);
    CHECK_EQ(gp_pool_take(seg, pool, 0, BOB), GP_NO_SLOT);
    CHECK_EQ(gp_pool_row(seg, pool, &row), GP_OK);
    CHECK_EQ(row.taken_own, 2);
    CHECK_EQ(row.taken_other, 1);
    CHECK_EQ(gp_pool_release(seg, pool, 0, 0, 100, 0, 0), GP_RELEASED_IDLE);
    CHECK(slot_is(0, GP_SLOT_IDLE, 0, 0)); /* it is worker 0's now */
    check_sound();
    teardown();
}

static void test_take_needs_the_descriptor(void)
{
    setup();
    CHECK_EQ(server_idle(1, 0), 0);
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), GP_NO_SLOT);
    CHECK(slot_is(0, GP_SLOT_IDLE, 1, 0));
    CHECK(gp_slot_hold(seg, pool, 0, 0, 0));
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), 0);
    teardown();
}

static void test_take_never_barges(void)
{
    setup();
    CHECK_EQ(server_idle(0, 3), 0); /* worker 2 cannot have it */
    CHECK(gp_lane_publish(seg, pool, 2, 10));
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), 0);
    CHECK_EQ(gp_pool_release(seg, pool, 0, 0, 20, 0, 0), GP_RELEASED_IDLE);
    CHECK(gp_slot_hold(seg, pool, 0, 0, 2));
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), GP_NO_SLOT);
    CHECK(gp_lane_retract(seg, pool, 2));
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), 0);
    teardown();
}

static void test_servers_are_taken_in_turn_where_that_is_wanted(void)
{
    struct gp_pool_settings in_turn = settings;
    setup();
    in_turn.round_robin = 1;
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &in_turn, &pool), GP_OK);
    for (uint32_t i = 0; i < 3; i++)
        (void)server_open(0, 7);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(gp_pool_release(seg, pool, i, 0, 100, 0, 0), GP_RELEASED_IDLE);
    for (uint32_t i = 0; i < 7; i++) {
        CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), i % 3);
        CHECK_EQ(gp_pool_release(seg, pool, i % 3, 0, 200, 0, 0), GP_RELEASED_IDLE);
    }
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), 1);
    CHECK_EQ(gp_pool_take(seg, pool, 0, BOB), 2);
    CHECK_EQ(gp_pool_release(seg, pool, 1, 0, 300, 0, 0), GP_RELEASED_IDLE);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &pool), GP_OK);
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), 0); /* as few as possible */
    teardown();
}

static void test_stale_slots_are_given_to_nobody(void)
{
    struct gp_pool_settings smaller = settings;
    setup();
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(server_idle(0, 7), i);
    smaller.size = 2;
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &smaller, &pool), GP_OK);
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), 0);
    CHECK_EQ(gp_pool_take(seg, pool, 0, BOB), 1);
    CHECK_EQ(gp_pool_take(seg, pool, 0, BOB), GP_NO_SLOT); /* 2 and 3 are idle, but too many */
    CHECK_EQ(audit().over_limit, 2);
    CHECK(gp_lane_publish(seg, pool, 1, 5));
    gp_pool_settle(seg, pool, 1, 200);
    CHECK_EQ(gp_lane_outstanding(seg, pool, 1), 1);
    gp_pool_renew(seg, pool);
    CHECK_EQ(gp_pool_release(seg, pool, 0, 0, 200, 0, 0), GP_RELEASED_STALE);
    CHECK(slot_is(0, GP_SLOT_ACTIVE, 0, 0));
    CHECK(gp_slot_closing(seg, pool, 0, 0));
    gp_slot_free(seg, pool, 0, 0);
    CHECK_EQ(server_open(0, 7), 0); /* of the new epoch */
    CHECK_EQ(gp_pool_release(seg, pool, 0, 0, 300, 0, 0), GP_RELEASED_AWAY);
    CHECK_EQ(gp_pool_remove(seg, pool), GP_OK);
    CHECK_EQ(gp_pool_release(seg, pool, 1, 0, 300, 0, 0), GP_RELEASED_STALE);
    teardown();
}

static void test_a_renewal_during_login_makes_it_stale(void)
{
    uint32_t slot;
    setup();
    slot = gp_pool_claim(seg, pool, 0);
    gp_pool_renew(seg, pool);
    gp_slot_opened(seg, pool, slot, 0, 1, NULL, 0, 1, 0);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 2, 0, 0), GP_RELEASED_STALE);
    teardown();
}

static void test_expired_slots_end_at_their_release(void)
{
    uint32_t slot;
    setup();
    slot = gp_pool_claim(seg, pool, 0);
    gp_slot_opened(seg, pool, slot, 0, 1, NULL, 0, 50, 200);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 199, 0, 0), GP_RELEASED_IDLE);
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), slot);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 200, 0, 0), GP_RELEASED_STALE);
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 0, 0));
    teardown();
}

/* ---- wait and hand-off ---- */

static void test_ring_is_bounded_and_survives_wrapping(void)
{
    setup();
    atomic_store(&gp_lane_at(seg, pool, 1)->head, UINT32_MAX - 5);
    atomic_store(&gp_lane_at(seg, pool, 1)->tail, UINT32_MAX - 5);
    for (uint32_t i = 0; i < GP_TICKETS; i++)
        CHECK(gp_lane_publish(seg, pool, 1, i));
    CHECK(!gp_lane_publish(seg, pool, 1, 99));
    CHECK_EQ(gp_lane_outstanding(seg, pool, 1), GP_TICKETS);
    CHECK(gp_lane_retract(seg, pool, 1));
    CHECK(gp_lane_publish(seg, pool, 1, 99));
    for (uint32_t i = 0; i < GP_TICKETS; i++)
        CHECK(gp_lane_retract(seg, pool, 1));
    CHECK(!gp_lane_retract(seg, pool, 1));
    CHECK_EQ(gp_lane_outstanding(seg, pool, 1), 0);
    CHECK(gp_lane_publish(seg, pool, 1, 5));
    gp_lane_quiet(seg, pool, 1);
    CHECK_EQ(gp_lane_outstanding(seg, pool, 1), 0);
    CHECK_EQ(atomic_load(&gp_common_pool_at(seg, pool)->waiters), 0);
    teardown();
}

static void test_release_goes_to_the_oldest_within_slack(void)
{
    uint32_t p, s, slot;
    setup();
    slot = server_open(0, 7);
    CHECK(gp_lane_publish(seg, pool, 0, 1500));
    CHECK(gp_lane_publish(seg, pool, 1, 1200));
    CHECK(gp_lane_publish(seg, pool, 2, 1000));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 2000, 499, 0), GP_RELEASED_AWAY);
    CHECK(handed_to(slot, 2));
    CHECK(woken(2));
    CHECK(!woken(1));
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK(gp_pool_next_handoff(seg, 2, &p, &s));
    CHECK_EQ(p, pool);
    CHECK_EQ(s, slot);
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 2, 0));
    CHECK(!gp_pool_next_handoff(seg, 2, &p, &s));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 2, 2000, 0, 0), GP_RELEASED_AWAY);
    CHECK(handed_to(slot, 1));
    CHECK(gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK(gp_lane_publish(seg, pool, 1, 2000));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 1, 2000, 500, 0),
             GP_RELEASED_SELF); /* exactly the slack */
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 1, 0));
    gp_slot_assign(seg, pool, slot, 1, ANN);
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 1, ANN));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 1, 2000, 500, 0), GP_RELEASED_AWAY);
    CHECK(handed_to(slot, 0));
    teardown();
}

static void test_release_passes_over_those_who_cannot_have_it(void)
{
    uint32_t slot;
    setup();
    slot = server_open(0, 2); /* workers 0 and 1 */
    CHECK(gp_lane_publish(seg, pool, 2, 10));
    CHECK(gp_lane_publish(seg, pool, 1, 20));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_AWAY);
    CHECK(handed_to(slot, 1));
    CHECK_EQ(gp_lane_outstanding(seg, pool, 2), 1);
    slot = server_open(0, 2);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_IDLE);
    CHECK(gp_slot_hold(seg, pool, slot, 0, 2)); /* the descriptor arrives: now it settles */
    gp_pool_settle(seg, pool, 2, 100);
    CHECK(handed_to(slot, 2));
    CHECK(woken(2));
    teardown();
}

static void test_settle_matches_until_one_side_runs_out(void)
{
    uint32_t p, s;
    setup();
    server_idle(0, 7);
    server_idle(1, 7);
    server_idle(2, 7);
    CHECK(gp_lane_publish(seg, pool, 1, 30));
    CHECK(gp_lane_publish(seg, pool, 2, 10));
    gp_pool_settle(seg, pool, 1, 100);
    CHECK_EQ(gp_lane_outstanding(seg, pool, 1), 0);
    CHECK_EQ(gp_lane_outstanding(seg, pool, 2), 0);
    CHECK(gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK(gp_pool_next_handoff(seg, 2, &p, &s));
    CHECK(!gp_pool_next_handoff(seg, 2, &p, &s));
    CHECK_EQ(audit().slots_idle, 1);
    CHECK(gp_lane_publish(seg, pool, 0, 30));
    CHECK(gp_lane_publish(seg, pool, 0, 31));
    gp_pool_settle(seg, pool, 0, 100);
    CHECK_EQ(gp_lane_outstanding(seg, pool, 0), 1);
    CHECK(woken(0));
    CHECK_EQ(audit().slots_idle, 0);
    check_sound();
    teardown();
}

static void test_handoffs_of_many_pools_and_slots_all_come(void)
{
    uint32_t other, p, s, seen = 0;
    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &other), GP_OK);
    for (uint32_t i = 0; i < 2; i++) {
        pool = i;
        for (uint64_t n = 0; n < 3; n++) {
            uint32_t slot = server_open(0, 2);
            CHECK(gp_lane_publish(seg, pool, 1, n));
            CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_AWAY);
        }
    }
    while (gp_pool_next_handoff(seg, 1, &p, &s))
        seen |= 1u << (p * 8 + s);
    CHECK_EQ(seen, 0x0707);
    teardown();
}

int main(void)
{
    RUN(test_slot_lives_and_its_generation_grows);
    RUN(test_generation_wraps);
    RUN(test_open_and_close_refuse_other_workers_and_states);
    RUN(test_claim_stops_at_every_limit);
    RUN(test_a_larger_pool_has_room_again);
    RUN(test_failed_login_frees_its_places);
    RUN(test_hold_fits_one_life_only);
    RUN(test_take_prefers_own_then_lowest);
    RUN(test_take_needs_the_descriptor);
    RUN(test_take_never_barges);
    RUN(test_servers_are_taken_in_turn_where_that_is_wanted);
    RUN(test_stale_slots_are_given_to_nobody);
    RUN(test_a_renewal_during_login_makes_it_stale);
    RUN(test_expired_slots_end_at_their_release);
    RUN(test_ring_is_bounded_and_survives_wrapping);
    RUN(test_release_goes_to_the_oldest_within_slack);
    RUN(test_release_passes_over_those_who_cannot_have_it);
    RUN(test_settle_matches_until_one_side_runs_out);
    RUN(test_handoffs_of_many_pools_and_slots_all_come);
    return check_done();
}
