/* What may last for a certain time and no longer: a client's rest, a transaction, a query, a COPY.
 *
 * No timer is set and no clock is read for any of it. Whatever changes notes the time of its batch
 * (since_ns, query_ns, moved_ns), as it does for the statistics; one sweep over the clients of this
 * worker, twice a second, compares that with the limits of the pool. So each is late by half a
 * second at most. The table stands in deadlines.c. The wait for a server is queue.c's. */
#ifndef GP_DEADLINES_H
#define GP_DEADLINES_H

#include "relay.h"

void gp_deadlines_sweep(struct gp_engine *e);

#endif
