/* sources: @segment */
/* Slots whose descriptor one worker alone holds, as those with TLS: nobody else ever gets them, and
 * the others can see that they wait in vain. Also the turns of TLS handshakes. */
#include "pool_fixture.h"

enum { ALONE = 0 }; /* no further holders */

static void test_nobody_else_takes_it(void)
{
    setup();
    uint32_t slot = server_idle(0, ALONE);
    CHECK_EQ(gp_pool_take(seg, pool, 1, BOB), GP_NO_SLOT);
    CHECK(!gp_slot_seize(seg, pool, slot, 1));
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), slot);
    check_sound();
    teardown();
}

static void test_it_is_not_handed_to_an_older_ticket_elsewhere(void)
{
    uint32_t p, handed;

    setup();
    uint32_t slot = server_open(0, ALONE);
    CHECK(gp_lane_publish(seg, pool, 1, 100));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 200, 0, 0), GP_RELEASED_IDLE);
    gp_pool_settle(seg, pool, 1, 300);
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &handed));
    CHECK(slot_is(slot, GP_SLOT_IDLE, 0, GP_NO_CLIENT));
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), slot); /* that waiter could not have it: no barging */
    CHECK(gp_lane_publish(seg, pool, 0, 400));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 500, 0, 0), GP_RELEASED_SELF);
    CHECK_EQ(gp_lane_outstanding(seg, pool, 1), 1);
    check_sound();
    teardown();
}

static void test_elder_is_the_oldest_of_the_others_who_live(void)
{
    setup();
    CHECK_EQ(gp_pool_elder(seg, pool, 0), UINT64_MAX);
    CHECK(gp_lane_publish(seg, pool, 0, 10));
    CHECK_EQ(gp_pool_elder(seg, pool, 0), UINT64_MAX); /* its own does not count */
    CHECK(gp_lane_publish(seg, pool, 1, 300));
    CHECK(gp_lane_publish(seg, pool, 2, 200));
    CHECK(gp_lane_publish(seg, pool, 2, 400));
    CHECK_EQ(gp_pool_elder(seg, pool, 0), 200);
    CHECK_EQ(gp_pool_tickets(seg, pool, 0), 3);
    CHECK_EQ(gp_pool_elder(seg, pool, 1), 10);
    gp_segment_reclaim(seg, 2);
    CHECK_EQ(gp_pool_elder(seg, pool, 0), 300);
    CHECK_EQ(gp_pool_tickets(seg, pool, 0), 1);
    teardown();
}

static void test_pleading_wakes_who_has_idle_ones(void)
{
    setup();
    (void)server_idle(1, ALONE);
    (void)server_open(2, ALONE);
    CHECK_EQ(gp_pool_room(seg, pool, 0), 2);
    uint32_t login = gp_pool_claim(seg, pool, 1);
    CHECK_EQ(gp_pool_room(seg, pool, 0), 2); /* one of them is on its way to a waiter elsewhere */
    CHECK_EQ(gp_pool_room(seg, pool, 1), 1);
    gp_slot_free(seg, pool, login, 1);
    while (woken(0) || woken(1) || woken(2))
        ;
    gp_pool_poke_idle(seg, pool, 0);
    CHECK(woken(1) && !woken(2) && !woken(0));
    gp_pool_poke_idle(seg, pool, 1); /* its own are nobody's news */
    CHECK(!woken(1) && !woken(2) && !woken(0));
    teardown();
}

static void test_its_worker_s_death_frees_it(void)
{
    setup();
    uint32_t idle = server_idle(1, ALONE), busy = server_open(1, ALONE);
    gp_segment_reclaim(seg, 1);
    CHECK_EQ(word_of(idle).state, GP_SLOT_FREE);
    CHECK(slot_is(busy, GP_SLOT_REAP, 0, GP_NO_CLIENT)); /* for any who lives */
    check_sound();
    teardown();
}

static void test_handshakes_take_turns(void)
{
    uint64_t second = SECOND_NS, last = 0;

    setup();
    CHECK_EQ(gp_handshake_turn(seg, 10, 5 * second), 0);
    for (uint64_t i = 1; i <= 20; i++) {
        uint64_t wait = gp_handshake_turn(seg, 10, 5 * second);
        CHECK(wait > last && wait <= i * second / 10);
        last = wait;
    }
    CHECK(gp_handshake_turn(seg, 10, second) > second); /* too long: no turn is taken */
    CHECK(gp_handshake_turn(seg, 10, 5 * second) <= 21 * second / 10);
    teardown();
}

int main(void)
{
    RUN(test_nobody_else_takes_it);
    RUN(test_it_is_not_handed_to_an_older_ticket_elsewhere);
    RUN(test_elder_is_the_oldest_of_the_others_who_live);
    RUN(test_pleading_wakes_who_has_idle_ones);
    RUN(test_its_worker_s_death_frees_it);
    RUN(test_handshakes_take_turns);
    return check_done();
}
