/* Session continuity: a client keeps its session state from server to server.
 *
 * Hints of its texts and tags of its commands tell what a transaction may have left behind or ended
 * (s->left, bits of enum gp_pin). If anything, then in mode track PostgreSQL itself is asked before
 * the server is given back: one row says which settings the session has and what else is there. In
 * mode reset just that is undone.
 *
 *   LINKED --transaction over, s->left--> LOOK --row, ReadyForQuery--> LINKED
 *                                                --> released, or kept: the client is pinned
 *
 * Settings become the client's parameter state: the text that makes any server like this one. What
 * no text can replay (temporary tables, session locks, held cursors, LISTEN, PREPARE) pins the
 * client to its server until another look finds it gone.
 *
 * Settings with a dot in their names stand in no view: they are asked for by the names that the
 * client's texts said, in this transaction (s->said) and before (the names of its state), and that
 * functions set which these texts may run (suspects.h). They are
 * put before the question, which greenpool/worker/session_question.py makes from the client's
 * startup packet: a setting that is RESET goes back to what that said. A name that cannot be read
 * pins the client until DISCARD ALL.
 *
 * The row:  pins   bits of enum gp_pin, as decimal text
 *           like   0 the settings are the startup packet's and all are there
 *                  1 they are, but some are missing on this server
 *                  2 others were made
 *                  3 both
 *           state  text of a Query that makes a server so, with the missing ones
 *           names  of the dotted settings in it: "app.x,app.y" */
#ifndef GP_CONTINUITY_H
#define GP_CONTINUITY_H

#include "relay.h"

enum gp_pin {
    GP_PIN_PREPARED = 1,
    GP_PIN_CURSOR = 2,
    GP_PIN_TEMPORARY = 4,
    GP_PIN_LOCK = 8,
    GP_PIN_LISTEN = 16,
    GP_PIN_UNKNOWN = 32,  /* PostgreSQL could not be asked; in left and undo: anything */
    GP_PIN_SETTING = 64,  /* a dotted setting whose name could not be read; in left and undo: any */
    GP_PIN_SEQUENCE = 128 /* what nextval has given, for currval and lastval (sequences.h) */
};
_Static_assert(GP_PIN_SEQUENCE == 1 << (GP_PINS - 1), "each has its counter");

/* Room for the text that undoes all of them. */
#define GP_UNDO_BYTES 224u
/* The dotted settings of one client, as a list; more of them pin it. */
#define GP_SETTINGS_MAX 4096u

/* Why the client keeps its server, for it and for all who look at its row. */
void gp_continuity_pin(struct gp_engine *e, struct gp_client *c, uint8_t pins);
/* The link begins, or its last transaction is dealt with: another may begin. */
void gp_continuity_begin(struct gp_engine *e, struct gp_server *s);
/* A text is to be sent for the client, of which len bytes are here. False: not yet, the server is
 * made fit for it. */
bool gp_continuity_text(struct gp_engine *e, struct gp_server *s, const uint8_t *sql, size_t len,
                        bool whole);
/* One that was prepared is sent. */
void gp_continuity_statement(struct gp_engine *e, struct gp_server *s,
                             struct gp_statement *statement);
/* The same of one that greenpool does not know: a Bind of a statement that was left as it is. */
void gp_continuity_unseen(struct gp_engine *e, struct gp_server *s);
/* A FunctionCall has been sent, of which len bytes are here. */
void gp_continuity_call(struct gp_server *s, const uint8_t *body, size_t len);
/* How a text is parsed that the client sends now: a part of its statement's identity. It is that of
 * the client's state, or made of the texts since a SET of this transaction changed it. *own: of
 * what cannot be told from texts, so that nobody else has the same. */
uint64_t gp_continuity_reads(struct gp_engine *e, struct gp_server *s, bool *own);
/* A command is complete (its tag, whole), for whomever: whether it may have made suspects. */
void gp_continuity_defined(struct gp_server *s, const struct gp_tag *tag);
/* The same, for the client: what it may have left. */
void gp_continuity_tag(struct gp_engine *e, struct gp_server *s, const struct gp_tag *tag);
/* What was defined on this server may be there from now on: let all workers know. */
void gp_continuity_publish(struct gp_engine *e, struct gp_server *s);
/* The transaction is over: s->left is all that it may have left. */
void gp_continuity_end(struct gp_engine *e, struct gp_server *s);
/* It is not nothing: ask. False: that is not done for this client. */
bool gp_continuity_look(struct gp_engine *e, struct gp_server *s);
/* A DataRow in state LOOK. */
void gp_continuity_row(struct gp_server *s, const uint8_t *body, size_t len);
/* The answer is complete: the client has its new state and its pins. True: the server lacks settings
 * of that state. */
bool gp_continuity_seen(struct gp_engine *e, struct gp_server *s);
/* The text that undoes s->undo, which is empty after it: nobody's traces are left once it has run.
 */
void gp_continuity_undo(struct gp_engine *e, struct gp_server *s, char sql[GP_UNDO_BYTES]);

#endif
