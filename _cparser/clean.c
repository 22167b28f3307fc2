/* What is done to a server so that it comes to rest: what its client left open is ended, what it
 * left behind is undone. The states are relay.h's. */
#include "continuity.h"
#include "deferred.h"
#include "heal.h"

#include <stdio.h>

/* Run one of greenpool's own statements on a server without a client. */
static void run(struct gp_engine *e, struct gp_server *s, const char *sql)
{
    uint8_t query[GP_HEADER_SIZE + GP_UNDO_BYTES];
    size_t len = gp_build_query(query, sizeof(query), sql);

    if (s->state != GP_SERVER_CLEAN)
        gp_server_enter(e, s, GP_SERVER_CLEAN);
    s->status = 0;
    s->failed = 0;
    if (len == 0 || !gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_SWALLOW)) {
        gp_server_lost(e, s, GP_REASON_MEMORY);
        return;
    }
    gp_conn_send(e->transport, &s->conn, query, len);
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}

static void close_statement(struct gp_engine *e, struct gp_server *s, struct gp_sid id)
{
    char name[GP_SERVER_NAME_BYTES], sql[48];

    gp_sid_name(id, name);
    snprintf(sql, sizeof(sql), "DEALLOCATE \"%s\"", name);
    run(e, s, sql);
}

/* A quiet server without a client: make it as it was, then give it back. */
void gp_server_clean(struct gp_engine *e, struct gp_server *s)
{
    char sql[GP_UNDO_BYTES];
    struct gp_sid stale;

    if (s->canceling)
        return; /* gp_server_canceled comes back here */
    if (s->failed && s->state == GP_SERVER_CLEAN) {
        gp_server_lost(e, s, GP_REASON_UNCLEAN);
    } else if (s->status != GP_TXN_IDLE || s->doubtful) {
        run(e, s, "ROLLBACK");
    } else if (s->undo) {
        gp_continuity_undo(e, s, sql);
        run(e, s, sql);
    } else if (gp_heal_stale(s, &stale)) {
        close_statement(e, s, stale);
    } else if (s->renew) {
        gp_server_retire(e, s, GP_REASON_STALE);
    } else {
        gp_continuity_publish(e, s);
        gp_server_release(e, s);
    }
}

/* Let an empty query tell where the answers to the Syncs of a failed COPY end. */
void gp_server_fence(struct gp_engine *e, struct gp_server *s)
{
    uint8_t query[GP_HEADER_SIZE + 1];
    size_t len = gp_build_query(query, sizeof(query), "");

    if (s->client->msg_left)
        return; /* the end of that message comes back here */
    if (!gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_SWALLOW)) {
        gp_server_lost(e, s, GP_REASON_MEMORY);
        return;
    }
    s->status = 0;
    gp_conn_send(e->transport, &s->conn, query, len);
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}

/* A COPY FROM, begun or to begin, fails; elsewhere PostgreSQL ignores this. */
static const uint8_t copy_fail[] = {GP_COPY_FAIL, 0,   0,   0,   16,  'c', 'l', 'i', 'e',
                                    'n',          't', ' ', 'g', 'o', 'n', 'e', '\0'};
_Static_assert(sizeof(copy_fail) == 17, "type and a length of 16");

/* Without its Sync, what the client executed is not committed on a direct connection either. An
 * error that is still to come skips the ROLLBACK, and so does one that was reported. */
void gp_link_wind_up(struct gp_engine *e, struct gp_server *s)
{
    uint8_t message[32];

    if (s->status != 0)
        return;
    s->client_copies = 0;
    gp_conn_send(e->transport, &s->conn, copy_fail, sizeof(copy_fail));
    bool open = gp_replies_open(&s->replies) || gp_deferred_shut(s);
    if (!s->skipping && !gp_replies_empty(&s->replies) && !open)
        return;
    if (!s->skipping && gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_SWALLOW))
        gp_conn_send(e->transport, &s->conn, message,
                     gp_build_query(message, sizeof(message), "ROLLBACK"));
    if (gp_replies_push(&s->replies, GP_REPLY_SYNC, GP_REPLY_SWALLOW))
        gp_conn_send(e->transport, &s->conn, message, gp_build_simple(message, GP_SYNC));
    s->skipping = 0;
    if (s->conn.broken)
        gp_todo(e, &s->conn);
}

/* Its client is gone: answers go to nobody, and what it left open is ended. */
void gp_server_orphan(struct gp_engine *e, struct gp_server *s, bool midway)
{
    gp_slot_assign(e->seg, s->pool, s->slot, e->worker, GP_NO_CLIENT);
    if (midway) {
        gp_server_lost(e, s, GP_REASON_UNCLEAN);
        return;
    }
    bool running = !gp_replies_empty(&s->replies) && s->state == GP_SERVER_LINKED;
    if (running && s->session != GP_SESSION_OFF)
        s->undo = GP_PIN_UNKNOWN; /* whatever it is, nobody will look */
    if (s->state == GP_SERVER_LINKED)
        gp_link_wind_up(e, s);
    gp_server_enter(e, s, GP_SERVER_ORPHAN);
    gp_conn_resume(e->transport, &s->conn); /* it may have been paused for its client's sake */
    if (running)
        gp_server_cancel(e, s);
    gp_link_turn(e, s);
}
