/* sources: @segment */
/* Rows and slots that go from one worker to another, and what is left when one of the two dies at
 * any step between. */
#include "pool_fixture.h"

/* Worker 0 offers a client with its server to worker 1. */
static uint64_t offered(uint32_t *client, uint32_t *slot)
{
    *client = client_linked(slot);
    uint64_t offer = gp_client_offer(seg, *client, 0, 1);
    CHECK(offer != 0);
    CHECK(gp_slot_hold(seg, pool, *slot, word_of(*slot).generation, 1));
    CHECK(gp_client_offered(seg, *client, offer));
    CHECK_EQ(gp_client_worker(seg, *client), 0);
    return offer;
}

static bool conveyed(uint32_t client, uint32_t slot)
{
    return gp_slot_convey(seg, pool, slot, word_of(slot).generation, 0, client, 1);
}

static void test_a_client_goes_with_its_server(void)
{
    uint32_t client, slot, s, generation;
    bool waiting;
    setup();
    uint64_t offer = offered(&client, &slot);
    CHECK_EQ(cancel(client, "secret", &s, &generation, &waiting), GP_OK);
    CHECK(gp_client_adopt(seg, client, offer));
    CHECK_EQ(gp_client_worker(seg, client), 1);
    CHECK(!gp_client_withdraw(seg, client, offer));
    CHECK(!gp_client_adopt(seg, client, offer));
    CHECK(conveyed(client, slot));
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 1, client));
    CHECK_EQ(word_of(slot).cancels, 1); /* it goes on to be delivered */
    CHECK(!conveyed(client, slot));
    gp_client_release(seg, client, 0); /* no more its */
    CHECK_EQ(gp_client_worker(seg, client), 1);
    gp_cancel_end(seg, pool, slot, generation);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 1, 100, 0, 0), GP_RELEASED_IDLE);
    gp_client_release(seg, client, 1);
    check_sound();
    teardown();
}

static void test_an_offer_is_taken_back_or_declined_once(void)
{
    uint32_t client, slot;
    setup();
    uint64_t offer = offered(&client, &slot);
    CHECK_EQ(gp_client_offer(seg, client, 0, 2), 0); /* one at a time */
    CHECK_EQ(gp_client_offer(seg, client, 1, 2), 0); /* not its own */
    CHECK(gp_client_withdraw(seg, client, offer));
    CHECK(!gp_client_withdraw(seg, client, offer));
    CHECK(!gp_client_adopt(seg, client, offer));
    CHECK_EQ(gp_client_worker(seg, client), 0);
    uint64_t again = gp_client_offer(seg, client, 0, 1);
    CHECK(again != offer); /* a message of the first is of no more use */
    CHECK(!gp_client_adopt(seg, client, offer));
    CHECK(gp_client_adopt(seg, client, again));
    teardown();
}

static void test_the_source_dies_before_the_adoption(void)
{
    uint32_t client, slot;
    setup();
    uint64_t offer = offered(&client, &slot);
    gp_segment_reclaim(seg, 0);
    CHECK_EQ(gp_client_worker(seg, client), UINT32_MAX);
    CHECK(!gp_client_adopt(seg, client, offer));
    CHECK(!conveyed(client, slot));
    CHECK(slot_is(slot, GP_SLOT_REAP, 1, GP_NO_CLIENT));
    check_sound();
    teardown();
}

/* Its server may have been used by nobody, but who knows: it is closed. */
static void test_the_source_dies_between_adoption_and_convey(void)
{
    uint32_t client, slot;
    setup();
    uint64_t offer = offered(&client, &slot);
    CHECK(gp_client_adopt(seg, client, offer));
    gp_segment_reclaim(seg, 0);
    CHECK_EQ(gp_client_worker(seg, client), 1);
    CHECK(!conveyed(client, slot));
    CHECK(slot_is(slot, GP_SLOT_REAP, 1, GP_NO_CLIENT));
    check_sound();
    teardown();
}

static void test_the_target_dies_before_the_adoption(void)
{
    uint32_t client, slot;
    setup();
    uint64_t offer = offered(&client, &slot);
    gp_segment_reclaim(seg, 1);
    CHECK(gp_client_withdraw(seg, client, offer));
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 0, client));
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_IDLE);
    check_sound();
    teardown();
}

static void test_the_target_dies_between_adoption_and_convey(void)
{
    uint32_t client, slot;
    setup();
    uint64_t offer = offered(&client, &slot);
    CHECK(gp_client_adopt(seg, client, offer));
    gp_segment_reclaim(seg, 1);
    CHECK(!gp_client_withdraw(seg, client, offer));
    CHECK_EQ(gp_client_worker(seg, client), UINT32_MAX);
    CHECK(slot_is(slot, GP_SLOT_ACTIVE, 0, client)); /* the source closes it */
    CHECK(gp_slot_closing(seg, pool, slot, 0));
    gp_slot_free(seg, pool, slot, 0);
    check_sound();
    teardown();
}

static void test_a_message_outlives_the_row(void)
{
    uint32_t client, slot;
    setup();
    uint64_t offer = offered(&client, &slot);
    CHECK(gp_client_withdraw(seg, client, offer));
    gp_client_release(seg, client, 0);
    uint32_t next = gp_client_claim(seg, 0, false);
    while (next != client)
        next = gp_client_claim(seg, 0, false);
    CHECK(!gp_client_adopt(seg, client, offer));
    CHECK(!gp_client_offered(seg, client, offer));
    teardown();
}

static void test_idle_servers_are_bequeathed(void)
{
    setup();
    uint32_t slot = server_open(0, 0b010);
    CHECK(!gp_slot_bequeath(seg, pool, slot, 0, 1)); /* not at rest yet */
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_IDLE);
    CHECK(gp_slot_bequeath(seg, pool, slot, 0, 1));
    CHECK(slot_is(slot, GP_SLOT_IDLE, 1, GP_NO_CLIENT));
    CHECK(!gp_slot_bequeath(seg, pool, slot, 0, 1));
    check_sound();
    CHECK_EQ(gp_pool_take(seg, pool, 1, BOB), slot);
    teardown();
}

static void test_a_bequest_wakes_who_waits(void)
{
    setup();
    uint32_t slot = server_open(0, 0b010);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_IDLE);
    CHECK(gp_lane_publish(seg, pool, 1, 10)); /* and has looked where it was not */
    (void)woken(1);
    CHECK(gp_slot_bequeath(seg, pool, slot, 0, 1));
    CHECK(woken(1));
    teardown();
}

static void test_a_bequest_to_the_dead_goes_on(void)
{
    setup();
    uint32_t slot = server_open(0, 0b110);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, 100, 0, 0), GP_RELEASED_IDLE);
    gp_segment_reclaim(seg, 1);
    CHECK(gp_slot_bequeath(seg, pool, slot, 0, 1));
    CHECK(slot_is(slot, GP_SLOT_IDLE, 0, GP_NO_CLIENT));
    check_sound();
    teardown();
}

int main(void)
{
    RUN(test_a_client_goes_with_its_server);
    RUN(test_an_offer_is_taken_back_or_declined_once);
    RUN(test_the_source_dies_before_the_adoption);
    RUN(test_the_source_dies_between_adoption_and_convey);
    RUN(test_the_target_dies_before_the_adoption);
    RUN(test_the_target_dies_between_adoption_and_convey);
    RUN(test_a_message_outlives_the_row);
    RUN(test_idle_servers_are_bequeathed);
    RUN(test_a_bequest_wakes_who_waits);
    RUN(test_a_bequest_to_the_dead_goes_on);
    return check_done();
}
