/* The process that a worker's pumps get when the worker ends: a child of it that has nothing but
 * these sockets and sessions, runs no Python, and exits when the last of them is over.
 *
 * It is forked while the pumps are at rest: nothing that the kernel does for the worker touches their
 * sockets then, and what was received or is unsent goes along in memory. Should there be no room for
 * a process, they go on in the worker. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "memory.h"
#include "pump_internal.h"

#define LOOK_MS 500 /* while one has been told the end */

/* greenpool's own signals say nothing to it: it ends with its clients. */
static const int deaf_to[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};

static struct gp_pump *rest_all(struct gp_engine *e)
{
    struct gp_pump *resting = NULL, *behind;

    for (struct gp_pump *p = e->pumps; p; p = behind) {
        behind = p->behind;
        if (!gp_pump_rest(e, p))
            continue;
        p->behind = resting;
        resting = p;
    }
    return resting;
}

static void start_all(struct gp_engine *e, struct gp_pump *resting)
{
    while (resting) {
        struct gp_pump *p = resting;
        resting = p->behind;
        gp_pump_start(e, p);
    }
}

static int compare(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

static void close_between(int32_t first, int32_t last)
{
    if (first > last || close_range((unsigned)first, (unsigned)last, 0) == 0)
        return;
    for (long fd = first; fd <= last && fd < sysconf(_SC_OPEN_MAX); fd++) /* before Linux 5.9 */
        close((int)fd);
}

/* Close every descriptor but the pumps'. */
static void keep_only(const struct gp_pump *resting, uint32_t count)
{
    int32_t *fds = malloc(2 * count * sizeof(*fds)), next = STDERR_FILENO + 1;
    uint32_t n = 0;

    if (!fds)
        _exit(1);
    for (const struct gp_pump *p = resting; p; p = p->behind) {
        fds[n++] = p->client.conn.fd;
        fds[n++] = p->worker.conn.fd;
    }
    qsort(fds, n, sizeof(*fds), compare);
    for (uint32_t i = 0; i < n; i++) {
        close_between(next, fds[i] - 1);
        next = fds[i] + 1;
    }
    close_between(next, INT32_MAX);
    free(fds);
}

static void become_nobody(void)
{
    int nothing = open("/dev/null", O_RDWR);

    for (size_t i = 0; i < sizeof(deaf_to) / sizeof(deaf_to[0]); i++)
        (void)signal(deaf_to[i], SIG_IGN);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (nothing == -1 || dup2(nothing, fd) == -1)
            _exit(1);
    (void)prctl(PR_SET_NAME, "greenpool-pump");
}

/* Take a place among the pids, or that of a dead one. Without any this process is not told of. */
static void be_told_of(struct gp_segment *seg)
{
    struct gp_common *common = gp_common_of(seg);

    for (unsigned i = 0; i < GP_PUMPS_MAX; i++) {
        uint32_t pid = gp_load32(&common->pumps[i]);
        bool is_free = pid == 0 || (kill((pid_t)pid, 0) == -1 && errno == ESRCH);
        if (is_free &&
            atomic_compare_exchange_strong_explicit(&common->pumps[i], &pid, (uint32_t)getpid(),
                                                    memory_order_relaxed, memory_order_relaxed))
            return;
    }
}

static bool one_is_ending(const struct gp_engine *e)
{
    for (const struct gp_pump *p = e->pumps; p; p = p->behind)
        if (p->since_ns)
            return true;
    return false;
}

/* In the child, to the end of it. */
static _Noreturn void live(struct gp_engine *e, struct gp_pump *resting, uint32_t count)
{
    become_nobody();
    be_told_of(e->seg);
    gp_memory_part();
    gp_segment_destroy(e->seg);
    e->seg = NULL;
    e->me = NULL;
    gp_transport_free(e->transport); /* it is the worker's, who goes with it */
    keep_only(resting, count);
    e->transport = gp_transport_epoll(e);
    if (!e->transport)
        _exit(1);
    e->now = gp_now_ns();
    start_all(e, resting);
    while (e->pumps) {
        struct pollfd door = {.fd = gp_transport_fd(e->transport), .events = POLLIN};
        int wait_ms = one_is_ending(e) ? LOOK_MS : -1;
        (void)poll(&door, 1, gp_transport_pending(e->transport) ? 0 : wait_ms);
        (void)gp_transport_wait(e->transport, false);
        gp_pumps_sweep(e);
        gp_pumps_bury(e);
    }
    _exit(0);
}

enum gp_result gp_engine_leave_pumps(struct gp_engine *e)
{
    e->now = gp_now_ns();
    struct gp_pump *resting = rest_all(e), *behind;
    uint32_t count = 0;

    for (struct gp_pump *p = resting; p; p = p->behind)
        count++;
    pid_t pid = count ? fork() : 0;
    if (count && pid == 0)
        live(e, resting, count);
    int why = errno;
    if (pid == -1)
        start_all(e, resting);
    for (struct gp_pump *p = pid == -1 ? NULL : resting; p; p = behind) {
        behind = p->behind;
        gp_pump_free(p);
    }
    gp_pumps_bury(e);
    errno = why;
    return pid == -1 ? GP_EIO : GP_OK;
}
