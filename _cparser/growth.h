/* When a pool opens servers: with care, for a login costs PostgreSQL a process, and what is opened is
 * kept for long. Partners: queue.c, which keeps those who wait; slot.c, which grants the places of
 * logins, so that there are never more in flight than the pool and the house allow.
 *
 * A client that finds no server is in haste or patient:
 *
 *     joins --in haste---------------------------------------> wants a login
 *         \--patient --its time is over (gp_growth_due)-------/
 *                   \--a server comes, or the client leaves--> nothing has been opened
 *
 * In haste is, who looks at the pool and finds (gp_growth_verdict, the first that is true)
 *
 *     COLD      fewer servers than scaling_warm_pool_ratio per cent of pool_size;
 *     CROWD     more clients than scaling_fast_retries waiting, logins in flight set off;
 *     LASTING   that somebody has waited here, without a break, for GP_LASTING_NS: no mere gap;
 *     SLOW      that as many servers as it needs to come back take longer for that than a login, or
 *               that none can be foreseen to (session mode, none open).
 *
 * Everyone else is patient for as long as scaling_fast_retries servers take to come back, one
 * millisecond at least, and as long as a login takes at most: so to have waited in vain costs no more
 * than the login that would have been opened in vain. In a full pool nobody need be either.
 *
 * A worker has one login in flight for each of its clients in haste, unless those of other workers
 * will do for them. Whatever comes, a new server or an old one, goes to the oldest waiter of all;
 * so a login may become superfluous before it has begun: gp_server_spare.
 *
 * A verdict is made where a client joins the queue of a pool that is not full, and nowhere else. Time
 * is kept by one timer for all of them (struct gp_engine: haste), set when somebody is patient. */
#ifndef GP_GROWTH_H
#define GP_GROWTH_H

#include "relay.h"

/* What a client sees of the pool when it has joined the queue. */
struct gp_outlook {
    uint32_t warm;      /* servers that the pool opens without hesitation */
    uint32_t retries;   /* scaling_fast_retries */
    uint32_t used;      /* servers that there are, those that log in included */
    uint32_t opening;   /* these */
    uint32_t near;      /* open ones that could be given to a client of this worker */
    uint32_t waiting;   /* clients, over all workers */
    uint64_t kept_ns;   /* how long a server is kept, on average; 0: not known */
    uint64_t login_ns;  /* what a login takes, or what a patient client has time for */
    uint64_t lasted_ns; /* for how long the queue has been there */
    bool by_session;    /* servers are kept by sessions, not by transactions */
};

/* Says how long it is patient; 0: it is in haste, for the reason in *haste. */
uint64_t gp_growth_verdict(const struct gp_outlook *outlook, enum gp_haste *haste);

/* A client has joined the queue and is still in it. */
void gp_growth_joined(struct gp_engine *e, struct gp_queue *q, struct gp_client *c);
/* It is about to leave the queue; served: by a server that has come. */
void gp_growth_left(struct gp_engine *e, struct gp_queue *q, struct gp_client *c, bool served);
/* Whether more logins are wanted, by clients in haste and for servers that were old (lifetimes.h), than
 * it has in flight. */
bool gp_growth_wanted(const struct gp_queue *q);
/* Those whose time is over are in haste from now on. */
void gp_growth_due(struct gp_engine *e);
/* A slot has been claimed: have it logged in. */
void gp_growth_begin(struct gp_engine *e, struct gp_queue *q, uint32_t slot);
/* A login that this worker had in flight has ended. */
void gp_growth_login_over(struct gp_engine *e, uint32_t pool);
/* ... with a server: how long it took is what the next are expected to take. Before gp_slot_opened. */
void gp_growth_logged_in(struct gp_engine *e, uint32_t pool, uint32_t slot);

#endif
