/* SUSPEND: a worker reads nothing more from the clients that it has let in, nor from their servers, and
 * sends what is unsent. RESUME ends it. The wish is a fact in the segment (controls.c); each worker
 * finds it in its sweep, within 100 ms.
 *
 *     MOVING --wish--> STILL --no wish--> MOVING
 *
 * Still, every connection that is read is paused and let go of by the kernel, and none can be resumed
 * (gp_transport_still): what events in between begin to read is stopped again by the next sweep. A
 * sweep that found nobody being read, and nothing unsent, says so in gp_common_worker.still: whoever
 * said SUSPEND waits for that of all workers.
 *
 * Others go on logging in, for the administrator may be one of them; what they ask then waits. No
 * time-out of a request counts meanwhile. Who leaves in order is read at the end of it; whose
 * connection breaks is noticed at once, and its server, which cannot be cleaned, closed. */
#ifndef GP_SUSPEND_H
#define GP_SUSPEND_H

#include "relay.h"

/* Not within a step. */
void gp_suspend_sweep(struct gp_engine *e);

#endif
