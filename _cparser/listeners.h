/* Listening sockets, which all workers share. Whoever accepts a client says who shall have it
 * (gp_engine_place), before a byte of it is read.
 *
 * Law: while few clients are packed on the first worker, that one alone waits at them: others
 * would wake up for each client in vain. They look every 100 ms all the same, so that nobody waits
 * for longer when that worker has died or is stuck. Partner: guests.c. */
#ifndef GP_LISTENERS_H
#define GP_LISTENERS_H

#include "relay.h"

/* Somebody is there, or may be. */
void gp_listener_stirred(struct gp_engine *e, struct gp_conn *conn);
/* Go on where the last batch ended. */
void gp_listeners_continue(struct gp_engine *e);
void gp_listeners_sweep(struct gp_engine *e);
/* Another worker has accepted this client, nothing is read yet. since_ns: as in guests.h. */
void gp_listener_passed(struct gp_engine *e, int32_t fd, uint64_t since_ns);

#endif
