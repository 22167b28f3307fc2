/* sources: @segment _cparser/controls.c */
/* What the administrator says of a pool, as far as it stands in the segment. */
#include "pool_fixture.h"

static void login(uint32_t slot, uint32_t worker)
{
    gp_slot_opened(seg, pool, slot, worker, 1, NULL, 0, SECOND_NS, 0);
}

static bool stale(uint32_t slot)
{
    struct gp_slot_row row;

    CHECK_EQ(gp_slot_row(seg, pool, slot, &row), GP_OK);
    return row.stale;
}

static void test_a_paused_pool_gives_and_opens_nothing(void)
{
    uint32_t slot;
    setup();
    slot = gp_pool_claim(seg, pool, 0);
    login(slot, 0);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, SECOND_NS, 0, 0), GP_RELEASED_IDLE);
    gp_pool_hold(seg, pool, GP_HOLD_PAUSED);
    for (uint32_t w = 0; w < W; w++)
        CHECK(woken(w));
    CHECK(stale(slot));
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT);
    CHECK_EQ(gp_pool_held(seg, pool), GP_HOLD_PAUSED);
    gp_pool_unhold(seg, pool, GP_HOLD_PAUSED);
    CHECK_EQ(gp_pool_take(seg, pool, 0, ANN), GP_NO_SLOT); /* that server has had its day */
    CHECK_EQ(gp_pool_claim(seg, pool, 0), slot + 1);
    teardown();
}

static void test_a_login_that_a_pause_overtakes_is_of_no_use(void)
{
    uint32_t slot;
    setup();
    slot = gp_pool_claim(seg, pool, 0);
    gp_pool_hold(seg, pool, GP_HOLD_PAUSED);
    gp_pool_unhold(seg, pool, GP_HOLD_PAUSED);
    login(slot, 0);
    CHECK_EQ(gp_pool_release(seg, pool, slot, 0, SECOND_NS, 0, 0), GP_RELEASED_STALE);
    teardown();
}

static void test_disabled_is_no_pause(void)
{
    setup();
    gp_pool_hold(seg, pool, GP_HOLD_DISABLED);
    CHECK(gp_pool_claim(seg, pool, 0) != GP_NO_SLOT);
    gp_pool_hold(seg, pool, GP_HOLD_PAUSED);
    gp_pool_unhold(seg, pool, GP_HOLD_PAUSED);
    CHECK_EQ(gp_pool_held(seg, pool), GP_HOLD_DISABLED);
    teardown();
}

static void test_a_new_pool_is_held_as_its_database_is(void)
{
    uint32_t other, third;
    setup();
    gp_pool_hold(seg, pool, GP_HOLD_PAUSED);
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &other), GP_OK);
    CHECK_EQ(gp_pool_held(seg, other), GP_HOLD_PAUSED);
    gp_pool_unhold(seg, other, GP_HOLD_PAUSED);
    CHECK_EQ(gp_pool_define(seg, "shop", "cyd", &settings, &third), GP_OK);
    CHECK_EQ(gp_pool_held(seg, third), 0);
    teardown();
}

static void test_settings_leave_it_alone_and_removal_ends_it(void)
{
    uint32_t again;
    setup();
    gp_pool_hold(seg, pool, GP_HOLD_PAUSED);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &again), GP_OK);
    CHECK_EQ(gp_pool_held(seg, pool), GP_HOLD_PAUSED);
    CHECK_EQ(gp_pool_remove(seg, pool), GP_OK);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &again), GP_OK);
    CHECK_EQ(gp_pool_held(seg, pool), 0);
    teardown();
}

static void test_reconnect_makes_servers_stale_and_pauses_nothing(void)
{
    uint32_t slot;
    setup();
    slot = gp_pool_claim(seg, pool, 0);
    login(slot, 0);
    CHECK(!stale(slot));
    gp_pool_reconnect(seg, pool);
    CHECK(stale(slot));
    CHECK(gp_pool_claim(seg, pool, 1) != GP_NO_SLOT);
    teardown();
}

static void test_no_such_pool_or_client_is_no_harm(void)
{
    setup();
    gp_pool_hold(seg, 7, GP_HOLD_PAUSED);
    gp_pool_unhold(seg, 7, GP_HOLD_PAUSED);
    gp_pool_reconnect(seg, 7);
    gp_pool_kill(seg, 7);
    gp_client_doom(seg, GP_NO_CLIENT, 1);
    gp_client_doom(seg, 11, 1);
    CHECK_EQ(gp_pool_held(seg, 7), 0);
    teardown();
}

int main(void)
{
    test_a_paused_pool_gives_and_opens_nothing();
    test_a_login_that_a_pause_overtakes_is_of_no_use();
    test_disabled_is_no_pause();
    test_a_new_pool_is_held_as_its_database_is();
    test_settings_leave_it_alone_and_removal_ends_it();
    test_reconnect_makes_servers_stale_and_pauses_nothing();
    test_no_such_pool_or_client_is_no_harm();
    return 0;
}
