/* When a pool opens servers. Partners: slot.c, which grants the places of logins; servers.c, which
 * takes what Python has logged in. */
#ifndef GP_GROWTH_H
#define GP_GROWTH_H

#include "relay.h"

/* A login that this worker had in flight has ended, whatever came of it. */
void gp_growth_login_over(struct gp_engine *e, uint32_t pool);

#endif
