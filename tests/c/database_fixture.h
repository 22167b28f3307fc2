/* A segment with three workers, played in turn by one process, and two pools of one database. */
#ifndef GP_TESTS_DATABASE_FIXTURE_H
#define GP_TESTS_DATABASE_FIXTURE_H

#include "coordinator.h"

#include "check.h"

enum { W = 3, MS = 1000000 };

static struct gp_segment *seg;
static uint32_t ann, bob;
static struct gp_pool_settings pool_settings;
static struct gp_database_settings database_settings;

static inline void limit_change(uint32_t max, uint32_t reserve)
{
    uint32_t index;

    database_settings.max = max;
    database_settings.reserve = reserve;
    CHECK_EQ(gp_database_define(seg, "shop", &database_settings, &index), GP_OK);
    CHECK_EQ(index, 0);
}

static inline void setup_database(uint32_t max, uint32_t reserve)
{
    pool_settings = (struct gp_pool_settings){
        .size = 8, .max_creates = 8, .database_place = 1, .reserve_size = GP_PLACES_LIMIT};
    database_settings = (struct gp_database_settings){0};
    seg = gp_segment_create(W, 8, 10);
    CHECK(seg != NULL);
    limit_change(max, reserve);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &pool_settings, &ann), GP_OK);
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &pool_settings, &bob), GP_OK);
    for (uint32_t w = 0; w < W; w++) {
        gp_worker_born(seg, w, 100 + w);
        gp_worker_unpoke(seg, w);
    }
}

static inline void teardown(void)
{
    gp_segment_destroy(seg);
    seg = NULL;
}

/* Change a pool's share of the reserve. */
static inline void settings_change(uint32_t pool, uint32_t share)
{
    struct gp_pool_settings changed = pool_settings;
    uint32_t index;

    changed.reserve_size = share;
    CHECK_EQ(gp_pool_define(seg, "shop", pool == ann ? "ann" : "bob", &changed, &index), GP_OK);
}

static inline struct gp_database_row database_row(void)
{
    struct gp_database_row row;
    CHECK_EQ(gp_database_row(seg, 0, &row), GP_OK);
    return row;
}

static inline struct gp_word word_in(uint32_t pool, uint32_t slot)
{
    return gp_word_unpack(atomic_load(&gp_slot_at(seg, pool, slot)->word));
}

static inline uint32_t generation_of(uint32_t pool, uint32_t slot)
{
    return word_in(pool, slot).generation;
}

/* A server, opened at that time: ACTIVE(worker, no client). */
static inline uint32_t server_open_at(uint32_t pool, uint32_t worker, uint64_t opened_ns)
{
    uint32_t slot = gp_pool_claim(seg, pool, worker);
    CHECK(slot != GP_NO_SLOT);
    gp_slot_opened(seg, pool, slot, worker, 4711, NULL, 0, opened_ns, 0);
    return slot;
}

static inline uint32_t server_open_in(uint32_t pool, uint32_t worker)
{
    return server_open_at(pool, worker, 50);
}

static inline void server_close(uint32_t pool, uint32_t slot, uint32_t worker)
{
    CHECK(gp_slot_closing(seg, pool, slot, worker));
    gp_slot_free(seg, pool, slot, worker);
}

/* What a worker does with all that a dead one has left to it. */
static inline void reap_all(uint32_t worker)
{
    for (uint32_t pool = 0; pool < gp_pools_high(seg); pool++) {
        for (uint32_t slot = 0; slot < gp_slots_high(seg, pool); slot++) {
            if (word_in(pool, slot).state == GP_SLOT_REAP && word_in(pool, slot).worker == worker)
                server_close(pool, slot, worker);
        }
    }
}

static inline void check_places(void)
{
    struct gp_audit a;

    gp_segment_audit(seg, &a);
    CHECK_EQ(a.lost_places, 0);
    CHECK_EQ(a.lost_creates, 0);
    CHECK_EQ(a.over_limit, 0);
    CHECK_EQ(a.places, database_row().used);
}

#endif
