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

struct gp_transport {
    struct gp_engine *user;
    int32_t epfd; /* ours */
    int32_t door;
    int32_t loop_fd;                         /* hot: libev's set; -1: cold */
    bool called;                             /* libev's set was ready at the last wait */
    struct gp_conn *again_head, *again_tail; /* connections with more to read, no edge to come */
    struct gp_engine_counts counts;
    uint8_t scratch[GP_SCRATCH_BYTES];
};

/* Stands for libev's set among the events. */
static struct gp_conn loop_marker;

static enum gp_result set_in(int32_t set, int op, int32_t fd, struct gp_conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

    return epoll_ctl(set, op, fd, &event) == -1 ? GP_EIO : GP_OK;
}

struct gp_transport *gp_transport_new(struct gp_engine *user)
{
    struct gp_transport *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->user = user;
    t->loop_fd = -1;
    t->epfd = epoll_create1(EPOLL_CLOEXEC);
    t->door = epoll_create1(EPOLL_CLOEXEC);
    if (t->epfd == -1 || t->door == -1 || set_in(t->door, EPOLL_CTL_ADD, t->epfd, NULL) != GP_OK) {
        gp_transport_free(t);
        return NULL;
    }
    return t;
}

void gp_transport_free(struct gp_transport *t)
{
    if (!t)
        return;
    if (t->epfd != -1)
        close(t->epfd);
    if (t->door != -1)
        close(t->door);
    free(t);
}

int32_t gp_transport_fd(const struct gp_transport *t)
{
    return t->door;
}

enum gp_result gp_transport_heat(struct gp_transport *t, int32_t loop_fd)
{
    if (t->loop_fd != -1)
        return GP_OK;
    if (set_in(t->door, EPOLL_CTL_DEL, t->epfd, NULL) != GP_OK)
        return GP_EIO;
    if (set_in(t->epfd, EPOLL_CTL_ADD, loop_fd, &loop_marker) == GP_OK) {
        t->loop_fd = loop_fd;
        return GP_OK;
    }
    if (set_in(t->door, EPOLL_CTL_ADD, t->epfd, NULL) != GP_OK)
        abort(); /* libev would never call again */
    return GP_EIO;
}

void gp_transport_cool(struct gp_transport *t)
{
    if (t->loop_fd == -1)
        return;
    if (set_in(t->epfd, EPOLL_CTL_DEL, t->loop_fd, NULL) != GP_OK ||
        set_in(t->door, EPOLL_CTL_ADD, t->epfd, NULL) != GP_OK)
        abort(); /* libev would never call again */
    t->loop_fd = -1;
}

bool gp_transport_called(const struct gp_transport *t)
{
    return t->called;
}

struct gp_engine_counts *gp_transport_counts(struct gp_transport *t)
{
    return &t->counts;
}

bool gp_transport_pending(const struct gp_transport *t)
{
    return t->again_head != NULL;
}

static enum gp_result arm(struct gp_transport *t, struct gp_conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};

    if (conn->armed)
        return GP_OK;
    if (epoll_ctl(t->epfd, EPOLL_CTL_ADD, conn->fd, &event) == -1)
        return GP_EIO;
    conn->armed = 1;
    return GP_OK;
}

/* Ask for, or stop asking for, the news that there is room to send. */
static void want_room(struct gp_transport *t, struct gp_conn *conn, bool want)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (want ? EPOLLOUT : 0),
                                .data.ptr = conn};

    if (!conn->armed || conn->full == want)
        return;
    if (epoll_ctl(t->epfd, EPOLL_CTL_MOD, conn->fd, &event) == -1)
        conn->broken = 1;
    else
        conn->full = want;
}

static void read_again(struct gp_transport *t, struct gp_conn *conn)
{
    conn->ready = 1;
    if (conn->queued)
        return;
    conn->queued = 1;
    conn->next = NULL;
    if (t->again_tail)
        t->again_tail->next = conn;
    else
        t->again_head = conn;
    t->again_tail = conn;
}

static void forget_again(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_conn **link = &t->again_head, *before = NULL;

    while (*link && *link != conn) {
        before = *link;
        link = &before->next;
    }
    if (*link) {
        *link = conn->next;
        if (t->again_tail == conn)
            t->again_tail = before;
    }
    conn->queued = 0;
}

enum gp_result gp_conn_attach(struct gp_transport *t, struct gp_conn *conn)
{
    enum gp_result result = arm(t, conn);

    if (result == GP_OK) {
        conn->mode = GP_CONN_READ;
        if (conn->ready)
            read_again(t, conn);
    }
    return result;
}

enum gp_result gp_conn_watch(struct gp_transport *t, struct gp_conn *conn)
{
    conn->mode = GP_CONN_WATCH;
    conn->ready = 0;
    if (conn->queued)
        forget_again(t, conn);
    return arm(t, conn);
}

void gp_conn_pause(struct gp_transport *t, struct gp_conn *conn)
{
    (void)t;
    if (conn->mode == GP_CONN_READ)
        conn->mode = GP_CONN_PAUSED;
}

void gp_conn_resume(struct gp_transport *t, struct gp_conn *conn)
{
    if (conn->mode != GP_CONN_PAUSED)
        return;
    conn->mode = GP_CONN_READ;
    if (conn->ready)
        read_again(t, conn);
}

void gp_conn_detach(struct gp_transport *t, struct gp_conn *conn)
{
    struct epoll_event unused = {0};

    if (conn->queued)
        forget_again(t, conn);
    if (conn->armed && epoll_ctl(t->epfd, EPOLL_CTL_DEL, conn->fd, &unused) == -1)
        conn->broken = 1; /* the descriptor is not what we thought: never touch it again */
    conn->armed = conn->full = conn->ready = 0;
    conn->mode = GP_CONN_OFF;
    gp_buffer_free(&conn->out);
}

/* Give the socket as much as it takes. Gives the number of bytes taken; a failure marks it broken.
 */
static size_t push(struct gp_transport *t, struct gp_conn *conn, const uint8_t *data, size_t len)
{
    size_t sent = 0;

    while (sent < len && !conn->broken) {
        ssize_t n = send(conn->fd, data + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        t->counts.sends++;
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        else if (errno != EINTR)
            conn->broken = 1;
        if (n >= 0 && sent < len)
            t->counts.sent_partial++;
    }
    return sent;
}

void gp_conn_send(struct gp_transport *t, struct gp_conn *conn, const uint8_t *data, size_t len)
{
    size_t sent = 0;

    if (conn->broken)
        return;
    if (!conn->out)
        sent = push(t, conn, data, len);
    if (conn->broken || sent == len)
        return;
    if (!gp_buffer_append(&conn->out, data + sent, len - sent))
        conn->broken = 1;
    else
        want_room(t, conn, true);
}

void gp_conn_sendv(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                   uint32_t count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    ssize_t sent = 0;

    if (conn->broken)
        return;
    if (!conn->out) {
        do
            sent = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (sent == -1 && errno == EINTR);
        t->counts.sends++;
        if (sent == -1 && errno != EAGAIN && errno != EWOULDBLOCK) {
            conn->broken = 1;
            return;
        }
    }
    size_t skip = sent > 0 ? (size_t)sent : 0;
    for (uint32_t i = 0; i < count; i++) { /* what the socket did not take */
        size_t len = pieces[i].iov_len;
        if (skip >= len) {
            skip -= len;
            continue;
        }
        gp_conn_send(t, conn, (const uint8_t *)pieces[i].iov_base + skip, len - skip);
        skip = 0;
    }
}

/* Room to send again: empty the buffer as far as it goes. */
static void drain(struct gp_transport *t, struct gp_conn *conn)
{
    if (!conn->out)
        return;
    gp_buffer_consume(&conn->out, push(t, conn, gp_buffer_at(conn->out), gp_buffer_len(conn->out)));
    if (conn->out && !conn->broken)
        return;
    gp_buffer_free(&conn->out);
    want_room(t, conn, false);
    gp_on_drained(t->user, conn);
}

enum gp_result gp_conn_read(struct gp_transport *t, struct gp_conn *conn, uint8_t *buf, size_t cap,
                            size_t *len)
{
    for (;;) {
        ssize_t n = recv(conn->fd, buf, cap, MSG_DONTWAIT);
        t->counts.recvs++;
        if (n > 0) {
            *len = (size_t)n;
            return GP_OK;
        }
        if (n == 0)
            return GP_EOF;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return GP_AGAIN;
        if (errno != EINTR)
            return GP_EIO;
    }
}

static void close_down(struct gp_transport *t, struct gp_conn *conn, enum gp_result how)
{
    conn->ready = 0;
    conn->mode = GP_CONN_PAUSED;
    gp_on_closed(t->user, conn, conn->hung ? GP_EIO : how);
}

/* Read until the socket is empty, reading is stopped by the receiver, or the turn is over. */
static void fill(struct gp_transport *t, struct gp_conn *conn)
{
    for (uint32_t turn = 0; conn->mode == GP_CONN_READ; turn++) {
        size_t len;

        if (turn == GP_READS_PER_TURN) {
            read_again(t, conn);
            return;
        }
        enum gp_result result = gp_conn_read(t, conn, t->scratch, sizeof(t->scratch), &len);
        if (result == GP_AGAIN) {
            conn->ready = 0;
            return;
        }
        if (result != GP_OK) {
            close_down(t, conn, result);
            return;
        }
        /* A short read of a stream empties it: the next byte brings a new edge. */
        conn->ready = len == sizeof(t->scratch) || conn->ended;
        bool more = conn->ready;
        gp_on_received(t->user, conn, t->scratch, len);
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
        else if (conn->mode == GP_CONN_PAUSED && conn->hung && conn->kind == GP_CONN_CLIENT)
            close_down(t, conn,
                       GP_EIO); /* a server's last words are read first, whenever that is */
    }
}

/* Connections that were left with bytes unread: each gets one more turn. */
static uint32_t deliver_again(struct gp_transport *t)
{
    uint32_t count = 0;

    for (struct gp_conn *conn = t->again_head; conn; conn = conn->next)
        count++;
    for (uint32_t i = 0; i < count && t->again_head; i++) {
        struct gp_conn *conn = t->again_head;

        t->again_head = conn->next;
        if (!t->again_head)
            t->again_tail = NULL;
        conn->queued = 0;
        if (conn->mode == GP_CONN_READ)
            fill(t, conn);
    }
    return count;
}

uint32_t gp_transport_wait(struct gp_transport *t, bool sleep)
{
    struct epoll_event events[GP_BATCH];
    uint32_t count = t->again_head ? deliver_again(t) : 0;
    int timeout = sleep && t->loop_fd != -1 && count == 0 ? -1 : 0;
    int n;

    t->called = false;
    t->counts.waits++;
    t->counts.sleeps += timeout == -1;
    do
        n = epoll_wait(t->epfd, events, GP_BATCH, timeout);
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
