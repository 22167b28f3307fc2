/* Thousands of clients in one process: a load on whatever speaks PostgreSQL's protocol and asks for
 * no password.
 *
 *   load PORT [NAME=VALUE...]
 *
 *     user=bench database=bench
 *     exchange=simple      what a transaction is (exchange.h)
 *     clients=20           connections
 *     rate=0               0, closed loop: each client asks again as soon as it is answered.
 *                          Otherwise open loop: so many transactions a second are due, evenly, whatever
 *                          the other side does; the latency counts from when a transaction was due, so
 *                          that a stall is seen in all that it delays
 *     warm_up=1 seconds=3  how long before, and within, the measured window
 *
 * All clients log in before the load begins. What counts is, in a closed loop, what ends within the
 * window; in an open loop, what is due within it. The run goes on until all that was asked or due is
 * answered; what is not after PATIENCE_NS is "unanswered", and in an open loop has as long a latency.
 * Prints "begin" and "end" at the ends of the window, then one line of JSON, and leaves when its
 * standard input is closed. One thread: it is the pooler that is to be measured. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "exchange.h"
#include "histogram.h"

#define BATCH         256
#define LOGINS_MAX    64u /* at a time: a pooler's backlog is bounded */
#define SECOND_NS     1000000000u
#define LOGIN_NS      (60ull * SECOND_NS) /* all of them must be in by then */
#define PATIENCE_NS   (10ull * SECOND_NS)
#define RECEIVE_BYTES 262144u

enum client_state {
    CLIENT_LOGIN = 0,
    CLIENT_PROLOGUE,
    CLIENT_IDLE, /* logged in, nothing asked; in the ring of idle ones */
    CLIENT_BUSY
};

struct client {
    int32_t fd;
    uint8_t state; /* enum client_state */
    bool full;     /* the socket took not all of what is asked */
    uint32_t turn; /* of the exchange */
    size_t sent;   /* of the request */
    uint64_t due_ns;
    const struct request *request;
    struct replies replies;
};

struct options {
    const char *port, *user, *database, *exchange;
    double clients, rate, warm_up, seconds;
};

static struct options options = {.user = "bench",
                                 .database = "bench",
                                 .exchange = "simple",
                                 .clients = 20,
                                 .warm_up = 1,
                                 .seconds = 3};
static struct exchange exchange;
static struct request startup;
static struct client *clients;
static uint32_t clients_count, begun, logged_in; /* of the connections */
static uint32_t *idle;                           /* a ring of clients */
static uint32_t idle_first, idle_count;
static uint32_t busy_count;
static uint64_t unanswered;
static bool ending;     /* the window is over: nothing new is asked, but what was due within it */
static uint64_t due_ns; /* open loop: when the next transaction is due */
static uint64_t start_ns, end_ns; /* of the window; 0 while clients log in */
static uint64_t interval_ns;      /* open loop: between two of them; 0: closed loop */
static struct histogram latencies;
static int set;
static uint8_t received[RECEIVE_BYTES];

static void die(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ---- sending ---- */

static void watch(int op, struct client *c)
{
    struct epoll_event event = {.events = EPOLLIN | (c->full ? EPOLLOUT : 0), .data.ptr = c};

    if (epoll_ctl(set, op, c->fd, &event) == -1)
        die("epoll_ctl");
}

/* Send what is left of the request. */
static void send_on(struct client *c)
{
    bool was_full = c->full;
    ssize_t n = send(c->fd, c->request->bytes + c->sent, c->request->len - c->sent, MSG_NOSIGNAL);

    if (n == -1 && errno != EAGAIN)
        die("a connection broke while a client was asking");
    c->sent += n > 0 ? (size_t)n : 0;
    c->full = c->sent < c->request->len;
    if (c->full != was_full)
        watch(EPOLL_CTL_MOD, c);
}

static void ask(struct client *c, enum client_state state, const struct request *request)
{
    c->state = (uint8_t)state;
    c->request = request;
    c->sent = 0;
    send_on(c);
}

/* ---- transactions ---- */

static void begin_transaction(struct client *c, uint64_t due)
{
    c->due_ns = due;
    c->turn = 0;
    ask(c, CLIENT_BUSY, &exchange.turns[0]);
}

static void become_idle(struct client *c)
{
    c->state = CLIENT_IDLE;
    idle[(idle_first + idle_count++) % clients_count] = (uint32_t)(c - clients);
}

/* Give what is due by that time to those who have been idle longest. */
static void dispatch(uint64_t now)
{
    while (idle_count > 0 && due_ns <= now) {
        struct client *c = &clients[idle[idle_first]];

        idle_first = (idle_first + 1) % clients_count;
        idle_count--;
        busy_count++;
        begin_transaction(c, interval_ns ? due_ns : now);
        due_ns += interval_ns;
    }
}

static void count_latency(uint64_t due, uint64_t now)
{
    uint64_t counts_by = interval_ns ? due : now;

    if (counts_by >= start_ns && counts_by < end_ns)
        histogram_add(&latencies, now - due);
}

static void end_transaction(struct client *c, uint64_t now)
{
    count_latency(c->due_ns, now);
    if (interval_ns || ending) {
        busy_count--;
        become_idle(c);
    } else {
        begin_transaction(c, now);
    }
}

static void answered(struct client *c, uint64_t now)
{
    if (c->state == CLIENT_LOGIN && exchange.prologue.len > 0) {
        ask(c, CLIENT_PROLOGUE, &exchange.prologue);
    } else if (c->state != CLIENT_BUSY) {
        logged_in++;
        become_idle(c);
    } else if (++c->turn < exchange.turns_count) {
        ask(c, CLIENT_BUSY, &exchange.turns[c->turn]);
    } else {
        end_transaction(c, now);
    }
}

/* ---- receiving ---- */

static void refuse(const uint8_t *said, size_t len)
{
    fputs("load: a client was told:", stderr);
    for (size_t i = 0; i < len; i++)
        fputc(said[i] >= ' ' && said[i] < 127 ? said[i] : ' ', stderr);
    fputc('\n', stderr);
    exit(1);
}

static void receive(struct client *c)
{
    ssize_t n = recv(c->fd, received, sizeof(received), 0);

    if (n == -1 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("a connection was closed");
    size_t readies = replies_feed(&c->replies, received, (size_t)n);
    if (c->replies.errors > 0)
        refuse(received, (size_t)n);
    if (readies > 1 || (readies == 1 && c->state == CLIENT_IDLE))
        die("more was answered than asked");
    if (readies == 1)
        answered(c, now_ns());
}

/* ---- connections ---- */

static void connect_one(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(options.port, NULL, 10))};
    struct client *c = &clients[begun++];
    const int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd == -1 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
        die("socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) == -1 && errno != EINPROGRESS)
        die("connect");
    c->request = &startup;
    c->full = true; /* until it is connected */
    watch(EPOLL_CTL_ADD, c);
}

static void go_on_connecting(void)
{
    while (begun < clients_count && begun - logged_in < LOGINS_MAX)
        connect_one();
}

/* ---- the loop ---- */

static void wait_for_events(int timeout_ms, const struct timespec *timeout)
{
    struct epoll_event events[BATCH];
    int count = timeout ? epoll_pwait2(set, events, BATCH, timeout, NULL)
                        : epoll_wait(set, events, BATCH, timeout_ms);

    if (count == -1 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            send_on(c);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(c);
    }
}

static void log_in_all(void)
{
    uint64_t until = now_ns() + LOGIN_NS;

    while (logged_in < clients_count) {
        go_on_connecting();
        wait_for_events(1000, NULL);
        if (now_ns() > until)
            die("the clients could not all log in");
    }
}

/* Sleep until something comes, a transaction is due, or that time. */
static void wait_until(uint64_t now, uint64_t time)
{
    bool is_next = interval_ns && idle_count > 0 && due_ns < end_ns;
    uint64_t next = is_next && due_ns < time ? due_ns : time;
    uint64_t rest = next > now ? next - now : 0;
    struct timespec timeout = {(time_t)(rest / SECOND_NS), (long)(rest % SECOND_NS)};

    wait_for_events(0, &timeout);
}

static void run_until(uint64_t time)
{
    for (uint64_t now = now_ns(); now < time; now = now_ns()) {
        dispatch(now);
        wait_until(now, time);
    }
}

/* Have answered what is asked, and in an open loop what is due within the window. */
static void finish(void)
{
    uint64_t until = end_ns + PATIENCE_NS, now = now_ns();

    ending = true;
    while ((busy_count > 0 || (interval_ns && due_ns < end_ns)) && now < until) {
        if (interval_ns)
            dispatch(end_ns - 1);
        wait_until(now, until);
        now = now_ns();
    }
    for (uint32_t i = 0; i < clients_count; i++) {
        if (clients[i].state == CLIENT_BUSY) {
            unanswered++;
            count_latency(clients[i].due_ns, now);
        }
    }
    for (; interval_ns && due_ns < end_ns; due_ns += interval_ns) {
        unanswered++;
        count_latency(due_ns, now);
    }
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

static void report(void)
{
    const double ms = 1e-6, seconds = (double)(end_ns - start_ns) / SECOND_NS;

    printf("{\"transactions\": %llu, \"seconds\": %.6f, \"unanswered\": %llu, \"mean_ms\": %.6f",
           (unsigned long long)latencies.count, seconds, (unsigned long long)unanswered,
           latencies.count ? ms * (double)latencies.sum / (double)latencies.count : 0.0);
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5},  {"p75", 0.75},   {"p90", 0.9},    {"p95", 0.95},
                  {"p99", 0.99}, {"p995", 0.995}, {"p999", 0.999}, {"p9999", 0.9999}};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        printf(", \"%s_ms\": %.6f", points[i].name,
               ms * (double)histogram_at(&latencies, points[i].share));
    printf(", \"max_ms\": %.6f}\n", ms * (double)latencies.max);
    fflush(stdout);
}

static void measure(void)
{
    uint64_t now = now_ns();

    start_ns = now + (uint64_t)(options.warm_up * SECOND_NS);
    end_ns = start_ns + (uint64_t)(options.seconds * SECOND_NS);
    interval_ns = options.rate > 0 ? (uint64_t)(SECOND_NS / options.rate) : 0;
    due_ns = now;
    run_until(start_ns);
    say("begin");
    run_until(end_ns);
    say("end");
    finish();
    report();
}

static void prepare(void)
{
    struct rlimit files;

    if (!exchange_make(options.exchange, &exchange))
        die("no such exchange");
    if (!exchange_startup(options.user, options.database, &startup))
        die("too long a name");
    clients_count = (uint32_t)options.clients;
    clients = calloc(clients_count, sizeof(*clients));
    idle = calloc(clients_count, sizeof(*idle));
    set = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !idle || set == -1 || getrlimit(RLIMIT_NOFILE, &files) == -1)
        die("cannot begin");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) == -1 || prctl(PR_SET_TIMERSLACK, 1) == -1)
        die("cannot begin");
}

/* ---- options ---- */

static bool set_option(const char *argument)
{
    const struct {
        const char *name;
        const char **text;
        double *number;
        double least;
    } known[] = {
        {"user", &options.user, NULL, 0},           {"database", &options.database, NULL, 0},
        {"exchange", &options.exchange, NULL, 0},   {"clients", NULL, &options.clients, 1},
        {"rate", NULL, &options.rate, 0},           {"warm_up", NULL, &options.warm_up, 0},
        {"seconds", NULL, &options.seconds, 0.001},
    };
    const char *value = strchr(argument, '=');
    char *stop;

    for (size_t i = 0; value && i < sizeof(known) / sizeof(known[0]); i++) {
        size_t len = (size_t)(value - argument);
        if (strlen(known[i].name) != len || strncmp(known[i].name, argument, len) != 0)
            continue;
        if (known[i].text) {
            *known[i].text = value + 1;
            return true;
        }
        *known[i].number = strtod(value + 1, &stop);
        return *stop == '\0' && stop != value + 1 && *known[i].number >= known[i].least &&
               *known[i].number <= 1e9;
    }
    return false;
}

int main(int argc, char **argv)
{
    char rest[256];

    for (int i = 2; i < argc; i++) {
        if (!set_option(argv[i])) {
            fprintf(stderr, "load: cannot understand %s\n", argv[i]);
            return 2;
        }
    }
    if (argc < 2) {
        fprintf(stderr, "usage: load PORT [NAME=VALUE...]\n");
        return 2;
    }
    options.port = argv[1];
    prepare();
    errno = 0;
    log_in_all();
    measure();
    while (read(STDIN_FILENO, rest, sizeof(rest)) > 0)
        ;
    return 0;
}
