#include "heal.h"

#include <stdlib.h>
#include <string.h>

#include "continuity.h"
#include "deferred.h"
#include "prepare.h"

void gp_heal_begin(struct gp_server *s)
{
    if (!s->renames || (!s->kept && !(s->kept = malloc(sizeof(*s->kept)))))
        return;
    s->kept->len = s->kept->answered = 0;
    s->kept->segment = s->segment;
    s->kept->over = 0;
    s->began = 0;
}

/* A Query ends the segment without a Sync; CopyData belongs to an Execute. */
struct gp_kept *gp_heal_keep(struct gp_server *s, uint8_t type)
{
    bool extended = type == GP_PARSE || type == GP_BIND || type == GP_DESCRIBE ||
                    type == GP_EXECUTE || type == GP_CLOSE || type == GP_FLUSH || type == GP_SYNC;

    if (!s->kept || s->kept->over)
        return NULL;
    s->kept->over = !extended || s->kept->segment != s->segment;
    return s->kept->over ? NULL : s->kept;
}

/* ---- which statement ---- */

/* The first message without an answer. */
static bool find_failed(const struct gp_kept *kept, size_t *at, struct gp_frame *frame)
{
    uint32_t answered = 0;

    for (*at = 0; *at < kept->len; *at += frame->total) {
        if (gp_frame_peek(kept->bytes + *at, kept->len - *at, GP_FRONTEND, frame) != GP_OK)
            return false;
        if (frame->type != GP_FLUSH && answered++ == kept->answered)
            return *at + frame->total <= kept->len;
    }
    return false;
}

static struct gp_span statement_in(const struct gp_frame *frame, const uint8_t *message)
{
    const uint8_t *body = message + GP_HEADER_SIZE;
    size_t len = frame->length - 4;
    struct gp_bind bind;
    struct gp_named named;
    struct gp_parse parse;

    if (frame->type == GP_BIND && gp_bind_fields(body, len, len, &bind) == GP_OK)
        return bind.statement;
    if (frame->type == GP_PARSE && gp_parse_fields(body, len, &parse) == GP_OK)
        return parse.statement;
    if (frame->type == GP_DESCRIBE && gp_describe_fields(body, len, &named) == GP_OK &&
        named.kind == GP_TARGET_STATEMENT)
        return named.name;
    return (struct gp_span){NULL, 0};
}

/* ---- whether, and how ---- */

static bool is_stale(const struct gp_server *s, enum gp_reply_kind head,
                     const struct gp_error *error)
{
    if (head == GP_REPLY_PARSE)
        return gp_span_is(error->sqlstate, "42P05") && !gp_prepare_duplicate(s);
    if (head != GP_REPLY_BIND && head != GP_REPLY_DESCRIBE)
        return false;
    return gp_span_is(error->sqlstate, "26000") ||
           (gp_span_is(error->sqlstate, "0A000") &&
            gp_span_is(error->routine, "RevalidateCachedQuery"));
}

/* Say it all again, in one send, and queue what comes back for it before what is queued already. */
static void say_again(struct gp_engine *e, struct gp_server *s, struct gp_statement *statement,
                      enum gp_reply_kind head, size_t at)
{
    struct gp_replies ours = {0};
    struct gp_gather out;
    uint8_t message[64];

    gp_gather_begin(&out, e->transport, &s->conn);
    (void)gp_replies_push(&ours, GP_REPLY_SYNC, GP_REPLY_SWALLOW);
    if (gp_replies_open(&s->replies))
        gp_gather_copy(&out, message, gp_build_simple(message, GP_SYNC));
    if (s->began) {
        (void)gp_replies_push(&ours, GP_REPLY_QUERY, GP_REPLY_SWALLOW);
        gp_gather_copy(&out, message, gp_build_query(message, sizeof(message), "ROLLBACK"));
        gp_deferred_again(s, &ours, &out);
    }
    (void)gp_replies_push(&ours, GP_REPLY_CLOSE, GP_REPLY_SWALLOW);
    gp_gather_copy(&out, message, gp_prepare_build_close(message, statement->id));
    if (head != GP_REPLY_PARSE) {
        (void)gp_replies_push(&ours, GP_REPLY_PARSE, GP_REPLY_SWALLOW | GP_REPLY_INTENT);
        gp_prepare_inject_first(e, s, statement);
        gp_count(&gp_counters_of(e, s->pool)->server_parses, 1);
        gp_gather_add(&out, statement->parse, statement->length);
    }
    if (!gp_replies_prepend(&s->replies, &ours))
        abort(); /* replies without their requests go to the wrong ones from here on */
    gp_gather_add(&out, s->kept->bytes + at, s->kept->len - at);
    gp_gather_flush(&out);
    s->status = 0;
    s->described = s->described == GP_DESCRIBED ? GP_DESCRIBED_AGAIN : GP_DESCRIBED_NOT;
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}

/* Under its name it must become what others take it for. */
static bool reads_as_made(struct gp_engine *e, struct gp_server *s,
                          const struct gp_statement *statement)
{
    bool own;

    return statement->own || gp_continuity_reads(e, s, &own) == statement->reads;
}

/* Nothing was executed, nothing is lost, nothing is on its way behind the segment. */
static bool may_again(const struct gp_server *s)
{
    return s->state == GP_SERVER_LINKED && !s->client->leaving && s->txn == GP_TXN_IDLE &&
           !s->kept->over && !s->opening && s->segment - s->kept->segment <= 1 &&
           gp_replies_one_segment(&s->replies) && s->client->msg_left == 0;
}

/* The client sees this error; what is stale is closed before its next use, or when the server comes
 * to rest. */
static void replace_later(struct gp_engine *e, struct gp_server *s, const struct gp_error *error,
                          struct gp_sid id)
{
    if (gp_span_is(error->sqlstate, "42P05")) {
        gp_holding_add(gp_holding_at(e->seg, s->pool, s->slot), id); /* it is there, and as good */
    } else if (gp_span_is(error->sqlstate, "0A000")) {
        s->renew |= s->stale_known;
        s->stale = id;
        s->stale_known = 1;
    }
}

bool gp_heal(struct gp_engine *e, struct gp_server *s, const struct gp_error *error)
{
    enum gp_reply_action action;
    enum gp_reply_kind head = gp_replies_head(&s->replies, &action);
    struct gp_frame frame;
    size_t at;

    if (!s->renames || !s->client || !is_stale(s, head, error))
        return false;
    if (!s->kept || !find_failed(s->kept, &at, &frame)) {
        s->renew |= gp_span_is(error->sqlstate, "0A000") || gp_prepare_mentions(error->message);
        return false;
    }
    struct gp_span name = statement_in(&frame, s->kept->bytes + at);
    struct gp_sid id;
    if (!gp_sid_of_name(name.at, name.len, &id))
        return false; /* the client's own, which PostgreSQL does not know either */
    struct gp_statement *statement = gp_statement_find(&e->interner, id);
    gp_holding_remove(gp_holding_at(e->seg, s->pool, s->slot), id);
    if (statement && reads_as_made(e, s, statement) && may_again(s)) {
        s->kept->over = 1;
        say_again(e, s, statement, head, at);
        return true;
    }
    replace_later(e, s, error, id);
    return false;
}

bool gp_heal_stale(struct gp_server *s, struct gp_sid *id)
{
    bool known = s->stale_known;

    s->stale_known = 0;
    *id = s->stale;
    return known;
}
