/* What workers send each other: descriptors, and words about clients.
 *
 * What travels through an inbox is one of these, with at most one descriptor (SCM_RIGHTS):
 *
 *     | kind: 4 | pool: 4 | slot: 4 | generation: 4 |    SERVER: the descriptor of that slot
 *                                                        CLIENT: an accepted one, nothing read yet
 *                                                        CANCEL: `slot` is a waiting client to be
 *                                                                answered 57014 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay.h"

enum inbox_kind { INBOX_SERVER = 1, INBOX_CLIENT, INBOX_CANCEL };

struct inbox_message {
    uint32_t kind, pool, slot, generation;
};
_Static_assert(sizeof(struct inbox_message) == 16, "drawn above");

/* ---- sending ---- */

static enum gp_result post(struct gp_engine *e, uint32_t worker,
                           const struct inbox_message *message, int32_t fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec bytes = {.iov_base = (void *)message, .iov_len = sizeof(*message)};
    struct msghdr msg = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t n;

    if (fd != -1) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    }
    do
        n = sendmsg(gp_worker_at(e->seg, worker)->inbox_write, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n == -1 && errno == EINTR);
    return n == (ssize_t)sizeof(*message) ? GP_OK : GP_AGAIN;
}

enum gp_result gp_inbox_share(struct gp_engine *e, uint32_t worker, const struct gp_server *s)
{
    struct inbox_message message = {INBOX_SERVER, s->pool, s->slot, s->generation};

    return post(e, worker, &message, s->conn.fd);
}

/* ---- receiving ---- */

static void receive_server(struct gp_engine *e, const struct inbox_message *message, int32_t fd)
{
    struct gp_server *had = gp_server_find(e, message->pool, message->slot);

    if (had && had->generation != message->generation && had->state == GP_SERVER_REST) {
        gp_server_drop(e, had);
        had = NULL;
    }
    struct gp_server *s =
        had ? NULL : gp_server_hold(e, message->pool, message->slot, message->generation, fd);
    if (!s)
        close(fd);
    else if (!gp_slot_hold(e->seg, s->pool, s->slot, s->generation, e->worker))
        gp_server_drop(e, s); /* that life is over */
}

static void receive_cancel(struct gp_engine *e, uint32_t client)
{
    struct gp_client *c = client <= e->seg->clients_max ? e->clients[client - 1] : NULL;

    if (c && c->state == GP_CLIENT_WAITING)
        gp_client_refuse(e, c, "57014", "canceling statement due to user request");
}

/* One message from the inbox. GP_AGAIN: it is empty. */
static enum gp_result receive_one(struct gp_engine *e, struct inbox_message *message, int32_t *fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec bytes = {.iov_base = message, .iov_len = sizeof(*message)};
    struct msghdr msg = {.msg_iov = &bytes,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    do
        n = recvmsg(e->inbox.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n != (ssize_t)sizeof(*message))
        return GP_AGAIN;
    *fd = -1;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);
    if (rights && rights->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(rights), sizeof(int));
    return GP_OK;
}

void gp_inbox_receive(struct gp_engine *e)
{
    struct inbox_message message;
    int32_t fd;

    while (receive_one(e, &message, &fd) == GP_OK) {
        if (message.kind == INBOX_CANCEL)
            receive_cancel(e, message.slot);
        else if (fd == -1)
            continue; /* out of descriptors: the sender's census sends it again */
        else if (message.kind == INBOX_SERVER)
            receive_server(e, &message, fd);
        else
            gp_event_push(e, GP_EVENT_ACCEPTED, 0, 0, 0, (uint64_t)fd);
    }
}

enum gp_result gp_inbox_cancel(struct gp_engine *e, uint32_t worker, uint32_t client)
{
    struct inbox_message message = {.kind = INBOX_CANCEL, .slot = client};

    if (worker != e->worker)
        return post(e, worker, &message, -1);
    receive_cancel(e, client);
    return GP_OK;
}

enum gp_result gp_engine_pass(struct gp_engine *e, uint32_t worker, int32_t fd)
{
    struct inbox_message message = {.kind = INBOX_CLIENT};

    return post(e, worker, &message, fd);
}
