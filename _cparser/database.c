/* The row of places that the pools of a database share, and the databases themselves: database.h. */
#include "database.h"

#include <string.h>

#include "coordinator.h"
#include "pool_internal.h"

uint64_t gp_database_bytes(uint32_t pools_max)
{
    return sizeof(struct gp_database) + sizeof(uint64_t) * ((pools_max + 63ull) / 64);
}

static uint64_t place_name(uint32_t pool, uint32_t slot, uint32_t generation)
{
    return (uint64_t)(pool + 1) << GP_PLACE_POOL_SHIFT | (uint64_t)slot << GP_PLACE_SLOT_SHIFT |
           generation;
}

static uint64_t place_read(struct gp_database *d, uint32_t place)
{
    return atomic_load_explicit(&d->places[place], memory_order_acquire);
}

static uint32_t places_high(struct gp_database *d)
{
    return atomic_load_explicit(&d->high, memory_order_acquire); /* pairs with row_take */
}

/* Is it the name of a life that is over? Once so, always so. */
static bool name_dead(struct gp_segment *seg, uint64_t name)
{
    struct gp_word w = slot_word(gp_slot_at(seg, gp_place_pool(name), gp_place_slot(name)));

    return w.state == GP_SLOT_FREE || w.generation != (name & GP_GENERATION_MASK);
}

static _Atomic uint32_t *place_of(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    return &gp_slot_cold_at(seg, pool, slot)->place;
}

/* ---- how many there are ---- */

static uint32_t row_used(struct gp_database *d, uint32_t from, uint32_t to)
{
    uint32_t high = places_high(d), used = 0;

    for (uint32_t i = from; i < to && i < high; i++)
        used += atomic_load_explicit(&d->places[i], memory_order_relaxed) != 0;
    return used;
}

uint32_t gp_database_left(struct gp_database *d)
{
    struct gp_bounds b = gp_bounds_of(d);
    uint32_t used = row_used(d, 0, b.max) + row_used(d, b.max + b.reserve, GP_PLACES_MAX);

    return used < b.max ? b.max - used : 0;
}

/* Places of the reserve that one pool has. */
static uint32_t reserve_share(struct gp_database *d, struct gp_bounds b, uint32_t pool)
{
    uint32_t high = places_high(d), share = 0;

    for (uint32_t i = b.max; i < b.max + b.reserve && i < high; i++) {
        uint64_t name = place_read(d, i);
        share += name != 0 && gp_place_pool(name) == pool;
    }
    return share;
}

static uint32_t share_bound(struct gp_segment *seg, uint32_t pool)
{
    return atomic_load_explicit(&gp_pool_at(seg, pool)->reserve_size, memory_order_relaxed);
}

uint32_t gp_database_reserve_left(struct gp_segment *seg, uint32_t pool)
{
    struct gp_database *d = gp_database_of(seg, pool);
    struct gp_bounds b = gp_bounds_of(d);
    uint32_t used = row_used(d, 0, GP_PLACES_MAX) - row_used(d, 0, b.max);
    uint32_t share = reserve_share(d, b, pool), bound = share_bound(seg, pool);

    if (used >= b.reserve || share >= bound)
        return 0;
    return b.reserve - used < bound - share ? b.reserve - used : bound - share;
}

/* ---- take ---- */

static void row_free(struct gp_database *d, uint32_t place, uint64_t name)
{
    (void)atomic_compare_exchange_strong_explicit(&d->places[place], &name, 0, memory_order_acq_rel,
                                                  memory_order_relaxed);
}

/* Raise `high` before the place is taken, so that whoever scans sees it. */
static void row_raise(struct gp_database *d, uint32_t place)
{
    uint32_t high = atomic_load_explicit(&d->high, memory_order_relaxed);

    while (high <= place &&
           !atomic_compare_exchange_weak_explicit(&d->high, &high, place + 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
        ;
}

static bool row_take(struct gp_database *d, uint64_t name, uint32_t from, uint32_t to,
                     uint32_t *place)
{
    for (uint32_t i = from; i < to; i++) {
        uint64_t none = 0;
        if (atomic_load_explicit(&d->places[i], memory_order_relaxed) != 0)
            continue;
        row_raise(d, i);
        if (atomic_compare_exchange_strong_explicit(&d->places[i], &none, name,
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            *place = i;
            return true;
        }
    }
    return false;
}

/* Is the place that has just been taken one too many? Of two that take at a time the second sees both
 * (the fence), so that never both stay. */
static bool is_surplus(struct gp_segment *seg, uint32_t pool, struct gp_database *d, bool reserve)
{
    struct gp_bounds b = gp_bounds_of(d);
    uint32_t beyond;

    atomic_thread_fence(memory_order_seq_cst);
    beyond = row_used(d, b.max + b.reserve, GP_PLACES_MAX);
    if (!reserve)
        return beyond != 0 && row_used(d, 0, b.max) + beyond > b.max;
    return row_used(d, b.max, b.max + b.reserve) + beyond > b.reserve ||
           reserve_share(d, b, pool) > share_bound(seg, pool);
}

bool gp_database_take(struct gp_segment *seg, uint32_t pool, uint32_t slot, bool reserve)
{
    struct gp_database *d = gp_database_of(seg, pool);
    uint64_t name = place_name(pool, slot, slot_word(gp_slot_at(seg, pool, slot)).generation);
    struct gp_bounds b;
    uint32_t place;

    atomic_store_explicit(place_of(seg, pool, slot), 0, memory_order_relaxed);
    if (d == NULL)
        return true;
    b = gp_bounds_of(d);
    if (!row_take(d, name, reserve ? b.max : 0, reserve ? b.max + b.reserve : b.max, &place))
        return false;
    if (gp_database_limited(d) && is_surplus(seg, pool, d, reserve)) {
        row_free(d, place, name);
        /* who found none left because of this one looks again */
        atomic_fetch_add_explicit(&d->frees, 1, memory_order_release);
        return false;
    }
    atomic_store_explicit(place_of(seg, pool, slot), place + 1, memory_order_relaxed);
    if (reserve)
        atomic_fetch_add_explicit(&d->reserve_grants, 1, memory_order_relaxed);
    return true;
}

void gp_database_leave(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation,
                       uint32_t place)
{
    struct gp_database *d = gp_database_of(seg, pool);

    if (d == NULL || place == 0 || place > GP_PLACES_MAX)
        return;
    row_free(d, place - 1, place_name(pool, slot, generation));
    gp_coordinator_freed(seg, d);
}

/* ---- kinds of places ---- */

enum gp_standing gp_database_standing(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    struct gp_database *d = gp_database_of(seg, pool);
    uint32_t place = atomic_load_explicit(place_of(seg, pool, slot), memory_order_relaxed);
    struct gp_bounds b;

    if (d == NULL)
        return GP_STANDING_ORDINARY;
    b = gp_bounds_of(d);
    if (place <= b.max)
        return GP_STANDING_ORDINARY;
    return place <= b.max + b.reserve ? GP_STANDING_RESERVE : GP_STANDING_BEYOND;
}

bool gp_database_settle(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    struct gp_database *d = gp_database_of(seg, pool);
    uint64_t name = place_name(pool, slot, slot_word(gp_slot_at(seg, pool, slot)).generation);
    uint32_t before = atomic_load_explicit(place_of(seg, pool, slot), memory_order_relaxed), place;
    bool reserve = gp_database_standing(seg, pool, slot) == GP_STANDING_RESERVE;

    if (!row_take(d, name, 0, gp_bounds_of(d).max, &place))
        return false;
    /* release: the one that the slot names is the one that stays (gp_databases_untwin) */
    atomic_store_explicit(place_of(seg, pool, slot), place + 1, memory_order_release);
    if (before != 0)
        row_free(d, before - 1, name);
    if (reserve)
        atomic_fetch_add_explicit(&d->promotions, 1, memory_order_relaxed);
    gp_coordinator_freed(seg, d);
    return true;
}

/* ---- the dead ---- */

static void untwin(struct gp_segment *seg, struct gp_database *d, uint32_t place, uint32_t dead)
{
    uint64_t name = place_read(d, place);
    struct gp_word w;

    if (name == 0)
        return;
    w = slot_word(gp_slot_at(seg, gp_place_pool(name), gp_place_slot(name)));
    if (w.worker == dead && w.state != GP_SLOT_FREE && w.state != GP_SLOT_CONNECTING &&
        w.generation == (name & GP_GENERATION_MASK) &&
        atomic_load_explicit(place_of(seg, gp_place_pool(name), gp_place_slot(name)),
                             memory_order_acquire) != place + 1)
        row_free(d, place, name);
}

static uint32_t databases_high(struct gp_segment *seg)
{
    /* acquire: pairs with the release in gp_database_define */
    return atomic_load_explicit(&gp_common_of(seg)->databases_high, memory_order_acquire);
}

void gp_databases_untwin(struct gp_segment *seg, uint32_t dead)
{
    for (uint32_t i = 0, count = databases_high(seg); i < count; i++) {
        struct gp_database *d = gp_database_at(seg, i);
        for (uint32_t place = 0, high = places_high(d); place < high; place++)
            untwin(seg, d, place, dead);
    }
}

static void database_wipe(struct gp_segment *seg, struct gp_database *d)
{
    for (uint32_t place = 0, high = places_high(d); place < high; place++) {
        uint64_t name = place_read(d, place);
        if (name != 0 && name_dead(seg, name))
            row_free(d, place, name);
    }
    gp_coordinator_freed(seg, d);
}

void gp_databases_wipe(struct gp_segment *seg)
{
    for (uint32_t i = 0, count = databases_high(seg); i < count; i++)
        database_wipe(seg, gp_database_at(seg, i));
}

void gp_databases_audit(struct gp_segment *seg, struct gp_audit *audit)
{
    for (uint32_t i = 0, count = databases_high(seg); i < count; i++) {
        struct gp_database *d = gp_database_at(seg, i);
        for (uint32_t place = 0, high = places_high(d); place < high; place++) {
            uint64_t name = place_read(d, place);
            audit->places += name != 0;
            audit->lost_places +=
                name != 0 &&
                (name_dead(seg, name) ||
                 atomic_load(place_of(seg, gp_place_pool(name), gp_place_slot(name))) != place + 1);
        }
    }
}

/* ---- the databases: the master's ---- */

static bool settings_sound(const struct gp_database_settings *s)
{
    return s->max <= GP_PLACES_LIMIT && s->reserve <= GP_PLACES_LIMIT;
}

/* Its own entry, or one that is nobody's, or the next. */
static bool entry_find(struct gp_segment *seg, const char *name, uint32_t *index)
{
    uint32_t count = databases_high(seg);

    *index = count;
    for (uint32_t i = count; i-- > 0;) {
        const char *here = gp_database_at(seg, i)->name;
        if (strcmp(here, name) == 0) {
            *index = i;
            return true;
        }
        if (here[0] == '\0')
            *index = i;
    }
    return *index < seg->pools_max;
}

/* Workers see one setting after the other; each of them alone is harmless. */
static void settings_apply(struct gp_database *d, const struct gp_database_settings *s)
{
    uint64_t max = s->max != 0 ? s->max : GP_PLACES_MAX;
    uint64_t reserve = s->max != 0 ? s->reserve : 0;

    atomic_store_explicit(&d->guarantee, s->guarantee, memory_order_relaxed);
    atomic_store_explicit(&d->reserve_wait_ms, s->reserve_timeout_ms, memory_order_relaxed);
    atomic_store_explicit(&d->lifetime_ms, s->min_lifetime_ms, memory_order_relaxed);
    atomic_store_explicit(&d->limited, s->max != 0, memory_order_relaxed);
    atomic_store_explicit(&d->bounds, max | reserve << 32, memory_order_release);
    atomic_fetch_add_explicit(&d->frees, 1, memory_order_release);
}

enum gp_result gp_database_define(struct gp_segment *seg, const char *name,
                                  const struct gp_database_settings *settings, uint32_t *database)
{
    struct gp_database *d;

    if (strlen(name) == 0 || strlen(name) >= GP_NAME_BYTES || !settings_sound(settings))
        return GP_EPROTO;
    if (!entry_find(seg, name, database))
        return GP_EFULL;
    d = gp_database_at(seg, *database);
    settings_apply(d, settings);
    if (d->name[0] == '\0')
        memcpy(d->name, name, strlen(name)); /* the rest is zero */
    if (*database == databases_high(seg))
        atomic_store_explicit(&gp_common_of(seg)->databases_high, *database + 1,
                              memory_order_release);
    workers_poke(seg, workers_alive(seg)); /* who waits may claim more now */
    return GP_OK;
}

void gp_database_join(struct gp_segment *seg, uint32_t pool, uint32_t place)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    if (atomic_load_explicit(&p->database_place, memory_order_relaxed) != place)
        gp_database_part(seg, pool);
    if (place != 0)
        hint_set(gp_database_at(seg, place - 1)->members, pool);
    atomic_store_explicit(&p->limited,
                          place != 0 && gp_database_limited(gp_database_at(seg, place - 1)),
                          memory_order_relaxed);
    atomic_store_explicit(&p->database_place, place, memory_order_release);
}

static bool has_members(struct gp_segment *seg, struct gp_database *d)
{
    uint32_t pool = 0;

    return hint_next(d->members, gp_pools_high(seg), &pool);
}

void gp_database_part(struct gp_segment *seg, uint32_t pool)
{
    struct gp_database *d = gp_database_of(seg, pool);

    if (d == NULL)
        return;
    hint_clear(d->members, pool);
    atomic_store_explicit(&gp_common_pool_at(seg, pool)->database_place, 0, memory_order_release);
    if (has_members(seg, d))
        return;
    database_wipe(seg, d); /* the entry may be another's next */
    memset(d->name, 0, sizeof(d->name));
    for (_Atomic uint64_t *count = &d->evictions; count <= &d->exhaustions; count++)
        atomic_store_explicit(count, 0, memory_order_relaxed);
}

/* ---- rows ---- */

enum gp_result gp_database_row(struct gp_segment *seg, uint32_t database,
                               struct gp_database_row *row)
{
    struct gp_database *d;
    struct gp_bounds b;

    memset(row, 0, sizeof(*row));
    if (database >= databases_high(seg))
        return GP_ENOENT;
    d = gp_database_at(seg, database);
    b = gp_bounds_of(d);
    memcpy(row->name, d->name, sizeof(row->name));
    row->name[sizeof(row->name) - 1] = '\0';
    row->max = gp_database_limited(d) ? b.max : 0;
    row->reserve = b.reserve;
    row->used = row_used(d, 0, GP_PLACES_MAX);
    row->reserve_used = row_used(d, b.max, b.max + b.reserve);
    for (uint32_t pool = 0, high = gp_pools_high(seg); hint_next(d->members, high, &pool); pool++)
        row->pools +=
            atomic_load_explicit(&gp_common_pool_at(seg, pool)->in_use, memory_order_relaxed);
    row->evictions = atomic_load_explicit(&d->evictions, memory_order_relaxed);
    row->cessions = atomic_load_explicit(&d->cessions, memory_order_relaxed);
    row->reserve_grants = atomic_load_explicit(&d->reserve_grants, memory_order_relaxed);
    row->promotions = atomic_load_explicit(&d->promotions, memory_order_relaxed);
    row->exhaustions = atomic_load_explicit(&d->exhaustions, memory_order_relaxed);
    return GP_OK;
}

uint32_t gp_databases_high(struct gp_segment *seg)
{
    return databases_high(seg);
}
