#include "port.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PORTS_A_SLAB 64u

struct gp_port_slab {
    struct gp_port_slab *next;
    struct gp_port ports[PORTS_A_SLAB];
};

/* ---- ports ---- */

struct gp_port *gp_port_of(struct gp_uring *u, struct gp_conn *conn)
{
    if (conn->port)
        return conn->port;
    int type;
    socklen_t size = sizeof(type);
    if (conn->kind <= GP_CONN_SERVER &&
        getsockopt(conn->fd, SOL_SOCKET, SO_TYPE, &type, &size) == -1)
        return NULL; /* what is not a socket is refused here, as by epoll, not by a completion */
    if (!u->free) {
        struct gp_port_slab *slab = calloc(1, sizeof(*slab));
        if (!slab)
            return NULL;
        slab->next = u->slabs;
        u->slabs = slab;
        for (uint32_t i = 0; i < PORTS_A_SLAB; i++) {
            slab->ports[i].next = u->free;
            u->free = &slab->ports[i];
        }
    }
    struct gp_port *port = u->free;
    u->free = port->next;
    *port = (struct gp_port){.conn = conn, .fd = conn->fd, .epoch = u->epoch};
    conn->port = port;
    return port;
}

void gp_port_mark(struct gp_uring *u, struct gp_port *port)
{
    if (port->marked || port->freed)
        return;
    port->marked = true;
    port->next = NULL;
    if (u->marked_last)
        u->marked_last->next = port;
    else
        u->marked_first = port;
    u->marked_last = port;
}

static void port_free(struct gp_uring *u, struct gp_port *port)
{
    port->freed = true;
    port->next = u->freed;
    u->freed = port;
}

void gp_ports_reuse(struct gp_uring *u)
{
    while (u->freed) {
        struct gp_port *port = u->freed;
        u->freed = port->next;
        port->next = u->free;
        u->free = port;
    }
}

void gp_ports_free(struct gp_uring *u)
{
    while (u->slabs) {
        struct gp_port_slab *slab = u->slabs;
        u->slabs = slab->next;
        for (uint32_t i = 0; i < PORTS_A_SLAB; i++)
            gp_buffer_free(&slab->ports[i].held);
        free(slab);
    }
    free(u->taken);
}

/* ---- what is to be sent ---- */

bool gp_port_post(struct gp_uring *u, struct gp_port *port, const struct iovec *pieces,
                  uint32_t count, size_t len)
{
    uint32_t before = gp_port_posted(u, port);
    bool last = before && port->posted_at + before == u->arena_used;

    if (len + (last ? 0 : before) > GP_ARENA_BYTES - u->arena_used)
        return false;
    if (!last) {
        if (before)
            memcpy(u->arena + u->arena_used, u->arena + port->posted_at, before);
        port->posted_at = u->arena_used;
        u->arena_used += before;
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(u->arena + u->arena_used, pieces[i].iov_base, pieces[i].iov_len);
        u->arena_used += (uint32_t)pieces[i].iov_len;
    }
    port->posted = before + (uint32_t)len;
    port->epoch = u->epoch;
    u->posts += before == 0;
    u->base.counts.sends += before == 0;
    gp_port_mark(u, port);
    return true;
}

/* ---- completions, as they come out of the ring ---- */

/* A send whose socket did not take all, or failed. The bytes are still in the arena. */
static void sent_less(struct gp_uring *u, struct gp_port *port, int32_t result)
{
    struct gp_conn *conn = port->conn;
    uint32_t taken = result > 0 ? (uint32_t)result : 0;

    u->base.counts.sent_partial++;
    conn->broken |= result < 0 && result != -EAGAIN && result != -EINTR;
    if (!conn->broken &&
        !gp_buffer_append(&conn->out, u->arena + port->posted_at + taken, port->posted - taken))
        conn->broken = conn->starved = 1;
    if (conn->broken)
        gp_conn_again(&u->base, conn); /* gp_on_drained tells */
    port->posted = 0;
    gp_port_mark(u, port);
}

static void keep(struct gp_uring *u, const struct io_uring_cqe *cqe)
{
    if (u->count == u->cap) {
        uint32_t cap = u->cap ? u->cap * 2 : GP_RING_COMPLETIONS;
        struct io_uring_cqe *grown = realloc(u->taken, cap * sizeof(*grown));
        if (!grown)
            abort(); /* a lost completion is a connection that never ends */
        u->taken = grown;
        u->cap = cap;
    }
    u->taken[u->count++] = *cqe;
}

static void take(struct gp_uring *u, const struct io_uring_cqe *cqe)
{
    struct gp_port *port = (struct gp_port *)(uintptr_t)(cqe->user_data & ~GP_PORT_TAG_BITS);

    switch ((enum gp_port_tag)(cqe->user_data & GP_PORT_TAG_BITS)) {
    case GP_PORT_RECV:
    case GP_PORT_POLL:
        keep(u, cqe);
        break;
    case GP_PORT_SEND:
        sent_less(u, port, cqe->res);
        break;
    case GP_PORT_LOOP:
        u->loop_armed = false;
        u->loop_fired |= cqe->res != -ECANCELED;
        break;
    case GP_PORT_NOBODY: /* what was to be asked back had ended */
        break;
    }
}

static void collect(struct gp_uring *u)
{
    struct gp_ring *r = &u->ring;

    for (;;) {
        uint32_t head = atomic_load_explicit(r->cq_head, memory_order_relaxed);
        /* acquire: pairs with the kernel's release of completions that are whole */
        uint32_t tail = atomic_load_explicit(r->cq_tail, memory_order_acquire);

        for (; head != tail; head++)
            take(u, &r->cqes[head & r->cq_mask]);
        atomic_store_explicit(r->cq_head, head, memory_order_release); /* the room is free */
        if (!(atomic_load_explicit(r->sq_flags, memory_order_relaxed) & IORING_SQ_CQ_OVERFLOW))
            return;
        if (gp_ring_enter(r, true, 0) == GP_EIO) /* the kernel has kept what found no room */
            abort();
    }
}

/* ---- what goes into the kernel ---- */

/* Enter until all that is filled has been taken; sleep until there are so many completions. */
static void enter(struct gp_uring *u, bool events, uint32_t until)
{
    do {
        enum gp_result result = gp_ring_enter(&u->ring, events, until);
        if (result == GP_EIO)
            abort(); /* the ring is not what we thought: no connection can go on */
        if (u->stepping || (result == GP_AGAIN && errno == EBUSY))
            collect(u); /* outside of a step completions stay, and the door tells of them */
    } while (gp_ring_filled(&u->ring));
}

static struct io_uring_sqe *entry(struct gp_uring *u, uint8_t opcode, int32_t fd,
                                  struct gp_port *port, enum gp_port_tag tag)
{
    struct io_uring_sqe *sqe;

    while (!(sqe = gp_ring_entry(&u->ring)))
        enter(u, false, 0);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->user_data = (uint64_t)(uintptr_t)port | tag;
    return sqe;
}

static void ask_back(struct gp_uring *u, struct gp_port *port, enum gp_port_tag tag)
{
    struct io_uring_sqe *sqe = entry(u, IORING_OP_ASYNC_CANCEL, -1, NULL, GP_PORT_NOBODY);

    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->addr = (uint64_t)(uintptr_t)port | tag;
}

static void send_now(struct gp_uring *u, struct gp_port *port)
{
    struct iovec piece = {.iov_base = u->arena + port->posted_at, .iov_len = port->posted};

    port->posted = 0;
    u->base.counts.sends--; /* it was counted when it was posted */
    gp_conn_push(&u->base, port->conn, &piece, 1);
    if (port->conn->broken)
        gp_conn_again(&u->base, port->conn); /* gp_on_drained tells */
}

/* What is alone, and is not followed by a wait in the ring, goes cheaper by a plain call. */
static void submit_send(struct gp_uring *u, struct gp_port *port)
{
    if (u->near_count && u->posts == 1) {
        send_now(u, port);
        return;
    }
    struct io_uring_sqe *sqe = entry(u, IORING_OP_SEND, port->fd, port, GP_PORT_SEND);

    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->addr = (uint64_t)(uintptr_t)(u->arena + port->posted_at);
    sqe->len = port->posted;
    /* WAITALL: less than all counts as a failure, which is not silent; DONTWAIT: it does not wait */
    sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
}

static void submit_recv(struct gp_uring *u, struct gp_port *port)
{
    struct io_uring_sqe *sqe = entry(u, IORING_OP_RECV, port->fd, port, GP_PORT_RECV);

    sqe->flags = IOSQE_BUFFER_SELECT;
    if (gp_memory_rules.read_bytes < GP_RING_BUFFER_BYTES)
        sqe->len = gp_memory_rules.read_bytes; /* which many at a time would not obey */
    else if (port->conn->kind == GP_CONN_CLIENT && !port->streams)
        sqe->ioprio = IORING_RECV_MULTISHOT;
    else if (!port->more)
        sqe->ioprio = IORING_RECVSEND_POLL_FIRST; /* the request is only on its way */
    port->recv = GP_PORT_ARMED;
}

/* The kernel wants the halves swapped on big-endian machines. */
static uint32_t poll_mask(uint16_t events)
{
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? (uint32_t)events << 16 : events;
}

static bool at_rest(const struct gp_port *port)
{
    return port->conn->mode == GP_CONN_WATCH && port->conn->kind == GP_CONN_SERVER;
}

static void submit_poll(struct gp_uring *u, struct gp_port *port, uint16_t events)
{
    struct io_uring_sqe *sqe = entry(u, IORING_OP_POLL_ADD, port->fd, port, GP_PORT_POLL);

    sqe->poll32_events = poll_mask(events);
    /* Many: told of changes, as by edge-triggered epoll. One of a socket whose peer has closed its
     * direction would end at once each time, since the kernel tells of that with any events. */
    if (!at_rest(port))
        sqe->len = IORING_POLL_ADD_MULTI;
    port->polled = events;
    port->poll = GP_PORT_ARMED;
}

/* The events to poll for; 0: none. Errors and the end of both directions come with any. */
static uint16_t wants_poll(const struct gp_port *port)
{
    const struct gp_conn *conn = port->conn;

    if (at_rest(port))
        return port->watched ? POLLIN | POLLRDHUP : 0;
    if (conn->mode == GP_CONN_WATCH)
        return POLLIN;
    if (conn->out && !conn->broken)
        return POLLOUT;
    if (gp_conn_is_clients(conn) && port->recv == GP_PORT_NONE && !gp_port_wants_recv(port) &&
        !conn->hung && !port->near)
        return POLLHUP;
    return 0;
}

static void reconcile_detached(struct gp_uring *u, struct gp_port *port)
{
    if (port->recv == GP_PORT_ARMED) {
        ask_back(u, port, GP_PORT_RECV);
        port->recv = GP_PORT_ENDING;
    }
    if (port->poll == GP_PORT_ARMED) {
        ask_back(u, port, GP_PORT_POLL);
        port->poll = GP_PORT_ENDING;
    }
    if (port->recv == GP_PORT_NONE && port->poll == GP_PORT_NONE && !port->resting && !port->marked)
        port_free(u, port);
}

static void reconcile(struct gp_uring *u, struct gp_port *port)
{
    if (!port->conn) {
        reconcile_detached(u, port);
        return;
    }
    if (gp_port_posted(u, port))
        submit_send(u, port);
    if (port->recv == GP_PORT_ARMED && port->stop) {
        ask_back(u, port, GP_PORT_RECV);
        port->recv = GP_PORT_ENDING;
    } else if (port->recv == GP_PORT_NONE && gp_port_wants_recv(port) && !gp_near_take(u, port)) {
        submit_recv(u, port);
    }
    uint16_t events = wants_poll(port);
    if (port->poll == GP_PORT_NONE && events) {
        submit_poll(u, port, events);
    } else if (port->poll == GP_PORT_ARMED && port->polled != events &&
               !(port->polled & POLLIN && events == 0)) { /* that of a server at rest ends itself */
        ask_back(u, port, GP_PORT_POLL);
        port->poll = GP_PORT_ENDING;
    }
}

/* Fill entries for all that is marked. */
static void fill(struct gp_uring *u)
{
    struct gp_port *port = u->marked_first, *next;

    u->marked_first = u->marked_last = NULL;
    for (; port; port = next) {
        next = port->next;
        port->marked = false;
        reconcile(u, port);
    }
    if (u->loop_fd != -1 && !u->loop_armed && !u->few) {
        entry(u, IORING_OP_POLL_ADD, u->loop_fd, NULL, GP_PORT_LOOP)->poll32_events =
            poll_mask(POLLIN);
        u->loop_armed = true;
    }
}

void gp_ports_submit(struct gp_uring *u, bool events, uint32_t until)
{
    fill(u);
    if (events || gp_ring_filled(&u->ring))
        enter(u, events, until);
    u->arena_used = u->posts = 0;
    u->epoch++;
}

enum gp_result gp_ports_door(struct gp_uring *u, int op, int32_t fd)
{
    return gp_set_in(u->door, op, fd, EPOLLIN, NULL);
}

void gp_ports_leave_loop(struct gp_uring *u)
{
    u->loop_fd = -1;
    if (u->loop_armed)
        ask_back(u, NULL, GP_PORT_LOOP);
}
