#include "growth.h"

#include <sys/timerfd.h>

#include "outage.h"

/* A queue that has been there for so long is no gap between two transactions. */
#define GP_LASTING_NS 100000000ull
/* Bounds of patience: what timers are good for; what nobody shall notice. */
#define GP_PATIENCE_LEAST_NS 1000000ull
#define GP_PATIENCE_MOST_NS  100000000ull
/* What a login is expected to take before one has been measured. */
#define GP_LOGIN_GUESS_NS 10000000ull
/* In what is expected of the next login the last one counts for one part in so many. */
#define GP_LOGIN_SHARE 8
/* How often the length of transactions is looked at, at most. */
#define GP_MEASURE_NS 100000000ull

/* ---- verdicts ---- */

static uint64_t between(uint64_t least, uint64_t value, uint64_t most)
{
    return value > most ? most : value < least ? least : value;
}

uint64_t gp_growth_verdict(const struct gp_outlook *o, enum gp_haste *haste)
{
    uint64_t login = between(GP_PATIENCE_LEAST_NS, o->login_ns, GP_PATIENCE_MOST_NS);
    uint32_t behind = o->waiting > o->opening ? o->waiting - o->opening : 1;
    uint64_t gap = o->near ? o->kept_ns / o->near : 0; /* between two that come back */

    if (o->used < o->warm)
        *haste = GP_HASTE_COLD;
    else if (behind > o->retries)
        *haste = GP_HASTE_CROWD;
    else if (o->lasted_ns >= GP_LASTING_NS)
        *haste = GP_HASTE_LASTING;
    else if (o->by_session || o->near == 0 || gap * behind > login)
        *haste = GP_HASTE_SLOW;
    else
        return o->kept_ns ? between(GP_PATIENCE_LEAST_NS, gap * o->retries, login) : login;
    return 0;
}

/* ---- what there is to see ---- */

/* Count servers, once a batch: what has changed since is as good as changed later. */
static void count_servers(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_pace *p = &q->pace;
    uint32_t high = gp_load32(&gp_common_pool_at(e->seg, q->pool)->size_high);

    if (p->counted_ns == e->now)
        return;
    p->counted_ns = e->now;
    p->used = p->opening = p->near = 0;
    for (uint32_t slot = 0; slot < high; slot++) {
        struct gp_slot *s = gp_slot_at(e->seg, q->pool, slot);
        enum gp_slot_state state = gp_slot_word(e->seg, q->pool, slot).state;
        p->used += state != GP_SLOT_FREE;
        p->opening += state == GP_SLOT_CONNECTING;
        p->near += (state == GP_SLOT_ACTIVE || state == GP_SLOT_HANDOFF || state == GP_SLOT_IDLE) &&
                   (gp_load64(&s->holders) >> e->worker & 1u);
    }
}

/* Over all workers; a lane that has none may have none of the bit, too. */
static uint32_t count_waiting(struct gp_engine *e, uint32_t pool)
{
    uint64_t lanes =
        atomic_load_explicit(&gp_common_pool_at(e->seg, pool)->waiters, memory_order_acquire);
    uint32_t count = 0;

    for (; lanes != 0; lanes &= lanes - 1)
        count += gp_load32(&gp_lane_at(e->seg, pool, (uint32_t)__builtin_ctzll(lanes))->waiting);
    return count;
}

/* How long transactions have kept their servers of late, on average, over all workers. What was
 * known stays true while none ends. */
static void measure(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_pace *p = &q->pace;
    uint64_t count = 0, sum = 0;

    if (p->measured_ns && e->now - p->measured_ns < GP_MEASURE_NS)
        return;
    p->measured_ns = e->now;
    for (uint32_t w = 0; w < e->seg->workers; w++) {
        uint64_t xacts = gp_load64(&gp_meter_at(e->seg, q->pool, w)->counters.xact_count);
        if (xacts) /* else to look would claim memory for zeros */
            sum += gp_load64(&gp_times_at(e->seg, q->pool, w)->of[GP_TIME_TRANSACTION].sum_ns);
        count += xacts;
    }
    if (count > p->count && sum >= p->sum_ns)
        p->kept_ns = (sum - p->sum_ns) / (count - p->count);
    p->count = count;
    p->sum_ns = sum;
}

static uint64_t expected_login(struct gp_pool *pool)
{
    uint64_t login = gp_load64(&pool->login_ns),
             half = 500000ull * gp_load32(&pool->wait_timeout_ms);

    if (!login)
        login = GP_LOGIN_GUESS_NS;
    return half && half < login ? half : login;
}

static struct gp_outlook look(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_pool *pool = gp_pool_at(e->seg, q->pool);

    count_servers(e, q);
    measure(e, q);
    return (struct gp_outlook){
        .warm = (gp_load32(&pool->size) * gp_load32(&pool->warm_ratio) + 99) / 100,
        .retries = gp_load32(&pool->fast_retries),
        .used = q->pace.used,
        .opening = q->pace.opening,
        .near = q->pace.near,
        .waiting = count_waiting(e, q->pool),
        .kept_ns = q->pace.kept_ns,
        .login_ns = expected_login(pool),
        .lasted_ns = gp_elapsed(e->now, q->since_ns),
        .by_session = gp_load32(&pool->mode) == GP_MODE_SESSION,
    };
}

/* ---- patience ---- */

/* A fifth more or less, so that workers do not lose it together. */
static uint64_t jittered(struct gp_engine *e, uint64_t ns)
{
    e->dice ^= e->dice << 13;
    e->dice ^= e->dice >> 7;
    e->dice ^= e->dice << 17;
    return ns - ns / 5 + e->dice % (ns / 5 * 2 + 1);
}

static void set_timer(struct gp_engine *e, uint64_t at)
{
    struct itimerspec when = {.it_value.tv_sec = (time_t)(at / 1000000000u),
                              .it_value.tv_nsec = (long)(at % 1000000000u)};

    if (e->haste_at && e->haste_at <= at)
        return;
    e->haste_at = at; /* should the timer not be had, the sweep is there */
    (void)timerfd_settime(e->haste.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Whether a login that is wanted has to wait for another to end. */
static bool held_up(struct gp_engine *e, struct gp_queue *q)
{
    return gp_growth_wanted(q) && gp_pool_gate_shut(e->seg, q->pool) &&
           !gp_pool_full(e->seg, q->pool);
}

void gp_growth_joined(struct gp_engine *e, struct gp_queue *q, struct gp_client *c)
{
    struct gp_counters *counters = gp_counters_of(e, q->pool);
    enum gp_haste haste;

    if (gp_pool_full(e->seg, q->pool))
        return;
    struct gp_outlook outlook = look(e, q);
    uint64_t patience = gp_growth_verdict(&outlook, &haste);
    if (patience) {
        c->patient = 1;
        q->pace.patient++;
        q->pace.patience_ns = jittered(e, patience);
        set_timer(e, c->since_ns + q->pace.patience_ns);
        return;
    }
    gp_count(&counters->hastes[haste], 1);
    gp_pool_grow(e, q->pool);
    if (held_up(e, q))
        gp_count(&counters->gate_waits, 1);
}

void gp_growth_left(struct gp_engine *e, struct gp_queue *q, struct gp_client *c, bool served)
{
    if (!c->patient)
        return;
    c->patient = 0;
    q->pace.patient--;
    if (served)
        gp_count(&gp_counters_of(e, q->pool)->patience_met, 1);
}

/* Whoever has waited long enough is in haste; who comes next sets the timer again. */
static void lose_patience(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_counters *counters = gp_counters_of(e, q->pool);
    uint32_t opening = q->opening, lost = 0;

    for (struct gp_client *c = q->first; c && q->pace.patient; c = c->behind) {
        if (!c->patient)
            continue;
        if (c->since_ns + q->pace.patience_ns > e->now) {
            set_timer(e, c->since_ns + q->pace.patience_ns);
            break;
        }
        c->patient = 0;
        q->pace.patient--;
        lost++;
    }
    if (!lost)
        return;
    gp_count(&counters->patience_lost, lost);
    if (gp_growth_wanted(q))
        gp_pool_grow(e, q->pool);
    gp_count(&counters->patience_opened, q->opening - opening);
    if (held_up(e, q))
        gp_count(&counters->gate_overdue, 1);
}

void gp_growth_due(struct gp_engine *e)
{
    if (!e->haste_at || e->now < e->haste_at)
        return;
    e->haste_at = 0;
    for (struct gp_queue *q = e->waiting; q; q = q->behind) {
        if (q->pace.patient)
            lose_patience(e, q);
    }
}

/* ---- logins ---- */

bool gp_growth_wanted(const struct gp_queue *q)
{
    return q->length - q->pace.patient + q->owed > q->opening;
}

/* Whether logins in flight will do for all who wait, wherever they are; not if servers stay with the
 * worker that opens them. */
static bool provided(struct gp_engine *e, struct gp_queue *q)
{
    count_servers(e, q);
    return !q->secured && count_waiting(e, q->pool) + q->owed <= q->pace.opening;
}

/* Whether the pool has fewer servers than it shall always have: min_pool_size, and one, for what
 * servers report must be known. */
static bool lacks(struct gp_engine *e, struct gp_queue *q, uint32_t spare)
{
    uint32_t least = gp_load32(&gp_pool_at(e->seg, q->pool)->min_size);

    q->pace.counted_ns = 0; /* whoever asks for this asks seldom */
    count_servers(e, q);
    return q->pace.used - spare < (least ? least : 1);
}

/* Whether one more login is wanted now. Nobody else comes to a worker that is about to end. */
static bool wants_server(struct gp_engine *e, struct gp_queue *q)
{
    if (gp_growth_wanted(q))
        return !provided(e, q);
    return !e->draining && !e->targets && lacks(e, q, 0);
}

void gp_growth_begin(struct gp_engine *e, struct gp_queue *q, uint32_t slot)
{
    q->opening++;
    q->pace.used++;
    q->pace.opening++;
    /* the row of a slot that logs in is the worker's own */
    atomic_store_explicit(&gp_slot_at(e->seg, q->pool, slot)->opened_ns, gp_now_ns(),
                          memory_order_relaxed);
    gp_count(&gp_counters_of(e, q->pool)->creates, 1);
    gp_event_push(e, GP_EVENT_OPEN, 0, q->pool, slot, 0);
}

void gp_pool_grow(struct gp_engine *e, uint32_t pool)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    while (q && wants_server(e, q) && !gp_yield_defers(e, q)) {
        uint32_t slot = gp_place_claim(e, q);
        if (slot == GP_NO_SLOT) {
            if (!gp_growth_wanted(q) && gp_pool_gate_shut(e->seg, pool))
                gp_count(&gp_counters_of(e, pool)->fills_deferred, 1);
            return;
        }
        gp_growth_begin(e, q, slot);
    }
}

void gp_growth_login_over(struct gp_engine *e, uint32_t pool)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    if (q && q->opening) {
        q->opening--;
        q->pace.counted_ns = 0;
    }
}

void gp_growth_logged_in(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    struct gp_pool *p = gp_pool_at(e->seg, pool);
    uint64_t took = gp_elapsed(e->now, gp_load64(&gp_slot_at(e->seg, pool, slot)->opened_ns));
    uint64_t before = gp_load64(&p->login_ns);

    if (before)
        took = before - before / GP_LOGIN_SHARE + took / GP_LOGIN_SHARE;
    atomic_store_explicit(&p->login_ns, took, memory_order_relaxed); /* one of them wins */
}

/* Whether it opens a server in the place of one that was old. */
static bool replaces(const struct gp_queue *q, uint32_t slot)
{
    return q->owed || (q->renewing && q->fresh == slot);
}

bool gp_server_spare(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    if (!q || count_waiting(e, pool) || replaces(q, slot) || lacks(e, q, 1))
        return false;
    gp_growth_login_over(e, pool);
    gp_outage_failed(e->seg, pool, GP_AILS_NOTHING); /* its turn is over */
    gp_slot_spare(e->seg, pool, slot, e->worker);
    gp_count(&gp_counters_of(e, pool)->spared, 1);
    return true;
}
