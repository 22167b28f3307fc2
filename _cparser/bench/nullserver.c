/* A PostgreSQL that answers canned replies at once (canned.h), so that a pooler in front of it is
 * what is measured.
 *
 *   nullserver PORT      listens on 127.0.0.1, prints the port (0: a free one), runs until it is ended
 *
 * One thread, one epoll set, level-triggered: a read, the answers, a write. Nothing is read while
 * answers are unsent. Connections own memory only for what is incomplete or unsent. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "canned.h"

#define BATCH         128
#define BACKLOG       4096
#define IN_BYTES      CANNED_MESSAGE_MAX
#define ANSWERS_BYTES (4u * CANNED_MESSAGE_MAX)

struct rest { /* bytes that wait: for more of their message, or for room to be sent */
    uint8_t *at;
    size_t len;
};

struct session {
    int32_t fd;
    struct canned canned;
    struct rest in, out;
};

static uint8_t in_bytes[2u * IN_BYTES]; /* a rest, and what comes behind it */
static uint8_t answers[ANSWERS_BYTES];
static uint32_t sessions_begun;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- what waits ---- */

static bool keep(struct rest *rest, const uint8_t *at, size_t len)
{
    uint8_t *copy = len > 0 ? malloc(len) : NULL;

    if (len > 0 && !copy)
        return false;
    if (copy)
        memcpy(copy, at, len);
    free(rest->at); /* at may have been in it */
    *rest = (struct rest){copy, len};
    return true;
}

/* Send as much as goes; the rest is kept. False: the connection is broken. */
static bool send_out(struct session *s, const uint8_t *at, size_t len)
{
    ssize_t sent = len > 0 ? send(s->fd, at, len, MSG_NOSIGNAL) : 0;

    if (sent == -1) {
        if (errno != EAGAIN)
            return false;
        sent = 0;
    }
    return keep(&s->out, at + sent, len - (size_t)sent);
}

/* ---- a session's turn ---- */

/* Answer what is complete in bytes[0..len), as long as the answers leave; the rest is kept. False: it
 * is over. */
static bool answer(struct session *s, const uint8_t *bytes, size_t len)
{
    size_t used = 0, step;

    do {
        struct messages out = {.at = answers, .cap = sizeof(answers)};
        step = canned_feed(&s->canned, bytes + used, len - used, &out);
        used += step;
        if (!send_out(s, out.at, out.len))
            return false;
    } while (step > 0 && used < len && s->out.len == 0);
    return keep(&s->in, bytes + used, len - used) && s->canned.phase != CANNED_OVER;
}

static bool receive(struct session *s)
{
    memcpy(in_bytes, s->in.at ? s->in.at : answers, s->in.len);
    ssize_t n = recv(s->fd, in_bytes + s->in.len, IN_BYTES, 0);
    if (n <= 0)
        return n == -1 && errno == EAGAIN;
    return answer(s, in_bytes, s->in.len + (size_t)n);
}

/* There is room again: send what waits, then answer what was left because of that. */
static bool resume(struct session *s)
{
    if (!send_out(s, s->out.at, s->out.len))
        return false;
    return s->out.len > 0 || answer(s, s->in.at, s->in.len);
}

static bool turn(struct session *s)
{
    return s->out.len > 0 ? resume(s) : receive(s);
}

/* ---- the loop ---- */

static void watch(int set, int op, struct session *s)
{
    struct epoll_event event = {.events = s->out.len > 0 ? EPOLLOUT : EPOLLIN, .data.ptr = s};

    if (epoll_ctl(set, op, s->fd, &event) == -1)
        die("epoll_ctl");
}

static void end(struct session *s)
{
    close(s->fd);
    free(s->in.at);
    free(s->out.at);
    free(s);
}

static void accept_all(int set, int listener)
{
    const int on = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
        struct session *s = calloc(1, sizeof(*s));
        if (!s || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
            die("a session");
        s->fd = fd;
        s->canned.pid = ++sessions_begun;
        watch(set, EPOLL_CTL_ADD, s);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept");
}

static void serve(int listener)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[BATCH], incoming = {.events = EPOLLIN};

    if (set == -1 || epoll_ctl(set, EPOLL_CTL_ADD, listener, &incoming) == -1)
        die("epoll");
    for (;;) {
        int count = epoll_wait(set, events, BATCH, -1);
        if (count == -1 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct session *s = events[i].data.ptr;
            bool was_full = s && s->out.len > 0;
            if (!s)
                accept_all(set, listener);
            else if (!turn(s))
                end(s);
            else if (was_full != (s->out.len > 0))
                watch(set, EPOLL_CTL_MOD, s);
        }
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(address);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
        bind(fd, (struct sockaddr *)&address, len) == -1 || listen(fd, BACKLOG) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) == -1)
        die("listen");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == -1)
        die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) == -1)
        die("setrlimit");
}

int main(int argc, char **argv)
{
    char *stop = NULL;
    unsigned long port = argc == 2 ? strtoul(argv[1], &stop, 10) : 0;

    if (!stop || *stop != '\0' || stop == argv[1] || port > UINT16_MAX) {
        fprintf(stderr, "usage: nullserver PORT\n");
        return 2;
    }
    raise_file_limit();
    serve(listen_on((uint16_t)port));
}
