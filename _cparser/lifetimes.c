#include "lifetimes.h"

#include "growth.h"

/* Of the shortest lifetimes: the census comes once a second, and a login takes its time. */
#define RIPE_LEAST_NS 2000000000ull

static uint64_t nanoseconds(_Atomic uint32_t *setting_ms)
{
    return 1000000ull * atomic_load_explicit(setting_ms, memory_order_relaxed);
}

static bool is_stale(struct gp_engine *e, uint32_t pool, uint32_t index, struct gp_slot *slot)
{
    struct gp_common_pool *common = gp_common_pool_at(e->seg, pool);

    return !atomic_load_explicit(&common->in_use, memory_order_relaxed) ||
           index >= atomic_load_explicit(&gp_pool_at(e->seg, pool)->size, memory_order_relaxed) ||
           atomic_load_explicit(&slot->epoch, memory_order_relaxed) !=
               atomic_load_explicit(&common->epoch, memory_order_relaxed);
}

static bool may_renew(struct gp_engine *e, uint32_t pool)
{
    return !e->draining && !e->targets && !gp_pool_ailing(e->seg, pool);
}

/* Its time was ended by whoever opened another in its place: it has had none. */
static bool was_replaced(struct gp_slot *s)
{
    return atomic_load_explicit(&s->expires_ns, memory_order_relaxed) ==
           atomic_load_explicit(&s->opened_ns, memory_order_relaxed);
}

uint64_t gp_lifetime_ripe_ns(uint64_t opened_ns, uint64_t expires_ns)
{
    uint64_t lifetime = expires_ns - opened_ns, rest = lifetime / 20;

    if (rest < RIPE_LEAST_NS)
        rest = lifetime / 2 < RIPE_LEAST_NS ? lifetime / 2 : RIPE_LEAST_NS;
    return expires_ns - rest;
}

/* Whether somebody would miss it. */
static bool in_use(struct gp_engine *e, uint32_t pool, uint32_t slot, uint32_t used)
{
    struct gp_pool *p = gp_pool_at(e->seg, pool);
    struct gp_slot *s = gp_slot_at(e->seg, pool, slot);
    uint64_t opened = atomic_load_explicit(&s->opened_ns, memory_order_relaxed);
    uint64_t expires = atomic_load_explicit(&s->expires_ns, memory_order_relaxed);
    uint64_t rest = expires - gp_lifetime_ripe_ns(opened, expires);

    return gp_slot_word(e->seg, pool, slot).state == GP_SLOT_ACTIVE ||
           used <= atomic_load_explicit(&p->min_size, memory_order_relaxed) ||
           e->now - atomic_load_explicit(&s->idle_since_ns, memory_order_relaxed) <= rest;
}

/* Its end leaves a gap: another is to be opened where it was. */
static void owe(struct gp_engine *e, uint32_t pool, struct gp_slot *s)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    if (q && may_renew(e, pool) && !was_replaced(s))
        q->owed++;
}

/* retained: | period: 32 | closings in it: 32 |. A worker that dies between this and the closing has
 * used one up. */
bool gp_lifetime_allows(struct gp_segment *seg, uint32_t pool, uint64_t now_ns)
{
    struct gp_pool *own = gp_pool_at(seg, pool);
    _Atomic uint64_t *retained = &gp_common_pool_at(seg, pool)->retained;
    uint64_t period_ns = nanoseconds(&own->retain_time_ms);
    uint32_t most = atomic_load_explicit(&own->retain_max, memory_order_relaxed);
    uint64_t was = atomic_load_explicit(retained, memory_order_relaxed), is;

    if (period_ns == 0 || most == 0)
        return true;
    do {
        uint64_t begun = now_ns / period_ns << 32;
        is = (was ^ begun) >> 32 ? begun | 1 : was + 1;
        if ((uint32_t)is > most)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(retained, &was, is, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

enum gp_reason gp_lifetime_over(struct gp_engine *e, uint32_t pool, uint32_t slot, bool spare)
{
    struct gp_pool *p = gp_pool_at(e->seg, pool);
    struct gp_slot *s = gp_slot_at(e->seg, pool, slot);
    uint64_t expires = atomic_load_explicit(&s->expires_ns, memory_order_relaxed);
    uint64_t since = atomic_load_explicit(&s->idle_since_ns, memory_order_relaxed);
    uint64_t bound = nanoseconds(&p->idle_timeout_ms);
    enum gp_reason reason = GP_REASON_NONE;

    if (is_stale(e, pool, slot, s))
        return GP_REASON_STALE;
    if (expires && e->now >= expires)
        reason = GP_REASON_LIFETIME;
    else if (spare && bound && since && e->now > since && e->now - since >= bound)
        reason = GP_REASON_IDLE_TIMEOUT;
    if (reason == GP_REASON_NONE || !gp_lifetime_allows(e->seg, pool, e->now))
        return GP_REASON_NONE;
    if (reason == GP_REASON_LIFETIME && in_use(e, pool, slot, UINT32_MAX))
        owe(e, pool, s);
    return reason;
}

enum gp_reason gp_lifetime_ended(struct gp_engine *e, const struct gp_server *s)
{
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);

    if (is_stale(e, s->pool, s->slot, slot))
        return GP_REASON_STALE;
    owe(e, s->pool, slot);
    return GP_REASON_LIFETIME;
}

/* ---- replacement ---- */

static bool is_ripe(struct gp_engine *e, struct gp_slot *s)
{
    uint64_t opened = atomic_load_explicit(&s->opened_ns, memory_order_relaxed);
    uint64_t expires = atomic_load_explicit(&s->expires_ns, memory_order_relaxed);

    return expires > opened && e->now >= gp_lifetime_ripe_ns(opened, expires);
}

void gp_lifetime_renew(struct gp_engine *e, uint32_t pool, uint32_t slot, uint32_t used)
{
    struct gp_pool *p = gp_pool_at(e->seg, pool);
    struct gp_slot *s = gp_slot_at(e->seg, pool, slot);
    struct gp_queue *q;
    uint32_t fresh;

    if (!is_ripe(e, s) || !in_use(e, pool, slot, used) || !may_renew(e, pool) ||
        !(q = gp_queue_at(e, pool)) || q->renewing || q->owed)
        return;
    if (used >= atomic_load_explicit(&p->size, memory_order_relaxed)) {
        q->owed = gp_server_retire_idle(e, pool, slot, GP_REASON_LIFETIME);
        return;
    }
    fresh = gp_pool_claim(e->seg, pool, e->worker);
    if (fresh == GP_NO_SLOT)
        return;
    q->renewing = true;
    q->fresh = fresh;
    q->ripe = slot;
    q->ripe_generation = gp_slot_word(e->seg, pool, slot).generation;
    gp_growth_begin(e, q, fresh);
}

bool gp_lifetime_owes(struct gp_engine *e, uint32_t pool)
{
    struct gp_queue *q = e->queues[pool];
    uint32_t size = atomic_load_explicit(&gp_pool_at(e->seg, pool)->size, memory_order_relaxed);
    uint32_t vacant = 0;

    if (!q || q->owed == 0)
        return false;
    for (uint32_t slot = 0; slot < size; slot++) {
        enum gp_slot_state state = gp_slot_word(e->seg, pool, slot).state;
        vacant += state == GP_SLOT_FREE || state == GP_SLOT_CLOSING;
    }
    if (q->owed > vacant) /* others have taken them */
        q->owed = vacant;
    return q->owed != 0;
}

/* The one that was ripe: if it is still there, its time is over. */
static void ripe_end(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_slot *s = gp_slot_at(e->seg, q->pool, q->ripe);
    struct gp_word word = gp_slot_word(e->seg, q->pool, q->ripe);

    if (word.state == GP_SLOT_FREE || word.generation != q->ripe_generation)
        return;
    atomic_store_explicit(&s->expires_ns, atomic_load_explicit(&s->opened_ns, memory_order_relaxed),
                          memory_order_relaxed);
    (void)gp_server_retire_idle(e, q->pool, q->ripe, GP_REASON_LIFETIME); /* or at its release */
}

void gp_lifetime_login(struct gp_engine *e, struct gp_queue *q, uint32_t slot, bool opened)
{
    if (q->owed || q->renewing)
        e->census_at = 0; /* others may be ripe */
    q->owed -= opened && q->owed != 0;
    if (!q->renewing || q->fresh != slot)
        return;
    q->renewing = false;
    if (opened)
        ripe_end(e, q);
}
