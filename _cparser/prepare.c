#include "prepare.h"

#include "command.h"
#include "continuity.h"
#include "heal.h"
#include "sequences.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gp_prepare_all_gone(struct gp_engine *e, struct gp_server *s)
{
    gp_holding_reset(gp_holding_at(e->seg, s->pool, s->slot));
    if (s->client)
        gp_names_clear(&s->client->names, &e->interner);
}

/* ---- what is known, what is on its way ---- */

enum known { YES, NO, UNDECIDED };

/* What the client will call by this name when the server gets to the message at hand. */
static enum known resolve(struct gp_server *s, struct gp_span name, struct gp_statement **found)
{
    for (struct gp_intent *i = s->intents_last; i; i = i->older) {
        bool names = i->kind == GP_INTENT_PARSE || i->kind == GP_INTENT_CLOSE ||
                     i->kind == GP_INTENT_UNNAME || i->kind == GP_INTENT_DEALLOCATE;
        if (!names || i->name_len != name.len || memcmp(i->name, name.at, name.len) != 0)
            continue;
        if (i->segment != s->segment)
            return UNDECIDED;
        *found = i->statement;
        return i->statement ? YES : NO;
    }
    *found = gp_names_find(&s->client->names, name.at, name.len);
    return *found ? YES : NO;
}

/* Whether the server, which does not hold it, will by then. */
static enum known coming(const struct gp_server *s, struct gp_sid id)
{
    for (struct gp_intent *i = s->intents_last; i; i = i->older) {
        bool sent = (i->kind == GP_INTENT_PARSE && i->sent) || i->kind == GP_INTENT_INJECT;
        if ((!sent && i->kind != GP_INTENT_EVICT) || !gp_sid_same(i->id, id))
            continue;
        if (i->segment != s->segment)
            return UNDECIDED; /* a Close that is skipped leaves it there */
        return sent ? YES : NO;
    }
    return NO;
}

/* Whether the server will hold it by then. */
static enum known held(struct gp_engine *e, struct gp_server *s, struct gp_sid id)
{
    return gp_holding_has(gp_holding_at(e->seg, s->pool, s->slot), id) ? YES : coming(s, id);
}

/* The same of one that is needed, so that it counts whether it had to be sent first. */
static enum known held_for_use(struct gp_engine *e, struct gp_server *s, struct gp_sid id)
{
    struct gp_counters *counters = gp_counters_of(e, s->pool);

    if (gp_holding_has(gp_holding_at(e->seg, s->pool, s->slot), id)) {
        gp_count(&counters->statement_hits, 1);
        return YES;
    }
    enum known known = coming(s, id);
    if (known == YES)
        gp_count(&counters->statement_misses, 1);
    return known;
}

/* ---- messages of our own ---- */

size_t gp_prepare_build_close(uint8_t message[GP_CLOSE_STATEMENT_TOTAL], struct gp_sid id)
{
    message[0] = GP_CLOSE;
    gp_put_u32be(message + 1, GP_CLOSE_STATEMENT_TOTAL - 1);
    message[GP_HEADER_SIZE] = GP_TARGET_STATEMENT;
    gp_sid_name(id, (char *)message + GP_HEADER_SIZE + 1);
    return GP_CLOSE_STATEMENT_TOTAL;
}

static void close_on_server(struct gp_engine *e, struct gp_server *s, struct gp_sid id,
                            struct gp_gather *out)
{
    uint8_t message[GP_CLOSE_STATEMENT_TOTAL];
    struct gp_span none = {NULL, 0};

    gp_gather_copy(out, message, gp_prepare_build_close(message, id));
    gp_intent_add(e, s, GP_INTENT_EVICT, NULL, none)->id = id;
    (void)gp_replies_push(&s->replies, GP_REPLY_CLOSE, GP_REPLY_SWALLOW | GP_REPLY_INTENT);
}

_Static_assert(GP_HOLDING_PLACES == 2 * GP_STATEMENTS_MAX, "the room that mapping.c gives each");

#define GP_EVICTIONS_MAX 4u /* with one message: more than one, so that an excess goes down */

/* Statements that were sent to the server and that it has not confirmed yet. */
static uint32_t statements_coming(const struct gp_server *s)
{
    uint32_t count = 0;

    for (const struct gp_intent *i = s->intents_first; i; i = i->newer)
        count += (i->kind == GP_INTENT_PARSE && i->sent) || i->kind == GP_INTENT_INJECT;
    return count;
}

/* Room for one more, counting those that are coming. Only a pipeline of more new statements than
 * the bound exceeds it: what is coming cannot be closed, since its intents are not decided. */
static void make_room(struct gp_engine *e, struct gp_server *s, struct gp_gather *out)
{
    struct gp_holding *holding = gp_holding_at(e->seg, s->pool, s->slot);
    uint32_t bound =
        atomic_load_explicit(&gp_pool_at(e->seg, s->pool)->statements_max, memory_order_relaxed);
    uint32_t expected = statements_coming(s);
    struct gp_sid evicted;

    if (gp_heal_stale(s, &evicted))
        close_on_server(e, s, evicted, out);
    for (unsigned i = 0; i < GP_EVICTIONS_MAX; i++) {
        if (!gp_holding_evict(holding, bound > expected ? bound - expected : 1, &evicted))
            break;
        gp_count(&gp_counters_of(e, s->pool)->statement_evictions, 1);
        close_on_server(e, s, evicted, out);
    }
}

/* Whether it is of this text, parsed in this way. */
static bool is_of(const struct gp_statement *statement, uint64_t reads, const uint8_t *text,
                  size_t len)
{
    return statement && statement->reads == reads && statement->length == GP_STATEMENT_TEXT + len &&
           memcmp(statement->parse + GP_STATEMENT_TEXT, text, len) == 0;
}

/* The statement that this text becomes if the server gets it now, one reference more. Most often the
 * client's last without a name: drivers that know no other say the same again and again. NULL: no
 * memory. */
static struct gp_statement *intern_now(struct gp_engine *e, struct gp_server *s,
                                       const uint8_t *text, size_t len, enum gp_claim claim)
{
    bool own;
    uint64_t reads = gp_continuity_reads(e, s, &own);
    struct gp_statement *last = s->client->names.unnamed;

    if (is_of(last, reads, text, len)) {
        last->refs++;
        return last;
    }
    struct gp_sid id = gp_sid_make(gp_common_of(e->seg)->hash_key, reads, text, len);
    struct gp_statement *statement = gp_statement_intern(&e->interner, id, text, len, claim);

    if (!statement)
        return NULL;
    statement->reads = reads;
    statement->own = own;
    return statement;
}

/* What a statement becomes on a server that lacks it: another one, if texts are now parsed in
 * another way than when it was made, unless it is nobody else's. Held by the list of idle ones. */
static struct gp_statement *as_of_now(struct gp_engine *e, struct gp_server *s,
                                      struct gp_statement *statement)
{
    bool own;

    if (statement->own || gp_continuity_reads(e, s, &own) == statement->reads)
        return statement;
    struct gp_statement *other = intern_now(e, s, statement->parse + GP_STATEMENT_TEXT,
                                            statement->length - GP_STATEMENT_TEXT, GP_INSIST);
    if (!other)
        abort(); /* it would be parsed as another text than its own */
    gp_statement_release(&e->interner, other);
    return other;
}

/* See to it that the server holds a statement when the message at hand reaches it; perhaps as
 * another one. */
static enum known ensure(struct gp_engine *e, struct gp_server *s, struct gp_statement **wanted,
                         struct gp_gather *out)
{
    struct gp_span none = {NULL, 0};
    enum known known = held_for_use(e, s, (*wanted)->id);

    if (known != NO)
        return known;
    struct gp_statement *statement = *wanted = as_of_now(e, s, *wanted);
    known = held_for_use(e, s, statement->id);
    if (known != NO)
        return known;
    struct gp_counters *counters = gp_counters_of(e, s->pool);
    gp_count(&counters->statement_misses, 1);
    gp_count(&counters->server_parses, 1);
    make_room(e, s, out);
    gp_gather_copy(out, statement->parse, statement->length);
    gp_intent_add(e, s, GP_INTENT_INJECT, statement, none);
    (void)gp_replies_push(&s->replies, GP_REPLY_PARSE, GP_REPLY_SWALLOW | GP_REPLY_INTENT);
    return YES;
}

/* A message's header with another length, then what precedes the name, then the server's name: one
 * piece. */
static void rename_in(struct gp_gather *out, const struct gp_frame *frame, const uint8_t *before,
                      size_t before_len, struct gp_span name, const struct gp_statement *statement)
{
    uint8_t header[GP_HEADER_SIZE] = {frame->type};
    uint32_t length = frame->length - (uint32_t)name.len + GP_SERVER_NAME_BYTES - 1;

    gp_put_u32be(header + 1, length);
    gp_gather_copy(out, header, sizeof(header));
    gp_gather_copy(out, before, before_len);
    gp_gather_copy(out, (const uint8_t *)statement->name, GP_SERVER_NAME_BYTES);
}

/* ---- the client's messages ---- */

/* Parse of a name in use. PostgreSQL shall say so itself: the name on the server is in use as well.
 */
static enum gp_prepare parse_duplicate(struct gp_engine *e, struct gp_server *s,
                                       const struct gp_frame *frame, struct gp_span name,
                                       struct gp_statement *has, struct gp_gather *out,
                                       size_t *taken)
{
    if (ensure(e, s, &has, out) == UNDECIDED)
        return GP_PREPARE_WAIT;
    rename_in(out, frame, NULL, 0, name, has);
    gp_intent_add(e, s, GP_INTENT_DUPLICATE, has, name);
    gp_count(&gp_counters_of(e, s->pool)->client_parses, 1);
    gp_count(&gp_counters_of(e, s->pool)->server_parses, 1);
    (void)gp_replies_push(&s->replies, GP_REPLY_PARSE, GP_REPLY_FORWARD | GP_REPLY_INTENT);
    *taken = GP_HEADER_SIZE + name.len + 1;
    return GP_PREPARE_DONE;
}

/* Parse of a name that is free. It is answered here if the server holds the statement and is sure
 * to say yes: no failed transaction, and nothing before this segment that could still fail one. */
static void parse_new(struct gp_engine *e, struct gp_server *s, struct gp_span name,
                      struct gp_statement *statement, struct gp_gather *out)
{
    bool has = held(e, s, statement->id) == YES;
    bool sure = s->txn != GP_TXN_FAILED && !gp_replies_owes_ready(&s->replies);
    bool sent = !has || !sure;

    if (has && sent) {
        gp_holding_remove(gp_holding_at(e->seg, s->pool, s->slot), statement->id);
        close_on_server(e, s, statement->id, out);
    } else if (sent) {
        make_room(e, s, out);
    }
    if (sent) {
        gp_count(&gp_counters_of(e, s->pool)->server_parses, 1);
        gp_gather_copy(out, statement->parse, statement->length);
    }
    gp_intent_add(e, s, GP_INTENT_PARSE, statement, name)->sent = sent;
    (void)gp_replies_push(&s->replies, GP_REPLY_PARSE,
                          (sent ? GP_REPLY_FORWARD : GP_REPLY_SYNTHESIZE) | GP_REPLY_INTENT);
}

static bool holds(struct gp_engine *e, struct gp_server *s, const struct gp_statement *statement)
{
    return statement->hints & (GP_HINT_DRAWN | GP_HINT_DRAWS) &&
           gp_sequences_hold(e, s, statement->hints);
}

static enum gp_prepare prepare_parse(struct gp_engine *e, struct gp_server *s,
                                     const struct gp_frame *frame, const uint8_t *body, size_t have,
                                     struct gp_gather *out, size_t *taken)
{
    struct gp_statement *has = NULL;
    struct gp_parse parse;

    if (frame->total > GP_PARSE_MAX)
        return GP_PREPARE_LARGE;
    if (have < frame->length - 4)
        return GP_PREPARE_MORE;
    if (gp_parse_fields(body, frame->length - 4, &parse) != GP_OK)
        return GP_PREPARE_PLAIN; /* PostgreSQL says what is wrong with it */
    enum known known = resolve(s, parse.statement, &has);
    if (known == UNDECIDED)
        return GP_PREPARE_WAIT;
    if (known == YES && parse.statement.len)
        return parse_duplicate(e, s, frame, parse.statement, has, out, taken);
    size_t skip = parse.statement.len + 1, len = frame->length - 4 - skip;
    struct gp_statement *statement = intern_now(e, s, body + skip, len, GP_ASK);
    if (!statement)
        return GP_PREPARE_MEMORY;
    if (held(e, s, statement->id) == UNDECIDED || holds(e, s, statement)) {
        gp_statement_release(&e->interner, statement);
        return GP_PREPARE_WAIT;
    }
    parse_new(e, s, parse.statement, statement, out);
    gp_count(&gp_counters_of(e, s->pool)->client_parses, 1);
    gp_statement_release(&e->interner, statement); /* the intent has its own reference */
    *taken = frame->total;
    return GP_PREPARE_DONE;
}

static enum gp_prepare prepare_bind(struct gp_engine *e, struct gp_server *s,
                                    const struct gp_frame *frame, const uint8_t *body, size_t have,
                                    struct gp_gather *out, size_t *taken)
{
    struct gp_statement *statement = NULL;
    struct gp_bind bind;
    enum gp_result result = gp_bind_fields(body, have, frame->length - 4, &bind);

    if (result == GP_NEED_MORE)
        return GP_PREPARE_MORE;
    enum known known = result == GP_OK ? resolve(s, bind.statement, &statement) : NO;
    if (known == YES && holds(e, s, statement))
        return GP_PREPARE_WAIT;
    if (known == YES)
        known = ensure(e, s, &statement, out);
    if (known == UNDECIDED)
        return GP_PREPARE_WAIT;
    if (known == NO)
        return GP_PREPARE_PLAIN; /* PostgreSQL does not know that name either */
    if (s->session != GP_SESSION_OFF)
        gp_continuity_statement(e, s, statement);
    gp_count(&gp_counters_of(e, s->pool)->binds, 1);
    rename_in(out, frame, body, bind.portal.len + 1, bind.statement, statement);
    (void)gp_replies_push(&s->replies, GP_REPLY_BIND, GP_REPLY_FORWARD);
    *taken = GP_HEADER_SIZE + bind.portal.len + 1 + bind.statement.len + 1;
    return GP_PREPARE_DONE;
}

static enum gp_prepare prepare_describe(struct gp_engine *e, struct gp_server *s,
                                        const struct gp_frame *frame, const uint8_t *body,
                                        size_t have, struct gp_gather *out, size_t *taken)
{
    struct gp_statement *statement = NULL;
    struct gp_named named;

    if (have < frame->length - 4)
        return GP_PREPARE_MORE;
    if (gp_describe_fields(body, frame->length - 4, &named) != GP_OK ||
        named.kind != GP_TARGET_STATEMENT)
        return GP_PREPARE_PLAIN;
    enum known known = resolve(s, named.name, &statement);
    if (known == YES)
        known = ensure(e, s, &statement, out);
    if (known == UNDECIDED)
        return GP_PREPARE_WAIT;
    if (known == NO)
        return GP_PREPARE_PLAIN;
    rename_in(out, frame, body, 1, named.name, statement);
    (void)gp_replies_push(&s->replies, GP_REPLY_DESCRIBE, GP_REPLY_FORWARD);
    *taken = frame->total;
    return GP_PREPARE_DONE;
}

/* The name goes; the server keeps the statement for whoever comes next. */
static enum gp_prepare prepare_close(struct gp_engine *e, struct gp_server *s,
                                     const struct gp_frame *frame, const uint8_t *body, size_t have,
                                     size_t *taken)
{
    struct gp_named named;

    if (have < frame->length - 4)
        return GP_PREPARE_MORE;
    if (gp_close_fields(body, frame->length - 4, &named) != GP_OK ||
        named.kind != GP_TARGET_STATEMENT)
        return GP_PREPARE_PLAIN;
    gp_intent_add(e, s, GP_INTENT_CLOSE, NULL, named.name);
    (void)gp_replies_push(&s->replies, GP_REPLY_CLOSE, GP_REPLY_SYNTHESIZE | GP_REPLY_INTENT);
    *taken = frame->total;
    return GP_PREPARE_DONE;
}

/* A simple Query destroys the unnamed statement before it does anything else. */
static void prepare_query(struct gp_engine *e, struct gp_server *s)
{
    struct gp_span unnamed = {NULL, 0};
    bool coming = false;

    for (struct gp_intent *i = s->intents_last; i && !coming; i = i->older)
        coming = i->kind == GP_INTENT_PARSE && i->name_len == 0;
    if (!coming && !s->client->names.unnamed)
        return;
    gp_intent_add(e, s, GP_INTENT_UNNAME, NULL, unnamed);
    (void)gp_replies_push(&s->replies, GP_REPLY_UNNAME, GP_REPLY_SYNTHESIZE | GP_REPLY_INTENT);
}

/* DEALLOCATE of a name that PostgreSQL does not know: it deallocates a statement made for that, so
 * that the client hears what it has to say of its transaction, and others keep theirs. The Close
 * and the Parse cannot fail, in a failed transaction neither. */
static void deallocate_instead(struct gp_engine *e, struct gp_server *s,
                               const struct gp_command *command, struct gp_gather *out)
{
    static const uint8_t messages[] = "C\0\0\0\x0fSgreenpool\0"
                                      "P\0\0\0\x11greenpool\0\0\0"; /* and its zero */
    static const char text[] = "DEALLOCATE greenpool";
    struct gp_span name = {command->name, command->name_len};
    uint8_t query[GP_HEADER_SIZE + 64 + 2 * GP_COMMAND_NAME];
    char guarded[sizeof(query) - GP_HEADER_SIZE];
    int len = command->savepoint_len;

    snprintf(guarded, sizeof(guarded), "SAVEPOINT %.*s; %s; RELEASE %.*s", len, command->savepoint,
             text, len, command->savepoint);
    gp_gather_add(out, messages, sizeof(messages));
    gp_gather_copy(out, query, gp_build_query(query, sizeof(query), len ? guarded : text));
    (void)gp_replies_push(&s->replies, GP_REPLY_CLOSE, GP_REPLY_SWALLOW);
    (void)gp_replies_push(&s->replies, GP_REPLY_PARSE, GP_REPLY_SWALLOW);
    (void)gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_FORWARD | GP_REPLY_INTENT);
    (void)gp_intent_add(e, s, GP_INTENT_DEALLOCATE, NULL, name);
    s->segment++;
}

static enum gp_prepare prepare_deallocate(struct gp_engine *e, struct gp_server *s,
                                          const struct gp_frame *frame, const uint8_t *body,
                                          size_t have, struct gp_gather *out, size_t *taken)
{
    struct gp_statement *statement = NULL;
    struct gp_span sql;

    bool none = s->client->names.count == 0 && !s->intents_first;
    if (none || frame->length > 4 + GP_COMMAND_MAX + 1)
        return GP_PREPARE_PLAIN;
    if (have < frame->length - 4)
        return GP_PREPARE_MORE;
    if (gp_query_fields(body, have, &sql) != GP_OK)
        return GP_PREPARE_PLAIN;
    struct gp_command command = gp_command_of(sql.at, sql.len);
    struct gp_span name = {command.name, command.name_len};
    if (command.kind != GP_COMMAND_DEALLOCATE)
        return GP_PREPARE_PLAIN;
    enum known known = resolve(s, name, &statement);
    if (known != YES)
        return known == NO ? GP_PREPARE_PLAIN : GP_PREPARE_WAIT;
    prepare_query(e, s);
    deallocate_instead(e, s, &command, out);
    *taken = frame->total;
    return GP_PREPARE_DONE;
}

enum gp_prepare gp_prepare(struct gp_engine *e, struct gp_client *c, const struct gp_frame *frame,
                           const uint8_t *message, size_t have, struct gp_gather *out,
                           size_t *taken)
{
    struct gp_server *s = c->server;
    const uint8_t *body = message + GP_HEADER_SIZE;
    size_t body_have = have < frame->total ? have - GP_HEADER_SIZE : frame->length - 4;

    if (s->replies.count + 8 > GP_REPLIES_MAX)
        return GP_PREPARE_WAIT; /* room for all that one message may queue */
    switch (frame->type) {
    case GP_PARSE:
        return prepare_parse(e, s, frame, body, body_have, out, taken);
    case GP_BIND:
        return prepare_bind(e, s, frame, body, body_have, out, taken);
    case GP_DESCRIBE:
        return prepare_describe(e, s, frame, body, body_have, out, taken);
    case GP_CLOSE:
        return prepare_close(e, s, frame, body, body_have, taken);
    case GP_QUERY: {
        enum gp_prepare prepared = prepare_deallocate(e, s, frame, body, body_have, out, taken);
        if (prepared == GP_PREPARE_PLAIN)
            prepare_query(e, s);
        return prepared;
    }
    default:
        return GP_PREPARE_PLAIN;
    }
}

/* ---- answers in the client's words ---- */

static bool client_calls(struct gp_server *s, const uint8_t *server_name, struct gp_span *name)
{
    for (struct gp_intent *i = s->intents_first; i; i = i->newer) {
        if (!i->statement || i->kind == GP_INTENT_INJECT ||
            memcmp(i->statement->name, server_name, GP_SERVER_NAME_BYTES - 1) != 0)
            continue;
        *name = (struct gp_span){i->name, i->name_len};
        return true;
    }
    return gp_names_called(&s->client->names, server_name, &name->at, &name->len);
}

/* The next "name of ours" in quotes: where the name begins, or NULL. */
static const uint8_t *quoted_name(const uint8_t *at, const uint8_t *end)
{
    const size_t len = GP_SERVER_NAME_BYTES - 1;

    for (; (size_t)(end - at) >= len + 2; at++)
        if (at[0] == '"' && at[1] == 'g' && at[len + 1] == '"')
            return at + 1;
    return NULL;
}

bool gp_prepare_mentions(struct gp_span text)
{
    return text.len && quoted_name(text.at, text.at + text.len);
}

bool gp_prepare_reword(struct gp_server *s, const uint8_t *message, size_t total,
                       struct gp_buffer **reworded)
{
    const uint8_t *end = message + total;
    const uint8_t *found = s->client ? quoted_name(message, end) : NULL;
    struct gp_span name;

    for (; found; found = quoted_name(found, end)) {
        if (!client_calls(s, found, &name))
            continue;
        const uint8_t *rest = found + GP_SERVER_NAME_BYTES - 1;
        if (!gp_buffer_append(reworded, message, (size_t)(found - message)) ||
            !gp_buffer_append(reworded, name.at, name.len) ||
            !gp_buffer_append(reworded, rest, (size_t)(end - rest)))
            break;
        gp_put_u32be((*reworded)->data + 1, (uint32_t)gp_buffer_len(*reworded) - 1);
        return true;
    }
    gp_buffer_free(reworded);
    return false;
}

/* ---- answers of our own ---- */

void gp_prepare_synthesize(struct gp_engine *e, struct gp_server *s, struct gp_gather *out)
{
    static const uint8_t parse_complete[] = {GP_PARSE_COMPLETE, 0, 0, 0, 4};
    static const uint8_t close_complete[] = {GP_CLOSE_COMPLETE, 0, 0, 0, 4};
    enum gp_reply_action action;
    enum gp_reply_kind kind;

    while ((kind = gp_replies_head(&s->replies, &action)) != GP_REPLY_NONE &&
           action == GP_REPLY_SYNTHESIZE) {
        if (s->state == GP_SERVER_LINKED && kind == GP_REPLY_PARSE)
            gp_gather_add(out, parse_complete, sizeof(parse_complete));
        else if (s->state == GP_SERVER_LINKED && kind == GP_REPLY_CLOSE)
            gp_gather_add(out, close_complete, sizeof(close_complete));
        gp_intent_true(e, s);
        (void)gp_replies_pop(&s->replies);
    }
}
