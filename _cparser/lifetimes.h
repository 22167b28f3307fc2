/* How long servers are kept: idle_timeout, server_lifetime, what retains them, and their
 * replacement before their time is over. Part of the census (servers.c): once a second each worker
 * looks at the servers that are its own at that moment.
 *
 *   opened ------------- used ----------------> ripe --------> over
 *                                               95 %           server_lifetime, give or take 20 %
 *
 * RIPE, and in use (it has a client, or had one since it could have been ripe; or min_pool_size keeps
 * it): another is opened behind it, and then its own time is over. Where the pool is full it is closed
 * first, while it rests, and its place taken at once; likewise if it never rests, when it is over. So
 * the pool never has more than its size, and who comes finds a server. One at a time in a worker and
 * pool.
 *
 * OVER: it ends at its next release, or at rest. Of those at rest, and of those that idle_timeout ends,
 * a pool loses retain_connections_max in each retain_connections_time, counted over all workers. */
#ifndef GP_LIFETIMES_H
#define GP_LIFETIMES_H

#include "relay.h"

/* Why this idle server must go now, or GP_REASON_NONE. spare: the pool has more than its minimum. */
enum gp_reason gp_lifetime_over(struct gp_engine *e, uint32_t pool, uint32_t slot, bool spare);
/* Have one that is ripe, and IDLE or ACTIVE of this worker, replaced. used: servers of the pool. */
void gp_lifetime_renew(struct gp_engine *e, uint32_t pool, uint32_t slot, uint32_t used);
/* Whether a place of one that has ended is still to be taken again. */
bool gp_lifetime_owes(struct gp_engine *e, uint32_t pool);
/* A login of this worker has ended; before it is told to anybody. */
void gp_lifetime_login(struct gp_engine *e, struct gp_queue *q, uint32_t slot, bool opened);

/* When a server is ripe that was opened then and expires then. */
uint64_t gp_lifetime_ripe_ns(uint64_t opened_ns, uint64_t expires_ns);
/* Take one of the closings that a pool may have in this period. */
bool gp_lifetime_allows(struct gp_segment *seg, uint32_t pool, uint64_t now_ns);

#endif
