/* What a worker does for the limit of a database: coordinator.c decides, here it is done.
 *
 *     no place ──want──> room? ──> evict another pool's idle server ──CLOSING──FREE──> claim
 *                          └─────> the reserve's, in time ───────────────────────────> claim
 *     a server comes free ──> cede it, move it from the reserve, or retire what is too much
 *
 * Nothing new happens to a slot: what goes is retired like any other, and a place is claimed like any
 * other. A server that this worker has no descriptor of (TLS, or it has just been born) is closed by
 * the worker whose it is, which is poked. */
#include <stdio.h>

#include "coordinator.h"
#include "relay.h"

#define GP_PRESS_NS  5000000ull /* between two looks of a queue for room: one costs microseconds */
#define GP_DENIED_NS 1000000000ull /* a denial is renewed by each sweep */

/* ---- for this worker's clients ---- */

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Close an idle server. False: this worker cannot, or somebody has taken it meanwhile. */
static bool evict(struct gp_engine *e, const struct gp_victim *v)
{
    struct gp_server *s = gp_server_find(e, v->pool, v->slot);
    struct gp_word w = gp_slot_word(e->seg, v->pool, v->slot);

    if (s && s->state == GP_SERVER_REST && gp_slot_seize(e->seg, v->pool, v->slot, e->worker)) {
        count(&gp_database_of(e->seg, v->pool)->evictions);
        gp_server_retire(e, s, GP_REASON_DATABASE_LIMIT);
        return true;
    }
    if (w.state == GP_SLOT_IDLE && w.worker != e->worker)
        gp_worker_poke(e->seg, w.worker);
    return false;
}

/* As many servers are closed as this queue's clients need, not more: what is closing counts. */
static uint32_t press(struct gp_engine *e, struct gp_queue *q, uint64_t now_ns)
{
    struct gp_victim victim;

    for (;;) {
        switch (gp_coordinator_relief(e->seg, q->pool, now_ns, &victim)) {
        case GP_RELIEF_EVICT:
            if (!evict(e, &victim))
                return GP_NO_SLOT;
            break;
        case GP_RELIEF_CLAIM:
            return gp_pool_claim(e->seg, q->pool, e->worker);
        case GP_RELIEF_RESERVE:
            return gp_pool_claim_reserve(e->seg, q->pool, e->worker);
        case GP_RELIEF_DENIED:
            q->denied_ns = now_ns;
            return GP_NO_SLOT;
        case GP_RELIEF_WAIT:
            return GP_NO_SLOT;
        }
    }
}

uint32_t gp_place_press(struct gp_engine *e, struct gp_queue *q)
{
    uint64_t now_ns = gp_now_ns();

    if (q->length <= q->opening || now_ns - q->pressed_ns < GP_PRESS_NS)
        return GP_NO_SLOT;
    q->pressed_ns = now_ns;
    gp_coordinator_want(e->seg, gp_database_of(e->seg, q->pool), now_ns);
    return press(e, q, now_ns);
}

bool gp_place_exhausted(struct gp_engine *e, struct gp_queue *q, char *words, size_t size)
{
    struct gp_database *d = gp_database_of(e->seg, q->pool);
    struct gp_bounds b;

    if (!d || !q->denied_ns || gp_now_ns() - q->denied_ns >= GP_DENIED_NS)
        return false;
    b = gp_bounds_of(d);
    count(&d->exhaustions);
    (void)snprintf(words, size,
                   "all server connections to database \"%s\" are in use (max_db_connections %u, "
                   "reserve_pool_size %u)",
                   d->name, b.max, b.reserve);
    return true;
}

/* ---- for others ---- */

/* The first in line waits for a server that none of its own workers holds, and this one does. */
static void evict_own(struct gp_engine *e, struct gp_database *d, uint64_t now_ns)
{
    uint32_t first = gp_coordinator_first(e->seg, d, now_ns);
    struct gp_victim v;

    if (first == UINT32_MAX || gp_coordinator_relief(e->seg, first, now_ns, &v) != GP_RELIEF_EVICT)
        return;
    uint64_t waiting =
        atomic_load_explicit(&gp_common_pool_at(e->seg, first)->waiters, memory_order_acquire);
    uint64_t holders =
        atomic_load_explicit(&gp_slot_at(e->seg, v.pool, v.slot)->holders, memory_order_acquire);
    if ((waiting & holders) == 0 && gp_slot_word(e->seg, v.pool, v.slot).worker == e->worker)
        (void)evict(e, &v); /* false: somebody has just taken it */
}

static bool is_wanted(_Atomic uint64_t *when_ns, uint64_t now_ns)
{
    uint64_t when = atomic_load_explicit(when_ns, memory_order_relaxed);

    return when && when + GP_WANTED_NS > now_ns;
}

void gp_evict_sweep(struct gp_engine *e)
{
    if (!is_wanted(&gp_common_of(e->seg)->wanted_ns, e->now))
        return;
    for (uint32_t i = 0, count = gp_databases_high(e->seg); i < count; i++) {
        struct gp_database *d = gp_database_at(e->seg, i);
        if (is_wanted(&d->wanted_ns, e->now))
            evict_own(e, d, e->now);
    }
}

/* ---- servers that come free ---- */

/* A server in a place that is not an ordinary one. True: it must go. */
static bool displaced(struct gp_engine *e, struct gp_server *s, enum gp_standing standing)
{
    struct gp_database *d = gp_database_of(e->seg, s->pool);

    if (standing == GP_STANDING_RESERVE && gp_coordinator_contested(e->seg, d, e->now))
        return false; /* what room there is, is for those who wait */
    return !gp_database_settle(e->seg, s->pool, s->slot) && standing == GP_STANDING_BEYOND;
}

bool gp_place_forbids(struct gp_engine *e, struct gp_server *s)
{
    enum gp_standing standing = gp_database_standing(e->seg, s->pool, s->slot);
    struct gp_database *d = gp_database_of(e->seg, s->pool);

    if (standing != GP_STANDING_ORDINARY)
        return displaced(e, s, standing);
    if (!gp_coordinator_cedes(e->seg, s->pool, s->slot, e->now))
        return false;
    count(&d->evictions);
    count(&d->cessions);
    return true;
}

/* Has it rested in the reserve for so long that the reserve is better free? */
static bool rests_too_long(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    struct gp_database *d = gp_database_of(e->seg, pool);
    uint64_t since =
        atomic_load_explicit(&gp_slot_at(e->seg, pool, slot)->idle_since_ns, memory_order_relaxed);
    uint64_t bound = 1000000ull * atomic_load_explicit(&d->lifetime_ms, memory_order_relaxed);

    return e->now > since && e->now - since >= bound;
}

void gp_place_census(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    struct gp_server *s = gp_server_find(e, pool, slot);
    struct gp_database *d = gp_database_of(e->seg, pool);
    enum gp_standing standing;

    if (!d || !gp_database_limited(d) || !s || s->state != GP_SERVER_REST)
        return;
    standing = gp_database_standing(e->seg, pool, slot);
    bool old = standing == GP_STANDING_RESERVE && rests_too_long(e, pool, slot);
    bool room = standing == GP_STANDING_RESERVE && gp_database_left(d) != 0 &&
                !gp_coordinator_contested(e->seg, d, e->now);
    if ((standing != GP_STANDING_BEYOND && !old && !room) ||
        !gp_slot_seize(e->seg, pool, slot, e->worker))
        return;
    if (old && !room)
        gp_server_retire(e, s, GP_REASON_DATABASE_LIMIT);
    else
        gp_server_release(e, s); /* it gets its place, or is retired, there */
}
