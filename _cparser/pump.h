/* A client with TLS is served by another worker, and its session stays here: what came from it goes
 * on decrypted, what is said to it is encrypted, and nothing is looked at.
 *
 *     client ==TLS== socket | CLIENT  pump  WORKER | pair --------- | worker that has the client
 *                           +---- this process ----+
 *
 * The other end of the pair is the client's descriptor for whoever has the client, who knows nothing
 * of this: it passes it on to the next worker, and hands that over at the next upgrade, as it would a
 * socket. The pump does not notice.
 *
 *   AT REST --start--> at work --over--> freed when the batch is over
 *      ^                  |
 *      +------leave-------+     in the process that goes on with it: start
 *
 * Bounds: an end is not read while the other has something unsent, so a pump owns at most what one
 * read brings, in each direction; the pair holds what the kernel lets it. What one end ends the other
 * is told behind all that came before; when the worker has said its last, the client has GP_CLOSING_NS
 * to take it.
 *
 * A pump knows nothing of the segment. A worker that ends leaves its pumps to a process of their own
 * (gp_engine_leave_pumps), which lasts until the last of these clients has gone and needs neither a
 * master nor a worker's place. */
#ifndef GP_PUMP_H
#define GP_PUMP_H

#include "relay.h"

struct gp_pump;
struct gp_luggage;

/* A pump with a pair, whose other end is in *far, the caller's; held: what has been received from the
 * client and not been decrypted (copied; NULL: nothing). NULL: no descriptors, or no memory. */
struct gp_pump *gp_pump_new(const struct gp_buffer *held, int32_t *far);
/* Take descriptor, session and unsent bytes of a client's connection, which is detached next. */
void gp_pump_take(struct gp_pump *pump, struct gp_conn *conn);
/* Give them back to the client of this luggage, and be gone. */
void gp_pump_give_back(struct gp_pump *pump, struct gp_luggage *luggage);
/* Give up one that never was at work. NULL: nothing. */
void gp_pump_free(struct gp_pump *pump);
/* Begin to work. It ends by itself. */
void gp_pump_start(struct gp_engine *e, struct gp_pump *pump);

void gp_pump_received(struct gp_engine *e, struct gp_conn *conn, const uint8_t *data, size_t len);
void gp_pump_closed(struct gp_engine *e, struct gp_conn *conn, enum gp_result how);
void gp_pump_drained(struct gp_engine *e, struct gp_conn *conn);
/* End those whose time is over. */
void gp_pumps_sweep(struct gp_engine *e);
/* Free those that are over. */
void gp_pumps_bury(struct gp_engine *e);
void gp_pumps_free(struct gp_engine *e);

static inline bool gp_conn_is_pumps(const struct gp_conn *conn)
{
    return conn->kind == GP_CONN_PUMP_CLIENT || conn->kind == GP_CONN_PUMP_WORKER;
}

#endif
