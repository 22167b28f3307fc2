/* The kernel's side of a connection on io_uring: what it does for it now, what is wanted of it, and
 * the entries that bring the one to the other. Partner: transport_uring.c, which wants things and
 * delivers what completes.
 *
 * A port outlives its connection until every operation has ended, so no completion can name a
 * connection that is gone:
 *
 *   recv, poll:  NONE --armed--> ARMED --asked back--> ENDING
 *                ^                 |                     |
 *                |_________________|_____________________|   its last completion is delivered
 *
 * Nobody arms anything at once. Whatever changes marks the port, and before the kernel is entered
 * each marked port is compared with what its connection wants: a server that is released and taken
 * again within a batch costs nothing.
 *
 *   a receive   in READ. Of a client many (multishot), of a server one: at rest, when another worker
 *               may use the socket, none is armed (gp_conn_settle sees to that). One that fills its
 *               buffer begins a stream, which is read by plain calls, and of a client one by one.
 *   a poll      for room for `out`; for news of a wake-up, an inbox, a tick; of a server that has been
 *               at rest for a while; of the death of a client from which nothing is received. One
 *               too many does no harm: it ends by itself.
 *
 * Sends are nonblocking and over when the enter that submits them returns; they complete silently
 * unless the socket took less than all. So their bytes lie in an arena that is empty after each
 * enter, no connection owns a buffer for them, and a wait is not ended by them.
 *
 * While few connections are at work, those are near: nothing is armed for them, the worker sleeps in
 * a set of its own and reads them by plain calls (near.c).
 *
 * All completions are taken out of the ring after each enter, before anything is delivered: the ring
 * does not stay full, and a failed send is known before its connection sends again. */
#ifndef GP_PORT_H
#define GP_PORT_H

#include "transport.h"
#include "uring.h"

#define GP_ARENA_BYTES 262144u
/* So many connections with traffic are few: some clients, each with its server. */
#define GP_FEW      8u
#define GP_NEAR_MAX 16u

/* In the low bits of a completion's user_data; above them is the port. */
enum gp_port_tag {
    GP_PORT_RECV = 0,
    GP_PORT_POLL,
    GP_PORT_SEND,
    GP_PORT_LOOP,  /* no port: libev's set is ready */
    GP_PORT_NOBODY /* no port: asking back found nothing */
};
#define GP_PORT_TAG_BITS 7ull

enum gp_port_operation { GP_PORT_NONE = 0, GP_PORT_ARMED, GP_PORT_ENDING };

struct gp_port {
    struct gp_conn *conn; /* NULL: detached */
    struct gp_port *next; /* marked, or free */
    struct gp_port *next_resting;
    struct gp_buffer *held; /* received, not delivered */
    int32_t fd;
    uint32_t posted_at, posted; /* bytes in the arena ... */
    uint64_t epoch;             /* ... of this epoch; older ones are gone */
    uint32_t rested_at;         /* sweep count */
    uint32_t lively_at;         /* ... of the last delivery */
    uint16_t polled;            /* events of the poll */
    uint8_t recv, poll;         /* enum gp_port_operation */
    bool marked, freed, resting;
    bool stop;     /* the receive is to end */
    bool settling; /* ... and who waits for that is to be told */
    bool more;     /* the last receive left something unread */
    bool streams;  /* the last receive filled its buffer */
    bool watched;  /* at rest long enough */
    bool near;     /* in the near set */
};

struct gp_port_slab;

struct gp_uring {
    struct gp_transport base;
    struct gp_ring ring;
    int32_t loop_fd; /* hot: libev's set; -1: cold */
    int32_t door;    /* what libev watches: transport_uring.c */
    int32_t wake_fd; /* ... and what is in it besides the bell; -1: nothing */
    bool loop_armed, loop_fired;
    bool stepping;  /* between a wait and the next cool: the kernel is entered later */
    uint64_t epoch; /* grows with each submit */
    uint32_t arena_used, sweeps;
    uint32_t posts; /* connections that have bytes in the arena */
    struct gp_port *marked_first, *marked_last;
    struct gp_port *resting;
    struct gp_port *free, *freed; /* freed: not to be used again within the batch */
    struct gp_port_slab *slabs;
    bool few;        /* near.c: at the last sweep they were, and are still ... */
    bool listening;  /* ... and the bell rings within the step, for the near set */
    uint32_t lively; /* connections that had something since that sweep */
    uint32_t near_count;
    int32_t near_set;
    struct gp_port *near[GP_NEAR_MAX];
    struct io_uring_cqe *taken; /* out of the ring; first..count are to be delivered */
    uint32_t first, count, cap;
    uint8_t arena[GP_ARENA_BYTES];
    uint8_t scratch[GP_SCRATCH_BYTES];
};

/* The connection's port, a new one if it has none. NULL: errno. */
struct gp_port *gp_port_of(struct gp_uring *u, struct gp_conn *conn);
/* Have it compared with what its connection wants; before the kernel is entered again. */
void gp_port_mark(struct gp_uring *u, struct gp_port *port);
/* Let the ports that were freed be used again: no completion in hand names them. */
void gp_ports_reuse(struct gp_uring *u);
void gp_ports_free(struct gp_uring *u);

/* Whether its connection is to be read. */
static inline bool gp_port_wants_recv(const struct gp_port *port)
{
    const struct gp_conn *conn = port->conn;

    return conn && conn->mode == GP_CONN_READ && !conn->ended && !port->held;
}

/* Copy into the arena, behind what the connection has there already. False: it is full. */
bool gp_port_post(struct gp_uring *u, struct gp_port *port, const struct iovec *pieces,
                  uint32_t count, size_t len);
/* Bytes in the arena that the kernel has not been given. */
static inline uint32_t gp_port_posted(const struct gp_uring *u, const struct gp_port *port)
{
    return port->epoch == u->epoch ? port->posted : 0;
}

/* Have the kernel do all that is marked: sends are over then. events: run what it has deferred;
 * until: sleep until there are so many completions. */
void gp_ports_submit(struct gp_uring *u, bool events, uint32_t until);
/* EPOLL_CTL_ADD, EPOLL_CTL_DEL: a descriptor (-1: none) into the door or out. GP_EIO: errno. */
enum gp_result gp_ports_door(struct gp_uring *u, int op, int32_t fd);
/* The ring is to let go of libev's set with the next submit; loop_armed tells when it has. */
void gp_ports_leave_loop(struct gp_uring *u);

/* ---- near.c ---- */

/* Count a connection that has something, and find out when these are few no more. */
void gp_near_lively(struct gp_uring *u, struct gp_port *port);
/* Begin to count anew. */
void gp_near_sweep(struct gp_uring *u);
/* Whether what is armed for a port is to end, so that it can be near. */
bool gp_near_wants(const struct gp_uring *u);
/* Instead of arming a receive. False: it is to be armed. */
bool gp_near_take(struct gp_uring *u, struct gp_port *port);
/* It is far again, if it was near, and looked at before the kernel is entered. */
void gp_near_leave(struct gp_uring *u, struct gp_port *port);
/* None is near any more; what they want is armed with the next submit. */
void gp_near_disperse(struct gp_uring *u);
/* Submit, and sleep until something is there: completions are collected, libev's call is noted, and
 * the near ports that can be read are copied. Gives their number. */
uint32_t gp_near_sleep(struct gp_uring *u, struct gp_port *readable[GP_NEAR_MAX]);

#endif
