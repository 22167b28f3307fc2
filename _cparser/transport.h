/* Completions over sockets, whatever lies below: "these bytes came", "all is sent", "it is closed".
 *
 * Law: only the transport makes system calls on a connection's descriptor while it is attached. It
 * never decides anything: it calls the functions at the end of this file, which engine.c defines. A
 * back end is one file (transport_epoll.c; io_uring comes beside it) that implements the functions
 * in the middle.
 *
 * A connection's mode:
 *
 *   OFF    --attach-->  READ     bytes are read as they come and delivered by gp_on_received
 *   READ   --pause-->   PAUSED   nothing is read: the other side is full, or a server is awaited
 *   PAUSED --resume-->  READ     what came meanwhile is delivered at the next wait
 *   any    --watch-->   WATCH    a server at rest, perhaps another process's: never read from here;
 *                                gp_on_stirred tells
 *   any    --detach-->  OFF
 *
 * Received bytes lie in the worker's one scratch buffer and are gone when the callback returns.
 * Sending never blocks: what the socket does not take is copied into the connection's own buffer,
 * and gp_on_drained tells when that is empty again. */
#ifndef GP_TRANSPORT_H
#define GP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "buffer.h"
#include "engine.h"

#define GP_SCRATCH_BYTES 65536u /* one read; stays in the second-level cache */
#define GP_BATCH         128u   /* events a wait; PgBouncer's libevent takes 32 and grows */

enum gp_conn_kind { GP_CONN_CLIENT = 0, GP_CONN_SERVER, GP_CONN_WAKE, GP_CONN_INBOX, GP_CONN_TICK };

enum gp_conn_mode { GP_CONN_OFF = 0, GP_CONN_READ, GP_CONN_PAUSED, GP_CONN_WATCH };

struct gp_conn {
    int32_t fd;
    uint8_t kind;       /* enum gp_conn_kind; the owner's struct begins with this one */
    uint8_t mode;       /* enum gp_conn_mode */
    uint8_t armed : 1;  /* registered in the kernel's set */
    uint8_t full : 1;   /* the kernel is asked to tell when there is room to send */
    uint8_t ready : 1;  /* readable as far as we know: an edge was seen and not read to its end */
    uint8_t hung : 1;   /* both directions are closed (reset, or a UNIX peer that is gone) */
    uint8_t ended : 1;  /* the peer has closed its direction (a read that comes up short is not the
                           last) */
    uint8_t broken : 1; /* sending failed: nothing more can be said; relay.c clears it away in its
                           turn */
    uint8_t queued : 1; /* in the list below */
    struct gp_conn *next;  /* transport's list of connections to read again */
    struct gp_buffer *out; /* unsent bytes */
};

/* Pieces that leave in one send: bytes where they lie, and small ones copied into spare. Whoever
 * fills it flushes it before the bytes move. Adjacent pieces become one. */
#define GP_PIECES      16u
#define GP_SPARE_BYTES 512u

/* A copy of what was sent (heal.h). */
#define GP_KEPT_BYTES 8192u

struct gp_kept {
    uint32_t len;
    uint32_t answered; /* messages of these that have been answered */
    uint32_t segment;  /* of the first of them */
    uint32_t over;     /* it is too much, or too late */
    uint8_t bytes[GP_KEPT_BYTES];
};

struct gp_gather {
    struct gp_transport *transport;
    struct gp_conn *conn;
    struct gp_kept *keep; /* NULL: what is gathered is not kept */
    size_t bytes;         /* gathered and flushed so far */
    uint32_t count;       /* of pieces */
    uint32_t spare_used;
    struct iovec pieces[GP_PIECES];
    uint8_t spare[GP_SPARE_BYTES];
};

struct gp_transport; /* one a worker; the back end's own */

/* ---- implemented by a back end ---- */

/* user: passed to the callbacks. NULL: errno. */
struct gp_transport *gp_transport_new(struct gp_engine *user);
void gp_transport_free(struct gp_transport *t);
/* Readable when there is work; not while hot. */
int32_t gp_transport_fd(const struct gp_transport *t);
struct gp_engine_counts *gp_transport_counts(struct gp_transport *t);

/* Deliver what is ready, one batch; sleep until something is, if that is asked for and the
 * transport is hot. Gives the number of completions; fewer than GP_BATCH means that nothing else
 * was ready. */
uint32_t gp_transport_wait(struct gp_transport *t, bool sleep);
/* Whether connections wait to be read again without a new edge. */
bool gp_transport_pending(const struct gp_transport *t);
/* From here on waits may sleep, and are also ended by loop_fd (libev's own descriptor, which
 * contains gp_transport_fd). GP_EIO: it stays cold. */
enum gp_result gp_transport_heat(struct gp_transport *t, int32_t loop_fd);
/* Back to what gp_transport_fd promises; before the step returns to libev. */
void gp_transport_cool(struct gp_transport *t);
/* Whether the last wait was ended by loop_fd. */
bool gp_transport_called(const struct gp_transport *t);

/* Begin to read. GP_EIO: errno. The descriptor is nonblocking already. */
enum gp_result gp_conn_attach(struct gp_transport *t, struct gp_conn *conn);
enum gp_result gp_conn_watch(struct gp_transport *t, struct gp_conn *conn);
void gp_conn_pause(struct gp_transport *t, struct gp_conn *conn);
void gp_conn_resume(struct gp_transport *t, struct gp_conn *conn);
/* Stop everything; unsent bytes are dropped. The descriptor stays open and is the caller's again.
 */
void gp_conn_detach(struct gp_transport *t, struct gp_conn *conn);
/* Send in order after what is unsent. On failure the connection is broken; nothing is called back.
 */
void gp_conn_send(struct gp_transport *t, struct gp_conn *conn, const uint8_t *data, size_t len);
/* The same for pieces. */
void gp_conn_sendv(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                   uint32_t count);

/* ---- gather.c, for any back end ---- */
void gp_gather_begin(struct gp_gather *g, struct gp_transport *t, struct gp_conn *conn);
/* Bytes that stay where they are until the flush. */
void gp_gather_add(struct gp_gather *g, const uint8_t *data, size_t len);
/* Bytes that may go away: copied, or sent at once if they are many. */
void gp_gather_copy(struct gp_gather *g, const uint8_t *data, size_t len);
void gp_gather_flush(struct gp_gather *g);

/* Read once into buf without waiting: GP_OK and *len, GP_AGAIN, GP_EOF or GP_EIO. For a server that
 * is about to be used. */
enum gp_result gp_conn_read(struct gp_transport *t, struct gp_conn *conn, uint8_t *buf, size_t cap,
                            size_t *len);

/* ---- implemented by the engine ---- */

/* A wait is over: the time to look at the clock. */
void gp_on_awake(struct gp_engine *engine);
void gp_on_received(struct gp_engine *engine, struct gp_conn *conn, const uint8_t *data,
                    size_t len);
/* GP_EOF: the peer will send no more. GP_EIO: the connection is dead. Called once; reading has
 * stopped. */
void gp_on_closed(struct gp_engine *engine, struct gp_conn *conn, enum gp_result how);
void gp_on_drained(struct gp_engine *engine, struct gp_conn *conn);
/* Something happened on a watched connection, a wake-up, an inbox or a tick. */
void gp_on_stirred(struct gp_engine *engine, struct gp_conn *conn);

#endif
