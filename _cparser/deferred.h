/* Simple queries that are answered without a server, and the BEGIN that they leave owing.
 *
 * A transaction that was begun here has no server yet: it takes one with its first real request,
 * which BEGIN precedes as Parse, Bind, Execute: if that fails, PostgreSQL discards the request as
 * well, so it never runs outside its transaction.
 *
 * c->begun:
 *
 *   0 --BEGIN: answered--> modes --COMMIT or ROLLBACK: answered--> 0
 *                          modes --anything else--> BEGIN on the server, s->opening --done--> 0
 *                                                                                  \--refused--v
 *                          modes --no server in time, cancelled--------------------------> FAILED
 *   FAILED --COMMIT or ROLLBACK: answered as ROLLBACK--> 0
 *   FAILED --anything else--> a transaction that is made to fail, on the server --done--> 0
 *
 * Opening, the client's requests go as far as to the end of their first segment (prepare.h): those
 * behind it would not be discarded. Sources: PostgreSQL, xact.c; exec_execute_message. */
#ifndef GP_DEFERRED_H
#define GP_DEFERRED_H

#include "relay.h"

/* c->begun: enum gp_begin, or that the transaction has failed. */
#define GP_BEGIN_FAILED 0x80u

enum gp_deferred {
    GP_DEFERRED_OTHER, /* not for us */
    GP_DEFERRED_MORE,  /* not all of it is here */
    GP_DEFERRED_DONE   /* answered: drop it */
};

/* What a client without a server believes of its transaction. */
enum gp_txn_status gp_deferred_status(const struct gp_client *c);
/* A Query of a client without a server. */
enum gp_deferred gp_deferred_query(struct gp_engine *e, struct gp_client *c,
                                   const struct gp_frame *frame, const uint8_t *message,
                                   size_t have);
/* The client has a server now, which is at rest: begin what was deferred, before the message at
 * hand. */
void gp_deferred_send(struct gp_engine *e, struct gp_client *c, struct gp_gather *out);
/* The same again, behind a ROLLBACK; its replies go into a queue of their own. */
void gp_deferred_again(struct gp_server *s, struct gp_replies *replies, struct gp_gather *out);
/* Whether nothing more may be sent now: the segment that BEGIN precedes is, or BEGIN was refused and
 * the answer to that segment's end is awaited. */
bool gp_deferred_shut(const struct gp_server *s);
/* The Execute of BEGIN is complete. */
void gp_deferred_opened(struct gp_server *s);
/* ReadyForQuery to a Query of ours: the transaction is as failed as it was meant to be, or it is not
 * and will be made so once more. */
void gp_deferred_ready(struct gp_server *s, enum gp_txn_status status);
/* An error has come for it. The client gets it; its request has been discarded. */
void gp_deferred_refused(struct gp_engine *e, struct gp_server *s);

#endif
