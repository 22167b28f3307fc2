/* The io_uring back end: what a batch asks of the kernel goes in one system call with the next wait.
 * port.h says how; here is when.
 *
 * A pause asks nothing back from the kernel. What comes is held, and only then the receive is ended.
 *
 * While few connections are at work, a hot wait sleeps outside of the ring (near.c).
 *
 * Cold, libev sleeps, and a door of two is among its descriptors: the ring's bell, which is silent
 * within a step, and the worker's eventfd, for which the kernel does not reliably ring (it rings by an
 * eventfd itself, and does not nest them). Hot, the ring polls libev's set, and only the bell is left
 * in the door. So neither ever wakes itself. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "port.h"

/* Nobody watches a server before it has rested a while: within this it is trusted, then looked at. */
#define GP_TRUST_NS 3000000ull
/* More than this is sent at once, from where it lies. */
#define GP_POST_MAX 8192u
/* Plain reads of one connection before others get their turn: 1 MiB. */
#define GP_READS_PER_TURN 16u

static struct gp_uring *of(struct gp_transport *t)
{
    return (struct gp_uring *)t;
}

static void submit_unless_stepping(struct gp_uring *u)
{
    if (u->stepping)
        return;
    gp_ports_submit(u, false, 0);
    if (u->first < u->count) /* the kernel would take no more before these were out */
        gp_ring_ring(&u->ring);
}

/* ---- a connection's operations ---- */

static enum gp_result uring_attach(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_uring *u = of(t);
    struct gp_port *port = gp_port_of(u, conn);

    if (!port)
        return GP_EIO;
    conn->mode = GP_CONN_READ;
    conn->armed = 1;
    port->watched = port->more = false;
    gp_port_mark(u, port);
    submit_unless_stepping(u);
    return GP_OK;
}

static void rest(struct gp_uring *u, struct gp_port *port)
{
    port->rested_at = u->sweeps;
    port->watched = false;
    if (port->resting)
        return;
    port->resting = true;
    port->next_resting = u->resting;
    u->resting = port;
}

static enum gp_result uring_watch(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_uring *u = of(t);
    struct gp_port *port = gp_port_of(u, conn);

    if (!port)
        return GP_EIO;
    if (port->recv != GP_PORT_NONE)
        abort(); /* it would steal what is another worker's */
    conn->mode = GP_CONN_WATCH;
    conn->armed = 1;
    if (conn->kind == GP_CONN_WAKE && gp_ports_door(u, EPOLL_CTL_ADD, conn->fd) != GP_OK)
        return GP_EIO;
    if (conn->kind == GP_CONN_WAKE)
        u->wake_fd = conn->fd;
    if (conn->kind == GP_CONN_SERVER)
        rest(u, port);
    else
        gp_port_mark(u, port);
    submit_unless_stepping(u);
    return GP_OK;
}

static void uring_resume(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_uring *u = of(t);

    conn->mode = GP_CONN_READ;
    if (conn->ready)
        gp_conn_again(t, conn);
    gp_port_mark(u, conn->port);
    submit_unless_stepping(u);
}

static void uring_detach(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_uring *u = of(t);
    struct gp_port *port = conn->port;

    gp_conn_not_again(t, conn);
    gp_buffer_free(&conn->out);
    conn->armed = conn->ready = 0;
    conn->mode = GP_CONN_OFF;
    if (!port)
        return;
    if (conn->kind == GP_CONN_WAKE) {
        gp_near_disperse(u);
        (void)gp_ports_door(u, EPOLL_CTL_DEL, u->wake_fd); /* hot, it is not in there */
        u->wake_fd = -1;
    }
    conn->port = NULL;
    port->conn = NULL;
    gp_near_leave(u, port);
    gp_buffer_free(&port->held);
    gp_port_mark(u, port);
    submit_unless_stepping(u);
}

/* The kernel is not asked for news of it before it has rested for a while. */
static void uring_lend(struct gp_transport *t, struct gp_conn *conn)
{
    if (conn->port)
        gp_near_leave(of(t), conn->port);
}

static void uring_send(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                       uint32_t count)
{
    struct gp_uring *u = of(t);
    struct gp_port *port = conn->port;
    size_t len = 0;

    for (uint32_t i = 0; i < count; i++)
        len += pieces[i].iov_len;
    if (u->stepping && port && !conn->out && len <= GP_POST_MAX &&
        gp_port_post(u, port, pieces, count, len))
        return;
    if (port && gp_port_posted(u, port))
        gp_ports_submit(u, false, 0);
    if (conn->broken)
        return;
    gp_conn_push(t, conn, pieces, count);
    if (port && conn->out)
        gp_port_mark(u, port);
    submit_unless_stepping(u);
}

static bool uring_sent(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_uring *u = of(t);

    if (conn->port && gp_port_posted(u, conn->port))
        gp_ports_submit(u, false, 0);
    return !conn->out;
}

static bool uring_settle(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_uring *u = of(t);
    struct gp_port *port = conn->port;
    bool sent = uring_sent(t, conn);

    if (!port || port->recv == GP_PORT_NONE)
        return sent && !conn->ready;
    port->stop = port->settling = true;
    gp_port_mark(u, port);
    submit_unless_stepping(u);
    return false;
}

/* ---- deliveries ---- */

/* Received while it may not be delivered. */
static void hold(struct gp_uring *u, struct gp_port *port, const uint8_t *data, size_t len)
{
    struct gp_conn *conn = port->conn;

    port->stop |= port->recv == GP_PORT_ARMED;
    if (conn->starved)
        return;
    if (!gp_buffer_append(&port->held, data, len)) {
        conn->starved = conn->ended = 1; /* with a gap in its stream it cannot go on */
        gp_buffer_free(&port->held);
        gp_on_starved(u->base.user, conn);
        return;
    }
    conn->ready = 1;
    if (conn->mode == GP_CONN_READ)
        gp_conn_again(&u->base, conn);
}

/* The last that a connection has to say has come: its end. */
static void finish(struct gp_uring *u, struct gp_port *port, enum gp_result how)
{
    struct gp_conn *conn = port->conn;

    conn->ended = 1;
    if (conn->mode == GP_CONN_READ && !port->held)
        gp_conn_close_down(&u->base, conn, how);
    else if (conn->mode == GP_CONN_PAUSED && conn->hung && gp_conn_is_clients(conn))
        gp_conn_close_down(&u->base, conn, GP_EIO); /* a server's last words are read first */
    else
        conn->ready = 1;
}

/* What was held, then the end if it has come. */
static void deliver_held(struct gp_uring *u, struct gp_conn *conn)
{
    struct gp_port *port = conn->port;
    struct gp_buffer *held = port->held;

    port->held = NULL;
    conn->ready = 0;
    if (held)
        gp_on_received(u->base.user, conn, gp_buffer_at(held), gp_buffer_len(held));
    gp_buffer_free(&held);
    if (port->conn && conn->ended && conn->mode == GP_CONN_READ)
        gp_conn_close_down(&u->base, conn, GP_EOF);
    else if (port->conn && conn->ended)
        conn->ready = 1;
    gp_port_mark(u, port);
}

static uint32_t deliver_again(struct gp_uring *u)
{
    uint32_t count = 0;

    for (struct gp_conn *conn = u->base.again_head; conn; conn = conn->next)
        count++;
    for (uint32_t i = 0; i < count; i++) {
        struct gp_conn *conn = gp_conn_next_again(&u->base);
        if (!conn)
            break;
        if (conn->broken)
            gp_on_drained(u->base.user, conn);
        else if (conn->mode == GP_CONN_READ)
            deliver_held(u, conn);
    }
    return count;
}

/* Whether the peer will not even read any more: a UNIX socket says at its end only that it ends. */
static bool has_hung_up(int32_t fd)
{
    struct pollfd of_fd = {.fd = fd};

    return poll(&of_fd, 1, 0) == 1 && of_fd.revents & (POLLHUP | POLLERR);
}

static void ended(struct gp_uring *u, struct gp_port *port, enum gp_result how)
{
    port->conn->hung |= how == GP_EIO || has_hung_up(port->fd);
    finish(u, port, how);
}

/* A stream: read on until the socket is empty, reading is stopped, or the turn is over; or until a
 * receive is armed, as happens when the kernel is entered within a delivery: it has the next bytes. */
static void fill(struct gp_uring *u, struct gp_port *port)
{
    struct gp_conn *conn = port->conn;

    for (uint32_t turn = 0; turn < GP_READS_PER_TURN && port->conn; turn++) {
        size_t len, most = gp_memory_rules.read_bytes;

        if (conn->mode != GP_CONN_READ || port->recv != GP_PORT_NONE)
            return;
        enum gp_result result = gp_wire_read(&u->base, conn, u->scratch, most, &len);
        port->more = result == GP_OK && len == most;
        if (result == GP_OK)
            gp_on_received(u->base.user, conn, u->scratch, len);
        else if (result != GP_AGAIN)
            ended(u, port, result);
        if (!port->more)
            return;
    }
}

static void received(struct gp_uring *u, struct gp_port *port, const struct io_uring_cqe *cqe)
{
    struct gp_conn *conn = port->conn;
    uint16_t buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    bool settling = port->settling;

    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        port->recv = GP_PORT_NONE;
        port->stop = port->settling = false;
    }
    port->more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
    if (conn && cqe->res > 0) {
        u->base.counts.recvs++;
        gp_near_lively(u, port);
        const uint8_t *data = gp_ring_buffer(&u->ring, buffer);
        if (conn->mode == GP_CONN_READ && !port->held)
            gp_on_received(u->base.user, conn, data, (size_t)cqe->res);
        else
            hold(u, port, data, (size_t)cqe->res);
    } else if (conn && cqe->res == 0) {
        ended(u, port, GP_EOF);
    } else if (conn && cqe->res != -ECANCELED && cqe->res != -ENOBUFS && cqe->res != -EINTR &&
               cqe->res != -EAGAIN) {
        ended(u, port, GP_EIO);
    } else if (conn && settling && port->recv == GP_PORT_NONE) {
        gp_on_drained(u->base.user, conn);
    }
    if (cqe->flags & IORING_CQE_F_BUFFER)
        gp_ring_recycle(&u->ring, buffer);
    if (cqe->res > 0)
        port->streams = (uint32_t)cqe->res == GP_RING_BUFFER_BYTES;
    if (port->streams && port->recv == GP_PORT_NONE && !port->held)
        fill(u, port);
    else if (port->streams || gp_near_wants(u))
        port->stop |= port->recv == GP_PORT_ARMED;
    gp_port_mark(u, port);
}

static void polled(struct gp_uring *u, struct gp_port *port, const struct io_uring_cqe *cqe)
{
    struct gp_conn *conn = port->conn;
    uint32_t events = cqe->res > 0 ? (uint32_t)cqe->res : 0;

    if (!(cqe->flags & IORING_CQE_F_MORE))
        port->poll = GP_PORT_NONE;
    gp_port_mark(u, port);
    if (!conn || !events)
        return;
    if (conn->mode == GP_CONN_WATCH) {
        gp_on_stirred(u->base.user, conn);
        if (port->conn && conn->mode == GP_CONN_WATCH && conn->kind == GP_CONN_SERVER)
            rest(u, port);
        return;
    }
    conn->hung |= (events & (POLLHUP | POLLERR)) != 0;
    if (conn->out && gp_conn_drain(&u->base, conn))
        gp_on_drained(u->base.user, conn);
    if (port->conn && conn->hung && gp_conn_is_clients(conn) &&
        (conn->mode == GP_CONN_PAUSED || (conn->mode == GP_CONN_READ && conn->ended)))
        gp_conn_close_down(&u->base, conn, GP_EIO);
}

/* Servers at rest and the like are told of in the first pass: one that died must be known before this
 * batch hands it to anyone. */
static void deliver(struct gp_uring *u, uint32_t end, bool watched)
{
    for (uint32_t i = u->first; i < end; i++) {
        struct io_uring_cqe cqe = u->taken[i]; /* a callback may make the array grow */
        struct gp_port *port = (struct gp_port *)(uintptr_t)(cqe.user_data & ~GP_PORT_TAG_BITS);
        bool poll = (cqe.user_data & GP_PORT_TAG_BITS) == GP_PORT_POLL;

        if (!port || (watched && !(poll && port->conn && port->conn->mode == GP_CONN_WATCH)))
            continue;
        u->taken[i].user_data = 0;
        if (poll)
            polled(u, port, &cqe);
        else
            received(u, port, &cqe);
    }
}

static bool uring_pending(const struct gp_transport *t)
{
    const struct gp_uring *u = (const struct gp_uring *)t;

    return t->again_head || u->first < u->count;
}

/* From here on the bell is silent, and completions are taken out of the ring. */
static void enter_step(struct gp_uring *u)
{
    if (!u->stepping)
        gp_ring_mute(&u->ring);
    u->stepping = true;
}

/* From here on the bell tells of them. */
static void leave_step(struct gp_uring *u)
{
    gp_ring_unmute(&u->ring);
    do
        gp_ports_submit(u, true, 0);
    while (u->marked_first);
    u->stepping = false;
    if (uring_pending(&u->base))
        gp_ring_ring(&u->ring);
}

/* Deliver what the kernel has done for one receive so far: it is held, since reading is paused. */
static void take_received(struct gp_uring *u, struct gp_port *port)
{
    uint64_t name = (uint64_t)(uintptr_t)port | GP_PORT_RECV;

    for (uint32_t i = u->first; i < u->count; i++) {
        struct io_uring_cqe cqe = u->taken[i];
        if (cqe.user_data != name)
            continue;
        u->taken[i].user_data = 0;
        received(u, port, &cqe);
    }
}

static const struct gp_buffer *uring_halt(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_uring *u = of(t);
    struct gp_port *port = conn->port;
    bool stepping = u->stepping;

    if (!port)
        return NULL;
    enter_step(u); /* completions are to be taken */
    (void)uring_sent(t, conn);
    take_received(u, port);
    while (port->recv != GP_PORT_NONE) { /* a receive that is asked back ends at once */
        port->stop = true;
        gp_port_mark(u, port);
        gp_ports_submit(u, true, 1);
        take_received(u, port);
    }
    if (!stepping)
        leave_step(u);
    return port->held;
}

/* A port outlives what has been delivered before it in this batch. */
static void read_near(struct gp_uring *u, struct gp_port *port)
{
    if (!port->near)
        return;
    gp_near_lively(u, port);
    fill(u, port);
    gp_port_mark(u, port);
}

static const struct gp_buffer *uring_held(const struct gp_conn *conn)
{
    return conn->port ? conn->port->held : NULL;
}

static uint32_t uring_wait(struct gp_transport *t, bool sleep)
{
    struct gp_uring *u = of(t);

    enter_step(u);
    gp_ports_reuse(u);
    uint32_t again = t->again_head ? deliver_again(u) : 0;
    bool nothing = again == 0 && u->first == u->count;
    uint32_t until = sleep && u->loop_fd != -1 && nothing ? 1 : 0;
    struct gp_port *readable[GP_NEAR_MAX];
    uint32_t near = 0;

    t->counts.waits++;
    t->counts.sleeps += until;
    if (until && u->few)
        near = gp_near_sleep(u, readable);
    else
        gp_ports_submit(u, true, until);
    gp_on_awake(t->user);
    t->called = u->loop_fired;
    u->loop_fired = false;
    uint32_t ready = u->count - u->first < GP_BATCH ? u->count - u->first : GP_BATCH;
    t->counts.ready += ready;
    deliver(u, u->first + ready, true);
    deliver(u, u->first + ready, false);
    u->first += ready;
    if (u->first == u->count)
        u->first = u->count = 0;
    for (uint32_t i = 0; i < near; i++)
        read_near(u, readable[i]);
    t->counts.ready += near;
    return again + ready + near;
}

/* ---- the whole ---- */

static int32_t uring_fd(const struct gp_transport *t)
{
    return ((const struct gp_uring *)t)->door;
}

static enum gp_result uring_heat(struct gp_transport *t, int32_t loop_fd)
{
    struct gp_uring *u = of(t);

    if (u->loop_fd == -1 && gp_ports_door(u, EPOLL_CTL_DEL, u->wake_fd) != GP_OK)
        return GP_EIO;
    u->loop_fd = loop_fd;
    return GP_OK;
}

/* The ring lets go of libev's set before the bell, which that contains, can ring again. */
static bool uring_cool(struct gp_transport *t)
{
    struct gp_uring *u = of(t);
    bool hot = u->loop_fd != -1;

    gp_near_disperse(u);
    gp_ports_leave_loop(u);
    while (u->loop_armed)
        gp_ports_submit(u, true, 1);
    if (hot && gp_ports_door(u, EPOLL_CTL_ADD, u->wake_fd) != GP_OK)
        abort(); /* other workers would wake nobody */
    leave_step(u);
    return true;
}

/* Watch the servers that have not been used for a whole sweep. */
static void uring_sweep(struct gp_transport *t)
{
    struct gp_uring *u = of(t);
    struct gp_port **link = &u->resting, *port;

    u->sweeps++;
    gp_near_sweep(u);
    while ((port = *link)) {
        bool rests = port->conn && port->conn->mode == GP_CONN_WATCH;
        if (rests && u->sweeps - port->rested_at < 2) {
            link = &port->next_resting;
            continue;
        }
        *link = port->next_resting;
        port->resting = false;
        port->watched = rests;
        gp_port_mark(u, port);
    }
    submit_unless_stepping(u);
}

static void uring_free(struct gp_transport *t)
{
    struct gp_uring *u = of(t);

    gp_ring_close(&u->ring);
    if (u->door != -1)
        close(u->door);
    if (u->near_set != -1)
        close(u->near_set);
    gp_ports_free(u);
    free(u);
}

static const struct gp_transport_ops ops = {
    .free = uring_free,
    .fd = uring_fd,
    .wait = uring_wait,
    .pending = uring_pending,
    .heat = uring_heat,
    .cool = uring_cool,
    .sweep = uring_sweep,
    .attach = uring_attach,
    .watch = uring_watch,
    .resume = uring_resume,
    .detach = uring_detach,
    .lend = uring_lend,
    .send = uring_send,
    .sent = uring_sent,
    .settle = uring_settle,
    .halt = uring_halt,
    .held = uring_held,
};

struct gp_transport *gp_transport_uring(struct gp_engine *user)
{
    struct gp_uring *u = calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    u->base.ops = &ops;
    u->base.user = user;
    u->base.trust_ns = GP_TRUST_NS;
    u->loop_fd = u->door = u->wake_fd = u->near_set = -1;
    if (gp_ring_open(&u->ring) == GP_OK && (u->door = epoll_create1(EPOLL_CLOEXEC)) != -1 &&
        (u->near_set = epoll_create1(EPOLL_CLOEXEC)) != -1 &&
        gp_ports_door(u, EPOLL_CTL_ADD, u->ring.bell) == GP_OK)
        return &u->base;
    int why = errno;
    uring_free(&u->base);
    errno = why;
    return NULL;
}
