/* Who stands where in the line for a database's places, and who makes room: coordinator.h. */
#include "coordinator.h"

#include "pool_internal.h"

#define GP_LOOK_NS                                                                                 \
    1000000ull /* between two looks of releases at who waits: one costs microseconds */

/* ---- what a pool has ---- */

struct holdings {
    uint32_t used;    /* places */
    uint32_t live;    /* servers that are not closing */
    uint32_t closing; /* ... and those that are, with an ordinary place */
    uint32_t idle;    /* the slot that has been idle for the longest of those that may be evicted */
};

static bool is_closing(struct gp_word w)
{
    return w.state == GP_SLOT_CLOSING || w.state == GP_SLOT_REAP;
}

/* Has a server been open for so long that it may be taken from its pool? */
static bool is_of_age(struct gp_database *d, struct gp_slot *s, uint64_t now_ns)
{
    uint64_t opened = gp_load64(&s->opened_ns);

    return opened <= now_ns && now_ns - opened >= 1000000ull * gp_load32(&d->lifetime_ms);
}

static bool rests_longer(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t other)
{
    return other == GP_NO_SLOT || gp_load64(&gp_slot_at(seg, pool, slot)->idle_since_ns) <
                                      gp_load64(&gp_slot_at(seg, pool, other)->idle_since_ns);
}

static struct holdings holdings_of(struct gp_segment *seg, struct gp_database *d, uint32_t pool,
                                   uint64_t now_ns)
{
    struct holdings h = {.idle = GP_NO_SLOT};
    uint32_t high = atomic_load_explicit(&d->high, memory_order_acquire);
    uint32_t max = gp_bounds_of(d).max;

    for (uint32_t place = 0; place < high; place++) {
        uint64_t name = atomic_load_explicit(&d->places[place], memory_order_acquire);
        if (name == 0 || gp_place_pool(name) != pool)
            continue;
        uint32_t slot = gp_place_slot(name);
        struct gp_slot *s = gp_slot_at(seg, pool, slot);
        struct gp_word w = slot_word(s);
        h.used++;
        if (is_closing(w))
            h.closing += place < max;
        else
            h.live++;
        if (w.state == GP_SLOT_IDLE && place < max && is_of_age(d, s, now_ns) &&
            rests_longer(seg, pool, slot, h.idle))
            h.idle = slot;
    }
    return h;
}

static uint32_t floor_of(struct gp_database *d, struct gp_pool *p)
{
    uint32_t guarantee = gp_load32(&d->guarantee), least = gp_load32(&p->min_size);

    return guarantee > least ? guarantee : least;
}

static bool is_starving(struct gp_database *d, struct gp_pool *p, uint32_t live)
{
    return live == 0 || live < floor_of(d, p);
}

/* ---- who stands in line ---- */

struct claimant {
    uint32_t pool;
    uint32_t waiting; /* clients */
    uint32_t demand;  /* of them, those for whom a login could begin */
    uint64_t oldest_ns;
    bool starving;
    struct holdings has;
};

/* How many logins the pool may have in flight. */
static uint32_t logins_limit(struct gp_segment *seg, uint32_t pool)
{
    return gp_load32(&gp_common_pool_at(seg, pool)->outage.failures)
               ? 1
               : gp_load32(&gp_pool_at(seg, pool)->max_creates);
}

static uint32_t logins_of(struct gp_common_pool *p)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < GP_CREATES_MAX; i++)
        count += gp_load32(&p->creates[i]) != 0;
    return count;
}

static uint32_t less(uint32_t from, uint32_t taken)
{
    return from > taken ? from - taken : 0;
}

static uint64_t less64(uint64_t from, uint64_t taken)
{
    return from > taken ? from - taken : 0;
}

/* Who waits: what the workers that live say of their queues. */
static void count_waiting(struct gp_segment *seg, struct claimant *c)
{
    uint64_t lanes =
        atomic_load_explicit(&gp_common_pool_at(seg, c->pool)->waiters, memory_order_acquire);

    c->oldest_ns = UINT64_MAX;
    for (lanes &= workers_alive(seg); lanes != 0;) {
        struct gp_lane *lane = gp_lane_at(seg, c->pool, set_pop(&lanes));
        uint64_t oldest = gp_load64(&lane->oldest_ns);
        c->waiting += gp_load32(&lane->waiting);
        if (oldest != 0 && oldest < c->oldest_ns)
            c->oldest_ns = oldest;
    }
}

/* False: it has nobody who waits, or may not have servers now. Then only its pool is told. */
static bool claimant_read(struct gp_segment *seg, struct gp_database *d, uint32_t pool,
                          uint64_t now_ns, struct claimant *c)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);
    struct gp_pool *own = gp_pool_at(seg, pool);
    uint32_t logins;

    *c = (struct claimant){.pool = pool, .oldest_ns = UINT64_MAX};
    if (atomic_load_explicit(&p->in_use, memory_order_acquire) == 0 ||
        (atomic_load_explicit(&p->hold, memory_order_acquire) & GP_HOLD_PAUSED) != 0)
        return false;
    count_waiting(seg, c);
    if (c->waiting == 0)
        return false;
    logins = logins_of(p);
    c->has = holdings_of(seg, d, pool, now_ns);
    c->starving = is_starving(d, own, c->has.live);
    c->demand = less(c->waiting, logins);
    if (c->demand > less(gp_load32(&own->size), c->has.used))
        c->demand = less(gp_load32(&own->size), c->has.used);
    if (c->demand > less(logins_limit(seg, pool), logins))
        c->demand = less(logins_limit(seg, pool), logins);
    return true;
}

/* The same of another pool: an ailing one stands in nobody's way. */
static bool rival_read(struct gp_segment *seg, struct gp_database *d, uint32_t pool,
                       uint64_t now_ns, struct claimant *c)
{
    return gp_load64(&gp_common_pool_at(seg, pool)->waiters) != 0 && !gp_pool_ailing(seg, pool) &&
           claimant_read(seg, d, pool, now_ns, c) && c->demand != 0;
}

static bool stands_before(const struct claimant *a, const struct claimant *b, bool reserve)
{
    if (a->starving != b->starving)
        return a->starving;
    if (reserve && a->waiting != b->waiting)
        return a->waiting > b->waiting;
    if (a->oldest_ns != b->oldest_ns)
        return a->oldest_ns < b->oldest_ns;
    return a->pool < b->pool;
}

static bool has_waited(struct gp_database *d, const struct claimant *c, uint64_t now_ns)
{
    return c->oldest_ns <= now_ns &&
           now_ns - c->oldest_ns >= 1000000ull * gp_load32(&d->reserve_wait_ms);
}

/* How many places those before a claimant could take; of the reserve, those of them that may. */
static uint32_t demand_before(struct gp_segment *seg, struct gp_database *d,
                              const struct claimant *me, uint64_t now_ns, bool reserve)
{
    uint32_t demand = 0, high = gp_pools_high(seg);
    struct claimant other;

    for (uint32_t pool = 0; hint_next(d->members, high, &pool); pool++) {
        if (pool == me->pool || !rival_read(seg, d, pool, now_ns, &other) ||
            !stands_before(&other, me, reserve))
            continue;
        if (!reserve)
            demand += other.demand;
        else if (has_waited(d, &other, now_ns) && gp_database_reserve_left(seg, pool) != 0)
            demand++;
    }
    return demand;
}

static bool first_read(struct gp_segment *seg, struct gp_database *d, uint32_t but, uint64_t now_ns,
                       struct claimant *first)
{
    bool found = false;
    struct claimant other;
    uint32_t high = gp_pools_high(seg);

    for (uint32_t pool = 0; hint_next(d->members, high, &pool); pool++) {
        if (pool != but && rival_read(seg, d, pool, now_ns, &other) &&
            (!found || stands_before(&other, first, false))) {
            *first = other;
            found = true;
        }
    }
    return found;
}

uint32_t gp_coordinator_first(struct gp_segment *seg, struct gp_database *d, uint64_t now_ns)
{
    struct claimant first;

    return first_read(seg, d, UINT32_MAX, now_ns, &first) ? first.pool : UINT32_MAX;
}

/* ---- a place is free ---- */

static bool is_recent(_Atomic uint64_t *when_ns, uint64_t now_ns, uint64_t bound_ns)
{
    uint64_t when = gp_load64(when_ns);

    return when != 0 && (when > now_ns || now_ns - when < bound_ns);
}

bool gp_coordinator_admits(struct gp_segment *seg, uint32_t pool, bool reserve)
{
    struct gp_database *d = gp_database_of(seg, pool);
    uint32_t frees, left;
    struct claimant me;
    uint64_t now_ns;

    if (d == NULL || !gp_database_limited(d))
        return true;
    if (reserve)
        return gp_database_reserve_left(seg, pool) != 0;
    frees = atomic_load_explicit(&d->frees, memory_order_acquire);
    if (gp_load32(&d->full_at) == frees) /* nothing was given back since it was found full */
        return false;
    left = gp_database_left(d);
    if (left == 0) {
        atomic_store_explicit(&d->full_at, frees, memory_order_relaxed);
        return false;
    }
    now_ns = gp_now_ns();
    if (!is_recent(&d->freed_ns, now_ns, GP_FRESH_NS))
        return true;
    (void)claimant_read(seg, d, pool, now_ns, &me); /* who has nobody waiting stands behind all */
    return left > demand_before(seg, d, &me, now_ns, false);
}

void gp_coordinator_want(struct gp_segment *seg, struct gp_database *d, uint64_t now_ns)
{
    atomic_store_explicit(&d->wanted_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&gp_common_of(seg)->wanted_ns, now_ns, memory_order_relaxed);
    /* Pairs with the fence in gp_coordinator_freed: either that sees the want, or who wants sees the
     * place. */
    atomic_thread_fence(memory_order_seq_cst);
}

bool gp_coordinator_contested(struct gp_segment *seg, struct gp_database *d, uint64_t now_ns)
{
    return is_recent(&d->wanted_ns, now_ns, GP_WANTED_NS) &&
           gp_coordinator_first(seg, d, now_ns) != UINT32_MAX;
}

void gp_coordinator_freed(struct gp_segment *seg, struct gp_database *d)
{
    uint64_t now_ns = gp_now_ns();
    struct claimant first;

    atomic_fetch_add_explicit(&d->frees, 1, memory_order_release);
    atomic_store_explicit(&d->freed_ns, now_ns, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (!gp_database_limited(d) || !is_recent(&d->wanted_ns, now_ns, GP_WANTED_NS) ||
        !first_read(seg, d, UINT32_MAX, now_ns, &first))
        return;
    workers_poke(seg, atomic_load_explicit(&gp_common_pool_at(seg, first.pool)->waiters,
                                           memory_order_acquire));
}

/* ---- room is made ---- */

/* The time that 95 of 100 transactions of a pool did not exceed, as a bucket of its histogram. */
static uint32_t slowness(struct gp_segment *seg, uint32_t pool)
{
    struct gp_time_sums sums;
    uint64_t count = 0, below = 0;
    uint32_t bucket = 0;

    gp_times_read(seg, pool, GP_ALL, GP_TIME_TRANSACTION, &sums);
    for (uint32_t i = 0; i < GP_TIME_BUCKETS; i++)
        count += sums.counts[i];
    while (bucket + 1 < GP_TIME_BUCKETS && (below += sums.counts[bucket]) * 20 < count * 19)
        bucket++;
    return bucket;
}

/* Places that are about to come free. */
static uint32_t coming(struct gp_segment *seg, struct gp_database *d)
{
    uint32_t high = atomic_load_explicit(&d->high, memory_order_acquire), count = 0;

    for (uint32_t place = 0, max = gp_bounds_of(d).max; place < high && place < max; place++) {
        uint64_t name = atomic_load_explicit(&d->places[place], memory_order_acquire);
        count += name != 0 &&
                 is_closing(slot_word(gp_slot_at(seg, gp_place_pool(name), gp_place_slot(name))));
    }
    return count;
}

/* Whose idle server goes for another pool. False: nobody has one to spare. */
static bool victim_find(struct gp_segment *seg, struct gp_database *d, uint32_t claimant,
                        uint64_t now_ns, struct gp_victim *victim)
{
    uint32_t most = 0, high = gp_pools_high(seg);

    for (uint32_t pool = 0; hint_next(d->members, high, &pool); pool++) {
        struct holdings has;
        uint32_t surplus;
        if (pool == claimant)
            continue;
        has = holdings_of(seg, d, pool, now_ns);
        surplus = less(has.live, floor_of(d, gp_pool_at(seg, pool)));
        if (has.idle == GP_NO_SLOT || surplus == 0 || surplus < most ||
            (surplus == most && slowness(seg, pool) <= slowness(seg, victim->pool)))
            continue;
        most = surplus;
        *victim = (struct gp_victim){pool, has.idle};
    }
    return most != 0;
}

static bool reserve_for(struct gp_segment *seg, struct gp_database *d, const struct claimant *me,
                        uint64_t now_ns)
{
    uint32_t left = has_waited(d, me, now_ns) ? gp_database_reserve_left(seg, me->pool) : 0;

    return left != 0 && left > demand_before(seg, d, me, now_ns, true);
}

enum gp_relief gp_coordinator_relief(struct gp_segment *seg, uint32_t pool, uint64_t now_ns,
                                     struct gp_victim *victim)
{
    struct gp_database *d = gp_database_of(seg, pool);
    uint32_t left, before, provided;
    struct claimant me;

    if (d == NULL || !claimant_read(seg, d, pool, now_ns, &me) || me.demand == 0)
        return GP_RELIEF_WAIT;
    left = gp_database_left(d);
    before = demand_before(seg, d, &me, now_ns, false);
    if (left > before)
        return GP_RELIEF_CLAIM;
    provided = left + coming(seg, d);
    if (provided >= before + me.demand)
        return GP_RELIEF_WAIT;
    if (victim_find(seg, d, pool, now_ns, victim))
        return GP_RELIEF_EVICT;
    if (provided > before)
        return GP_RELIEF_WAIT;
    return reserve_for(seg, d, &me, now_ns) ? GP_RELIEF_RESERVE : GP_RELIEF_DENIED;
}

/* ---- a busy pool ---- */

/* Whether the first of the others stands before a pool as that would stand with one server less. Of
 * two that wait alike neither does: each exchange costs a login. */
static bool steps_back(struct gp_segment *seg, struct gp_database *d, uint32_t pool,
                       uint64_t now_ns, const struct claimant *first)
{
    struct gp_pool *p = gp_pool_at(seg, pool);
    struct claimant me;

    if (!claimant_read(seg, d, pool, now_ns, &me)) /* nobody waits for it here */
        me.has = holdings_of(seg, d, pool, now_ns);
    if (me.has.live <= floor_of(d, p))
        return false;
    me.starving = is_starving(d, p, me.has.live - 1);
    if (me.waiting == 0 || first->starving != me.starving)
        return me.waiting == 0 || first->starving;
    return less64(now_ns, first->oldest_ns) > 2 * less64(now_ns, me.oldest_ns);
}

bool gp_coordinator_cedes(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint64_t now_ns)
{
    struct gp_database *d = gp_database_of(seg, pool);
    struct claimant first;

    if (d == NULL || !is_recent(&d->wanted_ns, now_ns, GP_WANTED_NS) ||
        is_recent(&d->looked_ns, now_ns, GP_LOOK_NS) ||
        !is_of_age(d, gp_slot_at(seg, pool, slot), now_ns) ||
        gp_database_standing(seg, pool, slot) != GP_STANDING_ORDINARY)
        return false;
    atomic_store_explicit(&d->looked_ns, now_ns, memory_order_relaxed);
    return first_read(seg, d, pool, now_ns, &first) &&
           gp_database_left(d) + coming(seg, d) < first.demand &&
           steps_back(seg, d, pool, now_ns, &first);
}
