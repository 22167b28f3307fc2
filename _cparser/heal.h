/* Statements that a server no longer has as greenpool believes: dropped in secret, or stale since
 * their tables changed. The client did nothing wrong, so it shall not see the error.
 *
 *     kept:  | Parse g7 | Bind g7 | Execute | Sync |     what was sent since the server was at rest
 *                         ^ answered messages
 *
 * When the error comes, PostgreSQL discards what follows up to the Sync. So the statement is replaced
 * and the rest is said once more:
 *
 *     Sync*  ROLLBACK*  BEGIN*  Close g7  Parse g7  Bind g7  Execute  Sync
 *
 *     *  Sync: if the client has not sent its own; ROLLBACK, BEGIN: if a deferred BEGIN was before
 *
 * That is done only if nothing has been executed and nothing is on its way behind that Sync. Else
 * the client sees the error, and the statement is replaced before its next use.
 *
 *     26000  no such statement            Bind, Describe
 *     0A000  of RevalidateCachedQuery     "cached plan must not change result type"
 *     42P05  there is one already         Parse
 */
#ifndef GP_HEAL_H
#define GP_HEAL_H

#include "relay.h"

/* The server is at rest: what is sent from here on is kept. */
void gp_heal_begin(struct gp_server *s);
/* Where the bytes of a message of this type are kept; NULL: nothing is, or nothing any more. */
struct gp_kept *gp_heal_keep(struct gp_server *s, uint8_t type);
/* An error for the head of the replies: true if it is healed, so that nobody needs to see it. */
bool gp_heal(struct gp_engine *e, struct gp_server *s, const struct gp_error *error);
/* A statement that is stale on the server and still to be closed: the caller sees to it. False: there
 * is none. */
bool gp_heal_stale(struct gp_server *s, struct gp_sid *id);

#endif
