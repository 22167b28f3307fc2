#include "growth.h"

static struct gp_word word_of(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    return gp_word_unpack(
        atomic_load_explicit(&gp_slot_at(e->seg, pool, slot)->word, memory_order_acquire));
}

/* Logins wanted now: one a waiter; one for a pool without any server (its welcome is needed);
 * min_pool_size. */
static bool wants_server(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_pool *pool = gp_pool_at(e->seg, q->pool);
    uint32_t high = atomic_load_explicit(&pool->size_high, memory_order_relaxed);
    uint32_t least = atomic_load_explicit(&pool->min_size, memory_order_relaxed);
    uint32_t used = 0;

    if (q->length > q->opening)
        return true;
    if (e->draining || e->targets) /* whoever waits is served to the end, and nobody else comes */
        return false;
    for (uint32_t slot = 0; slot < high; slot++)
        used += word_of(e, q->pool, slot).state != GP_SLOT_FREE;
    return used < (least ? least : 1);
}

void gp_pool_grow(struct gp_engine *e, uint32_t pool)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    if (q && q->retry_at_ns && gp_pool_ailing(e->seg, pool) && gp_now_ns() < q->retry_at_ns)
        return; /* the sweep asks again, and whoever logs in first wakes us */
    while (q && wants_server(e, q) && !gp_yield_defers(e, q)) {
        uint32_t slot = gp_pool_claim(e->seg, pool, e->worker);
        if (slot == GP_NO_SLOT)
            return;
        q->opening++;
        gp_event_push(e, GP_EVENT_OPEN, 0, pool, slot, 0);
    }
}

void gp_growth_login_over(struct gp_engine *e, uint32_t pool)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    if (q && q->opening)
        q->opening--;
}
