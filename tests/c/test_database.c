/* sources: @segment */
/* The places of a database: how its pools take and leave them, how a limit changes, and what is left
 * when a worker dies between any two steps. Who gets one is test_coordinator.c's. */
#include "database_fixture.h"

static void test_limit_holds_over_pools_and_comes_back(void)
{
    uint32_t slots[3];
    setup_database(3, 0);
    slots[0] = server_open_in(ann, 0);
    slots[1] = server_open_in(ann, 1);
    slots[2] = server_open_in(bob, 2);
    CHECK_EQ(gp_pool_claim(seg, ann, 0), GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim(seg, bob, 0), GP_NO_SLOT);
    CHECK_EQ(database_row().used, 3);
    server_close(ann, slots[1], 1);
    CHECK_EQ(database_row().used, 2);
    CHECK(gp_pool_claim(seg, bob, 0) != GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim(seg, bob, 1), GP_NO_SLOT);
    check_places();
    teardown();
}

static void test_login_that_fails_gives_its_place_back(void)
{
    setup_database(1, 0);
    gp_slot_free(seg, ann, gp_pool_claim(seg, ann, 0), 0);
    CHECK_EQ(database_row().used, 0);
    CHECK(gp_pool_claim(seg, bob, 1) != GP_NO_SLOT);
    check_places();
    teardown();
}

static void test_closing_server_keeps_its_place(void)
{
    uint32_t slot;
    setup_database(1, 0);
    slot = server_open_in(ann, 0);
    CHECK(gp_slot_closing(seg, ann, slot, 0));
    CHECK_EQ(gp_pool_claim(seg, bob, 1), GP_NO_SLOT);
    gp_slot_free(seg, ann, slot, 0);
    CHECK(gp_pool_claim(seg, bob, 1) != GP_NO_SLOT);
    teardown();
}

static void test_pool_of_no_database_is_not_counted(void)
{
    struct gp_pool_settings alone = pool_settings;
    uint32_t asker;
    setup_database(1, 0);
    alone.database_place = 0;
    CHECK_EQ(gp_pool_define(seg, "shop", "(auth_query)", &alone, &asker), GP_OK);
    (void)server_open_in(asker, 0);
    (void)server_open_in(ann, 0);
    (void)server_open_in(asker, 0);
    CHECK_EQ(database_row().used, 1);
    teardown();
}

static void test_reserve_is_for_who_says_so_and_within_its_share(void)
{
    setup_database(1, 2);
    settings_change(bob, 1); /* bob's share */
    (void)server_open_in(ann, 0);
    CHECK_EQ(gp_pool_claim(seg, bob, 0), GP_NO_SLOT);
    CHECK(gp_pool_claim_reserve(seg, bob, 0) != GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim_reserve(seg, bob, 0), GP_NO_SLOT);
    CHECK(gp_pool_claim_reserve(seg, ann, 0) != GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim_reserve(seg, ann, 0), GP_NO_SLOT);
    CHECK_EQ(database_row().used, 3);
    CHECK_EQ(database_row().reserve_used, 2);
    CHECK_EQ(database_row().reserve_grants, 2);
    check_places();
    teardown();
}

static void test_server_moves_from_the_reserve_to_an_ordinary_place(void)
{
    uint32_t first, second;
    setup_database(1, 1);
    first = server_open_in(ann, 0);
    second = gp_pool_claim_reserve(seg, bob, 0);
    gp_slot_opened(seg, bob, second, 0, 1, NULL, 0, 50, 0);
    CHECK_EQ(gp_database_standing(seg, bob, second), GP_STANDING_RESERVE);
    CHECK(!gp_database_settle(seg, bob, second));
    server_close(ann, first, 0);
    CHECK(gp_database_settle(seg, bob, second));
    CHECK_EQ(gp_database_standing(seg, bob, second), GP_STANDING_ORDINARY);
    CHECK_EQ(database_row().promotions, 1);
    CHECK_EQ(database_row().reserve_used, 0);
    CHECK_EQ(gp_pool_claim(seg, ann, 0), GP_NO_SLOT);
    check_places();
    teardown();
}

static void test_lowered_limit_admits_nobody_until_the_surplus_is_gone(void)
{
    uint32_t slots[4];
    setup_database(4, 0);
    for (uint32_t i = 0; i < 4; i++)
        slots[i] = server_open_in(i < 2 ? ann : bob, 0);
    limit_change(2, 0);
    server_close(ann, slots[0], 0); /* an ordinary place: free, but one beyond is taken still */
    CHECK_EQ(gp_pool_claim(seg, ann, 0), GP_NO_SLOT);
    CHECK_EQ(gp_database_standing(seg, bob, slots[3]), GP_STANDING_BEYOND);
    CHECK(gp_database_settle(seg, bob, slots[3]));
    CHECK_EQ(gp_pool_claim(seg, ann, 0), GP_NO_SLOT);
    CHECK(!gp_database_settle(seg, bob, slots[2])); /* it must go */
    server_close(bob, slots[2], 0);
    CHECK_EQ(database_row().used, 2);
    CHECK_EQ(gp_pool_claim(seg, ann, 0), GP_NO_SLOT);
    server_close(bob, slots[3], 0);
    CHECK(gp_pool_claim(seg, ann, 0) != GP_NO_SLOT);
    check_places();
    teardown();
}

static void test_limit_that_is_set_later_finds_all_servers_counted(void)
{
    setup_database(0, 0);
    for (uint32_t i = 0; i < 4; i++)
        (void)server_open_in(ann, 0);
    CHECK_EQ(database_row().max, 0);
    CHECK_EQ(database_row().used, 4);
    limit_change(4, 0);
    CHECK_EQ(gp_pool_claim(seg, bob, 0), GP_NO_SLOT);
    limit_change(5, 0);
    CHECK(gp_pool_claim(seg, bob, 0) != GP_NO_SLOT);
    limit_change(0, 0);
    CHECK(gp_pool_claim(seg, bob, 0) != GP_NO_SLOT);
    check_places();
    teardown();
}

static void test_settings_out_of_bounds_change_nothing(void)
{
    struct gp_database_settings wrong = {.max = GP_PLACES_LIMIT + 1};
    uint32_t index;
    setup_database(3, 1);
    CHECK_EQ(gp_database_define(seg, "shop", &wrong, &index), GP_EPROTO);
    wrong = (struct gp_database_settings){.reserve = GP_PLACES_LIMIT + 1};
    CHECK_EQ(gp_database_define(seg, "shop", &wrong, &index), GP_EPROTO);
    wrong = (struct gp_database_settings){.max = 1};
    CHECK_EQ(gp_database_define(seg, "", &wrong, &index), GP_EPROTO);
    CHECK_EQ(database_row().max, 3);
    CHECK_EQ(database_row().reserve, 1);
    teardown();
}

static void test_entry_goes_with_the_last_pool(void)
{
    struct gp_database_settings other = {.max = 7};
    uint32_t index, slot;
    setup_database(3, 0);
    slot = server_open_in(ann, 0);
    CHECK_EQ(gp_pool_remove(seg, ann), GP_OK);
    CHECK_EQ(database_row().pools, 1);
    CHECK_EQ(gp_pool_vacate(seg, ann, bob), GP_AGAIN);
    server_close(ann, slot, 0);
    CHECK_EQ(gp_pool_vacate(seg, ann, bob), GP_OK);
    CHECK_EQ(strcmp(database_row().name, "shop"), 0);
    CHECK_EQ(gp_pool_remove(seg, bob), GP_OK);
    CHECK_EQ(gp_pool_vacate(seg, bob, ann), GP_OK);
    CHECK_EQ(database_row().name[0], '\0');
    CHECK_EQ(gp_database_define(seg, "mine", &other, &index), GP_OK);
    CHECK_EQ(index, 0);
    CHECK_EQ(database_row().used, 0);
    teardown();
}

/* ---- a worker dies ---- */

static void test_death_in_every_state_leaves_no_place_behind(void)
{
    uint32_t slot;
    setup_database(4, 0);
    (void)gp_pool_claim(seg, ann, 1); /* logging in */
    (void)server_open_in(ann, 1);     /* with a client */
    slot = server_open_in(bob, 1);    /* being closed */
    CHECK(gp_slot_closing(seg, bob, slot, 1));
    slot = server_open_in(bob, 1); /* idle, and another worker has it too */
    CHECK(gp_slot_hold(seg, bob, slot, generation_of(bob, slot), 0));
    CHECK_EQ(gp_pool_release(seg, bob, slot, 1, 100, 0, 0), GP_RELEASED_IDLE);
    gp_segment_reclaim(seg, 1);
    CHECK_EQ(database_row().used,
             3); /* two are REAP, one is idle: PostgreSQL may have them still */
    reap_all(0); /* the lowest that lives */
    CHECK_EQ(database_row().used, 1);
    check_places();
    teardown();
}

/* It dies after its slot is FREE and before the place is. */
static void test_death_between_slot_and_place(void)
{
    struct gp_slot *s;
    uint32_t slot;
    setup_database(1, 0);
    slot = server_open_in(ann, 1);
    CHECK(gp_slot_closing(seg, ann, slot, 1));
    s = gp_slot_at(seg, ann, slot);
    atomic_store(&s->word, gp_word_pack((struct gp_word){
                               .state = GP_SLOT_FREE, .generation = generation_of(ann, slot) + 1}));
    CHECK_EQ(gp_pool_claim(seg, bob, 0), GP_NO_SLOT);
    gp_segment_reclaim(seg, 1);
    CHECK(gp_pool_claim(seg, bob, 0) != GP_NO_SLOT);
    check_places();
    teardown();
}

/* It dies with two places for one server: before the slot names the new one, and after. */
static void settling_dies(bool named)
{
    struct gp_database *d;
    uint32_t first, second;
    setup_database(1, 1);
    d = gp_database_at(seg, 0);
    first = server_open_in(ann, 0);
    second = gp_pool_claim_reserve(seg, bob, 1);
    gp_slot_opened(seg, bob, second, 1, 1, NULL, 0, 50, 0);
    server_close(ann, first, 0);
    atomic_store(&d->places[0], atomic_load(&d->places[1]));
    if (named)
        atomic_store(&gp_slot_cold_at(seg, bob, second)->place, 1);
    gp_segment_reclaim(seg, 1);
    CHECK_EQ(database_row().used, 1);
    CHECK_EQ(database_row().reserve_used, named ? 0 : 1);
    reap_all(0);
    CHECK_EQ(database_row().used, 0);
    check_places();
    teardown();
}

static void test_death_while_a_server_moves(void)
{
    settling_dies(false);
    settling_dies(true);
}

/* The servers of the living are not touched, whatever they are at. */
static void test_death_of_another_leaves_a_move_alone(void)
{
    struct gp_database *d;
    uint32_t first, second;
    setup_database(1, 1);
    d = gp_database_at(seg, 0);
    first = server_open_in(ann, 0);
    second = gp_pool_claim_reserve(seg, bob, 0);
    gp_slot_opened(seg, bob, second, 0, 1, NULL, 0, 50, 0);
    server_close(ann, first, 0);
    atomic_store(&d->places[0], atomic_load(&d->places[1]));
    gp_segment_reclaim(seg, 1);
    CHECK(atomic_load(&d->places[0]) != 0 && atomic_load(&d->places[1]) != 0);
    teardown();
}

int main(void)
{
    RUN(test_limit_holds_over_pools_and_comes_back);
    RUN(test_login_that_fails_gives_its_place_back);
    RUN(test_closing_server_keeps_its_place);
    RUN(test_pool_of_no_database_is_not_counted);
    RUN(test_reserve_is_for_who_says_so_and_within_its_share);
    RUN(test_server_moves_from_the_reserve_to_an_ordinary_place);
    RUN(test_lowered_limit_admits_nobody_until_the_surplus_is_gone);
    RUN(test_limit_that_is_set_later_finds_all_servers_counted);
    RUN(test_settings_out_of_bounds_change_nothing);
    RUN(test_entry_goes_with_the_last_pool);
    RUN(test_death_in_every_state_leaves_no_place_behind);
    RUN(test_death_between_slot_and_place);
    RUN(test_death_while_a_server_moves);
    RUN(test_death_of_another_leaves_a_move_alone);
    return check_done();
}
