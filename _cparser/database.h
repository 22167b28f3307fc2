/* What the pools of one database share: a row of places for their server connections, which is
 * max_db_connections. Partner: coordinator.h, which decides who gets one.
 *
 *    0                        max                     max + reserve            high
 *    | ordinary               | the reserve           | beyond: of a limit     |
 *    |                        |                       | that was lowered       |
 *
 * A place is 0, or the name of the server that has it:
 *
 *      57          36 35      24 23           0
 *     | pool + 1: 22 | slot: 12 | generation: 24 |
 *
 * Law: whoever is in state CONNECTING has a place, and nobody gets one otherwise. A name is of one
 * life of a slot: once that slot is FREE it is dead for ever, whoever finds it, and may be wiped by
 * anyone. So a place is lost with no process, and given back twice by none.
 *
 *   none -> ordinary              gp_pool_claim          after the slot is CONNECTING
 *   none -> reserve               gp_pool_claim_reserve  likewise
 *   reserve, beyond -> ordinary   gp_database_settle     the slot's ACTIVE owner: it takes the new
 *                                                        one, says so in the slot, frees the old
 *   any -> none                   slot_empty             after the slot is FREE
 *
 * and for a dead worker, by gp_segment_reclaim: of the two places of a slot that it was settling the
 * one that the slot does not name is wiped; and so are all dead names.
 *
 * A database without a limit has places too, so many that they never end: a limit that is set later
 * finds all its servers counted. Nobody takes an ordinary place while as many as there are may be
 * taken beyond them: the limit holds from the moment at which the surplus is gone. */
#ifndef GP_DATABASE_H
#define GP_DATABASE_H

#include "pool.h"

#define GP_PLACES_MAX 16384u /* a database's servers, where nothing else limits them */
#define GP_PLACES_LIMIT                                                                            \
    (GP_PLACES_MAX /                                                                               \
     2u) /* bound of max_db_connections, and of reserve_pool_size                  \
                          */
#define GP_PLACE_SLOT_SHIFT GP_WORD_GENERATION_BITS
#define GP_PLACE_POOL_SHIFT (GP_WORD_GENERATION_BITS + 12u)
_Static_assert(GP_SLOTS_MAX <= 1u << (GP_PLACE_POOL_SHIFT - GP_PLACE_SLOT_SHIFT),
               "a slot fits a place's name");

struct gp_database {
    _Alignas(64) _Atomic uint64_t bounds; /* max | reserve << 32; the master's, like those below */
    _Atomic uint32_t limited;             /* 1: max_db_connections is set */
    _Atomic uint32_t guarantee;           /* min_guaranteed_pool_size */
    _Atomic uint32_t reserve_wait_ms;     /* reserve_pool_timeout */
    _Atomic uint32_t lifetime_ms;         /* min_connection_lifetime */
    _Atomic uint32_t high;                /* places ever taken: scans stop here; only grows */
    _Atomic uint32_t frees; /* grows, from 1, when a place is freed or the bounds change; and ... */
    _Atomic uint32_t full_at; /* ... its value when an ordinary one was last sought in vain */
    _Alignas(
        64) _Atomic uint64_t wanted_ns; /* when a waiter last found no place; by who serves it */
    _Atomic uint64_t freed_ns;          /* when one was last given back; by who did */
    _Atomic uint64_t looked_ns;         /* when a release last looked for who waits */
    _Atomic uint64_t evictions;         /* counters, by whoever does it */
    _Atomic uint64_t cessions;          /* ... of those, servers of busy pools at their release */
    _Atomic uint64_t reserve_grants;
    _Atomic uint64_t promotions;  /* from the reserve to an ordinary place */
    _Atomic uint64_t exhaustions; /* clients whose query_wait_timeout ended for want of a place */
    char name[GP_NAME_BYTES];
    _Atomic uint64_t reserve[16];
    _Alignas(64) _Atomic uint64_t places[GP_PLACES_MAX];
    _Atomic uint64_t members[]; /* bit p: pool p is one of its; by the master */
};

_Static_assert(sizeof(struct gp_database) == 131392, "what is common keeps its shape: layout.h");

struct gp_bounds {
    uint32_t max, reserve;
};

static inline struct gp_database *gp_database_at(struct gp_segment *seg, uint32_t database)
{
    return gp_segment_at(seg, seg->databases_off + seg->database_stride * database);
}

/* The database that a pool is one of; NULL: none, so that nothing but its own size limits it. */
static inline struct gp_database *gp_database_of(struct gp_segment *seg, uint32_t pool)
{
    uint32_t place =
        atomic_load_explicit(&gp_common_pool_at(seg, pool)->database_place, memory_order_relaxed);

    return place ? gp_database_at(seg, place - 1) : NULL;
}

static inline struct gp_bounds gp_bounds_of(struct gp_database *d)
{
    /* acquire: pairs with the release in gp_database_define */
    uint64_t bounds = atomic_load_explicit(&d->bounds, memory_order_acquire);

    return (struct gp_bounds){(uint32_t)bounds, (uint32_t)(bounds >> 32)};
}

static inline bool gp_database_limited(struct gp_database *d)
{
    return atomic_load_explicit(&d->limited, memory_order_relaxed) != 0;
}

static inline uint32_t gp_place_pool(uint64_t name)
{
    return (uint32_t)(name >> GP_PLACE_POOL_SHIFT) - 1;
}

static inline uint32_t gp_place_slot(uint64_t name)
{
    return (uint32_t)(name >> GP_PLACE_SLOT_SHIFT) & (GP_SLOTS_MAX - 1);
}

/* Bytes of one, with a bit for each pool there may be. */
uint64_t gp_database_bytes(uint32_t pools_max);

/* How many ordinary places may be taken now: none while as many are taken beyond them. */
uint32_t gp_database_left(struct gp_database *d);
/* The same of the reserve, for this pool: within its own share (reserve_pool_size of its user). */
uint32_t gp_database_reserve_left(struct gp_segment *seg, uint32_t pool);

/* Take a place for a slot that is CONNECTING(this worker). False: there is none. A pool without a
 * database needs none. */
bool gp_database_take(struct gp_segment *seg, uint32_t pool, uint32_t slot, bool reserve);
/* A slot is FREE, whose life of that generation had this place (as gp_slot_cold says): give it back,
 * and wake the pool that deserves it. */
void gp_database_leave(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation,
                       uint32_t place);

enum gp_standing { GP_STANDING_ORDINARY, GP_STANDING_RESERVE, GP_STANDING_BEYOND };
/* What kind of place the server in a slot has that is not FREE or CONNECTING. */
enum gp_standing gp_database_standing(struct gp_segment *seg, uint32_t pool, uint32_t slot);
/* A slot that is ACTIVE(this worker) moves to an ordinary place, if there is one. */
bool gp_database_settle(struct gp_segment *seg, uint32_t pool, uint32_t slot);

/* A pool becomes one of a database, or is none of its any more. Master. */
void gp_database_join(struct gp_segment *seg, uint32_t pool, uint32_t place);
void gp_database_part(struct gp_segment *seg, uint32_t pool);

/* For gp_segment_reclaim: before its slots are touched, and after. */
void gp_databases_untwin(struct gp_segment *seg, uint32_t dead);
void gp_databases_wipe(struct gp_segment *seg);
/* Places with a dead name, and servers without a place. */
void gp_databases_audit(struct gp_segment *seg, struct gp_audit *audit);

#endif
