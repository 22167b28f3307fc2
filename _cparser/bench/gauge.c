/* The relay by itself, to be counted: engines, their clients and their servers in one thread.
 *
 *   gauge EXCHANGE WORKERS CLIENTS SERVERS TRANSACTIONS
 *
 * scripts/budget runs it under callgrind with collection switched on in gp_engine_step and off in
 * play_aside, which is called from within: a single engine is hot, as under load, and before each of
 * its waits the ends play, so that it never sleeps in vain. Several engines take turns, so that none
 * of them may sleep, but one whose descriptor is not readable is passed over, as by libev; their
 * clients, one after the other, share the servers of all. What is left to chance elsewhere is fixed
 * here: the clock goes STEP_NS further with each wait, libev's tick does not tick, the key of the
 * statements' hashes is zero. So two runs count the same, and the difference of a long run and a
 * short one is what transactions cost in steady state.
 *
 * The exchange `login` has neither: one client after the other comes, logs in and leaves (logins.c).
 *
 * Linked with --wrap for what it replaces or counts (bench/build). Prints
 *
 *   transactions=N allocations=N others=N
 *
 * `allocations` are the engine's; `others` are the system calls that were not: callgrind counts
 * system calls whoever makes them. Exit status 1: something went wrong, which is said. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../relay.h"
#include "logins.h"
#include "peers.h"

#define STEP_NS    20000u
#define EVENTS     64u
#define WORKERS    4u
#define STATE_SQL  "RESET ALL"
#define IDLE_WAITS 1000u /* waits without a transaction after which the run is stuck */

struct gauge {
    struct peers peers;
    struct gp_segment *seg;
    struct gp_engine *engines[WORKERS];
    struct gp_transport_ops ops; /* the transport's `real` ones, but that peers play in a wait */
    const struct gp_transport_ops *real;
    uint32_t workers;
    uint32_t pool;
    int32_t loop_fd; /* stands for libev's set: readable when the engine shall return */
    int32_t stop_fd;
    bool failed;
    uint64_t idle_waits, done_before;
    uint64_t now_ns, allocations;
    bool inside; /* of gp_engine_step, and not of the peers */
};

static struct gauge gauge = {.now_ns = 1000000000u};

/* ---- what the linker puts in place of the engine's own (-Wl,--wrap) ---- */

uint64_t __wrap_gp_now_ns(void);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
                           struct itimerspec *old);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);

uint64_t __wrap_gp_now_ns(void)
{
    return gauge.now_ns;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
                           struct itimerspec *old)
{
    (void)fd, (void)flags, (void)value, (void)old;
    return 0;
}

/* Not random at all, so that each run is the same. */
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
    (void)flags;
    memset(buf, 'r', len);
    return (ssize_t)len;
}

void *__wrap_malloc(size_t size)
{
    gauge.allocations += gauge.inside;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    gauge.allocations += gauge.inside;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    gauge.allocations += gauge.inside;
    return __real_realloc(at, size);
}

static bool is_stuck(void)
{
    if (gauge.peers.done != gauge.done_before)
        gauge.idle_waits = 0;
    gauge.done_before = gauge.peers.done;
    return ++gauge.idle_waits > IDLE_WAITS;
}

static void play(void)
{
    gauge.now_ns += STEP_NS;
    if (!peers_play(&gauge.peers) || is_stuck())
        gauge.failed = true;
    if ((gauge.failed || peers_are_done(&gauge.peers)) && eventfd_write(gauge.stop_fd, 1) == -1)
        abort(); /* the engine would sleep for ever */
}

/* Within a step: callgrind knows it by its name. */
static __attribute__((noinline)) void play_aside(void)
{
    gauge.inside = false;
    play();
    gauge.inside = true;
}

/* What the engine believes to be its transport's wait: the peers have their turn before it. */
static uint32_t play_and_wait(struct gp_transport *t, bool sleep)
{
    play_aside();
    return gauge.real->wait(t, sleep);
}

/* ---- the run ---- */

static bool fail(const char *what)
{
    fprintf(stderr, "gauge: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    return false;
}

static bool make_engines(uint32_t clients, uint32_t servers)
{
    const struct gp_pool_settings settings = {.mode = GP_MODE_TRANSACTION,
                                              .size = servers,
                                              .max_creates = 64,
                                              .session_state = GP_SESSION_TRACK,
                                              .deferred_begin = 1,
                                              .statements_max = 1000};
    struct epoll_event stop = {.events = EPOLLIN};

    gauge.seg = gp_segment_create(gauge.workers, 1, clients);
    if (!gauge.seg)
        return false;
    memset(gp_common_of(gauge.seg)->hash_key, 0, GP_HASH_KEY_BYTES);
    gp_segment_limits(gauge.seg, clients, 64);
    if (gp_pool_define(gauge.seg, "bench", "bench", &settings, &gauge.pool) != GP_OK)
        return false;
    for (uint32_t w = 0; w < gauge.workers; w++) {
        if (!(gauge.engines[w] = gp_engine_new(gauge.seg, w, GP_IO_EPOLL)))
            return false;
        gauge.real = gauge.engines[w]->transport->ops;
        gauge.ops = *gauge.real;
        gauge.ops.wait = play_and_wait;
        gauge.engines[w]->transport->ops = &gauge.ops;
    }
    const uint8_t none[1] = {0}; /* as after the first login, in a database like most */
    if (gp_suspects_tell(gauge.engines[0], gauge.pool, 0, 0, none, 0, none, 0) != GP_OK)
        return false;
    gauge.loop_fd = epoll_create1(EPOLL_CLOEXEC);
    gauge.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gauge.loop_fd == -1 || gauge.stop_fd == -1)
        return false;
    if (gauge.workers == 1)
        gp_engine_hot(gauge.engines[0], gauge.loop_fd);
    return epoll_ctl(gauge.loop_fd, EPOLL_CTL_ADD, gauge.stop_fd, &stop) != -1;
}

static bool add_client(struct gp_engine *engine)
{
    uint32_t client = gp_client_enter(engine, false, "gauge");
    int32_t fd = peers_add_client(&gauge.peers);

    const struct gp_plan_settings settings = {
        .method = GP_LOGIN_NONE,
        .terms = {.pool = gauge.pool,
                  .state_sql = (const uint8_t *)STATE_SQL,
                  .state_length = sizeof(STATE_SQL) - 1},
    };
    struct gp_plan *plan = gp_plan_new(&settings);
    bool added = client && fd != -1 && plan &&
                 gp_client_login(engine, client, plan, fd, NULL, 0, NULL, 0) == GP_OK;

    gp_plan_free(plan);
    return added;
}

static bool on_event(struct gp_engine *engine, const struct gp_event *event)
{
    const uint8_t key[4] = {0};

    if (event->kind != GP_EVENT_OPEN)
        return fail("the engine gave up a connection");
    int32_t fd = peers_add_server(&gauge.peers);
    return fd != -1 && gp_server_opened(engine, event->pool, event->slot, fd, NULL, 1, key,
                                        sizeof(key), 0, "gauge") == GP_OK;
}

static bool step(struct gp_engine *engine)
{
    struct gp_event events[EVENTS];

    gauge.inside = true;
    uint32_t count = gp_engine_step(engine, events, EVENTS);
    gauge.inside = false;
    for (uint32_t i = 0; i < count; i++)
        if (!on_event(engine, &events[i]))
            return fail("a server could not be added");
    return true;
}

/* Whether a step would be called, by libev or after a login. The only engine waits by itself. */
static bool is_called(struct gp_engine *engine)
{
    struct pollfd of_fd = {.fd = gp_engine_fd(engine), .events = POLLIN};

    if (gauge.workers == 1 || engine->todo_first)
        return true;
    gauge.peers.calls++;
    return poll(&of_fd, 1, 0) == 1;
}

/* No exchange and no peers: the engine's own wait. */
static bool measure_logins(uint64_t wanted)
{
    if (!make_engines(1, 1))
        return fail("no engine");
    gauge.engines[0]->transport->ops = gauge.real;
    gp_engine_hot(gauge.engines[0], -1);
    gauge.inside = true;
    uint64_t others = 0;
    if (!logins_run(gauge.engines[0], gauge.pool, wanted, &others))
        return fail("a client could not log in");
    printf("transactions=%llu allocations=%llu others=%llu\n", (unsigned long long)wanted,
           (unsigned long long)gauge.allocations, (unsigned long long)others);
    return true;
}

static bool run(void)
{
    for (uint32_t w = 0; !peers_are_done(&gauge.peers); w = (w + 1) % gauge.workers) {
        if (!is_called(gauge.engines[w]))
            play();
        else if (!step(gauge.engines[w]))
            return false;
        if (gauge.failed)
            return fail("a transaction was not answered as it must be");
    }
    return true;
}

static void report(void)
{
    printf("transactions=%llu allocations=%llu others=%llu\n", (unsigned long long)gauge.peers.done,
           (unsigned long long)gauge.allocations, (unsigned long long)gauge.peers.calls);
}

static bool measure(const char *exchange_name, uint32_t clients, uint32_t servers, uint64_t wanted)
{
    static struct exchange exchange;

    if (strcmp(exchange_name, "login") == 0)
        return measure_logins(wanted);

    if (!exchange_make(exchange_name, &exchange))
        return fail("no such exchange");
    gauge.peers.exchange = &exchange;
    gauge.peers.wanted = wanted;
    if (!make_engines(clients, servers))
        return fail("no engine");
    for (uint32_t i = 0; i < clients; i++)
        if (!add_client(gauge.engines[i % gauge.workers]))
            return fail("a client could not be added");
    if (!run())
        return false;
    report();
    return true;
}

int main(int argc, char **argv)
{
    if (argc == 6)
        gauge.workers = (uint32_t)strtoul(argv[2], NULL, 10);
    if (gauge.workers < 1 || gauge.workers > WORKERS) {
        fprintf(stderr, "usage: gauge EXCHANGE WORKERS CLIENTS SERVERS TRANSACTIONS\n");
        return 2;
    }
    errno = 0;
    return measure(argv[1], (uint32_t)strtoul(argv[3], NULL, 10),
                   (uint32_t)strtoul(argv[4], NULL, 10), strtoull(argv[5], NULL, 10))
               ? 0
               : 1;
}
