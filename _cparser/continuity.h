/* Session continuity: a client keeps its session state from server to server.
 *
 * When a transaction may have changed what outlives it (hints of its texts, tags of its commands),
 * PostgreSQL itself is asked before the server is given back: one row says which settings the
 * session has and what else is there.
 *
 *   LINKED --transaction over, s->look--> LOOK --row, ReadyForQuery--> LINKED
 *                                                --> released, or kept: the client is pinned
 *
 * Settings become the client's parameter state: the text that makes any server like this one. What
 * no text can replay (temporary tables, session locks, held cursors, LISTEN, PREPARE) pins the
 * client to its server until another look finds it gone; settings with a dot in their names, which
 * no look finds, do so until DISCARD ALL. The question is made by
 * greenpool/worker/session_question.py from the client's startup packet: a setting that is RESET
 * goes back to what that said.
 *
 * Its row:  pins   bits of enum gp_pin, as decimal text
 *           like   0 the settings are the startup packet's and all are there
 *                  1 they are, but some are missing on this server
 *                  2 others were made
 *                  3 both
 *           state  text of a Query that makes a server so, with the missing ones */
#ifndef GP_CONTINUITY_H
#define GP_CONTINUITY_H

#include "relay.h"

enum gp_pin {
    GP_PIN_PREPARED = 1,
    GP_PIN_CURSOR = 2,
    GP_PIN_TEMPORARY = 4,
    GP_PIN_LOCK = 8,
    GP_PIN_LISTEN = 16,
    GP_PIN_UNKNOWN = 32, /* PostgreSQL could not be asked: everything stays where it is */
    GP_PIN_SETTING = 64  /* a setting like app.user was made, which no view of PostgreSQL lists */
};

/* Why the client keeps its server, for it and for all who look at its row. */
void gp_continuity_pin(struct gp_engine *e, struct gp_client *c, uint8_t pins);
/* A text has been sent for the client. */
void gp_continuity_text(struct gp_server *s, uint8_t hints);
/* A command is complete (its tag, whole). */
void gp_continuity_tag(struct gp_engine *e, struct gp_server *s, const struct gp_tag *tag);
/* The transaction is over and s->look is set: ask. False: that is not done for this client. */
bool gp_continuity_look(struct gp_engine *e, struct gp_server *s);
/* A DataRow in state LOOK. */
void gp_continuity_row(struct gp_server *s, const uint8_t *body, size_t len);
/* The answer is complete: the client has its new state and its pins. True: the server lacks settings
 * of that state. */
bool gp_continuity_seen(struct gp_engine *e, struct gp_server *s);

#endif
