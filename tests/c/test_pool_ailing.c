/* sources: _cparser/pool.c _cparser/slot.c _cparser/segment.c _cparser/client_rows.c */
/* sources: _cparser/reclaim.c _cparser/notes.c _cparser/rows.c _cparser/names.c */
/* sources: _cparser/statements.c _cparser/session.c */
/* A pool whose last login failed: one login at a time over all workers, until one succeeds. */
#include "pool_fixture.h"

/* What the engine does with a login that failed. */
static void login_fails(uint32_t slot, uint32_t worker)
{
    gp_pool_sicken(seg, pool);
    gp_slot_free(seg, pool, slot, worker);
}

static void test_ailing_pool_has_one_login_at_a_time(void)
{
    uint32_t slot;
    setup();
    login_fails(gp_pool_claim(seg, pool, 0), 0);
    CHECK(gp_pool_ailing(seg, pool));
    slot = gp_pool_claim(seg, pool, 1);
    CHECK(slot != GP_NO_SLOT);
    for (uint32_t w = 0; w < W; w++)
        CHECK_EQ(gp_pool_claim(seg, pool, w), GP_NO_SLOT);
    while (woken(0) || woken(2))
        ;
    login_fails(slot, 1);
    CHECK(woken(0) && woken(2)); /* those who found no place look again */
    CHECK(gp_pool_claim(seg, pool, 2) != GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT);
    check_sound();
    teardown();
}

static void test_logins_that_began_before_the_failure_count_too(void)
{
    uint32_t first, second;
    setup();
    first = gp_pool_claim(seg, pool, 0);
    second = gp_pool_claim(seg, pool, 1);
    login_fails(first, 0);
    CHECK_EQ(gp_pool_claim(seg, pool, 2), GP_NO_SLOT);
    login_fails(second, 1);
    CHECK(gp_pool_claim(seg, pool, 2) != GP_NO_SLOT);
    teardown();
}

static void test_other_pools_feel_nothing(void)
{
    uint32_t other;
    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &other), GP_OK);
    login_fails(gp_pool_claim(seg, pool, 0), 0);
    CHECK(gp_pool_claim(seg, pool, 0) != GP_NO_SLOT);
    CHECK(gp_pool_claim(seg, other, 0) != GP_NO_SLOT);
    CHECK(gp_pool_claim(seg, other, 0) != GP_NO_SLOT);
    teardown();
}

static void test_success_lets_all_claim_again_and_wakes_who_waits(void)
{
    uint32_t slot;
    setup();
    login_fails(gp_pool_claim(seg, pool, 0), 0);
    slot = gp_pool_claim(seg, pool, 1);
    CHECK(gp_lane_publish(seg, pool, 2, 70)); /* it waits for a retry, and has claimed nothing */
    while (woken(2))
        ;
    gp_slot_opened(seg, pool, slot, 1, 4711, NULL, 0, 50, 0);
    CHECK(!gp_pool_ailing(seg, pool));
    CHECK(woken(2));
    CHECK(gp_pool_claim(seg, pool, 2) != GP_NO_SLOT);
    CHECK(gp_pool_claim(seg, pool, 0) != GP_NO_SLOT);
    teardown();
}

static void test_renewed_pool_is_no_longer_ailing(void)
{
    setup();
    login_fails(gp_pool_claim(seg, pool, 0), 0);
    gp_pool_renew(seg, pool);
    CHECK(!gp_pool_ailing(seg, pool));
    teardown();
}

static void test_death_of_who_tries_leaves_the_try_to_others(void)
{
    setup();
    login_fails(gp_pool_claim(seg, pool, 0), 0);
    CHECK(gp_pool_claim(seg, pool, 1) != GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), GP_NO_SLOT);
    gp_segment_reclaim(seg, 1);
    CHECK(gp_pool_claim(seg, pool, 0) != GP_NO_SLOT);
    check_sound();
    teardown();
}

int main(void)
{
    RUN(test_ailing_pool_has_one_login_at_a_time);
    RUN(test_logins_that_began_before_the_failure_count_too);
    RUN(test_other_pools_feel_nothing);
    RUN(test_success_lets_all_claim_again_and_wakes_who_waits);
    RUN(test_renewed_pool_is_no_longer_ailing);
    RUN(test_death_of_who_tries_leaves_the_try_to_others);
    return check_done();
}
