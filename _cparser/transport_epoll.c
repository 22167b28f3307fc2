/* The epoll back end: edge-triggered, a descriptor is registered once. Who contains whom:
 *
 *   cold:  libev's set > door > ours > sockets     libev sleeps; the door is readable when ours is
 *   hot:   libev's set > door                      we sleep; libev's set is one of our descriptors
 *          ours > sockets, libev's set
 *
 * Sets of sets must not form a ring, and libev does not take a descriptor out of its set when its
 * watcher stops: the door can be emptied behind its back. So a hot wait is one system call, as in a
 * pooler without Python.
 *
 * Output interest is asked for only while something is unsent, since a UNIX socket reports every
 * byte its peer reads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport.h"

/* Reads of one connection before others get their turn: 1 MiB. */
#define GP_READS_PER_TURN 16u
/* How long a server at rest is trusted: events of its end come before it is used, but for a race. */
#define GP_TRUST_NS 50000000ull

/* Of a connection, besides the room to send. */
#define GP_EVENTS ((uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLET)

struct epoll {
    struct gp_transport base;
    int32_t epfd; /* ours */
    int32_t door;
    int32_t loop_fd; /* hot: libev's set; -1: cold */
    _Alignas(16) uint8_t scratch[GP_SCRATCH_BYTES];
};

static struct epoll *of(struct gp_transport *t)
{
    return (struct epoll *)t;
}

/* Stands for libev's set among the events. */
static struct gp_conn loop_marker;

static void epoll_free(struct gp_transport *t)
{
    struct epoll *p = of(t);

    if (p->epfd != -1)
        close(p->epfd);
    if (p->door != -1)
        close(p->door);
    free(p);
}

static int32_t epoll_fd(const struct gp_transport *t)
{
    return ((const struct epoll *)t)->door;
}

static enum gp_result epoll_heat(struct gp_transport *t, int32_t loop_fd)
{
    struct epoll *p = of(t);

    if (p->loop_fd != -1)
        return GP_OK;
    if (gp_set_in(p->door, EPOLL_CTL_DEL, p->epfd, EPOLLIN, NULL) != GP_OK)
        return GP_EIO;
    if (gp_set_in(p->epfd, EPOLL_CTL_ADD, loop_fd, EPOLLIN, &loop_marker) == GP_OK) {
        p->loop_fd = loop_fd;
        return GP_OK;
    }
    if (gp_set_in(p->door, EPOLL_CTL_ADD, p->epfd, EPOLLIN, NULL) != GP_OK)
        abort(); /* libev would never call again */
    return GP_EIO;
}

static bool epoll_cool(struct gp_transport *t)
{
    struct epoll *p = of(t);

    if (p->loop_fd == -1)
        return !t->again_head;
    if (gp_set_in(p->epfd, EPOLL_CTL_DEL, p->loop_fd, EPOLLIN, NULL) != GP_OK ||
        gp_set_in(p->door, EPOLL_CTL_ADD, p->epfd, EPOLLIN, NULL) != GP_OK)
        abort(); /* libev would never call again */
    p->loop_fd = -1;
    return !t->again_head;
}

static bool epoll_pending(const struct gp_transport *t)
{
    return t->again_head != NULL;
}

static enum gp_result arm(struct gp_transport *t, struct gp_conn *conn)
{
    if (conn->armed)
        return GP_OK;
    if (gp_set_in(of(t)->epfd, EPOLL_CTL_ADD, conn->fd, GP_EVENTS, conn) != GP_OK)
        return GP_EIO;
    conn->armed = 1;
    return GP_OK;
}

/* Ask for, or stop asking for, the news that there is room to send. */
static void want_room(struct gp_transport *t, struct gp_conn *conn, bool want)
{
    uint32_t events = GP_EVENTS | (want ? EPOLLOUT : 0u);

    if (!conn->armed || conn->full == want)
        return;
    if (gp_set_in(of(t)->epfd, EPOLL_CTL_MOD, conn->fd, events, conn) != GP_OK)
        conn->broken = 1;
    else
        conn->full = want;
}

static enum gp_result epoll_attach(struct gp_transport *t, struct gp_conn *conn)
{
    enum gp_result result = arm(t, conn);

    if (result == GP_OK) {
        conn->mode = GP_CONN_READ;
        if (conn->ready)
            gp_conn_again(t, conn);
    }
    return result;
}

static enum gp_result epoll_watch(struct gp_transport *t, struct gp_conn *conn)
{
    conn->mode = GP_CONN_WATCH;
    conn->ready = 0;
    gp_conn_not_again(t, conn);
    return arm(t, conn);
}

static void epoll_resume(struct gp_transport *t, struct gp_conn *conn)
{
    conn->mode = GP_CONN_READ;
    if (conn->ready)
        gp_conn_again(t, conn);
}

static void epoll_detach(struct gp_transport *t, struct gp_conn *conn)
{
    gp_conn_not_again(t, conn);
    if (conn->armed && gp_set_in(of(t)->epfd, EPOLL_CTL_DEL, conn->fd, 0, NULL) != GP_OK)
        conn->broken = 1; /* the descriptor is not what we thought: never touch it again */
    conn->armed = conn->full = conn->ready = 0;
    conn->mode = GP_CONN_OFF;
    gp_buffer_free(&conn->out);
}

static void epoll_send(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                       uint32_t count)
{
    gp_conn_push(t, conn, pieces, count);
    if (conn->out && !conn->broken)
        want_room(t, conn, true);
}

static bool epoll_sent(struct gp_transport *t, struct gp_conn *conn)
{
    (void)t;
    return !conn->out;
}

/* Nothing goes on between waits. */
static const struct gp_buffer *epoll_halt(struct gp_transport *t, struct gp_conn *conn)
{
    (void)t;
    (void)conn;
    return NULL;
}

static const struct gp_buffer *epoll_held(const struct gp_conn *conn)
{
    (void)conn;
    return NULL; /* it stays in the socket */
}

/* Room to send again. */
static void drain(struct gp_transport *t, struct gp_conn *conn)
{
    if (!conn->out || !gp_conn_drain(t, conn))
        return;
    want_room(t, conn, false);
    gp_on_drained(t->user, conn);
}

/* Read until the socket is empty, reading is stopped by the receiver, or the turn is over. */
static void fill(struct gp_transport *t, struct gp_conn *conn)
{
    struct epoll *p = of(t);

    for (uint32_t turn = 0; conn->mode == GP_CONN_READ; turn++) {
        size_t len, most = gp_memory_rules.read_bytes;

        if (turn == GP_READS_PER_TURN) {
            gp_conn_again(t, conn);
            return;
        }
        enum gp_result result = gp_wire_read(t, conn, p->scratch, most, &len);
        if (result == GP_AGAIN) {
            conn->ready = 0;
            return;
        }
        if (result != GP_OK) {
            gp_conn_close_down(t, conn, result);
            return;
        }
        /* A short read of a stream empties it: the next byte brings a new edge. */
        conn->ready = len == most || conn->ended;
        bool more = conn->ready;
        gp_on_received(t->user, conn, p->scratch, len);
        if (!more)
            return;
    }
}

static void deliver(struct gp_transport *t, struct gp_conn *conn, uint32_t events)
{
    if (!conn->armed)
        return; /* detached earlier in this batch */
    if (conn->mode == GP_CONN_WATCH) {
        gp_on_stirred(t->user, conn);
        return;
    }
    if (events & (EPOLLHUP | EPOLLERR))
        conn->hung = conn->ended = 1;
    if (events & EPOLLRDHUP)
        conn->ended = 1;
    if (events & EPOLLOUT)
        drain(t, conn);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        conn->ready = 1;
        if (conn->mode == GP_CONN_READ)
            fill(t, conn);
        else if (conn->mode == GP_CONN_PAUSED && conn->hung && gp_conn_is_clients(conn))
            gp_conn_close_down(t, conn, GP_EIO); /* a server's last words are read first */
    }
}

/* Connections that were left with bytes unread: each gets one more turn. */
static uint32_t deliver_again(struct gp_transport *t)
{
    uint32_t count = 0;

    for (struct gp_conn *conn = t->again_head; conn; conn = conn->next)
        count++;
    for (uint32_t i = 0; i < count; i++) {
        struct gp_conn *conn = gp_conn_next_again(t);
        if (!conn)
            break;
        if (conn->mode == GP_CONN_READ)
            fill(t, conn);
    }
    return count;
}

static uint32_t wait_batch(struct gp_transport *t, bool sleep)
{
    struct epoll *p = of(t);
    struct epoll_event events[GP_BATCH];
    uint32_t count = t->again_head ? deliver_again(t) : 0;
    int timeout = sleep && p->loop_fd != -1 && count == 0 ? -1 : 0;
    int n;

    t->called = false;
    t->counts.waits++;
    t->counts.sleeps += timeout == -1;
    do
        n = epoll_wait(p->epfd, events, GP_BATCH, timeout);
    while (n == -1 && errno == EINTR);
    gp_on_awake(t->user);
    if (n == -1)
        return count;
    t->counts.ready += (uint64_t)n;
    /* Servers at rest first: one that died must be known before this batch hands it to anyone. */
    for (int i = 0; i < n; i++) {
        struct gp_conn *conn = events[i].data.ptr;
        if (conn == &loop_marker)
            t->called = true;
        if (conn == &loop_marker || conn->mode == GP_CONN_WATCH) {
            deliver(t, conn, events[i].events);
            events[i].data.ptr = NULL;
        }
    }
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr)
            deliver(t, events[i].data.ptr, events[i].events);
    return count + (uint32_t)n;
}

static const struct gp_transport_ops ops = {
    .free = epoll_free,
    .fd = epoll_fd,
    .wait = wait_batch,
    .pending = epoll_pending,
    .heat = epoll_heat,
    .cool = epoll_cool,
    .attach = epoll_attach,
    .watch = epoll_watch,
    .resume = epoll_resume,
    .detach = epoll_detach,
    .lend = epoll_detach, /* each answer would wake this worker, too */
    .send = epoll_send,
    .sent = epoll_sent,
    .settle = epoll_sent, /* nothing is being read between waits */
    .halt = epoll_halt,
    .held = epoll_held,
};

struct gp_transport *gp_transport_epoll(struct gp_engine *user)
{
    struct epoll *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->base.ops = &ops;
    p->base.user = user;
    p->base.trust_ns = GP_TRUST_NS;
    p->loop_fd = -1;
    p->epfd = epoll_create1(EPOLL_CLOEXEC);
    p->door = epoll_create1(EPOLL_CLOEXEC);
    if (p->epfd == -1 || p->door == -1 ||
        gp_set_in(p->door, EPOLL_CTL_ADD, p->epfd, EPOLLIN, NULL) != GP_OK) {
        epoll_free(&p->base);
        return NULL;
    }
    return &p->base;
}
