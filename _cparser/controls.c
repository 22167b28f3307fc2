/* What the administrator says of pools and clients: PAUSE, DISABLE, RECONNECT, KILL, SUSPEND.
 *
 * Who says it: any process that has the segment; the console's worker does. Each wish is a fact in
 * the segment, not a message, so that nothing is lost with the worker that set it, with one that
 * should have heard it, or with a reload:
 *
 *     gp_common_pool.hold   PAUSED: no server is opened.  DISABLED: no client is let in (entrance.c).
 *     gp_common_pool.epoch  grows: every server opened before is stale. Nobody gets a stale one, idle
 *                           ones are retired by their worker's census, busy ones at their release.
 *     gp_common_pool.killed_ns   whoever connected, or was opened, before that moment is to go
 *     gp_client_row.doomed_ns    the same of one client: it is meant if it connected at that moment,
 *                           so that a client which has the row later is not
 *     gp_common.suspended   SUSPEND: nobody is read any more (suspend.h)
 *     gp_common.controls    grows with each wish
 *
 * Who obeys (obey.c): each worker, for its own clients and servers, in the next sweep (every 100 ms)
 * that finds `controls` grown, and for whom it lets in or adopts from another worker. A worker that
 * is born later finds the facts, also one of the next generation. What a dead one left is reaped as
 * always.
 *
 * Who answers: whoever waits for the end looks at the slots. A paused pool is at rest when all of
 * them are FREE, that is, when PostgreSQL has hung up. The looking is the console's (Python).
 *
 * PAUSE and the login of a server: a pause sets the bit, then lets the epoch grow; a login claims its
 * slot, notes the epoch, then looks for the bit (gp_pool_claim). So either the login sees the bit and
 * gives its place back, or its server is stale when it is there. The hot path knows nothing of it. */
#include "outage.h"
#include "pool_internal.h"

/* Release: pairs with the acquire in gp_obey_sweep; who sees it sees the wish. Fence: before the one
 * who wishes looks for pools that are new (segment.c: hold_likewise). */
static void tell(struct gp_segment *seg)
{
    atomic_fetch_add_explicit(&gp_common_of(seg)->controls, 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    workers_poke(seg, workers_alive(seg));
}

uint32_t gp_pool_held(struct gp_segment *seg, uint32_t pool)
{
    return pool < gp_pools_high(seg)
               ? atomic_load_explicit(&gp_common_pool_at(seg, pool)->hold, memory_order_acquire)
               : 0;
}

void gp_pool_hold(struct gp_segment *seg, uint32_t pool, uint32_t bits)
{
    if (pool >= gp_pools_high(seg))
        return;
    /* release: before the epoch; pairs with the acquire in gp_pool_claim */
    atomic_fetch_or_explicit(&gp_common_pool_at(seg, pool)->hold, bits, memory_order_release);
    if (bits & GP_HOLD_PAUSED)
        gp_pool_reconnect(seg, pool);
}

void gp_pool_unhold(struct gp_segment *seg, uint32_t pool, uint32_t bits)
{
    struct gp_common_pool *p;

    if (pool >= gp_pools_high(seg))
        return;
    p = gp_common_pool_at(seg, pool);
    if (bits & GP_HOLD_PAUSED)
        atomic_store_explicit(&p->resumed_ns, gp_now_ns(), memory_order_relaxed);
    /* release: with the time; pairs with the acquire in queue.c */
    atomic_fetch_and_explicit(&p->hold, ~bits, memory_order_release);
    tell(seg); /* who waits may open servers again */
}

void gp_pool_reconnect(struct gp_segment *seg, uint32_t pool)
{
    struct gp_common_pool *p;

    if (pool >= gp_pools_high(seg))
        return;
    p = gp_common_pool_at(seg, pool);
    atomic_fetch_add_explicit(&p->epoch, 1, memory_order_release);
    gp_outage_forget(seg, pool);
    tell(seg);
}

void gp_pool_kill(struct gp_segment *seg, uint32_t pool)
{
    if (pool >= gp_pools_high(seg))
        return;
    atomic_store_explicit(&gp_common_pool_at(seg, pool)->killed_ns, gp_now_ns(),
                          memory_order_release);
    gp_pool_hold(seg, pool, GP_HOLD_PAUSED);
}

/* The wait for a server begins anew with the end of it, as after a pause. */
void gp_segment_suspend(struct gp_segment *seg, bool suspended)
{
    uint64_t now = gp_now_ns();

    for (uint32_t pool = 0, high = suspended ? 0 : gp_pools_high(seg); pool < high; pool++)
        atomic_store_explicit(&gp_common_pool_at(seg, pool)->resumed_ns, now, memory_order_relaxed);
    /* release: with the times; pairs with the acquire in gp_suspend_sweep */
    atomic_store_explicit(&gp_common_of(seg)->suspended, suspended, memory_order_release);
    tell(seg);
}

bool gp_segment_suspended(struct gp_segment *seg)
{
    return atomic_load_explicit(&gp_common_of(seg)->suspended, memory_order_acquire);
}

void gp_client_doom(struct gp_segment *seg, uint32_t client, uint64_t connected_ns)
{
    if (client == GP_NO_CLIENT || client > seg->clients_max)
        return;
    atomic_store_explicit(&gp_client_at(seg, client)->doomed_ns, connected_ns,
                          memory_order_release);
    tell(seg);
}
