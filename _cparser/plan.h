/* What is to be done with a client that logs in: how it proves who it is, and what it is let in to.
 * Python decides and makes a plan once; all clients that are alike share it, and C follows it.
 *
 * Law: a plan does not change; it lives as long as Python or a login has it, and is wiped then.
 * Contracts of the public functions: engine_clients.h. Partners: login.c, which proves; entrance.c,
 * which lets in. */
#ifndef GP_PLAN_H
#define GP_PLAN_H

#include <stdatomic.h>

#include "engine.h"
#include "protocol.h"

struct gp_plan {
    _Atomic uint32_t refs; /* collectors of garbage run in any thread */
    struct gp_plan_settings is;
    uint8_t texts[]; /* what pointers of `is` point to */
};

struct gp_plan *gp_plan_share(struct gp_plan *plan);

#endif
