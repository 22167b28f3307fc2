/* currval() and lastval() in transaction mode: what the client itself was given by nextval(), or
 * PostgreSQL's own error, never what another was given.
 *
 * A server remembers the values of sequences for the session, whoever has the session by now, and
 * tells nobody that it does. So nothing is done before somebody asks. From the first text of a pool
 * with currval or lastval in it, its servers begin each link with DISCARD SEQUENCES, and in mode track
 * a client that may have been given a value (INSERT, MERGE, COPY, CALL, DO, nextval, setval) is pinned
 * to its server (GP_PIN_SEQUENCE) until DISCARD SEQUENCES or DISCARD ALL.
 *
 * The mark is in the segment, for all workers, and ends with greenpool. The text that makes it waits
 * for DISCARD SEQUENCES if it begins a transaction; within one it is too late, and what it is told
 * may be another's. */
#ifndef GP_SEQUENCES_H
#define GP_SEQUENCES_H

#include "relay.h"

/* Whether the pool's clients ask for such values. */
static inline bool gp_sequences_asked(struct gp_engine *e, uint32_t pool)
{
    return atomic_load_explicit(&gp_common_pool_at(e->seg, pool)->sequences, memory_order_relaxed);
}

/* A text with these hints, DRAWN or DRAWS, is to be sent. True: not yet, the server is made fit for it. */
bool gp_sequences_hold(struct gp_engine *e, struct gp_server *s, uint16_t hints);
/* A command is complete that may have given a value, or have it forgotten. */
void gp_sequences_tag(struct gp_engine *e, struct gp_server *s, const struct gp_tag *tag);
/* The transaction is over, and s->draws: pin the client to what it may have been given. */
void gp_sequences_end(struct gp_engine *e, struct gp_server *s);

#endif
