/* What each client holds of its worker's memory, told in its row for SHOW and metrics.
 *
 * The words of memory.h are exact and know no clients. This is looked at twice a second, with the
 * deadlines, and costs a query nothing: whose figure it is may have read it all since. */
#ifndef GP_SHARES_H
#define GP_SHARES_H

#include "relay.h"

void gp_share_tell(struct gp_engine *e, const struct gp_client *c);

#endif
