/* Servers that cannot be logged in to: how often they are tried, and what clients are told.
 *
 * What ails is either a server, whichever pool tries it (nobody listens, no answer in time, it starts
 * or stops), or one pool at a server that answers (a wrong password, no such database, too many
 * connections). Both have the same states, kept in the segment (struct gp_outage in layout.h), so they
 * are the same for all workers and outlive them, reloads and upgrades:
 *
 *   WELL   --a login fails----> AILING   one login at a time over all workers, none before retry_ns
 *   AILING --a login fails----> AILING   ... which is a little later each time
 *   AILING --a login succeeds-> WELL     nothing is remembered; whoever waits is woken, and behind a
 *                                        server's outage 2, 4, 8... logins may go at a time
 *
 * A refusal by PostgreSQL, of one pool, says that its server is WELL.
 *
 * The turn to try. Whoever begins a login at what is AILING moves retry_ns on to when that login must
 * have ended, by one compare-and-swap; its failure moves it again. A worker that is killed meanwhile
 * leaves a gap and nothing else, which its reclaim fills.
 *
 * The words. Whoever fails writes why into the pool's note (notes.h), with the time: what PostgreSQL
 * refuses is told at once to all who have waited since before, in every worker (queue.c); what may
 * pass is what a wait for that pool, or any other at the same server, has been in vain for. */
#ifndef GP_OUTAGE_H
#define GP_OUTAGE_H

#include "pool.h"

struct gp_outage_words {
    uint64_t at_ns;   /* when the login failed */
    char sqlstate[8]; /* of a refusal; empty: it may pass */
    char text[256];
};

/* Which of the servers that pools have a pool logs in to from now on: those with the same tag have
 * the same. The master, at define. */
void gp_outage_attach(struct gp_segment *seg, uint32_t pool, uint64_t tag);

/* Whether it is too early for a login. */
bool gp_outage_bars(struct gp_segment *seg, uint32_t pool);
/* Whether so many logins at the pool's server are in flight as there may be behind an outage. */
bool gp_outage_slows(struct gp_segment *seg, uint32_t pool);
/* Take the turn for a login. False: somebody else has it. */
bool gp_outage_try(struct gp_segment *seg, uint32_t pool);
/* The login of that turn has failed, and what that says: the next one is due later, or at once for
 * GP_AILS_NOTHING. */
void gp_outage_failed(struct gp_segment *seg, uint32_t pool, uint32_t ailment);
/* A login has succeeded. */
void gp_outage_ended(struct gp_segment *seg, uint32_t pool);
/* The pool's next login is another than those that failed: it has been changed. */
void gp_outage_forget(struct gp_segment *seg, uint32_t pool);

/* How long after so many failures in a row the next login is due; chance: any number. */
uint64_t gp_outage_delay_ns(uint32_t ailment, uint32_t failures, uint64_t chance);

/* Say why the last login failed; after gp_outage_failed. Cut to what fits. */
void gp_outage_tell(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t ailment,
                    const char *sqlstate, const char *text);
/* What was said of the pool itself; false: nothing. */
bool gp_outage_said(struct gp_segment *seg, uint32_t pool, struct gp_outage_words *words);
/* What a wait that began at since_ns has been in vain for; false: for nothing of that kind. */
bool gp_outage_why(struct gp_segment *seg, uint32_t pool, uint64_t since_ns,
                   struct gp_outage_words *words);

#endif
