/* Settings that clients have changed, for the log (log_client_parameter_status_changes): what
 * PostgreSQL reports by ParameterStatus while a client has the server.
 *
 * Python is told by one GP_EVENT_CHANGED and then takes them one by one (gp_change_take). So many are
 * kept until it does; who changes more within one step is not worth the memory. */
#ifndef GP_CHANGES_H
#define GP_CHANGES_H

#include "relay.h"

#define GP_CHANGES_MAX 32u

/* A ParameterStatus, whole, goes to this server's client. */
void gp_change_note(struct gp_engine *e, const struct gp_server *s, const uint8_t *body,
                    size_t len);
void gp_changes_free(struct gp_engine *e);

#endif
