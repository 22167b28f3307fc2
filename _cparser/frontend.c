/* What clients say: message by message, forwarded in runs as long as possible.
 *
 *     data:  | forwarded run ........ | dropped | next run ...... | incomplete |
 *            0                                                    pos        len
 *
 * Source: PostgreSQL, "Message Flow"; tcop/postgres.c for what is ignored and when. */
#include "answers.h"
#include "continuity.h"
#include "deferred.h"
#include "entrance.h"
#include "heal.h"
#include "prepare.h"
#include "session.h"

enum verdict {
    FORWARD,
    DROP,
    WAIT, /* not now: keep it */
    END   /* the client is done for */
};

static const uint8_t reply_of[256] = {
    [GP_QUERY] = GP_REPLY_QUERY,
    [GP_PARSE] = GP_REPLY_PARSE,
    [GP_BIND] = GP_REPLY_BIND,
    [GP_DESCRIBE] = GP_REPLY_DESCRIBE,
    [GP_EXECUTE] = GP_REPLY_EXECUTE,
    [GP_CLOSE] = GP_REPLY_CLOSE,
    [GP_FUNCTION_CALL] = GP_REPLY_FUNCTION,
    [GP_SYNC] = GP_REPLY_SYNC,
    [GP_COPY_DONE] = GP_REPLY_COPY_END,
    [GP_COPY_FAIL] = GP_REPLY_COPY_END,
};

static void say_ready(struct gp_engine *e, struct gp_client *c)
{
    uint8_t ready[GP_READY_TOTAL];

    gp_build_ready(ready, gp_deferred_status(c));
    gp_conn_send(e->transport, &c->conn, ready, sizeof(ready));
}

/* A request of a client at rest: answered here if its reply is known, else it takes a server. */
static enum verdict request(struct gp_engine *e, struct gp_client *c, const struct gp_frame *frame,
                            const uint8_t *message, size_t have)
{
    const struct gp_answer *known = c->begun ? NULL : e->answers[c->pool];
    enum gp_deferred deferred = GP_DEFERRED_OTHER;

    switch (gp_answer_match(known, frame, message, have)) {
    case GP_OK:
        gp_names_drop(&c->names, &e->interner, NULL, 0); /* as any simple Query does */
        c->since_ns = e->now;
        gp_conn_send(e->transport, &c->conn, known->bytes + known->query_len, known->reply_len);
        return DROP;
    case GP_NEED_MORE:
        return WAIT;
    default:
        break;
    }
    if (frame->type == GP_QUERY)
        deferred = gp_deferred_query(e, c, frame, message, have);
    if (deferred != GP_DEFERRED_OTHER)
        return deferred == GP_DEFERRED_DONE ? DROP : WAIT;
    return gp_link_acquire(e, c) ? FORWARD : WAIT;
}

/* A message of a client that has no server. */
static enum verdict step_unlinked(struct gp_engine *e, struct gp_client *c,
                                  const struct gp_frame *frame, const uint8_t *message, size_t have)
{
    switch (frame->type) {
    case GP_COPY_DATA:
    case GP_COPY_DONE:
    case GP_COPY_FAIL: /* left over from a COPY that failed: PostgreSQL ignores them too */
    case GP_FLUSH:
        return DROP;
    case GP_SYNC:
        c->skipping = 0;
        say_ready(e, c);
        return DROP;
    default:
        if (c->skipping)
            return DROP;
        return request(e, c, frame, message, have);
    }
}

/* idle: nothing was owed before. Otherwise all of this is as it should be. */
static void asked(struct gp_engine *e, struct gp_server *s, bool idle)
{
    if (!idle)
        return;
    s->query_ns = e->now;
    if (s->status == GP_TXN_IDLE)
        s->since_ns = e->now; /* a transaction begins */
    s->status = 0;
}

/* A message to a linked server: queue the reply that it will have. */
static enum verdict step_linked(struct gp_engine *e, struct gp_server *s, uint8_t type)
{
    enum gp_reply_kind kind = reply_of[type];
    bool idle = s->replies.count == 0;

    if (type == GP_FLUSH)
        return FORWARD;
    if (type == GP_COPY_DATA) {
        s->moved_ns = e->now;
        return FORWARD;
    }
    if (type == GP_SYNC && s->client_copies) {
        s->early = 1;
        return FORWARD;
    }
    if (s->skipping && type != GP_SYNC)
        return FORWARD; /* PostgreSQL discards it */
    if (!gp_replies_push(&s->replies, kind, GP_REPLY_FORWARD))
        return WAIT;
    s->client_copies = 0; /* ended, or to be broken off by a message that does not belong into it */
    if (kind == GP_REPLY_COPY_END)
        return FORWARD;
    s->skipping = 0;
    if (type == GP_SYNC || type == GP_QUERY || type == GP_FUNCTION_CALL)
        s->segment++;
    asked(e, s, idle);
    return FORWARD;
}

/* What greenpool answers itself goes out now: no server will speak. */
static void answer(struct gp_engine *e, struct gp_server *s)
{
    struct gp_gather out;

    gp_gather_begin(&out, e->transport, &s->client->conn);
    gp_prepare_answer(e, s, &out);
    gp_gather_flush(&out);
}

/* A message about statements, if the link exchanges them. PLAIN: there is nothing to exchange. */
static enum gp_prepare exchange(struct gp_engine *e, struct gp_client *c,
                                const struct gp_frame *frame, const uint8_t *message, size_t have,
                                struct gp_gather *out, size_t *taken)
{
    struct gp_server *s = c->server;

    if (!s->renames || s->skipping)
        return GP_PREPARE_PLAIN;
    out->conn = &s->conn;
    bool idle = s->replies.count == 0;
    enum gp_prepare prepared = gp_prepare(e, c, frame, message, have, out, taken);
    if (prepared == GP_PREPARE_DONE) {
        s->client_copies = 0;
        asked(e, s, idle);
    } else if (frame->type == GP_FLUSH && gp_replies_all_synthetic(&s->replies)) {
        answer(e, s);
    }
    return prepared;
}

/* A text that may change session state; one that is not here in full may do anything. False: it has
 * to wait. */
static bool note_text(struct gp_engine *e, struct gp_server *s, const struct gp_frame *frame,
                      const uint8_t *message, size_t have)
{
    bool text = frame->type == GP_QUERY || (frame->type == GP_PARSE && !s->renames);

    if (s->session == GP_SESSION_OFF)
        return true;
    bool whole = have >= frame->total;
    size_t len = (whole ? frame->total : have) - GP_HEADER_SIZE;
    if (text)
        return gp_continuity_text(e, s, message + GP_HEADER_SIZE, len, whole);
    if (frame->type == GP_BIND && !s->renames) /* its text may be of an earlier transaction */
        gp_continuity_unseen(e, s);
    else if (frame->type == GP_FUNCTION_CALL)
        gp_continuity_call(s, message + GP_HEADER_SIZE, len);
    return true;
}

/* taken: bytes of the message that have been replaced by what was gathered. */
static enum verdict step(struct gp_engine *e, struct gp_client *c, const struct gp_frame *frame,
                         const uint8_t *message, size_t have, struct gp_gather *out, size_t *taken)
{
    if (frame->type == GP_TERMINATE) {
        c->leaving = GP_REASON_CLIENT_TERMINATE;
        return END;
    }
    if (gp_client_blocked(c))
        return WAIT; /* before it takes a server that it could not use */
    if (!c->server) {
        enum verdict verdict = step_unlinked(e, c, frame, message, have);
        if (verdict != FORWARD)
            return verdict;
    }
    if (c->server->status != 0)
        gp_heal_begin(c->server);
    if (c->begun && !c->server->opening && c->server->status == GP_TXN_IDLE) {
        gp_deferred_send(e, c, out);
        if (gp_deferred_shut(c->server))
            return WAIT;
    }
    out->keep = gp_heal_keep(c->server, frame->type);
    switch (exchange(e, c, frame, message, have, out, taken)) {
    case GP_PREPARE_DONE:
        return FORWARD;
    case GP_PREPARE_MORE:
        return WAIT;
    case GP_PREPARE_WAIT:
        c->held_back = 1;
        return WAIT;
    case GP_PREPARE_LARGE:
        c->leaving = GP_REASON_CLIENT_PROTOCOL;
        c->breach = GP_BREACH_STATEMENT;
        return END;
    case GP_PREPARE_MEMORY:
        c->leaving = GP_REASON_MEMORY;
        c->breach = GP_BREACH_MEMORY;
        return END;
    case GP_PREPARE_PLAIN:
        break;
    }
    if (!note_text(e, c->server, frame, message, have))
        return WAIT;
    return step_linked(e, c->server, frame->type);
}

static void flush(struct gp_engine *e, struct gp_client *c, struct gp_gather *out)
{
    gp_gather_flush(out);
    if (out->bytes == 0)
        return;
    gp_count(&gp_counters_of(e, c->pool)->bytes_received, out->bytes);
    gp_count(&gp_client_at(e->seg, c->id)->bytes_received, out->bytes);
    if (out->conn->broken)
        gp_todo(e, out->conn);
}

/* The client broke the protocol: it is told after what it is owed for the requests before. */
static void refuse_bytes(struct gp_client *c, uint8_t type)
{
    c->leaving = GP_REASON_CLIENT_PROTOCOL;
    c->breach =
        gp_type_table[GP_FRONTEND][type] && type != GP_PASSWORD ? GP_BREACH_LENGTH : GP_BREACH_TYPE;
}

/* The next message: what is to be done with it. False: stop, *pos bytes are taken. */
static bool begin(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t *pos,
                  size_t len, struct gp_gather *out)
{
    struct gp_frame frame;
    size_t taken = 0;
    enum gp_result result = gp_frame_peek(data + *pos, len - *pos, GP_FRONTEND, &frame);

    if (result == GP_NEED_MORE)
        return false;
    if (result != GP_OK || frame.type == GP_PASSWORD) {
        refuse_bytes(c, data[*pos]);
        *pos = len;
        return false;
    }
    enum verdict verdict = step(e, c, &frame, data + *pos, len - *pos, out, &taken);
    if (verdict == WAIT)
        return false;
    if (verdict == END) {
        *pos = len;
        return false;
    }
    c->msg_left = (uint32_t)(frame.total - taken);
    c->msg_forward = verdict == FORWARD;
    if (c->msg_forward)
        out->conn = &c->server->conn;
    *pos += taken;
    return true;
}

/* Take as many bytes as may be taken now. Gives their number; len when the client is done for. */
static size_t consume(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len)
{
    struct gp_gather out;
    size_t pos = 0;

    gp_gather_begin(&out, e->transport, c->server ? &c->server->conn : NULL);
    if (c->msg_left && c->server) { /* a message that comes in parts */
        c->server->moved_ns = e->now;
        if (c->server->kept)
            c->server->kept->over = 1;
    }
    while (pos < len) {
        if (c->msg_left == 0 && !begin(e, c, data, &pos, len, &out))
            break;
        size_t take = len - pos < c->msg_left ? len - pos : c->msg_left;
        c->msg_left -= (uint32_t)take;
        if (c->msg_forward)
            gp_gather_add(&out, data + pos, take);
        pos += take;
    }
    flush(e, c, &out);
    return pos;
}

/* The client has said its last: end it now, or when what it is owed has been delivered. */
static void leave(struct gp_engine *e, struct gp_client *c)
{
    gp_conn_pause(&c->conn);
    gp_buffer_free(&c->in);          /* at most a part of a header */
    if (!c->server || c->msg_left) { /* in the middle of a message nothing more can be answered */
        gp_client_depart(e, c);
        return;
    }
    if (!c->parted) {
        c->parted = 1;
        c->since_ns = e->now;
        gp_link_wind_up(e, c->server);
    }
    gp_link_turn(e, c->server);
}

/* A message that asks for nothing may end after the transaction did: a CopyData of a failed COPY.
 */
static void look_again(struct gp_engine *e, struct gp_client *c)
{
    if (c->server && c->msg_left == 0 && c->server->status == GP_TXN_IDLE)
        gp_link_turn(e, c->server);
}

static bool ended(const struct gp_client *c)
{
    return c->state == GP_CLIENT_CLOSING || c->state == GP_CLIENT_GONE;
}

void gp_frontend_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len)
{
    if (c->entrance) {
        gp_entrance_received(e, c, data, len);
        return;
    }
    if (c->in) {
        if (!gp_buffer_append(&c->in, data, len))
            gp_client_end(e, c, GP_REASON_MEMORY);
        else
            gp_frontend_continue(e, c);
        return;
    }
    size_t taken = consume(e, c, data, len);
    if (ended(c))
        return;
    if (taken < len && !gp_buffer_append(&c->in, data + taken, len - taken)) {
        gp_client_end(e, c, GP_REASON_MEMORY);
        return;
    }
    if (c->leaving)
        leave(e, c);
    else if (gp_client_blocked(c))
        gp_conn_pause(&c->conn);
    else
        look_again(e, c);
    if (c->conn.broken)
        gp_todo(e, &c->conn);
}

void gp_frontend_continue(struct gp_engine *e, struct gp_client *c)
{
    c->held_back = 0;
    if (c->in && !gp_client_blocked(c)) {
        struct gp_buffer *in = c->in;
        size_t taken = consume(e, c, gp_buffer_at(in), gp_buffer_len(in));

        if (ended(c))
            return;
        gp_buffer_consume(&c->in, taken);
    }
    if (c->leaving && (!c->in || !gp_client_blocked(c))) {
        leave(e, c);
        return;
    }
    if (gp_client_blocked(c)) {
        gp_conn_pause(&c->conn);
    } else {
        gp_conn_resume(e->transport, &c->conn);
        look_again(e, c);
    }
    if (c->conn.broken)
        gp_todo(e, &c->conn);
}
