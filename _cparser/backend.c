/* What servers say: each message is matched with the head of the reply queue, which tells whether
 * it goes to the client and when a request is answered. Forwarded in runs, as in frontend.c.
 * Source: PostgreSQL, "Message Flow". */
#include <string.h>

#include "changes.h"
#include "continuity.h"
#include "deferred.h"
#include "heal.h"
#include "prepare.h"

enum verdict {
    FORWARD,
    DROP,
    LOST /* the server broke the protocol */
};

/* Which heads a message may answer, as bit sets of enum gp_reply_kind: of them it `pops` those it
 * completes. */
struct rule {
    uint16_t heads, pops;
};

#define Q (1u << GP_REPLY_QUERY)
#define P (1u << GP_REPLY_PARSE)
#define B (1u << GP_REPLY_BIND)
#define D (1u << GP_REPLY_DESCRIBE)
#define E (1u << GP_REPLY_EXECUTE)
#define C (1u << GP_REPLY_CLOSE)
#define F (1u << GP_REPLY_FUNCTION)

static const struct rule rules[256] = {
    [GP_PARSE_COMPLETE] = {P, P},
    [GP_BIND_COMPLETE] = {B, B},
    [GP_CLOSE_COMPLETE] = {C, C},
    [GP_PARAMETER_DESCRIPTION] = {D, 0},
    [GP_ROW_DESCRIPTION] = {Q | D, D},
    [GP_NO_DATA] = {D, D},
    [GP_DATA_ROW] = {Q | E, 0},
    [GP_COMMAND_COMPLETE] = {Q | E, E},
    [GP_EMPTY_QUERY_RESPONSE] = {Q | E, E},
    [GP_PORTAL_SUSPENDED] = {E, E},
    [GP_COPY_IN_RESPONSE] = {Q | E, 0},
    [GP_COPY_OUT_RESPONSE] = {Q | E, 0},
    [GP_COPY_BOTH_RESPONSE] = {Q | E, 0},
    [GP_COPY_DATA] = {Q | E, 0},
    [GP_COPY_DONE] = {Q | E, 0},
    [GP_FUNCTION_CALL_RESPONSE] = {F, 0},
};

#undef Q
#undef P
#undef B
#undef D
#undef E
#undef C
#undef F

/* Whose body decides: collected whole before it is looked at. */
static size_t held_max(const struct gp_server *s)
{
    return s->state == GP_SERVER_LOOK ? GP_HELD_ROW_MAX : GP_HELD_MAX;
}

static bool body_decides(const struct gp_server *s, uint8_t type)
{
    return type == GP_READY_FOR_QUERY || type == GP_ERROR_RESPONSE || type == GP_COMMAND_COMPLETE ||
           type == GP_PARAMETER_STATUS || (type == GP_DATA_ROW && s->state == GP_SERVER_LOOK);
}

static enum verdict to_client(const struct gp_server *s, enum gp_reply_action action)
{
    return s->state == GP_SERVER_LINKED && action == GP_REPLY_FORWARD ? FORWARD : DROP;
}

static void count_query(struct gp_engine *e, struct gp_server *s)
{
    struct gp_counters *counters = gp_counters_of(e, s->pool);

    gp_count(&counters->query_count, 1);
    gp_time_note(&s->times->of[GP_TIME_QUERY], e->now - s->query_ns);
    s->query_ns = e->now;
    if (s->client) {
        struct gp_client_row *row = gp_client_at(e->seg, s->client->id);
        gp_count(&row->queries, 1);
    }
}

static void count_transaction(struct gp_engine *e, struct gp_server *s)
{
    struct gp_counters *counters = gp_counters_of(e, s->pool);

    gp_count(&counters->xact_count, 1);
    gp_time_note(&s->times->of[GP_TIME_TRANSACTION], e->now - s->since_ns);
    gp_count(&gp_slot_at(e->seg, s->pool, s->slot)->xacts, 1);
    gp_count(&gp_client_at(e->seg, s->client->id)->xacts, 1);
    s->since_ns = e->now;
}

/* Whether a ReadyForQuery ends the reply to the oldest request: before it, a Query or FunctionCall
 * is always answered with something else. */
static bool completes(const struct gp_server *s, enum gp_reply_kind head)
{
    return head == GP_REPLY_SYNC ||
           (s->begun && (head == GP_REPLY_QUERY || head == GP_REPLY_FUNCTION));
}

/* The head has its reply; what came true with it is done. */
static void answered(struct gp_engine *e, struct gp_server *s)
{
    if (s->kept)
        s->kept->answered++;
    if (gp_replies_pop(&s->replies))
        gp_intent_true(e, s);
}

static enum verdict step_ready(struct gp_engine *e, struct gp_server *s, const uint8_t *body)
{
    enum gp_reply_action action;
    enum gp_reply_kind head = gp_replies_head(&s->replies, &action);
    enum verdict verdict = to_client(s, action);

    s->txn = body[0];
    if (s->doubtful && !completes(s, head)) { /* of a Sync that a failed COPY has not read */
        s->skipping = s->begun = 0;
        if (head == GP_REPLY_NONE)
            s->status = body[0];
        return to_client(s, GP_REPLY_FORWARD);
    }
    if (head != GP_REPLY_QUERY && head != GP_REPLY_SYNC && head != GP_REPLY_FUNCTION)
        return LOST;
    answered(e, s);
    s->in_copy = s->client_copies = s->begun = 0;
    if (action == GP_REPLY_SWALLOW)
        s->doubtful = 0; /* our own statement was sent last: no Sync is left before it */
    if (s->opening && head == GP_REPLY_QUERY && action == GP_REPLY_SWALLOW)
        gp_deferred_ready(s, body[0]);
    if (gp_replies_empty(&s->replies)) /* but for marks of a COPY that failed */
        s->status = body[0];
    if (verdict == FORWARD) {
        if (head != GP_REPLY_SYNC)
            count_query(e, s);
        if (body[0] == GP_TXN_IDLE)
            count_transaction(e, s);
    }
    return verdict;
}

static const char error_classes[GP_ERROR_CLASSES][3] = {
    [GP_ERROR_CLASS_08] = "08", [GP_ERROR_CLASS_22] = "22", [GP_ERROR_CLASS_23] = "23",
    [GP_ERROR_CLASS_25] = "25", [GP_ERROR_CLASS_26] = "26", [GP_ERROR_CLASS_28] = "28",
    [GP_ERROR_CLASS_40] = "40", [GP_ERROR_CLASS_42] = "42", [GP_ERROR_CLASS_53] = "53",
    [GP_ERROR_CLASS_57] = "57", [GP_ERROR_CLASS_58] = "58", [GP_ERROR_CLASS_XX] = "XX",
};

static void count_error(struct gp_engine *e, struct gp_server *s, struct gp_span sqlstate)
{
    uint32_t class = GP_ERROR_CLASSES - 1;

    while (class != GP_ERROR_OTHER &&
           (sqlstate.len != 5 || memcmp(sqlstate.at, error_classes[class], 2) != 0))
        class --;
    gp_count(&gp_counters_of(e, s->pool)->errors_of[class], 1);
}

static enum verdict step_error(struct gp_engine *e, struct gp_server *s, const uint8_t *message,
                               const struct gp_frame *frame)
{
    enum gp_reply_action action;
    enum gp_reply_kind head = gp_replies_head(&s->replies, &action);
    struct gp_error error = {0};
    uint32_t dropped;
    bool known = frame->total <= GP_HELD_MAX &&
                 gp_error_fields(message + GP_HEADER_SIZE, frame->length - 4, &error) == GP_OK;

    count_error(e, s, known ? error.sqlstate : (struct gp_span){NULL, 0});
    if (known) {
        s->said_fatal = gp_span_is(error.severity, "FATAL") || gp_span_is(error.severity, "PANIC");
        if (gp_heal(e, s, &error))
            return DROP;
    }
    s->described = GP_DESCRIBED_NOT;
    s->doubtful |= s->in_copy && s->early;
    s->in_copy = s->client_copies = s->early = s->copies_out = 0;
    s->begun = 1;
    if (action == GP_REPLY_SWALLOW && head != GP_REPLY_NONE)
        s->failed = 1;
    if (s->state == GP_SERVER_APPLY && frame->total <= GP_HELD_MAX && !s->error)
        (void)gp_buffer_append(&s->error, message, frame->total); /* without: our own words */
    switch (head) {
    case GP_REPLY_NONE: /* FATAL on its own account: a time-out, an administrator */
    case GP_REPLY_QUERY:
    case GP_REPLY_FUNCTION:
    case GP_REPLY_SYNC:
        break;
    default:
        action = GP_REPLY_FORWARD; /* a statement we prepared for the client failed: its error */
        if (s->opening) {
            gp_deferred_refused(e, s);
            break;
        }
        s->skipping = !gp_replies_skip_to_sync(&s->replies, &dropped);
        gp_intents_drop(e, s, dropped);
    }
    return to_client(s, action);
}

/* False: the client has been told already, before its request was said again. */
static bool step_describe(struct gp_server *s, uint8_t type)
{
    bool again = type == GP_PARAMETER_DESCRIPTION && s->described == GP_DESCRIBED_AGAIN;

    s->described = type == GP_PARAMETER_DESCRIPTION ? GP_DESCRIBED : GP_DESCRIBED_NOT;
    return !again;
}

static void copy_begins(struct gp_engine *e, struct gp_server *s, uint8_t type)
{
    uint32_t count = s->replies.count;

    s->moved_ns = e->now;
    if (type == GP_COPY_OUT_RESPONSE) {
        s->copies_out = 1;
        return;
    }
    s->in_copy = 1;
    s->client_copies = !gp_replies_copy_begins(&s->replies);
    s->early = s->replies.count < count;
}

/* Forget where the client is in a COPY that the server has ended. */
static void copy_ends(struct gp_server *s)
{
    s->copies_out = 0;
    if (!s->in_copy)
        return;
    s->in_copy = s->client_copies = s->early = 0;
    gp_replies_copy_ends(&s->replies);
}

/* A command that changes what the server holds, or what the session is. */
static void step_complete(struct gp_engine *e, struct gp_server *s, const uint8_t *message,
                          const struct gp_frame *frame)
{
    struct gp_tag tag;

    copy_ends(s);
    if (frame->total > GP_HELD_MAX ||
        gp_command_tag(message + GP_HEADER_SIZE, frame->length - 4, &tag) != GP_OK)
        return;
    if (tag.kind == GP_TAG_DEALLOCATE_ALL || tag.kind == GP_TAG_DISCARD_ALL)
        gp_prepare_all_gone(e, s);
    else if (tag.kind == GP_TAG_DEALLOCATE)
        gp_prepare_deallocated(s);
    if (tag.kind == GP_TAG_CREATE || tag.kind == GP_TAG_OTHER)
        gp_continuity_defined(s, &tag);
    if (s->session != GP_SESSION_OFF && s->state == GP_SERVER_LINKED)
        gp_continuity_tag(e, s, &tag);
}

/* What may come at any time is the client's, but for notices about our own statements. */
static enum verdict step_async(struct gp_server *s, uint8_t type)
{
    enum gp_reply_action action;

    (void)gp_replies_head(&s->replies, &action);
    if (s->state == GP_SERVER_LOOK && type == GP_NOTIFICATION_RESPONSE)
        return FORWARD;
    if (s->state == GP_SERVER_APPLY && s->mends && type != GP_NOTICE_RESPONSE)
        return FORWARD;
    return to_client(s, type == GP_NOTICE_RESPONSE ? action : GP_REPLY_FORWARD);
}

/* message: the frame's bytes, whole if body_decides and it is not larger than GP_HELD_MAX. */
static enum verdict step(struct gp_engine *e, struct gp_server *s, const uint8_t *message,
                         const struct gp_frame *frame)
{
    enum gp_reply_action action;
    enum gp_txn_status status;

    if (frame->flags & GP_ASYNC) {
        enum verdict verdict = step_async(s, frame->type);
        if (verdict == FORWARD && frame->type == GP_PARAMETER_STATUS && frame->total <= GP_HELD_MAX)
            gp_change_note(e, s, message + GP_HEADER_SIZE, frame->length - 4);
        return verdict;
    }
    if (frame->type == GP_ERROR_RESPONSE)
        return step_error(e, s, message, frame);
    if (frame->type == GP_READY_FOR_QUERY)
        return gp_ready_status(message + GP_HEADER_SIZE, frame->length - 4, &status) == GP_OK
                   ? step_ready(e, s, message + GP_HEADER_SIZE)
                   : LOST;
    enum gp_reply_kind head = gp_replies_head(&s->replies, &action);
    struct rule rule = rules[frame->type];
    if (!(rule.heads & 1u << head))
        return LOST;
    s->begun = 1;
    if (s->kept && head == GP_REPLY_EXECUTE && action == GP_REPLY_FORWARD)
        s->kept->over = 1; /* it has had an effect */
    if (head == GP_REPLY_DESCRIBE && !step_describe(s, frame->type))
        return DROP;
    if (frame->type == GP_COMMAND_COMPLETE)
        step_complete(e, s, message, frame);
    else if (frame->type == GP_COPY_IN_RESPONSE || frame->type == GP_COPY_OUT_RESPONSE ||
             frame->type == GP_COPY_BOTH_RESPONSE)
        copy_begins(e, s, frame->type);
    else if (s->state == GP_SERVER_LOOK && frame->type == GP_DATA_ROW &&
             frame->total <= held_max(s))
        gp_continuity_row(s, message + GP_HEADER_SIZE, frame->length - 4);
    if (rule.pops & 1u << head) {
        answered(e, s);
        if (s->opening && head == GP_REPLY_EXECUTE)
            gp_deferred_opened(s);
        if (head == GP_REPLY_EXECUTE && s->client)
            count_query(e, s);
    }
    return to_client(s, action);
}

static void flush(struct gp_engine *e, struct gp_server *s, struct gp_gather *out)
{
    struct gp_client *c = s->client;

    gp_gather_flush(out);
    if (out->bytes == 0)
        return;
    gp_count(&gp_counters_of(e, s->pool)->bytes_sent, out->bytes);
    gp_count(&gp_client_at(e->seg, c->id)->bytes_sent, out->bytes);
    if (c->conn.broken)
        gp_todo(e, &c->conn);
    else if (c->conn.out)
        gp_conn_pause(&s->conn);
}

/* The next message: where it goes. GP_NEED_MORE: not enough of it is there. */
static enum gp_result begin(struct gp_engine *e, struct gp_server *s, const uint8_t *data,
                            size_t len, struct gp_gather *out)
{
    struct gp_buffer *reworded = NULL;
    struct gp_frame frame;
    enum gp_result result = gp_frame_peek(data, len, GP_BACKEND, &frame);

    if (result == GP_OK && frame.total > len && frame.total <= held_max(s) &&
        body_decides(s, frame.type))
        return GP_NEED_MORE;
    if (result != GP_OK)
        return result;
    if (frame.type == GP_ERROR_RESPONSE && s->renames && frame.total <= len)
        (void)gp_prepare_reword(s, data, frame.total, &reworded);
    enum verdict verdict = step(e, s, data, &frame);
    if (verdict == FORWARD && frame.type == GP_READY_FOR_QUERY && s->client->begun) {
        uint8_t ready[GP_READY_TOTAL]; /* its transaction could not be begun: it has failed */
        gp_gather_copy(out, ready, gp_build_ready(ready, gp_deferred_status(s->client)));
        verdict = DROP;
    }
    if (reworded && verdict == FORWARD) {
        gp_gather_copy(out, gp_buffer_at(reworded), gp_buffer_len(reworded));
        gp_gather_flush(out);
        verdict = DROP;
    }
    gp_buffer_free(&reworded);
    s->msg_left = (uint32_t)frame.total;
    s->msg_forward = verdict == FORWARD;
    return verdict == LOST ? GP_EPROTO : GP_OK;
}

/* Take as many bytes as are whole. Gives their number, or GP_LOST_BYTES. */
#define GP_LOST_BYTES SIZE_MAX

static size_t consume(struct gp_engine *e, struct gp_server *s, const uint8_t *data, size_t len)
{
    struct gp_gather out;
    enum gp_result result = GP_OK;
    size_t pos = 0;

    gp_gather_begin(&out, e->transport, s->client ? &s->client->conn : NULL);
    gp_prepare_answer(e, s, &out);
    while (pos < len) {
        if (s->msg_left == 0 && (result = begin(e, s, data + pos, len - pos, &out)) != GP_OK)
            break;
        size_t take = len - pos < s->msg_left ? len - pos : s->msg_left;
        s->msg_left -= (uint32_t)take;
        if (s->msg_forward)
            gp_gather_add(&out, data + pos, take);
        pos += take;
        if (s->msg_left == 0)
            gp_prepare_answer(e, s, &out);
    }
    flush(e, s, &out);
    return result == GP_EPROTO ? GP_LOST_BYTES : pos;
}

void gp_backend_received(struct gp_engine *e, struct gp_server *s, const uint8_t *data, size_t len)
{
    size_t taken;

    if (s->in) {
        if (!gp_buffer_append(&s->in, data, len)) {
            gp_server_lost(e, s, GP_REASON_MEMORY);
            return;
        }
        taken = consume(e, s, gp_buffer_at(s->in), gp_buffer_len(s->in));
        if (taken != GP_LOST_BYTES)
            gp_buffer_consume(&s->in, taken);
    } else {
        taken = consume(e, s, data, len);
        if (taken < len && !gp_buffer_append(&s->in, data + taken, len - taken)) {
            gp_server_lost(e, s, GP_REASON_MEMORY);
            return;
        }
    }
    if (taken == GP_LOST_BYTES) {
        gp_server_lost(e, s, GP_REASON_SERVER_PROTOCOL);
        return;
    }
    gp_link_turn(e, s);
}

/* Whole messages of a server at rest: only what needs no request is lawful. */
static bool idle_talk(struct gp_server *s, const uint8_t *data, size_t len)
{
    struct gp_frame frame;

    for (size_t pos = 0; pos < len; pos += frame.total) {
        if (gp_frame_peek(data + pos, len - pos, GP_BACKEND, &frame) != GP_OK ||
            frame.total > len - pos || !(frame.flags & GP_ASYNC || frame.type == GP_ERROR_RESPONSE))
            return false;
        s->said_fatal |= frame.type == GP_ERROR_RESPONSE;
    }
    return true;
}

enum gp_result gp_backend_listen(struct gp_engine *e, struct gp_server *s)
{
    uint8_t talk[4096]; /* not the scratch buffer: a client's request may lie there */
    size_t len;

    for (;;) {
        enum gp_result result = gp_conn_read(e->transport, &s->conn, talk, sizeof(talk), &len);
        e->transport->counts.peeks++;
        if (result == GP_AGAIN)
            return s->said_fatal ? GP_EOF : GP_OK;
        if (result != GP_OK)
            return GP_EOF;
        if (!idle_talk(s, talk, len))
            return s->said_fatal ? GP_EOF : GP_EPROTO;
    }
}
