/* Who is linked with whom: the only place where a client's, a server's or a link's state changes.
 * See relay.h. */
#include "continuity.h"
#include "deferred.h"
#include "guests.h"
#include "sequences.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- states ---- */

#define TO(state) (1u << (state))

static const uint16_t server_moves[GP_SERVER_STATES] = {
    [GP_SERVER_REST] =
        TO(GP_SERVER_LINKED) | TO(GP_SERVER_OUT) | TO(GP_SERVER_REST) | TO(GP_SERVER_PARKED),
    [GP_SERVER_LINKED] = TO(GP_SERVER_REST) | TO(GP_SERVER_ORPHAN) | TO(GP_SERVER_CLEAN) |
                         TO(GP_SERVER_LOOK) | TO(GP_SERVER_APPLY) | TO(GP_SERVER_OUT),
    [GP_SERVER_LOOK] =
        TO(GP_SERVER_LINKED) | TO(GP_SERVER_APPLY) | TO(GP_SERVER_ORPHAN) | TO(GP_SERVER_OUT),
    [GP_SERVER_APPLY] = TO(GP_SERVER_LINKED) | TO(GP_SERVER_ORPHAN) | TO(GP_SERVER_OUT),
    [GP_SERVER_ORPHAN] = TO(GP_SERVER_CLEAN) | TO(GP_SERVER_REST) | TO(GP_SERVER_OUT),
    [GP_SERVER_CLEAN] = TO(GP_SERVER_REST) | TO(GP_SERVER_OUT),
    [GP_SERVER_PARKED] = TO(GP_SERVER_REST) | TO(GP_SERVER_OUT),
};

static const uint16_t client_moves[GP_CLIENT_STATES] = {
    [GP_CLIENT_FREE] = TO(GP_CLIENT_LOGIN),
    [GP_CLIENT_LOGIN] = TO(GP_CLIENT_IDLE) | TO(GP_CLIENT_CLOSING),
    [GP_CLIENT_IDLE] = TO(GP_CLIENT_WAITING) | TO(GP_CLIENT_ACTIVE) | TO(GP_CLIENT_CLOSING),
    [GP_CLIENT_WAITING] = TO(GP_CLIENT_IDLE) | TO(GP_CLIENT_ACTIVE) | TO(GP_CLIENT_CLOSING),
    [GP_CLIENT_ACTIVE] = TO(GP_CLIENT_IDLE) | TO(GP_CLIENT_CLOSING),
    [GP_CLIENT_CLOSING] = TO(GP_CLIENT_GONE),
};

/* A move that the tables do not know is a bug that could hand a server to the wrong client: stop
 * this worker. */
static void impossible(const char *what, unsigned from, unsigned to)
{
    fprintf(stderr, "greenpool: impossible %s state change %u -> %u\n", what, from, to);
    abort();
}

void gp_server_enter(struct gp_engine *e, struct gp_server *s, enum gp_server_state state)
{
    if (!(server_moves[s->state] & TO(state)))
        impossible("server", s->state, state);
    s->state = state;
    s->since_ns = e->now;
    if (state != GP_SERVER_REST && state != GP_SERVER_PARKED)
        return;
    s->said_fatal = s->failed = s->skipping = s->doubtful = 0;
    if (s->conn.mode != GP_CONN_OFF && gp_conn_watch(e->transport, &s->conn) != GP_OK)
        gp_conn_detach(e->transport, &s->conn);
}

static void set_client_state(struct gp_engine *e, struct gp_client *c, enum gp_client_state state)
{
    struct gp_client_row *row = gp_client_at(e->seg, c->id);

    if (!(client_moves[c->state] & TO(state)))
        impossible("client", c->state, state);
    c->state = state;
    c->since_ns = e->now;
    atomic_store_explicit(&row->state, state, memory_order_relaxed);
    atomic_store_explicit(&row->wait_since_ns, state == GP_CLIENT_WAITING ? e->now : 0,
                          memory_order_relaxed);
    if (state == GP_CLIENT_ACTIVE)
        atomic_store_explicit(&row->request_ns, e->now, memory_order_relaxed);
    uint32_t slot = c->server ? c->server->slot + 1 : 0;
    if (atomic_load_explicit(&row->slot, memory_order_relaxed) != slot)
        atomic_store_explicit(&row->slot, slot,
                              memory_order_release); /* pairs with gp_cancel_begin */
}

void gp_client_seat(struct gp_engine *e, struct gp_client *c, uint32_t client)
{
    c->id = client;
    e->clients[client - 1] = c;
    e->clients_live++;
    set_client_state(e, c, GP_CLIENT_LOGIN);
}

/* ---- turns ---- */

static void say_goodbye(struct gp_engine *e, struct gp_client *c);

void gp_turn(struct gp_engine *e, struct gp_conn *conn)
{
    if (conn->kind == GP_CONN_SERVER) {
        struct gp_server *s = (struct gp_server *)conn;
        if ((conn->broken || conn->starved) && s->state != GP_SERVER_OUT)
            gp_server_lost(e, s, conn->starved ? GP_REASON_MEMORY : GP_REASON_SERVER_IO);
        return;
    }
    struct gp_client *c = (struct gp_client *)conn;
    if (c->state == GP_CLIENT_GONE)
        return;
    if (c->state == GP_CLIENT_FREE) {
        if (conn->broken || conn->starved)
            gp_guest_closed(e, c);
    } else if (c->state == GP_CLIENT_CLOSING) {
        if (gp_conn_sent(e->transport, conn) || conn->broken)
            say_goodbye(e, c);
    } else if (c->entrance && (conn->broken || conn->starved)) {
        gp_client_finish(e, c, GP_REASON_LOGIN_LEFT);
    } else if (conn->starved) { /* broken: it can be told nothing */
        gp_client_end(e, c, GP_REASON_MEMORY);
    } else if (conn->broken) {
        gp_client_finish(e, c, GP_REASON_CLIENT_IO);
    } else if (!c->entrance) {
        gp_frontend_continue(e, c);
    }
}

/* ---- linking ---- */

static uint32_t pool_mode(struct gp_engine *e, uint32_t pool)
{
    return atomic_load_explicit(&gp_pool_at(e->seg, pool)->mode, memory_order_relaxed);
}

bool gp_client_blocked(const struct gp_client *c)
{
    if (c->state == GP_CLIENT_WAITING || c->conn.out || c->held_back)
        return true;
    return c->server &&
           (c->server->state != GP_SERVER_LINKED || c->server->conn.out ||
            c->server->replies.count >= gp_memory_rules.replies || gp_deferred_shut(c->server));
}

/* Whether a server that was at rest may be used: nothing unread, not closed. */
static bool fit(struct gp_engine *e, struct gp_server *s)
{
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);
    uint64_t since = atomic_load_explicit(&slot->idle_since_ns, memory_order_relaxed);

    return (s->conn.armed && e->now < since + e->transport->trust_ns) ||
           gp_backend_listen(e, s) == GP_OK;
}

/* Whether it has rested for so long that its peer may have gone without a word. */
static bool doubted(struct gp_engine *e, struct gp_server *s)
{
    uint64_t bound =
        atomic_load_explicit(&gp_pool_at(e->seg, s->pool)->idle_check_ms, memory_order_relaxed);
    uint64_t since = atomic_load_explicit(&gp_slot_at(e->seg, s->pool, s->slot)->idle_since_ns,
                                          memory_order_relaxed);

    return bound && e->now >= since + 1000000ull * bound;
}

static void check(struct gp_engine *e, struct gp_server *s);

bool gp_link_acquire(struct gp_engine *e, struct gp_client *c)
{
    uint32_t slot;

    while ((slot = gp_pool_take(e->seg, c->pool, e->worker, c->id)) != GP_NO_SLOT) {
        struct gp_server *s = gp_server_find(e, c->pool, slot);
        if (fit(e, s)) {
            bool doubt = doubted(e, s);
            gp_link_start(e, s, c);
            if (doubt)
                check(e, s);
            return c->server->state == GP_SERVER_LINKED;
        }
        gp_server_retire(e, s, s->said_fatal ? GP_REASON_SERVER_FATAL : GP_REASON_SERVER_EOF);
    }
    set_client_state(e, c, GP_CLIENT_WAITING);
    c->told = 0;
    gp_queue_join(e, c);
    return c->server && c->server->state == GP_SERVER_LINKED;
}

/* In state APPLY: run something of greenpool's own. */
static void run(struct gp_engine *e, struct gp_server *s, const uint8_t *query, size_t len)
{
    if (!gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_SWALLOW)) {
        s->conn.broken = 1;
        return;
    }
    s->status = 0;
    s->failed = 0;
    gp_conn_send(e->transport, &s->conn, query, len);
}

/* server_idle_check_timeout: have it say something before its client does, so that the client can have
 * another server if it does not (gp_server_lost). What is applied anyway will do. */
static void check(struct gp_engine *e, struct gp_server *s)
{
    uint8_t query[16];

    if (s->state == GP_SERVER_LINKED) {
        gp_server_enter(e, s, GP_SERVER_APPLY);
        run(e, s, query, gp_build_query(query, sizeof(query), ""));
    }
    s->checked = 1;
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}

/* Put the client's parameter state on the server. */
static void apply(struct gp_engine *e, struct gp_server *s)
{
    struct gp_state *params = s->client->params;

    atomic_store_explicit(&gp_slot_at(e->seg, s->pool, s->slot)->state_hash, GP_STATE_UNKNOWN,
                          memory_order_relaxed);
    run(e, s, params->data, params->length);
}

/* Whether the server remembers what sequences gave to others. */
static bool remembers(struct gp_engine *e, struct gp_server *s)
{
    return s->session != GP_SESSION_OFF && gp_sequences_asked(e, s->pool);
}

void gp_link_prepare(struct gp_engine *e, struct gp_server *s)
{
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);
    uint64_t has = atomic_load_explicit(&slot->state_hash, memory_order_relaxed);
    uint8_t query[64];

    gp_server_enter(e, s, GP_SERVER_APPLY);
    if (remembers(e, s))
        run(e, s, query, gp_build_query(query, sizeof(query), "DISCARD SEQUENCES"));
    if (has != s->client->params->hash)
        apply(e, s);
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}

void gp_link_start(struct gp_engine *e, struct gp_server *s, struct gp_client *c)
{
    struct gp_counters *counters = gp_counters_of(e, c->pool);
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);
    uint64_t has = atomic_load_explicit(&slot->state_hash, memory_order_relaxed);
    bool waited = c->state == GP_CLIENT_WAITING;

    if (waited) {
        gp_count(&counters->wait_count, 1);
        gp_time_note(&s->times->of[GP_TIME_WAIT], gp_elapsed(e->now, c->since_ns));
    }
    gp_server_enter(e, s, GP_SERVER_LINKED);
    s->txn = s->status = GP_TXN_IDLE;
    s->opening = 0;
    s->session = pool_mode(e, s->pool) == GP_MODE_SESSION
                     ? GP_SESSION_OFF
                     : atomic_load_explicit(&gp_pool_at(e->seg, s->pool)->session_state,
                                            memory_order_relaxed);
    s->mends = s->checked = 0;
    gp_continuity_begin(e, s);
    s->renames = pool_mode(e, s->pool) != GP_MODE_SESSION &&
                 atomic_load_explicit(&gp_pool_at(e->seg, s->pool)->statements_max,
                                      memory_order_relaxed) > 0;
    s->client = c;
    c->server = s;
    e->linked++;
    set_client_state(e, c, GP_CLIENT_ACTIVE);
    if (s->conn.mode != GP_CONN_READ && gp_conn_attach(e->transport, &s->conn) != GP_OK)
        s->conn.broken = 1;
    s->undo = pool_mode(e, s->pool) == GP_MODE_SESSION ? GP_PIN_UNKNOWN : 0;
    if (has != c->params->hash || remembers(e, s))
        gp_link_prepare(e, s);
    else if (s->conn.broken)
        gp_todo(e, &s->conn);
    if (waited)
        gp_todo(e, &c->conn);
}

/* The parameter state is on the server, or PostgreSQL refused it. */
static void applied(struct gp_engine *e, struct gp_server *s)
{
    struct gp_client *c = s->client;

    if (!s->failed) {
        atomic_store_explicit(&gp_slot_at(e->seg, s->pool, s->slot)->state_hash, c->params->hash,
                              memory_order_relaxed);
        gp_server_enter(e, s, GP_SERVER_LINKED);
        gp_todo(e, &c->conn);
        return;
    }
    /* PostgreSQL does not take the client's startup parameters: its own words, and the end. */
    if (s->error)
        gp_conn_send(e->transport, &c->conn, gp_buffer_at(s->error), gp_buffer_len(s->error));
    gp_buffer_free(&s->error);
    gp_client_finish(e, c, GP_REASON_LOGIN_FAILED);
}

static void unlink(struct gp_engine *e, struct gp_server *s, enum gp_client_state state)
{
    struct gp_client *c = s->client;

    s->client = NULL;
    s->msg_forward = 0; /* what is left of its message is nobody's */
    c->server = NULL;
    e->linked--;
    set_client_state(e, c, state);
}

/* ---- coming to rest ---- */

/* Nothing owed, nothing half said in either direction. */
static bool quiet(struct gp_engine *e, struct gp_server *s)
{
    return s->msg_left == 0 && !s->in && !s->skipping && gp_replies_empty(&s->replies) &&
           gp_conn_settle(e->transport, &s->conn);
}

/* The transaction is over: whether the server stays with its client, for it is asked what the
 * session has become, or for what that has found. Otherwise what it has left is undone. */
static bool stays(struct gp_engine *e, struct gp_server *s, struct gp_client *c)
{
    gp_continuity_end(e, s);
    if (s->left && !c->leaving && gp_continuity_look(e, s))
        return true;
    s->undo |= s->left;
    if (!c->pins || c->leaving || e->draining)
        return false;
    gp_continuity_begin(e, s);
    return true;
}

static void turn_linked(struct gp_engine *e, struct gp_server *s)
{
    struct gp_client *c = s->client;
    uint32_t mode = pool_mode(e, s->pool);

    if (s->status == GP_TXN_IDLE && mode != GP_MODE_SESSION && c->msg_left == 0 &&
        !stays(e, s, c)) {
        gp_continuity_pin(e, c, 0);
        unlink(e, s, GP_CLIENT_IDLE);
        gp_server_clean(e, s);
        if (c->leaving && !c->in)
            gp_client_depart(e, c);
        else if (e->draining)
            gp_client_end(e, c, GP_REASON_SHUTDOWN);
        else if (c->conn.mode == GP_CONN_PAUSED)
            gp_todo(e, &c->conn);
    } else if (s->state == GP_SERVER_LOOK) {
        return;
    } else if (mode == GP_MODE_STATEMENT && s->status != 0 && s->status != GP_TXN_IDLE) {
        gp_client_end(e, c, GP_REASON_MODE);
    } else if (c->leaving && !c->in) {
        gp_client_depart(e, c);
    } else if (c->conn.mode == GP_CONN_PAUSED) {
        gp_todo(e, &c->conn);
    }
}

/* What the startup packet said and a RESET took comes back at once: the client has been told
 * another value, and a pinned one goes on here. */
static void seen(struct gp_engine *e, struct gp_server *s)
{
    bool missing = gp_continuity_seen(e, s);

    s->mends = missing && !s->client->leaving && !e->draining;
    gp_server_enter(e, s, s->mends ? GP_SERVER_APPLY : GP_SERVER_LINKED);
    if (s->mends)
        apply(e, s);
    else
        turn_linked(e, s);
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}

void gp_link_turn(struct gp_engine *e, struct gp_server *s)
{
    if (s->conn.broken) {
        gp_todo(e, &s->conn);
        return;
    }
    if (!quiet(e, s)) {
        if (s->state == GP_SERVER_LINKED && s->client->conn.mode == GP_CONN_PAUSED &&
            (s->client->in || !s->client->leaving))
            gp_todo(e, &s->client->conn); /* it may have been the queue that was full */
        return;
    }
    if (s->state == GP_SERVER_LINKED && s->doubtful)
        gp_server_fence(e, s);
    else if (s->state == GP_SERVER_LINKED)
        turn_linked(e, s);
    else if (s->state == GP_SERVER_APPLY && s->status != 0)
        applied(e, s);
    else if (s->state == GP_SERVER_LOOK && s->status != 0)
        seen(e, s);
    else if (s->status != 0 && (s->state == GP_SERVER_ORPHAN || s->state == GP_SERVER_CLEAN))
        gp_server_clean(e, s);
}

void gp_server_release(struct gp_engine *e, struct gp_server *s)
{
    enum gp_reason against = gp_server_unwanted(e, s);
    uint32_t pool = s->pool;

    if (s->state != GP_SERVER_REST)
        gp_server_enter(e, s, GP_SERVER_REST);
    if (against != GP_REASON_NONE) {
        gp_server_retire(e, s, against);
        return;
    }
    switch (gp_pool_release(e->seg, pool, s->slot, e->worker, e->now, GP_SLACK_NS, s->sent)) {
    case GP_RELEASED_SELF: {
        struct gp_client *c = gp_queue_pop(e, pool);
        if (!c) { /* it left between its ticket and its turn */
            gp_count(&gp_counters_of(e, pool)->bounced, 1);
            gp_server_release(e, s);
            return;
        }
        gp_slot_assign(e->seg, pool, s->slot, e->worker, c->id);
        gp_link_start(e, s, c);
        return;
    }
    case GP_RELEASED_AWAY:
        gp_conn_lend(e->transport, &s->conn);
        return;
    case GP_RELEASED_PARKED:
        gp_server_enter(e, s, GP_SERVER_PARKED);
        return;
    case GP_RELEASED_STALE:
        gp_server_retire(e, s, gp_lifetime_ended(e, s));
        return;
    case GP_RELEASED_IDLE:
        if (s->conn.mode == GP_CONN_OFF && gp_conn_watch(e->transport, &s->conn) != GP_OK)
            gp_todo(e, &s->conn);
        return;
    }
}

/* ---- from worker to worker ---- */

void gp_link_part(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = c->server;

    c->server = NULL;
    e->linked--;
    gp_server_clear(e, s);
    gp_server_enter(e, s, GP_SERVER_REST);
    s->conn.ended = 0; /* who reads it next will see */
}

void gp_link_restore(struct gp_engine *e, struct gp_server *s, struct gp_client *c)
{
    uint64_t since = s->since_ns;

    gp_server_enter(e, s, GP_SERVER_LINKED);
    s->since_ns = since;
    s->client = c;
    c->server = s;
    e->linked++;
}

/* ---- ends, and a beginning ---- */

void gp_client_begin(struct gp_engine *e, struct gp_client *c)
{
    set_client_state(e, c, GP_CLIENT_IDLE);
}

void gp_client_drain(struct gp_engine *e, struct gp_client *c)
{
    bool pinned = c->pins && c->server && c->server->status == GP_TXN_IDLE;

    if (c->state == GP_CLIENT_IDLE || c->state == GP_CLIENT_LOGIN || pinned)
        gp_client_end(e, c, GP_REASON_SHUTDOWN);
}

void gp_link_break(struct gp_engine *e, struct gp_server *s, enum gp_reason reason)
{
    struct gp_client *c = s->client;
    bool midway = s->msg_left > 0 && s->msg_forward;

    gp_continuity_publish(e, s);
    unlink(e, s, GP_CLIENT_IDLE);
    gp_server_retire(e, s, GP_REASON_UNCLEAN);
    if (midway) /* the words would land inside a message of the server's */
        gp_client_finish(e, c, reason);
    else
        gp_client_end(e, c, reason);
}

void gp_server_lost(struct gp_engine *e, struct gp_server *s, enum gp_reason reason)
{
    struct gp_client *c = s->client;
    bool unsent = s->state == GP_SERVER_APPLY && !s->failed && !(c && c->pins);
    bool midway = s->msg_left > 0 && s->msg_forward;
    bool told = s->said_fatal;

    if (s->state == GP_SERVER_OUT)
        return;
    gp_continuity_publish(e, s);
    if (c)
        unlink(e, s, GP_CLIENT_IDLE);
    gp_server_retire(e, s, told ? GP_REASON_SERVER_FATAL : reason);
    if (!c)
        return;
    if (unsent)
        gp_todo(e, &c->conn); /* nothing of its request has been sent: it tries another server */
    else if (told || midway)
        gp_client_finish(e, c, told ? GP_REASON_SERVER_FATAL : reason);
    else
        gp_client_end(e, c, reason);
}

/* The last thing that is done with it: it may be freed. */
static void say_goodbye(struct gp_engine *e, struct gp_client *c)
{
    gp_conn_detach(e->transport, &c->conn);
    set_client_state(e, c, GP_CLIENT_GONE);
    if (!c->entrance && !c->own) /* it was let in */
        gp_count(&gp_counters_of(e, c->pool)->client_ends[c->reason], 1);
    if (!gp_client_let_go(e, c))
        gp_event_push(e, GP_EVENT_GOODBYE, c->id, c->pool, 0, c->reason);
}

void gp_client_finish(struct gp_engine *e, struct gp_client *c, enum gp_reason reason)
{
    struct gp_server *s = c->server;
    bool midway = c->msg_left > 0 && c->msg_forward;

    if (c->state == GP_CLIENT_CLOSING || c->state == GP_CLIENT_GONE)
        return;
    c->reason = reason;
    if (c->state == GP_CLIENT_WAITING)
        gp_queue_quit(e, c);
    gp_conn_pause(&c->conn);
    if (s)
        s->undo |= s->left | c->pins;
    if (s)
        unlink(e, s, GP_CLIENT_CLOSING);
    else
        set_client_state(e, c, GP_CLIENT_CLOSING);
    if (s)
        gp_server_orphan(e, s, midway);
    gp_conn_end(e->transport, &c->conn);
    gp_todo(e, &c->conn); /* says goodbye once all is sent */
}

void gp_client_fail(struct gp_engine *e, struct gp_client *c, enum gp_reason reason,
                    const char *sqlstate, const char *message)
{
    uint8_t error[512];
    bool midway = c->server && c->server->msg_left > 0 && c->server->msg_forward;

    if (c->state == GP_CLIENT_CLOSING || c->state == GP_CLIENT_GONE)
        return;
    if (!midway) { /* else the words would land inside a message of the server's */
        size_t len = gp_build_error(error, sizeof(error), "FATAL", sqlstate, message, "");
        gp_conn_send(e->transport, &c->conn, error, len);
    }
    gp_client_finish(e, c, reason);
}

void gp_client_refuse(struct gp_engine *e, struct gp_client *c, const char *sqlstate,
                      const char *message)
{
    uint8_t error[512];
    size_t len = gp_build_error(error, sizeof(error), "ERROR", sqlstate, message, "");
    uint8_t type = gp_buffer_at(c->in)[0]; /* a WAITING client has kept its request */

    gp_queue_quit(e, c);
    set_client_state(e, c, GP_CLIENT_IDLE);
    if (c->begun)
        c->begun = GP_BEGIN_FAILED;
    gp_conn_send(e->transport, &c->conn, error, len);
    if (type == GP_QUERY || type == GP_FUNCTION_CALL) {
        struct gp_frame frame;
        if (gp_frame_peek(gp_buffer_at(c->in), gp_buffer_len(c->in), GP_FRONTEND, &frame) != GP_OK)
            impossible("request", type, 0);
        c->msg_left = (uint32_t)frame.total; /* dropped, as far as it has come and the rest */
        c->msg_forward = 0;
        uint8_t ready[GP_READY_TOTAL];
        gp_build_ready(ready, gp_deferred_status(c));
        gp_conn_send(e->transport, &c->conn, ready, sizeof(ready));
    } else {
        c->skipping = 1;
    }
    gp_todo(e, &c->conn);
}
