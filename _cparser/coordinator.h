/* Who gets a place of a database (database.h) when there are not enough: pure looks at the segment,
 * so that whoever looks comes to the same answer. Partner: evict.c, which does what is decided here.
 *
 * A *claimant* is a pool with clients that wait and no login in flight for all of them, that could
 * begin one more at once (room below its pool_size and its limit of logins, not paused, not ailing).
 * Claimants stand in line:
 *
 *   for an ordinary place   starving ones first, then by the arrival of their oldest client
 *   for one of the reserve  starving ones first, then by how many wait, then by arrival
 *
 * Starving is a pool with fewer servers than it is guaranteed (the greater of
 * min_guaranteed_pool_size and min_pool_size), or with none. What a pool has beyond its guarantee is
 * its *surplus*; a server that is closing already is nobody's.
 *
 * When a pool finds no place:
 *
 *   1. another pool closes one: that which has the largest surplus and an idle server that is older
 *      than min_connection_lifetime; of equals the one with the higher p95 of transaction times. The
 *      server that has been idle for the longest goes. A place that is about to come free counts: no
 *      more servers are closed than there are clients to be served.
 *   2. a pool that is never idle cedes: it closes a server at its release instead of giving it to its
 *      own next client, if it has a surplus, the server is older than min_connection_lifetime, and
 *      the first in line is starving where the pool, with one server less, would not be; or else has
 *      waited for more than twice as long as the pool's own oldest client.
 *   3. once its oldest client has waited for reserve_pool_timeout, it takes a place of the reserve,
 *      unless all that are left there are for those who stand before it.
 *
 * A place that comes free is for the first in line: its workers are woken, and others leave it alone
 * while it is fresh (GP_FRESH_NS), so that nothing is lost with who was woken and died. */
#ifndef GP_COORDINATOR_H
#define GP_COORDINATOR_H

#include "database.h"

/* Wants are renewed by each sweep of a worker (100 ms); one that is older is nobody's any more. */
#define GP_WANTED_NS 1000000000ull
#define GP_FRESH_NS  1000000000ull

/* Whether a claim of this pool may take a place now; a look, that spares a claim that would have to be
 * undone. Pools without a limit: always. */
bool gp_coordinator_admits(struct gp_segment *seg, uint32_t pool, bool reserve);

/* Places came free: wake who deserves one, if anybody has asked lately. */
void gp_coordinator_freed(struct gp_segment *seg, struct gp_database *d);

/* Say that a pool wants a place and has found none. */
void gp_coordinator_want(struct gp_segment *seg, struct gp_database *d, uint64_t now_ns);

/* What a pool whose clients wait can do. */
enum gp_relief {
    GP_RELIEF_WAIT,    /* what it needs is on its way; or it needs no place */
    GP_RELIEF_CLAIM,   /* a place is free for it: gp_pool_claim */
    GP_RELIEF_EVICT,   /* close the idle server in *victim */
    GP_RELIEF_RESERVE, /* gp_pool_claim_reserve */
    GP_RELIEF_DENIED   /* there is none to be had */
};

struct gp_victim {
    uint32_t pool, slot;
};

enum gp_relief gp_coordinator_relief(struct gp_segment *seg, uint32_t pool, uint64_t now_ns,
                                     struct gp_victim *victim);

/* Whether a server of a limited pool that comes free is to be closed for another pool's sake. */
bool gp_coordinator_cedes(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint64_t now_ns);

/* Whether anybody in the line of this database waits for a place. */
bool gp_coordinator_contested(struct gp_segment *seg, struct gp_database *d, uint64_t now_ns);

/* The first in line for an ordinary place; UINT32_MAX: nobody. */
uint32_t gp_coordinator_first(struct gp_segment *seg, struct gp_database *d, uint64_t now_ns);

#endif
