/* What a worker does about the administrator's wishes, which controls.c keeps. */
#ifndef GP_OBEY_H
#define GP_OBEY_H

#include "relay.h"

/* Obey what has been said of a client: to be called when one comes, for that may have been said while
 * it logged in or was between two workers. */
void gp_obey_client(struct gp_engine *e, struct gp_client *c);
/* Obey what has been said since the last look. Not within a step. */
void gp_obey_sweep(struct gp_engine *e);

#endif
