/* How a place of a pool comes from one worker to another when the servers in it cannot: their TLS
 * sessions live in one process, so nobody else holds their descriptors, and tickets of other workers
 * are passed over when they come free (pool.h: holders).
 *
 *     B: full pool, nothing to take --plead--> A: an idle one? --yield--> CLOSING -> FREE -> B opens one
 *                                              A: all busy? the next to come free that nobody
 *                                                 waits for here, or once B's oldest has waited
 *                                                 GP_YIELD_NS and twice as long as A's
 *
 * No new step of a slot: what is yielded is retired like any other, and its place is claimed like
 * any other, but for this: who was outwaited leaves it to the other for a second. A worker yields
 * once in GP_YIELD_NS: a login costs more than a wait. */
#include "relay.h"

#define GP_YIELD_NS 50000000ull
#define GP_DEFER_NS 1000000000ull

/* How long the oldest client of another worker has waited, if that is twice as long as any of ours
 * has; otherwise 0. Workers that are short of servers alike take none from each other. */
static uint64_t outwaited(struct gp_engine *e, struct gp_queue *q)
{
    uint64_t elder = gp_pool_elder(e->seg, q->pool, e->worker);
    uint64_t own = q->first ? gp_elapsed(e->now, q->first->since_ns) : 0;

    if (elder >= e->now || e->now - elder <= 2 * own)
        return 0;
    return e->now - elder;
}

void gp_yield_plead(struct gp_engine *e, struct gp_queue *q)
{
    if (q->length > q->opening)
        gp_pool_poke_idle(e->seg, q->pool, e->worker);
}

/* How many of the waiters elsewhere have no place to count on. */
static uint32_t unprovided(struct gp_engine *e, struct gp_queue *q)
{
    uint32_t tickets = gp_pool_tickets(e->seg, q->pool, e->worker);
    uint32_t room = gp_pool_room(e->seg, q->pool, e->worker);

    return tickets > room ? tickets - room : 0;
}

bool gp_yield_defers(struct gp_engine *e, struct gp_queue *q)
{
    uint64_t age = q->secured ? outwaited(e, q) : 0;

    return age >= GP_YIELD_NS && age < GP_DEFER_NS &&
           gp_pool_room(e->seg, q->pool, e->worker) <= gp_pool_tickets(e->seg, q->pool, e->worker);
}

bool gp_yield_released(struct gp_engine *e, struct gp_server *s)
{
    struct gp_queue *q = s->conn.tls ? gp_queue_at(e, s->pool) : NULL;

    if (!q || e->now < q->yield_at_ns)
        return false;
    uint64_t age = outwaited(e, q);
    if (age == 0 || (q->first && age < GP_YIELD_NS) || unprovided(e, q) == 0)
        return false;
    q->yield_at_ns = e->now + GP_YIELD_NS;
    return true;
}

/* Give up as many idle servers as are wanted elsewhere. */
static void yield_idle(struct gp_engine *e, struct gp_queue *q, uint32_t wanted)
{
    uint32_t high = gp_slots_high(e->seg, q->pool);

    for (uint32_t slot = 0; slot < high && wanted; slot++) {
        struct gp_server *s = gp_server_find(e, q->pool, slot);
        if (!s || !s->conn.tls || s->state != GP_SERVER_REST ||
            !gp_slot_seize(e->seg, q->pool, slot, e->worker))
            continue;
        gp_server_retire(e, s, GP_REASON_YIELDED);
        wanted--;
    }
}

void gp_yield_sweep(struct gp_engine *e)
{
    uint32_t pools = e->secured ? gp_pools_high(e->seg) : 0;

    for (uint32_t pool = 0; pool < pools; pool++) {
        struct gp_queue *q = e->queues[pool];
        uint32_t wanted = 0;

        if (q && q->secured && e->now >= q->yield_at_ns && outwaited(e, q))
            wanted = unprovided(e, q);
        if (!wanted)
            continue;
        q->yield_at_ns = e->now + GP_YIELD_NS;
        yield_idle(e, q, wanted);
    }
}
