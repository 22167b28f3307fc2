/* Completions over sockets, whatever lies below: "these bytes came", "all is sent", "it is closed".
 *
 * Law: only the transport makes system calls on a connection's descriptor while it is attached. It
 * never decides anything: it calls the functions at the end of this file, which engine.c defines. A
 * back end is one file (transport_epoll.c, transport_uring.c) with one table of functions, struct
 * gp_transport_ops; transport.c has what both share. It carries ciphertext where a connection has
 * TLS, and does not know: the relay calls gp_conn_send and its like, TLS is done between them and
 * gp_wire_send (secure.c).
 *
 * A connection's mode:
 *
 *   OFF    --attach-->  READ     bytes are read as they come and delivered by gp_on_received
 *   READ   --pause-->   PAUSED   nothing is delivered: the other side is full, or a server is awaited
 *   PAUSED --resume-->  READ     what came meanwhile is delivered at the next wait
 *   any    --watch-->   WATCH    a server at rest, perhaps another process's: never read from here;
 *                                gp_on_stirred tells
 *   any    --detach-->  OFF
 *
 * Received bytes are gone when the callback returns. Sending never blocks: what the socket does not
 * take is kept in the connection's own buffer, `out`, and gp_on_drained tells when that is empty
 * again. A back end may send at the next wait what it is given within a step: `out` and `broken`
 * tell of it then, and gp_conn_sent and gp_conn_settle do not wait for that. */
#ifndef GP_TRANSPORT_H
#define GP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "buffer.h"
#include "engine.h"
#include "memory.h"

#define GP_SCRATCH_BYTES 65536u /* one read; stays in the second-level cache */
#define GP_BATCH         128u   /* events a wait; PgBouncer's libevent takes 32 and grows */

enum gp_conn_kind {
    GP_CONN_CLIENT = 0,
    GP_CONN_SERVER,
    GP_CONN_WAKE,
    GP_CONN_INBOX,
    GP_CONN_TICK,
    GP_CONN_HASTE,
    GP_CONN_LISTENER,
    GP_CONN_PUMP_CLIENT, /* pump.h: both ends of one */
    GP_CONN_PUMP_WORKER
};

enum gp_conn_mode { GP_CONN_OFF = 0, GP_CONN_READ, GP_CONN_PAUSED, GP_CONN_WATCH };

struct gp_port; /* what the kernel does for a connection: transport_uring.c's own */

struct gp_conn {
    int32_t fd;
    uint8_t kind;        /* enum gp_conn_kind; the owner's struct begins with this one */
    uint8_t mode;        /* enum gp_conn_mode */
    uint8_t armed : 1;   /* the back end knows it: what happens to it is noticed */
    uint8_t full : 1;    /* epoll is asked to tell when there is room to send */
    uint8_t ready : 1;   /* there is something to deliver that nothing will announce again */
    uint8_t hung : 1;    /* both directions are closed (reset, or a UNIX peer that is gone) */
    uint8_t ended : 1;   /* the peer has closed its direction (a read that comes up short is not the
                           last) */
    uint8_t broken : 1;  /* sending failed: nothing more can be said; relay.c clears it away in its
                           turn */
    uint8_t queued : 1;  /* in the list below */
    uint8_t starved : 1; /* it needed memory and had none: relay.c ends it in its turn */
    struct gp_conn *next;  /* transport's list of connections to deliver again */
    struct gp_buffer *out; /* unsent bytes */
    struct gp_port *port;
    struct gp_tls *tls; /* NULL: plain; the owner's to free */
};

/* Whether the other end is an application: when it is gone, nobody wants to hear the rest. */
static inline bool gp_conn_is_clients(const struct gp_conn *conn)
{
    return conn->kind == GP_CONN_CLIENT || conn->kind == GP_CONN_PUMP_CLIENT;
}

/* Pieces that leave in one send: bytes where they lie, and small ones copied into spare. Whoever
 * fills it flushes it before the bytes move. Adjacent pieces become one. There is room for a pipeline
 * of ten and more statements, each of which takes two pieces, the first of them spare. */
#define GP_PIECES      64u
#define GP_SPARE_BYTES 1024u

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
    const uint8_t *end;   /* of the last piece; NULL: there is none */
    size_t bytes;         /* gathered and flushed so far */
    uint32_t count;       /* of pieces */
    uint32_t spare_used;
    struct iovec pieces[GP_PIECES];
    uint8_t spare[GP_SPARE_BYTES];
};

/* ---- what a back end implements; contracts stand at the functions below ---- */

struct gp_transport_ops {
    void (*free)(struct gp_transport *t);
    int32_t (*fd)(const struct gp_transport *t);
    uint32_t (*wait)(struct gp_transport *t, bool sleep);
    bool (*pending)(const struct gp_transport *t);
    enum gp_result (*heat)(struct gp_transport *t, int32_t loop_fd);
    bool (*cool)(struct gp_transport *t);
    void (*sweep)(struct gp_transport *t);
    enum gp_result (*attach)(struct gp_transport *t, struct gp_conn *conn);
    enum gp_result (*watch)(struct gp_transport *t, struct gp_conn *conn);
    void (*resume)(struct gp_transport *t, struct gp_conn *conn);
    void (*detach)(struct gp_transport *t, struct gp_conn *conn);
    void (*lend)(struct gp_transport *t, struct gp_conn *conn);
    void (*send)(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                 uint32_t count);
    bool (*sent)(struct gp_transport *t, struct gp_conn *conn);
    bool (*settle)(struct gp_transport *t, struct gp_conn *conn);
    const struct gp_buffer *(*halt)(struct gp_transport *t, struct gp_conn *conn);
    const struct gp_buffer *(*held)(const struct gp_conn *conn);
};

/* One a worker; a back end's own begins with it. */
struct gp_transport {
    const struct gp_transport_ops *ops;
    struct gp_engine *user; /* passed to the callbacks */
    struct gp_engine_counts counts;
    uint64_t trust_ns;             /* a server at rest for longer is looked at before it is used */
    bool called;                   /* the last wait was ended by libev's set */
    struct gp_transport_ops still; /* gp_transport_still: as `moving`, but nothing resumes */
    const struct gp_transport_ops
        *moving; /* ... and what stands in `ops` otherwise; NULL: it does */
    struct gp_conn *again_head, *again_tail; /* connections that are `ready`, no event to come */
};

/* NULL: errno. */
struct gp_transport *gp_transport_epoll(struct gp_engine *user);
/* NULL: errno tells what the kernel lacks or forbids. */
struct gp_transport *gp_transport_uring(struct gp_engine *user);

/* NULL: there is nothing to free. */
static inline void gp_transport_free(struct gp_transport *t)
{
    if (t)
        t->ops->free(t);
}

/* Readable when there is work; not while hot. */
static inline int32_t gp_transport_fd(const struct gp_transport *t)
{
    return t->ops->fd(t);
}

/* Deliver what is ready, one batch; sleep until something is, if that is asked for and the
 * transport is hot. Gives the number of completions; fewer than GP_BATCH means that nothing else
 * was ready. */
static inline uint32_t gp_transport_wait(struct gp_transport *t, bool sleep)
{
    return t->ops->wait(t, sleep);
}

/* Whether the next wait has something to deliver already. */
static inline bool gp_transport_pending(const struct gp_transport *t)
{
    return t->ops->pending(t);
}

/* From here on waits may sleep, and are also ended by loop_fd (libev's own descriptor, which
 * contains gp_transport_fd). GP_EIO: it stays cold. */
static inline enum gp_result gp_transport_heat(struct gp_transport *t, int32_t loop_fd)
{
    return t->ops->heat(t, loop_fd);
}

/* The step returns to libev: all that was sent is given to the sockets, and gp_transport_fd is what
 * it promises again. False: but for something that the next wait has to deliver already. */
static inline bool gp_transport_cool(struct gp_transport *t)
{
    return t->ops->cool(t);
}

/* What goes by time; about every 100 ms, not within a step. */
static inline void gp_transport_sweep(struct gp_transport *t)
{
    if (t->ops->sweep)
        t->ops->sweep(t);
}

/* Begin to read. GP_EIO: errno. The descriptor is nonblocking already. */
static inline enum gp_result gp_conn_attach(struct gp_transport *t, struct gp_conn *conn)
{
    return t->ops->attach(t, conn);
}

/* Only of a connection that is settled, or was never read. GP_EIO: errno. */
static inline enum gp_result gp_conn_watch(struct gp_transport *t, struct gp_conn *conn)
{
    return t->ops->watch(t, conn);
}

static inline void gp_conn_pause(struct gp_conn *conn)
{
    if (conn->mode == GP_CONN_READ)
        conn->mode = GP_CONN_PAUSED;
}

static inline void gp_conn_resume(struct gp_transport *t, struct gp_conn *conn)
{
    if (conn->mode == GP_CONN_PAUSED)
        t->ops->resume(t, conn);
}

/* Stop everything; unsent bytes are dropped. The descriptor stays open and is the caller's again.
 */
static inline void gp_conn_detach(struct gp_transport *t, struct gp_conn *conn)
{
    t->ops->detach(t, conn);
}

/* Of a watched server: another worker has it now, and its next bytes are that one's. What is cheaper
 * of these: it stays watched, or is detached. */
static inline void gp_conn_lend(struct gp_transport *t, struct gp_conn *conn)
{
    t->ops->lend(t, conn);
}

/* Send in order after what is unsent. On failure the connection is broken: within this call nothing
 * is called back, later gp_on_drained is. */
static inline void gp_wire_sendv(struct gp_transport *t, struct gp_conn *conn,
                                 const struct iovec *pieces, uint32_t count)
{
    if (!conn->broken)
        t->ops->send(t, conn, pieces, count);
}

static inline void gp_wire_send(struct gp_transport *t, struct gp_conn *conn, const uint8_t *data,
                                size_t len)
{
    struct iovec piece = {.iov_base = (void *)data, .iov_len = len};

    gp_wire_sendv(t, conn, &piece, 1);
}

/* Whether the socket has taken all that was sent. Otherwise gp_on_drained tells when it has. */
static inline bool gp_conn_sent(struct gp_transport *t, struct gp_conn *conn)
{
    return t->ops->sent(t, conn);
}

/* The same, and nothing is being read, so that another process may use the socket: nobody may have a
 * server before that. */
static inline bool gp_conn_settle(struct gp_transport *t, struct gp_conn *conn)
{
    return t->ops->settle(t, conn);
}

/* Of a paused connection: end at once all that the kernel does for it, so that another process may
 * have the socket with what is unread in it. Gives what was received and not delivered, still the
 * connection's (NULL: nothing); unsent bytes are in `out`. It may be found closed meanwhile
 * (gp_on_closed). A resume, and all is as before. */
static inline const struct gp_buffer *gp_conn_halt(struct gp_transport *t, struct gp_conn *conn)
{
    return t->ops->halt(t, conn);
}

/* What was received and not delivered; NULL: nothing. */
static inline const struct gp_buffer *gp_conn_held(const struct gp_transport *t,
                                                   const struct gp_conn *conn)
{
    return t->ops->held(conn);
}

/* ---- transport.c, for any back end ---- */

/* From here on a paused connection stays paused, whoever resumes it; or no longer. */
void gp_transport_still(struct gp_transport *t, bool still);
/* Read once into buf without waiting: GP_OK and *len, GP_AGAIN, GP_EOF or GP_EIO. */
enum gp_result gp_wire_read(struct gp_transport *t, struct gp_conn *conn, uint8_t *buf, size_t cap,
                            size_t *len);

/* Only for back ends: EPOLL_CTL_ADD, _MOD or _DEL of a descriptor (-1: nothing to do) in a set of
 * epoll's. GP_EIO: errno. */
enum gp_result gp_set_in(int32_t set, int op, int32_t fd, uint32_t events, void *stands_for);
/* ... give the socket what it takes now and keep the rest in `out`. */
void gp_conn_push(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                  uint32_t count);
/* ... there is room again: empty `out` as far as it goes. True: it is empty, or the connection
 * broken, which gp_on_drained is to tell. */
bool gp_conn_drain(struct gp_transport *t, struct gp_conn *conn);
/* ... reading is over. */
void gp_conn_close_down(struct gp_transport *t, struct gp_conn *conn, enum gp_result how);
/* ... into the list of those to be delivered again, out of it, and its first (NULL: empty). */
void gp_conn_again(struct gp_transport *t, struct gp_conn *conn);
void gp_conn_not_again(struct gp_transport *t, struct gp_conn *conn);
struct gp_conn *gp_conn_next_again(struct gp_transport *t);

/* ---- secure.c: connections with TLS, on any back end ---- */
void gp_secure_sendv(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                     uint32_t count);
enum gp_result gp_secure_read(struct gp_transport *t, struct gp_conn *conn, uint8_t *buf,
                              size_t cap, size_t *len);
/* Plaintext of what a back end has received: at most this much for one buffer of it. */
#define GP_SECURE_BYTES (GP_SCRATCH_BYTES + 18432u)
/* As gp_tls_open; answers of TLS itself are sent. */
enum gp_result gp_secure_open(struct gp_transport *t, struct gp_conn *conn, const uint8_t *data,
                              size_t len, uint8_t *plain, size_t cap, size_t *got);
/* Say that no more follows, behind what is unsent. */
void gp_secure_end(struct gp_transport *t, struct gp_conn *conn);

/* ---- what the relay calls ---- */

/* As gp_wire_send. */
static inline void gp_conn_send(struct gp_transport *t, struct gp_conn *conn, const uint8_t *data,
                                size_t len)
{
    if (conn->tls)
        gp_secure_sendv(t, conn, &(struct iovec){.iov_base = (void *)data, .iov_len = len}, 1);
    else
        gp_wire_send(t, conn, data, len);
}

static inline void gp_conn_sendv(struct gp_transport *t, struct gp_conn *conn,
                                 const struct iovec *pieces, uint32_t count)
{
    if (conn->tls)
        gp_secure_sendv(t, conn, pieces, count);
    else
        gp_wire_sendv(t, conn, pieces, count);
}

/* For a server that is about to be used: GP_OK and *len, GP_AGAIN, GP_EOF, GP_EPROTO or GP_EIO. */
static inline enum gp_result gp_conn_read(struct gp_transport *t, struct gp_conn *conn,
                                          uint8_t *buf, size_t cap, size_t *len)
{
    return conn->tls ? gp_secure_read(t, conn, buf, cap, len)
                     : gp_wire_read(t, conn, buf, cap, len);
}

/* The last thing that is said on it. */
static inline void gp_conn_end(struct gp_transport *t, struct gp_conn *conn)
{
    if (conn->tls)
        gp_secure_end(t, conn);
}

/* ---- gather.c, for any back end ---- */
void gp_gather_begin(struct gp_gather *g, struct gp_transport *t, struct gp_conn *conn);
/* Only for gp_gather_add: a new piece; a copy for heal.h. */
void gp_gather_piece(struct gp_gather *g, const uint8_t *data, size_t len);
void gp_gather_keep(struct gp_kept *kept, const uint8_t *data, size_t len);

/* Bytes that stay where they are until the flush. */
static inline void gp_gather_add(struct gp_gather *g, const uint8_t *data, size_t len)
{
    if (len == 0)
        return;
    if (g->keep)
        gp_gather_keep(g->keep, data, len);
    g->bytes += len;
    if (data == g->end)
        g->pieces[g->count - 1].iov_len += len;
    else
        gp_gather_piece(g, data, len);
    g->end = data + len;
}

/* Bytes that may go away: copied, or sent at once if they are many. */
void gp_gather_copy(struct gp_gather *g, const uint8_t *data, size_t len);
void gp_gather_flush(struct gp_gather *g);

/* ---- implemented by the engine ---- */

/* A wait is over: the time to look at the clock. */
void gp_on_awake(struct gp_engine *engine);
void gp_on_received(struct gp_engine *engine, struct gp_conn *conn, const uint8_t *data,
                    size_t len);
/* GP_EOF: the peer will send no more. GP_EIO: the connection is dead. Called once; reading has
 * stopped. */
void gp_on_closed(struct gp_engine *engine, struct gp_conn *conn, enum gp_result how);
void gp_on_drained(struct gp_engine *engine, struct gp_conn *conn);
/* What it sent had to be dropped for want of memory: it is `starved`, and reading is over. */
void gp_on_starved(struct gp_engine *engine, struct gp_conn *conn);
/* Something happened on a watched connection, a wake-up, an inbox or a tick. */
void gp_on_stirred(struct gp_engine *engine, struct gp_conn *conn);

#endif
