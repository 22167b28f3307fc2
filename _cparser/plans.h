/* Plans that are known: what clients like those who have been here follow, looked up by what they
 * show before they are asked anything. So a login whose like was here needs no Python.
 *
 *     who:    | host, zero | of its TLS, if it has any: 'T', binding |
 *     packet: | StartupMessage, its length word included |
 *
 * Host is the text of its address, empty on a UNIX socket. Python may put more into `who` (a
 * certificate): such clients are found by Python alone. The key is a keyed hash of both of 128 bits
 * (statements.h), so nobody outside can make two alike.
 *
 * A plan with terms holds as long as nothing newer is told of its pool's parameters (notes.h), from
 * which the terms were made. GP_PLANS_MAX are known at a time; the oldest goes first. Contracts of
 * the public functions: engine_clients.h. Partners: guests.c, greenpool/worker/planning.py. */
#ifndef GP_PLANS_H
#define GP_PLANS_H

#include "plan.h"
#include "relay.h"

#define GP_PLANS_MAX 2048u /* an application has one for each host that it runs on */

/* The plan for such a client; NULL: none is known. */
struct gp_plan *gp_plans_find(struct gp_engine *e, struct gp_span who, struct gp_span packet);
void gp_plans_free(struct gp_engine *e);

#endif
