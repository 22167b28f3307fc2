/* Those who wait: one queue a pool in this worker's private memory, and its tickets in the segment.
 *
 *     first                    unpublished              last
 *      c1  --behind-->  c2  -->  c3  ------------>  c4
 *      |___ have tickets ____|   |____ none yet ______|
 *
 * A ticket that someone claims is a slot on its way here, for whoever is first then. */
#include <stdio.h>
#include <stdlib.h>

#include "growth.h"
#include "outage.h"

struct gp_queue *gp_queue_at(struct gp_engine *e, uint32_t pool)
{
    if (!e->queues[pool]) {
        e->queues[pool] = calloc(1, sizeof(struct gp_queue));
        if (e->queues[pool])
            e->queues[pool]->pool = pool;
    }
    return e->queues[pool];
}

/* Say in the segment how long the queue is and since when its first waits. */
static void report(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_lane *lane = gp_lane_at(e->seg, q->pool, e->worker);

    atomic_store_explicit(&lane->waiting, q->length, memory_order_relaxed);
    atomic_store_explicit(&lane->oldest_ns, q->first ? q->first->since_ns : 0,
                          memory_order_relaxed);
}

static void publish(struct gp_engine *e, struct gp_queue *q)
{
    while (q->unpublished &&
           gp_lane_publish(e->seg, q->pool, e->worker, q->unpublished->since_ns)) {
        q->unpublished->published = 1;
        q->unpublished = q->unpublished->behind;
    }
}

/* Tickets are nobody's own: they stand for the first of the queue, the last ticket for the last of
 * those who have one. After a change among these, say of each again when whom it stands for came. */
static void restate(struct gp_engine *e, struct gp_queue *q)
{
    struct gp_client *c = q->unpublished ? q->unpublished->before : q->last;

    for (uint32_t back = 0; c && back < GP_TICKETS; c = c->before)
        gp_lane_restate(e->seg, q->pool, e->worker, back++, c->since_ns);
}

static void enlist(struct gp_engine *e, struct gp_queue *q)
{
    q->before = NULL;
    q->behind = e->waiting;
    if (e->waiting)
        e->waiting->before = q;
    e->waiting = q;
}

static void delist(struct gp_engine *e, struct gp_queue *q)
{
    if (q->before)
        q->before->behind = q->behind;
    else
        e->waiting = q->behind;
    if (q->behind)
        q->behind->before = q->before;
}

/* Behind all who came before it: the last, unless it has waited in another worker. */
static void put_in(struct gp_engine *e, struct gp_queue *q, struct gp_client *c)
{
    struct gp_client *before = q->last;

    while (before && before->since_ns > c->since_ns)
        before = before->before;
    c->before = before;
    c->behind = before ? before->behind : q->first;
    *(before ? &before->behind : &q->first) = c;
    *(c->behind ? &c->behind->before : &q->last) = c;
    c->published = c->behind && c->behind->published;
    if (c->published) { /* tickets stand for the first of them: the last one's is now this one's */
        struct gp_client *last = q->unpublished ? q->unpublished->before : q->last;
        last->published = 0;
        q->unpublished = last;
    } else if (q->unpublished == c->behind) {
        q->unpublished = c;
    }
    if (q->length++ == 0) {
        q->since_ns = e->now;
        enlist(e, q);
    }
}

static void take_out(struct gp_engine *e, struct gp_queue *q, struct gp_client *c)
{
    if (q->unpublished == c)
        q->unpublished = c->behind;
    if (c->before)
        c->before->behind = c->behind;
    else
        q->first = c->behind;
    if (c->behind)
        c->behind->before = c->before;
    else
        q->last = c->before;
    c->before = c->behind = NULL;
    if (--q->length == 0) {
        delist(e, q);
        gp_lane_quiet(e->seg, q->pool, e->worker);
    }
}

void gp_queue_join(struct gp_engine *e, struct gp_client *c)
{
    struct gp_queue *q = gp_queue_at(e, c->pool);

    put_in(e, q, c);
    if (c->published)
        restate(e, q);
    publish(e, q);
    report(e, q);
    gp_pool_settle(e->seg, q->pool, e->worker, e->now);
    gp_queue_handoffs(e);
    if (c->state == GP_CLIENT_WAITING)
        gp_growth_joined(e, q, c);
    gp_yield_plead(e, q);
}

void gp_queue_leave(struct gp_engine *e, struct gp_client *c)
{
    struct gp_queue *q = gp_queue_at(e, c->pool);
    bool published = c->published;

    gp_growth_left(e, q, c, false);
    take_out(e, q, c);
    if (published && q->length) {
        (void)gp_lane_retract(e->seg, q->pool,
                              e->worker); /* granted already: the slot will bounce */
        restate(e, q);
    }
    publish(e, q);
    report(e, q);
}

void gp_queue_quit(struct gp_engine *e, struct gp_client *c)
{
    struct gp_histogram *waits = &gp_times_at(e->seg, c->pool, e->worker)->of[GP_TIME_WAIT];

    gp_count(&gp_counters_of(e, c->pool)->waits_left, 1);
    gp_time_note(waits, gp_elapsed(e->now, c->since_ns));
    gp_queue_leave(e, c);
}

struct gp_client *gp_queue_pop(struct gp_engine *e, uint32_t pool)
{
    struct gp_queue *q = gp_queue_at(e, pool);
    struct gp_client *c = q ? q->first : NULL;

    if (!c)
        return NULL;
    bool published = c->published;
    gp_growth_left(e, q, c, true);
    take_out(e, q, c);
    if (!published && q->length)
        (void)gp_lane_retract(e->seg, pool, e->worker);
    publish(e, q);
    report(e, q);
    return c;
}

void gp_queue_handoffs(struct gp_engine *e)
{
    uint32_t pool, slot;

    while (gp_pool_next_handoff(e->seg, e->worker, &pool, &slot)) {
        struct gp_server *s = gp_server_find(e, pool, slot);
        struct gp_client *c = gp_queue_pop(e, pool);

        if (s->state == GP_SERVER_PARKED)
            gp_server_enter(e, s, GP_SERVER_REST);
        if (!c) {
            gp_count(&gp_counters_of(e, pool)->bounced, 1);
            gp_server_release(e, s);
            continue;
        }
        gp_slot_assign(e->seg, pool, slot, e->worker, c->id);
        gp_link_start(e, s, c);
    }
}

/* Tickets can be lost with a worker that died between claiming one and handing over: when none is
 * out and nothing is on its way, publish from the start again. */
static void publish_again(struct gp_engine *e, struct gp_queue *q)
{
    if (gp_lane_outstanding(e->seg, q->pool, e->worker) == 0) {
        for (struct gp_client *c = q->first; c && c->published; c = c->behind)
            c->published = 0;
        q->unpublished = q->first;
        publish(e, q);
    }
    gp_pool_settle(e->seg, q->pool, e->worker, e->now);
}

/* What this or another worker has been told at a login: a refusal is for all who waited for it. */
void gp_queue_hear(struct gp_engine *e, struct gp_queue *q)
{
    uint64_t version = gp_note_version(e->seg, q->pool, GP_NOTE_OUTAGE);
    struct gp_outage_words words;

    if (version == q->heard)
        return;
    q->heard = version;
    if (!gp_outage_said(e->seg, q->pool, &words) || words.sqlstate[0] == '\0')
        return;
    while (q->first && q->first->since_ns <= words.at_ns)
        gp_client_fail(e, q->first, GP_REASON_LOGIN_FAILED, words.sqlstate, words.text);
}

/* How long it has waited for a server; for the end of a pause it waits as long as that takes. */
static uint64_t waited(struct gp_engine *e, uint32_t index, const struct gp_client *c)
{
    struct gp_common_pool *pool = gp_common_pool_at(e->seg, index);
    bool paused =
        e->suspended || (atomic_load_explicit(&pool->hold, memory_order_acquire) & GP_HOLD_PAUSED);
    uint64_t since = atomic_load_explicit(&pool->resumed_ns, memory_order_relaxed);

    if (since < c->since_ns)
        since = c->since_ns;
    return paused || since > e->now ? 0 : e->now - since;
}

/* Its time is over: say what kept it waiting, a login that failed meanwhile before all else. */
static void time_out(struct gp_engine *e, struct gp_queue *q, struct gp_client *c)
{
    struct gp_outage_words words;
    char limit[sizeof(words.text)], message[sizeof(limit) + 32];
    const char *why = "no server connection became free in time";

    if (gp_outage_why(e->seg, q->pool, c->since_ns, &words))
        why = words.text;
    else if (gp_place_exhausted(e, q, limit, sizeof(limit)))
        why = limit;
    (void)snprintf(message, sizeof(message), "query_wait_timeout: %s", why);
    gp_count(&gp_counters_of(e, q->pool)->timeouts, 1);
    gp_client_refuse(e, c, "53300", message);
}

/* Say once to each who has waited for `bound` that it waits: a notice may come at any time. */
static void notify(struct gp_engine *e, struct gp_queue *q, uint64_t bound)
{
    uint8_t notice[256];
    size_t len = gp_build_error(notice, sizeof(notice), "NOTICE", "01000",
                                "No server connection available in postgres backend, client being "
                                "queued",
                                "");

    notice[0] = GP_NOTICE_RESPONSE; /* built alike */
    for (struct gp_client *c = q->first; c && gp_elapsed(e->now, c->since_ns) >= bound;
         c = c->behind) {
        if (c->told)
            continue;
        c->told = 1;
        gp_count(&gp_counters_of(e, q->pool)->wait_notices, 1);
        gp_conn_send(e->transport, &c->conn, notice, len);
        if (c->conn.broken)
            gp_todo(e, &c->conn);
    }
}

void gp_queue_sweep(struct gp_engine *e)
{
    struct gp_queue *next;

    for (struct gp_queue *q = e->waiting; q; q = next) {
        struct gp_pool *pool = gp_pool_at(e->seg, q->pool);
        uint64_t bound =
            1000000ull * atomic_load_explicit(&pool->wait_timeout_ms, memory_order_relaxed);
        uint64_t notice =
            1000000ull * atomic_load_explicit(&pool->wait_notify_ms, memory_order_relaxed);

        next = q->behind;
        gp_queue_hear(e, q);
        while (bound && q->first && waited(e, q->pool, q->first) >= bound)
            time_out(e, q, q->first);
        if (!q->first)
            continue;
        if (notice)
            notify(e, q, notice);
        publish_again(e, q);
        if (gp_growth_wanted(q))
            gp_pool_grow(e, q->pool);
    }
    gp_growth_due(e); /* in case that its timer could not be set */
    gp_queue_handoffs(e);
}
