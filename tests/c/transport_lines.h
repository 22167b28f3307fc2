/* Connections on a transport, for the tests of its contract: the same cases on every back end that
 * this machine allows. The engine's half is here: it notes what it is told. Nothing is stepped that
 * gp_transport_fd does not announce, so a wake-up that is missing is a time-out. */
#ifndef GP_TESTS_TRANSPORT_LINES_H
#define GP_TESTS_TRANSPORT_LINES_H

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "transport.h"

#define DEADLINE_MS 10000
#define MANY        400u /* connections: more than a batch, and than there are buffers */

struct gp_engine { /* here, what the callbacks know */
    struct gp_transport *transport;
};

/* One connection and its other end. */
struct line {
    struct gp_conn conn;
    int far;
    uint8_t *got;
    size_t got_len, got_room;
    bool pauses;        /* when something is received */
    bool rests;         /* when it is settled */
    struct line *relay; /* with a whole buffer a little is sent back, and much to this one */
    int closed;         /* enum gp_result, -1: not */
    int closings, drains, stirs;
};

typedef struct gp_transport *make_transport(struct gp_engine *user);

static struct gp_engine engine;
static struct gp_transport *t;

/* ---- the engine's half ---- */

void gp_on_awake(struct gp_engine *e)
{
    CHECK(e == &engine);
}

/* The first two may wait for the end of the batch, the third does not: the kernel is entered. */
static void send_to_both(struct line *line)
{
    static const uint8_t much[10000];

    gp_conn_send(t, &line->conn, much, 1);
    gp_conn_send(t, &line->relay->conn, much, 1);
    gp_conn_send(t, &line->relay->conn, much, sizeof(much));
}

void gp_on_received(struct gp_engine *e, struct gp_conn *conn, const uint8_t *data, size_t len)
{
    struct line *line = (struct line *)conn;

    (void)e;
    CHECK_EQ(conn->mode, GP_CONN_READ);
    if (line->got_len + len > line->got_room) {
        line->got_room = 2 * (line->got_len + len); /* a sanitizer's realloc always copies */
        line->got = realloc(line->got, line->got_room);
        CHECK(line->got);
    }
    memcpy(line->got + line->got_len, data, len);
    line->got_len += len;
    if (line->relay && len == GP_SCRATCH_BYTES)
        send_to_both(line);
    if (line->pauses)
        gp_conn_pause(conn);
}

void gp_on_closed(struct gp_engine *e, struct gp_conn *conn, enum gp_result how)
{
    (void)e;
    ((struct line *)conn)->closed = how;
    ((struct line *)conn)->closings++;
}

void gp_on_starved(struct gp_engine *e, struct gp_conn *conn)
{
    (void)e;
    (void)conn;
    CHECK(!"there is no limit here");
}

void gp_on_drained(struct gp_engine *e, struct gp_conn *conn)
{
    struct line *line = (struct line *)conn;

    (void)e;
    line->drains++;
    if (line->rests && gp_conn_settle(t, conn))
        CHECK_EQ(gp_conn_watch(t, conn), GP_OK);
}

void gp_on_stirred(struct gp_engine *e, struct gp_conn *conn)
{
    (void)e;
    ((struct line *)conn)->stirs++;
}

/* ---- steps ---- */

/* What gp_engine_step is when it is cold. */
static inline uint32_t step(void)
{
    uint32_t ready, all = 0;

    do {
        ready = gp_transport_wait(t, false);
        all += ready;
    } while (ready >= GP_BATCH);
    gp_transport_cool(t);
    return all;
}

static inline bool announced(int timeout_ms)
{
    struct pollfd fd = {.fd = gp_transport_fd(t), .events = POLLIN};

    return gp_transport_pending(t) || poll(&fd, 1, timeout_ms) == 1;
}

/* Step as often as there is an announcement, until the condition holds. */
#define STEP_UNTIL(condition)                                                                      \
    while (!(condition)) {                                                                         \
        CHECK(announced(DEADLINE_MS) && #condition);                                               \
        step();                                                                                    \
    }

/* Step until nothing is announced: for what must not happen. */
static inline void settle_down(void)
{
    while (announced(20))
        step();
}

/* ---- lines ---- */

static inline void nonblocking(int fd)
{
    CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

static inline void take_ends(struct line *line, enum gp_conn_kind kind, int near, int far)
{
    *line = (struct line){.conn = {.fd = near, .kind = (uint8_t)kind}, .far = far, .closed = -1};
    nonblocking(near);
}

static inline void open_line(struct line *line, enum gp_conn_kind kind)
{
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    take_ends(line, kind, ends[0], ends[1]);
}

static inline void open_tcp_line(struct line *line, enum gp_conn_kind kind)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int door = socket(AF_INET, SOCK_STREAM, 0), far = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(bind(door, (struct sockaddr *)&address, size) == 0 && listen(door, 1) == 0);
    CHECK(getsockname(door, (struct sockaddr *)&address, &size) == 0);
    CHECK(connect(far, (struct sockaddr *)&address, size) == 0);
    take_ends(line, kind, accept(door, NULL, NULL), far);
    int small = 65536;
    CHECK(setsockopt(line->conn.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
    close(door);
}

static inline void attach(struct line *line)
{
    CHECK_EQ(gp_conn_attach(t, &line->conn), GP_OK);
}

static inline void close_line(struct line *line)
{
    gp_conn_detach(t, &line->conn);
    if (line->far != -1)
        close(line->far);
    close(line->conn.fd);
    free(line->got);
}

static inline void say(const struct line *line, const char *text)
{
    CHECK_EQ(send(line->far, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline bool heard(const struct line *line, const char *text)
{
    return line->got_len == strlen(text) && memcmp(line->got, text, line->got_len) == 0;
}

/* What lies in a socket unread; nothing of it was taken by the transport. */
static inline void check_unread(int fd, const char *text)
{
    char bytes[64];

    CHECK_EQ(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(text));
    CHECK_MEM(bytes, text, strlen(text));
}

/* A byte of a long stream: its place tells it. */
static uint8_t byte_at(size_t place)
{
    return (uint8_t)(place * 31 + place / 251);
}

static inline size_t read_far(const struct line *line, size_t place)
{
    static uint8_t bytes[65536];
    ssize_t n = recv(line->far, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n <= 0)
        return 0;
    for (ssize_t i = 0; i < n; i++)
        CHECK_EQ(bytes[i], byte_at(place + (size_t)i));
    return (size_t)n;
}

/* Whatever it was. */
static inline size_t drain_far(const struct line *line)
{
    static uint8_t bytes[65536];
    size_t all = 0;

    for (ssize_t n; (n = recv(line->far, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
        all += (size_t)n;
    return all;
}

static inline size_t write_far(const struct line *line, size_t place, size_t end)
{
    static uint8_t bytes[65536];
    size_t len = end - place < sizeof(bytes) ? end - place : sizeof(bytes);

    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(place + i);
    ssize_t n = send(line->far, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? 0 : (size_t)n;
}

/* ---- */

static inline void run(make_transport *make, void (*test)(void), const char *name)
{
    engine.transport = t = make(&engine);
    CHECK(t != NULL);
    check_run(test, name);
    gp_transport_free(t);
}

#define ON(make, test) run((make), (test), #test)

/* Each test program's own: ON(make, test) for each of its tests. */
static inline void run_all(make_transport *make);

static inline int run_everywhere(void)
{
    struct rlimit files = {.rlim_cur = 4096, .rlim_max = 4096};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    run_all(gp_transport_epoll);
    struct gp_transport *probe = gp_transport_uring(&engine);
    if (probe) {
        gp_transport_free(probe);
        run_all(gp_transport_uring);
    } else {
        printf("io_uring: %s\n", strerror(errno));
    }
    return check_done();
}

#endif
