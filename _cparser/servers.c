/* Server connections as this worker holds them: opened here or received from another worker,
 * shared, retired. Partners: pool.c, which keeps what all workers know of them; inbox.c, which
 * carries their descriptors. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "growth.h"
#include "lifetimes.h"
#include "outage.h"
#include "prepare.h"
#include "tls.h"

#define GP_CENSUS_NS 1000000000ull

/* ---- the descriptors this worker holds ---- */

struct gp_server *gp_server_find(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    return e->servers[pool] ? e->servers[pool][slot] : NULL;
}

struct gp_server *gp_server_hold(struct gp_engine *e, uint32_t pool, uint32_t slot,
                                 uint32_t generation, int32_t fd)
{
    struct gp_server *s;

    if (!e->servers[pool])
        e->servers[pool] = calloc(GP_SLOTS_MAX, sizeof(struct gp_server *));
    if (!e->servers[pool] || !(s = calloc(1, sizeof(*s))))
        return NULL;
    s->conn.fd = fd;
    s->conn.kind = GP_CONN_SERVER;
    s->pool = pool;
    s->slot = slot;
    s->generation = generation;
    s->status = GP_TXN_IDLE;
    s->times = gp_times_at(e->seg, pool, e->worker);
    e->servers[pool][slot] = s;
    return s;
}

void gp_server_clear(struct gp_engine *e, struct gp_server *s)
{
    gp_buffer_free(&s->in);
    gp_buffer_free(&s->error);
    gp_buffer_free(&s->answer);
    gp_buffer_free(&s->said);
    free(s->kept);
    s->kept = NULL;
    gp_replies_clear(&s->replies);
    gp_intents_forget(e, s);
    *s = (struct gp_server){.conn = s->conn,
                            .pool = s->pool,
                            .slot = s->slot,
                            .generation = s->generation,
                            .times = s->times,
                            .state = s->state,
                            .txn = GP_TXN_IDLE,
                            .status = GP_TXN_IDLE,
                            .todo = s->todo,
                            .next_todo = s->next_todo,
                            .grave = s->grave};
}

void gp_server_drop(struct gp_engine *e, struct gp_server *s)
{
    gp_conn_detach(e->transport, &s->conn);
    if (s->conn.fd != -1)
        close(s->conn.fd);
    gp_tls_free(s->conn.tls);
    gp_server_clear(e, s);
    s->state = GP_SERVER_OUT;
    e->servers[s->pool][s->slot] = NULL;
    s->grave = e->graves;
    e->graves = s;
}

void gp_servers_bury(struct gp_engine *e)
{
    while (e->graves) {
        struct gp_server *s = e->graves;
        e->graves = s->grave;
        free(s);
    }
}

void gp_server_retire(struct gp_engine *e, struct gp_server *s, enum gp_reason reason)
{
    gp_conn_detach(e->transport, &s->conn);
    gp_server_enter(e, s, GP_SERVER_OUT);
    if (!gp_slot_closing(e->seg, s->pool, s->slot, e->worker))
        return;
    gp_count(&gp_counters_of(e, s->pool)->server_ends[reason], 1);
    gp_event_push(e, GP_EVENT_RETIRE, 0, s->pool, s->slot, reason);
}

/* ---- sharing ---- */

static uint64_t others_alive(struct gp_engine *e)
{
    return atomic_load_explicit(&gp_common_of(e->seg)->alive, memory_order_acquire) &
           ~(1ull << e->worker);
}

/* Send a server's descriptor to every worker that lacks it; gives those to whom it could be sent. A
 * full inbox is tried again by the census. A TLS session lives in one process: its server stays
 * there, and since no other worker ever holds the descriptor, nobody hands it there, steals or
 * inherits it (pool.h: holders). */
static uint64_t share(struct gp_engine *e, struct gp_server *s)
{
    uint64_t holders =
        atomic_load_explicit(&gp_slot_at(e->seg, s->pool, s->slot)->holders, memory_order_acquire);
    uint64_t sent = 0;

    if (s->conn.tls)
        return 0;
    for (uint64_t lacking = others_alive(e) & ~holders; lacking != 0; lacking &= lacking - 1) {
        uint32_t worker = (uint32_t)__builtin_ctzll(lacking);
        if (gp_inbox_share(e, worker, s) == GP_OK)
            sent |= 1ull << worker;
    }
    return sent;
}

/* ---- opening and closing: Python's side ---- */

static void login_over(struct gp_engine *e, uint32_t pool, uint32_t slot, bool opened)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    gp_growth_login_over(e, pool);
    if (q)
        gp_lifetime_login(e, q, slot, opened);
}

enum gp_result gp_server_opened(struct gp_engine *e, uint32_t pool, uint32_t slot, int32_t fd,
                                struct gp_tls *tls, uint32_t backend_pid, const uint8_t *key,
                                uint32_t key_length, uint64_t lifetime_ns, const char *address)
{
    struct gp_server *stale = gp_server_find(e, pool, slot);
    struct gp_slot_cold *cold = gp_slot_cold_at(e->seg, pool, slot);

    e->now = gp_now_ns();
    if (stale)
        gp_server_drop(e, stale); /* an earlier life, closed elsewhere */
    struct gp_server *s =
        gp_server_hold(e, pool, slot, gp_slot_word(e->seg, pool, slot).generation, fd);
    if (!s) {
        gp_tls_free(tls);
        gp_server_failed(e, pool, slot, GP_AILS_NOTHING, "", "");
        return GP_EFULL;
    }
    s->conn.tls = tls;
    gp_tls_name(tls, cold->tls, GP_TLS_NAME_BYTES);
    memset(cold->address, 0, sizeof(cold->address));
    strncpy(cold->address, address, sizeof(cold->address) - 1);
    gp_growth_logged_in(e, pool, slot);
    gp_slot_opened(e->seg, pool, slot, e->worker, backend_pid, key, key_length, e->now,
                   lifetime_ns ? e->now + lifetime_ns : 0);
    login_over(e, pool, slot, true);
    struct gp_queue *q = gp_queue_at(e, pool);
    if (q)
        q->secured = tls != NULL;
    e->secured |= tls != NULL;
    s->sent = share(e, s); /* before anybody can have it: who waits longest may be elsewhere */
    gp_server_release(e, s);
    s->sent = 0;
    gp_pool_grow(e, pool);
    gp_worker_poke(e->seg, e->worker); /* this is no step: its client's bytes are to go on */
    return GP_OK;
}

void gp_server_failed(struct gp_engine *e, uint32_t pool, uint32_t slot, uint32_t ailment,
                      const char *sqlstate, const char *why)
{
    struct gp_queue *q = gp_queue_at(e, pool);

    login_over(e, pool, slot, false);
    gp_outage_failed(e->seg, pool, ailment); /* while its place is taken: the next one sees it */
    if (ailment != GP_AILS_NOTHING)
        gp_outage_tell(e->seg, pool, e->worker, ailment, sqlstate, why);
    gp_slot_free(e->seg, pool, slot, e->worker);
    if (q)
        gp_queue_hear(e, q);
    gp_worker_poke(e->seg, e->worker);
}

int32_t gp_server_surrender(struct gp_engine *e, uint32_t pool, uint32_t slot, struct gp_tls **tls)
{
    struct gp_server *s = gp_server_find(e, pool, slot);
    int32_t fd = -1;

    *tls = NULL;
    if (s && s->state == GP_SERVER_OUT) {
        fd = s->conn.fd;
        *tls = s->conn.tls;
        s->conn.fd = -1;
        s->conn.tls = NULL;
    }
    return fd;
}

void gp_server_freed(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    struct gp_server *s = gp_server_find(e, pool, slot);

    if (s && s->state == GP_SERVER_OUT)
        gp_server_drop(e, s);
    gp_slot_free(e->seg, pool, slot, e->worker);
    struct gp_queue *q = gp_queue_at(e, pool);
    if (q && gp_growth_wanted(q))
        gp_pool_grow(e, pool);
}

void gp_server_cancel(struct gp_engine *e, struct gp_server *s)
{
    s->canceling = 1;
    gp_event_push(e, GP_EVENT_CANCEL, 0, s->pool, s->slot, 0);
}

void gp_server_canceled(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    struct gp_server *s = gp_server_find(e, pool, slot);

    if (!s || !s->canceling)
        return;
    s->canceling = 0;
    gp_link_turn(e, s);
}

/* ---- census ---- */

bool gp_server_retire_idle(struct gp_engine *e, uint32_t pool, uint32_t slot, enum gp_reason reason)
{
    struct gp_server *s = gp_server_find(e, pool, slot);

    if (!s || s->state != GP_SERVER_REST || !gp_slot_seize(e->seg, pool, slot, e->worker))
        return false;
    gp_server_retire(e, s, reason);
    return true;
}

uint32_t gp_pool_retire_idle(struct gp_engine *e, uint32_t pool, uint32_t reason)
{
    uint32_t high =
        atomic_load_explicit(&gp_common_pool_at(e->seg, pool)->size_high, memory_order_relaxed);
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < high; slot++)
        if (gp_slot_word(e->seg, pool, slot).state == GP_SLOT_IDLE)
            count += gp_server_retire_idle(e, pool, slot, reason);
    return count;
}

/* In nanoseconds. */
static uint64_t time_of(_Atomic uint32_t *setting)
{
    return 1000000ull * atomic_load_explicit(setting, memory_order_relaxed);
}

/* It has not answered its check. Those that rest may be as dead: its client shall not try each. */
static void give_up_idle(struct gp_engine *e, struct gp_server *s)
{
    uint32_t pool = s->pool;

    gp_server_lost(e, s, GP_REASON_SERVER_IO);
    (void)gp_pool_retire_idle(e, pool, GP_REASON_STALE);
}

/* A server in the hands of this worker that has taken too long over something. A query whose cancel
 * was quicker than the query itself, so that PostgreSQL found nothing to cancel, is cancelled
 * again: once a census. */
static void look_at_own(struct gp_engine *e, struct gp_server *s)
{
    struct gp_pool *pool = gp_pool_at(e->seg, s->pool);
    uint64_t age = e->now - s->since_ns;

    if ((s->state == GP_SERVER_ORPHAN || s->state == GP_SERVER_CLEAN) && age >= GP_ORPHAN_NS)
        gp_server_lost(e, s, GP_REASON_UNCLEAN);
    else if (s->state == GP_SERVER_PARKED && age >= time_of(&pool->cancel_wait_timeout_ms))
        gp_server_retire(e, s, GP_REASON_CANCEL_STUCK);
    else if (s->state == GP_SERVER_APPLY && s->checked && age >= time_of(&pool->connect_timeout_ms))
        give_up_idle(e, s);
    else if (s->state == GP_SERVER_ORPHAN && !s->canceling && !gp_replies_empty(&s->replies))
        gp_server_cancel(e, s);
}

static void reap(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    struct gp_server *s = gp_server_find(e, pool, slot);

    if (s && s->state != GP_SERVER_OUT)
        gp_server_retire(e, s, GP_REASON_REAPED);
    else if (gp_slot_closing(e->seg, pool, slot, e->worker))
        gp_event_push(e, GP_EVENT_RETIRE, 0, pool, slot, GP_REASON_REAPED);
}

/* An idle server that a dead worker left to this one: nobody has watched it here before. */
static void watch_heir(struct gp_engine *e, struct gp_server *s)
{
    if (s && s->state == GP_SERVER_REST && s->conn.mode == GP_CONN_OFF &&
        gp_conn_watch(e->transport, &s->conn) != GP_OK)
        gp_conn_detach(e->transport, &s->conn); /* looked at when it is taken, as a stolen one */
}

/* least and used: min_pool_size, and the servers that the pool has. */
static void census_slot(struct gp_engine *e, uint32_t index, uint32_t slot, uint32_t least,
                        uint32_t *used)
{
    struct gp_slot *shared = gp_slot_at(e->seg, index, slot);
    struct gp_word word = gp_slot_word(e->seg, index, slot);
    struct gp_server *s = gp_server_find(e, index, slot);

    if (s && s->state == GP_SERVER_REST && s->generation != word.generation) {
        gp_server_drop(e, s); /* closed by another worker */
        s = NULL;
    }
    if (word.state == GP_SLOT_REAP && word.worker == e->worker) {
        reap(e, index, slot);
    } else if (word.state == GP_SLOT_IDLE && word.worker == e->worker) {
        enum gp_reason reason = gp_lifetime_over(e, index, slot, *used > least);
        if (reason != GP_REASON_NONE && gp_server_retire_idle(e, index, slot, reason)) {
            --*used;
            return;
        }
        gp_place_census(e, index, slot);
        watch_heir(e, s);
    }
    if (word.worker == e->worker && (word.state == GP_SLOT_IDLE || word.state == GP_SLOT_ACTIVE))
        gp_lifetime_renew(e, index, slot, *used);
    if (!s || s->state == GP_SERVER_OUT)
        return;
    look_at_own(e, s);
    uint64_t holders = atomic_load_explicit(&shared->holders, memory_order_relaxed);
    if (holders && !(holders & ((1ull << e->worker) - 1)) && s->state != GP_SERVER_OUT)
        (void)share(e, s); /* the lowest holder sees to it that everyone has it */
}

static void census_pool(struct gp_engine *e, uint32_t index)
{
    struct gp_common_pool *pool = gp_common_pool_at(e->seg, index);
    uint32_t high = atomic_load_explicit(&pool->size_high, memory_order_relaxed);
    uint32_t least =
        atomic_load_explicit(&gp_pool_at(e->seg, index)->min_size, memory_order_relaxed);
    uint32_t used = 0;

    for (uint32_t slot = 0; slot < high; slot++)
        used += gp_slot_word(e->seg, index, slot).state != GP_SLOT_FREE;
    for (uint32_t slot = high; slot-- > 0;)
        census_slot(e, index, slot, least, &used);
    if ((used < least || gp_lifetime_owes(e, index)) &&
        atomic_load_explicit(&pool->in_use, memory_order_relaxed))
        gp_pool_grow(e, index);
}

/* Changes when any worker is born or dies. */
static uint64_t births(struct gp_engine *e)
{
    uint64_t sum = (uint64_t)__builtin_popcountll(others_alive(e));

    for (uint32_t w = 0; w < e->seg->workers; w++)
        sum += 64ull *
               atomic_load_explicit(&gp_common_worker_at(e->seg, w)->births, memory_order_relaxed);
    return sum;
}

void gp_servers_census(struct gp_engine *e)
{
    uint64_t born = births(e);
    uint32_t pools = atomic_load_explicit(&gp_common_of(e->seg)->pools_high, memory_order_acquire);

    if (born == e->births_seen && e->now < e->census_at)
        return;
    e->births_seen = born;
    e->census_at = e->now + GP_CENSUS_NS;
    for (uint32_t pool = 0; pool < pools; pool++)
        census_pool(e, pool);
}
