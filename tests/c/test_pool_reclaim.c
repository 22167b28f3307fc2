/* sources: @segment */
/* Cancels, which keep a server where it is, and reclaim, which puts right what a dead worker left
 * in every state. */
#include "pool_fixture.h"

/* ---- cancel ---- */
static void test_cancel_parks_the_server_until_delivered(void)
{
    uint32_t slot, p, s, generation, second;
    bool waiting;
    setup();
    uint32_t client = client_linked(&slot);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_OK);
    CHECK_EQ(s, slot);
    CHECK_EQ(cancel(client, "secret", &s, &second, &waiting), GP_OK);
    CHECK_EQ(word_of(slot).cancels, 2);
    CHECK(gp_lane_publish(seg, pool, 1, 10));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_PARKED);
    CHECK(slot_is(slot, GP_SLOT_PARKED, 0, client));
    CHECK_EQ(cancel(client, "secret", &s, &second, &waiting), GP_AGAIN); /* its query is over */
    CHECK_EQ(gp_pool_take(seg, pool, 1, BOB), GP_NO_SLOT);
    gp_cancel_end(seg, pool, slot, generation);
    CHECK(slot_is(slot, GP_SLOT_PARKED, 0, client));
    CHECK(!woken(0));
    gp_cancel_end(seg, pool, slot, generation);
    CHECK(handed_to(slot, 0));
    CHECK(woken(0));
    CHECK(gp_pool_next_handoff(seg, 0, &p, &s));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_AWAY);
    teardown();
}

static void test_cancel_delivered_in_time_parks_nothing(void)
{
    uint32_t slot, s, generation;
    bool waiting;
    setup();
    uint32_t client = client_linked(&slot);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_OK);
    gp_cancel_end(seg, pool, slot, generation);
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 0, client));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_IDLE);
    teardown();
}

static void test_cancel_refuses_wrong_keys_and_idle_clients(void)
{
    uint32_t slot, s = 77, generation;
    uint64_t before;
    bool waiting;
    setup();
    uint32_t client = client_linked(&slot);
    before = atomic_load(&gp_slot_at(seg, pool, slot)->word);
    CHECK_EQ(cancel(client, "Secret", &s, &generation, &waiting), GP_ENOENT);
    CHECK_EQ(cancel(client, "secre", &s, &generation, &waiting), GP_ENOENT);
    CHECK_EQ(cancel(client, "secret!", &s, &generation, &waiting), GP_ENOENT);
    CHECK_EQ(cancel(client, "", &s, &generation, &waiting), GP_ENOENT);
    CHECK_EQ(cancel(client, "0123456789012345678901234567890123456789", &s, &generation, &waiting),
             GP_ENOENT);
    CHECK_EQ(cancel(0, "secret", &s, &generation, &waiting), GP_ENOENT);
    CHECK_EQ(cancel(11, "secret", &s, &generation, &waiting), GP_ENOENT);
    CHECK_EQ(cancel(client + 1, "", &s, &generation, &waiting), GP_ENOENT);
    CHECK_EQ(s, 77);
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->word), before);
    atomic_store(&gp_client_at(seg, client)->slot, 0);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_AGAIN);
    CHECK(!waiting);
    atomic_store(&gp_client_at(seg, client)->state, GP_CLIENT_WAITING);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_AGAIN);
    CHECK(waiting);
    atomic_store(&gp_client_at(seg, client)->slot, slot + 1);
    gp_slot_assign(seg, pool, slot, 0, client + 1); /* the row is late: the slot serves another */
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_AGAIN);
    CHECK_EQ(word_of(slot).cancels, 0);
    gp_client_release(seg, client, 0);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_ENOENT);
    teardown();
}

static void test_cancels_are_bounded_and_end_with_their_life(void)
{
    uint32_t slot, s, generation;
    bool waiting;
    setup();
    uint32_t client = client_linked(&slot);
    for (int i = 0; i < 15; i++)
        CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_OK);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_EFULL);
    CHECK_EQ(word_of(slot).cancels, 15);
    CHECK(gp_slot_closing(seg, pool, slot, 0));
    gp_cancel_end(seg, pool, slot, generation);
    CHECK_EQ(word_of(slot).cancels, 14);
    CHECK(slot_is(slot, GP_SLOT_CLOSING, 0, 0));
    gp_slot_free(seg, pool, slot, 0);
    CHECK_EQ(word_of(slot).cancels, 0);
    gp_cancel_end(seg, pool, slot, generation);
    CHECK_EQ(atomic_load(&gp_slot_at(seg, pool, slot)->word), 1); /* FREE, generation 1 */
    teardown();
}

/* ---- reclaim ---- */

static void test_reclaim_gives_clean_slots_to_a_survivor(void)
{
    uint32_t idle, handed, p, s;
    setup();
    idle = server_idle(1, 6);
    handed = server_open(2, 6);
    CHECK(gp_lane_publish(seg, pool, 1, 10));
    CHECK_EQ(gp_pool_release(seg, pool, handed, 2, 100, 0, 0), GP_RELEASED_AWAY);
    CHECK(handed_to(handed, 1));
    CHECK(gp_lane_publish(seg, pool, 1, 20));
    woken(0);
    woken(2);
    for (int again = 0; again < 2; again++) {
        gp_segment_reclaim(seg, 1);
        CHECK(slot_is(idle, GP_SLOT_IDLE, 2, 0));
        CHECK(slot_is(handed, GP_SLOT_IDLE, 2, 0));
        CHECK_EQ(gp_lane_outstanding(seg, pool, 1), 0);
        CHECK(woken(0));
        CHECK(woken(2));
        check_sound();
    }
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), GP_NO_SLOT);
    CHECK_EQ(gp_pool_take(seg, pool, 2, ANN), idle);
    gp_worker_born(seg, 1, 555);
    CHECK(woken(1));
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK_EQ(gp_pool_take(seg, pool, 1, ANN), GP_NO_SLOT); /* a new process has no descriptor yet */
    CHECK(gp_slot_hold(seg, pool, handed, 0, 1));
    CHECK_EQ(gp_pool_take(seg, pool, 1, ANN), handed);
    teardown();
}

static void test_reclaim_frees_what_died_with_the_worker(void)
{
    uint32_t idle, login;
    setup();
    idle = server_idle(1, 0);
    login = gp_pool_claim(seg, pool, 1);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), 2);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT);
    gp_segment_reclaim(seg, 1);
    CHECK(slot_is(idle, GP_SLOT_FREE, 0, 0));
    CHECK(slot_is(login, GP_SLOT_FREE, 0, 0));
    CHECK_EQ(word_of(login).generation, 1);
    check_sound();
    CHECK_EQ(gp_pool_claim(seg, pool, 0), idle); /* a place of a login is free again, too */
    teardown();
}

static void test_reclaim_leaves_unknown_slots_to_be_reaped(void)
{
    uint32_t active, parked, closing, lonely, s, generation, client;
    bool waiting;
    setup();
    client = client_linked(&active);
    active = server_open(0, 6);
    gp_slot_assign(seg, pool, active, 0, client);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_OK);
    parked = s;
    CHECK_EQ(gp_pool_release(seg, pool, parked, 0, 1, 0, 0), GP_RELEASED_PARKED);
    closing = server_open(0, 4);
    CHECK(gp_slot_closing(seg, pool, closing, 0));
    lonely = server_open(0, 0);
    gp_segment_reclaim(seg, 0);
    CHECK(slot_is(active, GP_SLOT_REAP, 1, 0)); /* the lowest that lives and holds it */
    CHECK(slot_is(parked, GP_SLOT_REAP, 1, 0));
    CHECK(slot_is(closing, GP_SLOT_REAP, 2, 0));
    CHECK(slot_is(lonely, GP_SLOT_REAP, 1, 0)); /* nobody holds it: PostgreSQL may still be at it */
    CHECK_EQ(audit().clients, 0);
    check_sound();
    gp_cancel_end(seg, pool, parked, generation);
    CHECK(slot_is(parked, GP_SLOT_REAP, 1, 0));
    CHECK(!gp_slot_closing(seg, pool, active, 2));
    CHECK(gp_slot_closing(seg, pool, active, 1));
    gp_slot_free(seg, pool, active, 1);
    gp_segment_reclaim(seg, 1); /* the reaper dies as well */
    CHECK(slot_is(parked, GP_SLOT_REAP, 2, 0));
    gp_segment_reclaim(seg, 2);
    CHECK(slot_is(parked, GP_SLOT_REAP, 2, 0));
    CHECK(slot_is(lonely, GP_SLOT_REAP, 2, 0)); /* nobody lives: for the successor */
    gp_worker_born(seg, 2, 1000);
    CHECK(gp_slot_closing(seg, pool, lonely, 2));
    gp_slot_free(seg, pool, lonely, 2);
    CHECK_EQ(audit().slots_in_use, 2);
    teardown();
}

static void test_reclaim_repeats_hints_that_died_unsaid(void)
{
    uint32_t slot, p, s;
    setup();
    slot = server_open(0, 7);
    CHECK(gp_lane_publish(seg, pool, 1, 10));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_AWAY);
    /* as if worker 0 had been killed between the word and the hints, with its poke half done */
    atomic_store(&gp_lane_at(seg, pool, 1)->handed[0], 0);
    atomic_store(&gp_common_worker_at(seg, 1)->handed_pools[0], 0);
    woken(1);
    atomic_store(&gp_common_worker_at(seg, 1)->poked, 1);
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &s));
    gp_segment_reclaim(seg, 0);
    CHECK(woken(1));
    CHECK(gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK_EQ(s, slot);
    teardown();
}

/* What a releaser leaves that was asleep from before the death of `worker` to after its rebirth. */
static void handoff_late(uint32_t slot, uint32_t worker, uint32_t birth)
{
    struct gp_word w = {GP_SLOT_HANDOFF, worker, 0, birth, word_of(slot).generation};

    atomic_store(&gp_slot_at(seg, pool, slot)->word, gp_word_pack(w));
    atomic_store(&gp_lane_at(seg, pool, worker)->handed[0], 1ull << slot);
    atomic_store(&gp_common_worker_at(seg, worker)->handed_pools[0], 1ull << pool);
}

static void test_a_handoff_meant_for_the_predecessor_moves_on(void)
{
    uint32_t slot, p, s;
    setup();
    slot = server_idle(0, 6);
    gp_segment_reclaim(seg, 1);
    gp_worker_born(seg, 1, 111);
    handoff_late(slot, 1, 1);
    CHECK(gp_slot_hold(seg, pool, slot, 0, 1)); /* it could serve, but nobody here waits for it */
    CHECK(gp_lane_publish(seg, pool, 2, 10));
    woken(2);
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK(slot_is(slot, GP_SLOT_IDLE, 0, 0));
    CHECK(woken(2));
    gp_pool_settle(seg, pool, 2, 100);
    CHECK(gp_pool_next_handoff(seg, 2, &p, &s));
    CHECK_EQ(s, slot);
    check_sound();
    teardown();
}

static void test_a_handoff_without_the_descriptor_moves_on(void)
{
    uint32_t slot, p, s;
    setup();
    slot = server_idle(0, 4);
    handoff_late(slot, 1, 1);
    woken(1);
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK(slot_is(slot, GP_SLOT_IDLE, 0, 0));
    CHECK_EQ(gp_lane_outstanding(seg, pool, 1), 1); /* the ticket that it had claimed */
    CHECK(woken(1));
    check_sound();
    teardown();
}

/* Reclaim once wiped the hints of the dead worker's lane, and with them one that a releaser had set
 * after the slot was looked at: the slot stayed HANDOFF for ever (found by model/pool.pml). */
static void test_reclaim_leaves_hints_for_the_successor(void)
{
    uint32_t slot, p, s;
    struct gp_word w;
    setup();
    slot = server_open(0, 6);
    w = word_of(slot);
    handoff_late(slot, 1, 1);
    atomic_store(&gp_slot_at(seg, pool, slot)->word, gp_word_pack(w)); /* the word comes last */
    gp_segment_reclaim(seg, 1);
    gp_worker_born(seg, 1, 111);
    w.state = GP_SLOT_HANDOFF;
    w.worker = w.client = 1;
    atomic_store(&gp_slot_at(seg, pool, slot)->word, gp_word_pack(w));
    CHECK(!gp_pool_next_handoff(seg, 1, &p, &s));
    CHECK(slot_is(slot, GP_SLOT_IDLE, 0, 0));
    check_sound();
    teardown();
}

static void test_audit_finds_what_is_wrong(void)
{
    uint32_t slot, client;
    setup();
    slot = server_idle(0, 0);
    atomic_store(&gp_lane_at(seg, pool, 0)->idle[0], 0);
    CHECK_EQ(audit().bad_idle_bits, 1);
    atomic_store(&gp_lane_at(seg, pool, 0)->idle[0], 1);
    atomic_store(&gp_common_of(seg)->creates[2], (uint64_t)1 << 48 | (uint64_t)pool << 16 | slot);
    CHECK_EQ(audit().lost_creates, 1);
    atomic_store(&gp_common_of(seg)->creates[2], 0);
    client = gp_client_claim(seg, 2, false);
    atomic_store(&gp_client_at(seg, client)->state, GP_CLIENT_FREE);
    CHECK_EQ(audit().orphan_clients, 1);
    gp_client_release(seg, client, 2);
    check_sound();
    atomic_fetch_and(&gp_common_of(seg)->alive, ~1ull);
    CHECK_EQ(audit().dead_owners, 1);
    teardown();
}

int main(void)
{
    RUN(test_cancel_parks_the_server_until_delivered);
    RUN(test_cancel_delivered_in_time_parks_nothing);
    RUN(test_cancel_refuses_wrong_keys_and_idle_clients);
    RUN(test_cancels_are_bounded_and_end_with_their_life);
    RUN(test_reclaim_gives_clean_slots_to_a_survivor);
    RUN(test_reclaim_frees_what_died_with_the_worker);
    RUN(test_reclaim_leaves_unknown_slots_to_be_reaped);
    RUN(test_reclaim_repeats_hints_that_died_unsaid);
    RUN(test_a_handoff_meant_for_the_predecessor_moves_on);
    RUN(test_a_handoff_without_the_descriptor_moves_on);
    RUN(test_reclaim_leaves_hints_for_the_successor);
    RUN(test_audit_finds_what_is_wrong);
    return check_done();
}
