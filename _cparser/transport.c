/* What the back ends share: plain calls on a socket, and the list of connections to deliver again. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "transport.h"

/* Keep what the socket did not take: the pieces without their first `taken` bytes. */
static void keep(struct gp_conn *conn, const struct iovec *pieces, uint32_t count, size_t taken)
{
    for (uint32_t i = 0; i < count && !conn->broken; i++) {
        size_t len = pieces[i].iov_len;
        if (taken >= len) {
            taken -= len;
            continue;
        }
        if (!gp_buffer_append(&conn->out, (const uint8_t *)pieces[i].iov_base + taken, len - taken))
            conn->broken = conn->starved = 1;
        taken = 0;
    }
}

/* Gives the number of bytes that the socket took; a failure marks the connection broken. */
static size_t give(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                   uint32_t count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    ssize_t n;

    t->counts.sends++;
    do
        n = count == 1
                ? send(conn->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                : sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    if (n >= 0)
        return (size_t)n;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        conn->broken = 1;
    return 0;
}

static size_t total(const struct iovec *pieces, uint32_t count)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += pieces[i].iov_len;
    return sum;
}

void gp_conn_push(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                  uint32_t count)
{
    size_t taken = conn->out ? 0 : give(t, conn, pieces, count);

    if (conn->broken || taken == total(pieces, count))
        return;
    t->counts.sent_partial++;
    keep(conn, pieces, count, taken);
}

bool gp_conn_drain(struct gp_transport *t, struct gp_conn *conn)
{
    while (conn->out && !conn->broken) {
        struct iovec piece = {.iov_base = (void *)gp_buffer_at(conn->out),
                              .iov_len = gp_buffer_len(conn->out)};
        size_t taken = give(t, conn, &piece, 1);
        if (taken == 0)
            break;
        gp_buffer_consume(&conn->out, taken);
    }
    if (conn->out && !conn->broken)
        return false;
    gp_buffer_free(&conn->out);
    return true;
}

enum gp_result gp_wire_read(struct gp_transport *t, struct gp_conn *conn, uint8_t *buf, size_t cap,
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

static void resume_nobody(struct gp_transport *t, struct gp_conn *conn)
{
    (void)t;
    (void)conn;
}

void gp_transport_still(struct gp_transport *t, bool still)
{
    if (still && !t->moving) {
        t->moving = t->ops;
        t->still = *t->ops;
        t->still.resume = resume_nobody;
        t->ops = &t->still;
    } else if (!still && t->moving) {
        t->ops = t->moving;
        t->moving = NULL;
    }
}

void gp_conn_close_down(struct gp_transport *t, struct gp_conn *conn, enum gp_result how)
{
    conn->ready = 0;
    conn->mode = GP_CONN_PAUSED;
    gp_on_closed(t->user, conn, conn->hung ? GP_EIO : how);
}

enum gp_result gp_set_in(int32_t set, int op, int32_t fd, uint32_t events, void *stands_for)
{
    struct epoll_event event = {.events = events, .data.ptr = stands_for};

    return fd == -1 || epoll_ctl(set, op, fd, &event) == 0 ? GP_OK : GP_EIO;
}

/* ---- the list ---- */

void gp_conn_again(struct gp_transport *t, struct gp_conn *conn)
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

void gp_conn_not_again(struct gp_transport *t, struct gp_conn *conn)
{
    struct gp_conn **link = &t->again_head, *before = NULL;

    if (!conn->queued)
        return;
    while (*link != conn) {
        before = *link;
        link = &before->next;
    }
    *link = conn->next;
    if (t->again_tail == conn)
        t->again_tail = before;
    conn->queued = 0;
}

struct gp_conn *gp_conn_next_again(struct gp_transport *t)
{
    struct gp_conn *conn = t->again_head;

    if (!conn)
        return NULL;
    t->again_head = conn->next;
    if (!t->again_head)
        t->again_tail = NULL;
    conn->queued = 0;
    return conn;
}
