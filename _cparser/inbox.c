/* What workers send each other: descriptors, clients, and words about them.
 *
 * What travels through an inbox is one of these, with at most three descriptors (SCM_RIGHTS):
 *
 *     | kind: 4 | pool: 4 | slot: 4 | generation: 4 |    SERVER: the descriptor of that slot
 *                                                        CLIENT: an accepted one, nothing read yet;
 *                                                                slot and generation are when its
 *                                                                time began, 0: now
 *                                                        CANCEL: `slot` is a waiting client to be
 *                                                                answered 57014
 *     | kind: 4 | how: 4 | client: 4 | 0: 4 | offer: 8 | record |
 *                                                        MOVE: a client, its descriptor, its
 *                                                              server's (enum move_how), and its
 *                                                              record, here or in a file */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listeners.h"
#include "move.h"

enum inbox_kind { INBOX_SERVER = 1, INBOX_CLIENT, INBOX_CANCEL, INBOX_MOVE };

enum move_how {
    MOVE_SERVER = 1, /* the second descriptor is its server's */
    MOVE_FILE = 2    /* the last descriptor is a file, which is the record */
};

struct inbox_message {
    uint32_t kind;
    uint32_t pool; /* MOVE: enum move_how */
    uint32_t slot; /* CANCEL, MOVE: the client */
    uint32_t generation;
};
_Static_assert(sizeof(struct inbox_message) == 16, "drawn above");

#define INBOX_FDS 3u
#define INBOX_RECORD                                                                               \
    16384u /* a longer one goes as a file: the kernel's room for messages is small */
#define RECORD_MAX (1u << 30)

/* What was received, or is to be sent. */
struct parcel {
    struct inbox_message head;
    uint64_t offer;
    uint8_t record[INBOX_RECORD];
};
#define PARCEL_HEADER offsetof(struct parcel, record)
_Static_assert(PARCEL_HEADER == 24, "drawn above");

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(INBOX_FDS * sizeof(int))];
};

/* ---- sending ---- */

/* The bytes of one message in `count` pieces. GP_AGAIN: the inbox is full, or too much is on its way. */
static enum gp_result post(struct gp_engine *e, uint32_t worker, struct iovec *pieces,
                           uint32_t count, const int32_t *fds, uint32_t fds_count)
{
    union control control = {0};
    struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t n;

    if (fds_count) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fds_count * sizeof(int));
    }
    do
        n = sendmsg(gp_common_worker_at(e->seg, worker)->inbox_write, &msg,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n == -1 && errno == EINTR);
    return n == -1 ? GP_AGAIN : GP_OK;
}

static enum gp_result post_head(struct gp_engine *e, uint32_t worker, struct inbox_message head,
                                int32_t fd)
{
    struct iovec piece = {.iov_base = &head, .iov_len = sizeof(head)};

    return post(e, worker, &piece, 1, &fd, fd != -1);
}

enum gp_result gp_inbox_share(struct gp_engine *e, uint32_t worker, const struct gp_server *s)
{
    struct inbox_message head = {INBOX_SERVER, s->pool, s->slot, s->generation};

    return post_head(e, worker, head, s->conn.fd);
}

enum gp_result gp_inbox_pass(struct gp_engine *e, uint32_t worker, int32_t fd, uint64_t since_ns)
{
    struct inbox_message head = {
        .kind = INBOX_CLIENT, .slot = (uint32_t)(since_ns >> 32), .generation = (uint32_t)since_ns};

    return post_head(e, worker, head, fd);
}

/* A file with these bytes, or -1. */
static int32_t file_of(const struct gp_buffer *record)
{
    int32_t fd = memfd_create("greenpool-client", MFD_CLOEXEC);
    size_t len = gp_buffer_len(record), done = 0;

    while (fd != -1 && done < len) {
        ssize_t n = write(fd, gp_buffer_at(record) + done, len - done);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)n;
    }
    return fd;
}

enum gp_result gp_inbox_move(struct gp_engine *e, uint32_t worker, uint32_t client, uint64_t offer,
                             const struct gp_buffer *record, int32_t client_fd, int32_t server_fd)
{
    bool is_long = gp_buffer_len(record) > INBOX_RECORD;
    struct inbox_message head = {.kind = INBOX_MOVE, .slot = client};
    struct iovec pieces[] = {
        {.iov_base = &head, .iov_len = sizeof(head)},
        {.iov_base = &offer, .iov_len = sizeof(offer)},
        {.iov_base = (void *)gp_buffer_at(record), .iov_len = gp_buffer_len(record)}};
    int32_t fds[INBOX_FDS] = {client_fd}, file = -1;
    uint32_t count = 1;

    if (server_fd != -1) {
        head.pool |= MOVE_SERVER;
        fds[count++] = server_fd;
    }
    if (is_long) {
        file = file_of(record);
        if (file == -1)
            return GP_AGAIN;
        head.pool |= MOVE_FILE;
        fds[count++] = file;
    }
    enum gp_result result = post(e, worker, pieces, is_long ? 2 : 3, fds, count);
    if (file != -1)
        close(file);
    return result;
}

enum gp_result gp_inbox_cancel(struct gp_engine *e, uint32_t worker, uint32_t client)
{
    if (worker >= e->seg->workers)
        return GP_ENOENT; /* it has just left */
    if (worker != e->worker)
        return post_head(e, worker, (struct inbox_message){.kind = INBOX_CANCEL, .slot = client},
                         -1);
    gp_move_cancel(e, client);
    return GP_OK;
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
    else
        gp_pool_settle(e->seg, s->pool, e->worker, e->now); /* it may rest, and clients wait here */
}

/* The bytes of a record that came as a file. NULL: no memory, or it is none. */
static struct gp_buffer *read_file(int32_t fd)
{
    struct gp_buffer *record = NULL;
    struct stat about;
    uint8_t bytes[4096];
    off_t at = 0;

    if (fstat(fd, &about) == -1 || about.st_size > RECORD_MAX)
        return NULL;
    while (at < about.st_size) {
        ssize_t n = pread(fd, bytes, sizeof(bytes), at);
        if (n <= 0 || !gp_buffer_insist(&record, bytes, (size_t)n)) {
            gp_buffer_free(&record);
            return NULL;
        }
        at += n;
    }
    return record;
}

/* fds: what came of the descriptors, in order; -1 for those that did not. */
static void receive_move(struct gp_engine *e, const struct parcel *parcel, size_t len,
                         const int32_t fds[INBOX_FDS])
{
    struct gp_arrival arrival = {.client = parcel->head.slot,
                                 .offer = parcel->offer,
                                 .record = parcel->record,
                                 .len = len - PARCEL_HEADER,
                                 .client_fd = fds[0],
                                 .server_fd = -1};
    struct gp_buffer *record = NULL;
    uint32_t next = 1;

    if (parcel->head.pool & MOVE_SERVER)
        arrival.server_fd = fds[next++];
    if (parcel->head.pool & MOVE_FILE) {
        record = fds[next] != -1 ? read_file(fds[next]) : NULL;
        arrival.record = record ? gp_buffer_at(record) : NULL;
        arrival.len = gp_buffer_len(record);
        if (fds[next] != -1)
            close(fds[next]);
    }
    gp_move_arrived(e, &arrival);
    gp_buffer_free(&record);
}

/* One message from the inbox: its length; 0: it is empty. */
static size_t receive_one(struct gp_engine *e, struct parcel *parcel, int32_t fds[INBOX_FDS])
{
    union control control;
    struct iovec bytes = {.iov_base = parcel, .iov_len = sizeof(*parcel)};
    struct msghdr msg = {.msg_iov = &bytes,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    do
        n = recvmsg(e->inbox.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n < (ssize_t)sizeof(parcel->head))
        return 0;
    for (uint32_t i = 0; i < INBOX_FDS; i++)
        fds[i] = -1;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);
    if (rights && rights->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
    return (size_t)n;
}

static void close_all(const int32_t fds[INBOX_FDS])
{
    for (uint32_t i = 0; i < INBOX_FDS; i++) {
        if (fds[i] != -1)
            close(fds[i]);
    }
}

void gp_inbox_receive(struct gp_engine *e)
{
    struct parcel parcel;
    int32_t fds[INBOX_FDS];
    size_t len;

    while ((len = receive_one(e, &parcel, fds)) > 0) {
        if (parcel.head.kind == INBOX_CANCEL)
            gp_move_cancel(e, parcel.head.slot);
        else if (parcel.head.kind == INBOX_MOVE)
            receive_move(e, &parcel, len, fds);
        else if (fds[0] == -1)
            continue; /* out of descriptors: the sender's census sends it again */
        else if (parcel.head.kind == INBOX_SERVER)
            receive_server(e, &parcel.head, fds[0]);
        else if (parcel.head.kind == INBOX_CLIENT)
            gp_listener_passed(e, fds[0],
                               (uint64_t)parcel.head.slot << 32 | parcel.head.generation);
        else
            close_all(fds); /* of a later version, which asks for what we do not know */
    }
}
