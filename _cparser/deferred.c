#include "deferred.h"

#include <string.h>

#include "command.h"
#include "heal.h"
#include "prepare.h"

enum gp_txn_status gp_deferred_status(const struct gp_client *c)
{
    if (!c->begun)
        return GP_TXN_IDLE;
    return c->begun == GP_BEGIN_FAILED ? GP_TXN_FAILED : GP_TXN_BLOCK;
}

/* ---- answered here ---- */

/* As PostgreSQL does: a Query destroys the unnamed statement, whatever it says. */
static void answer(struct gp_engine *e, struct gp_client *c, const char *tag)
{
    uint8_t reply[GP_HEADER_SIZE + 32 + GP_READY_TOTAL] = {GP_COMMAND_COMPLETE};
    size_t len = GP_HEADER_SIZE + strlen(tag) + 1;

    c->since_ns = e->now;
    gp_names_drop(&c->names, &e->interner, NULL, 0);
    gp_put_u32be(reply + 1, (uint32_t)len - 1);
    memcpy(reply + GP_HEADER_SIZE, tag, strlen(tag) + 1);
    len += gp_build_ready(reply + len, gp_deferred_status(c));
    gp_conn_send(e->transport, &c->conn, reply, len);
}

static bool defers(struct gp_engine *e, const struct gp_client *c)
{
    struct gp_pool *pool = gp_pool_at(e->seg, c->pool);

    return atomic_load_explicit(&pool->deferred_begin, memory_order_relaxed) &&
           atomic_load_explicit(&pool->mode, memory_order_relaxed) == GP_MODE_TRANSACTION;
}

static bool answer_begin(struct gp_engine *e, struct gp_client *c, const struct gp_command *command)
{
    if (c->begun || !defers(e, c))
        return false; /* within a transaction it is a warning, PostgreSQL's */
    c->begun = command->modes;
    answer(e, c, command->kind == GP_COMMAND_BEGIN ? "BEGIN" : "START TRANSACTION");
    return true;
}

static bool answer_end(struct gp_engine *e, struct gp_client *c, const struct gp_command *command)
{
    bool commits = command->kind == GP_COMMAND_COMMIT && c->begun != GP_BEGIN_FAILED;

    if (!c->begun)
        return false;
    c->begun = 0;
    answer(e, c, commits ? "COMMIT" : "ROLLBACK");
    return true;
}

/* A statement of the protocol; one made by PREPARE has pinned the client to a server. */
static bool answer_deallocate(struct gp_engine *e, struct gp_client *c,
                              const struct gp_command *command)
{
    if (c->begun == GP_BEGIN_FAILED || command->savepoint_len ||
        !gp_names_find(&c->names, command->name, command->name_len))
        return false;
    gp_names_drop(&c->names, &e->interner, command->name, command->name_len);
    answer(e, c, "DEALLOCATE");
    return true;
}

enum gp_deferred gp_deferred_query(struct gp_engine *e, struct gp_client *c,
                                   const struct gp_frame *frame, const uint8_t *message,
                                   size_t have)
{
    struct gp_span sql;
    bool done = false;

    if (frame->total > GP_HEADER_SIZE + GP_COMMAND_MAX + 1)
        return GP_DEFERRED_OTHER;
    if (have < frame->total)
        return GP_DEFERRED_MORE;
    if (gp_query_fields(message + GP_HEADER_SIZE, frame->length - 4, &sql) != GP_OK)
        return GP_DEFERRED_OTHER;
    struct gp_command command = gp_command_of(sql.at, sql.len);
    switch (command.kind) {
    case GP_COMMAND_OTHER:
        break;
    case GP_COMMAND_BEGIN:
    case GP_COMMAND_START_TRANSACTION:
        done = answer_begin(e, c, &command);
        break;
    case GP_COMMAND_COMMIT:
    case GP_COMMAND_ROLLBACK:
        done = answer_end(e, c, &command);
        break;
    case GP_COMMAND_DEALLOCATE:
        done = answer_deallocate(e, c, &command);
        break;
    }
    return done ? GP_DEFERRED_DONE : GP_DEFERRED_OTHER;
}

/* ---- begun on the server ---- */

static void send_begin(uint8_t modes, struct gp_replies *replies, struct gp_gather *out)
{
    /* Parse: no name, the text, no types. Bind: no portal, no statement, no formats, no values.
     * Execute: no portal, all rows. */
    static const uint8_t bind[] = {GP_BIND, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t execute[] = {GP_EXECUTE, 0, 0, 0, 9, 0, 0, 0, 0, 0};
    uint8_t parse[GP_HEADER_SIZE + 1 + GP_BEGIN_TEXT + 2] = {GP_PARSE};
    size_t len = GP_HEADER_SIZE + 1;

    len += gp_begin_text(modes, (char *)parse + len) + 1;
    memset(parse + len, 0, 2);
    len += 2;
    gp_put_u32be(parse + 1, (uint32_t)len - 1);
    gp_gather_copy(out, parse, len);
    gp_gather_add(out, bind, sizeof(bind));
    gp_gather_add(out, execute, sizeof(execute));
    (void)gp_replies_push(replies, GP_REPLY_PARSE, GP_REPLY_SWALLOW);
    (void)gp_replies_push(replies, GP_REPLY_BIND, GP_REPLY_SWALLOW);
    (void)gp_replies_push(replies, GP_REPLY_EXECUTE, GP_REPLY_SWALLOW);
}

/* No text is as failed as one whose failure PostgreSQL has seen itself. */
static void send_failure(struct gp_server *s, struct gp_gather *out)
{
    uint8_t query[64];
    size_t len = gp_build_query(query, sizeof(query), "BEGIN; ROLLBACK TO SAVEPOINT greenpool");

    gp_gather_copy(out, query, len);
    (void)gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_SWALLOW);
    s->segment++;
}

/* The queue of a server at rest is empty: it has room. */
void gp_deferred_send(struct gp_engine *e, struct gp_client *c, struct gp_gather *out)
{
    struct gp_server *s = c->server;

    s->opening = 1;
    s->opened = s->segment;
    s->status = 0;
    s->query_ns = s->since_ns = e->now;
    out->conn = &s->conn;
    if (c->begun == GP_BEGIN_FAILED) {
        send_failure(s, out);
        return;
    }
    out->keep = gp_heal_keep(s, GP_PARSE);
    s->began = c->begun;
    send_begin(c->begun, &s->replies, out);
}

void gp_deferred_again(struct gp_server *s, struct gp_replies *replies, struct gp_gather *out)
{
    s->opening = 1;
    s->opened = s->kept->segment;
    s->client->begun = s->began;
    send_begin(s->began, replies, out);
}

bool gp_deferred_shut(const struct gp_server *s)
{
    if (s->opening)
        return s->segment != s->opened;
    return s->client && s->client->begun && s->status == 0 && !s->skipping;
}

void gp_deferred_opened(struct gp_server *s)
{
    s->opening = 0;
    if (s->client)
        s->client->begun = 0;
}

void gp_deferred_ready(struct gp_server *s, enum gp_txn_status status)
{
    if (!s->client || s->client->begun != GP_BEGIN_FAILED)
        return; /* of the ROLLBACK before a BEGIN that is sent again */
    s->opening = 0;
    if (status == GP_TXN_FAILED)
        s->client->begun = 0;
}

void gp_deferred_refused(struct gp_engine *e, struct gp_server *s)
{
    uint8_t sync[GP_SIMPLE_TOTAL];
    bool ended = s->segment != s->opened;
    uint32_t intents;

    s->opening = 0;
    if (s->client)
        s->client->begun = GP_BEGIN_FAILED;
    s->skipping = !gp_replies_skip_to_sync(&s->replies, &intents);
    gp_intents_drop(e, s, intents);
    if (!s->skipping || !ended)
        return;
    /* It was a Query: discarded too, but its sender expects to hear ReadyForQuery. */
    s->skipping = 0;
    (void)gp_replies_push(&s->replies, GP_REPLY_SYNC, GP_REPLY_FORWARD);
    gp_conn_send(e->transport, &s->conn, sync, gp_build_simple(sync, GP_SYNC));
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}
