/* Engines of one segment with their clients and servers, played in turn by one process on a clock of
 * its own. PostgreSQL is the far end of a socketpair that answers when its time has come; a login
 * takes as long as the play says. So a run depends on nothing but its script and its seed.
 *
 *     play_setup(&settings, workers)
 *     int a = play_come(0)          a client logs in at worker 0
 *     play_ask(a, 5 * MS)           ... and asks something that PostgreSQL works at for 5 ms
 *     play_run(3 * MS)              time goes by; whatever is ready is done
 *     play_teardown()               nothing may be left
 *
 * After each step of time: limits hold, and nobody was served before one who had come earlier, but
 * for the slack. Link with -Wl,--wrap=gp_now_ns,--wrap=timerfd_settime. */
#ifndef GP_TESTS_ENGINE_PLAY_H
#define GP_TESTS_ENGINE_PLAY_H

#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "growth.h"
#include "move.h"

#define MS    1000000ull
#define NEVER UINT64_MAX

enum { PLAY_WORKERS = 3, PLAY_CLIENTS = 64, PLAY_SLOTS = 16, PLAY_EVENTS = 64, QUERY_BYTES = 10 };

struct play_client {
    uint32_t id;
    int serial;  /* nobody before or after has the same */
    int32_t far; /* -1: nobody */
    bool asks;   /* and has no answer yet; `works`: a server works at it */
    bool works;
    uint64_t asked_ns, work_ns;
    uint32_t worker;    /* as of the last step of time */
    uint64_t waited_ns; /* in all, until a server came or the client was refused */
    uint32_t answers, refusals;
};

struct play_server {
    int32_t far;
    bool works;
    uint64_t ends_ns;
};

struct play_login {
    bool runs;
    uint32_t worker;
    uint64_t ends_ns;
};

struct play {
    uint64_t now_ns, sweep_ns;
    uint32_t workers, house, opened, failed;
    uint64_t login_ns; /* what a login takes */
    bool refuses;      /* logins fail */
    struct gp_segment *seg;
    struct gp_engine *engines[PLAY_WORKERS];
    uint32_t pool, size, creates;
    struct play_client clients[PLAY_CLIENTS];
    struct play_server servers[PLAY_SLOTS];
    struct play_login logins[PLAY_SLOTS];
    int served[PLAY_CLIENTS]; /* in this step of time */
    uint32_t served_count;
    uint32_t most; /* logins in flight */
    int serial;    /* of the client that came last */
};

static struct play play = {.now_ns = 1000 * MS};

uint64_t __wrap_gp_now_ns(void);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
                           struct itimerspec *old);

uint64_t __wrap_gp_now_ns(void)
{
    return play.now_ns;
}

/* play_settle looks at what is due instead. */
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value,
                           struct itimerspec *old)
{
    (void)fd, (void)flags, (void)value, (void)old;
    return 0;
}

static inline void play_pair(int32_t ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
}

/* ---- what is counted ---- */

static inline struct gp_pool_row play_row(void)
{
    struct gp_pool_row row;

    CHECK_EQ(gp_pool_row(play.seg, play.pool, &row), GP_OK);
    return row;
}

static inline struct gp_queue *play_queue(uint32_t worker)
{
    return gp_queue_at(play.engines[worker], play.pool);
}

/* Neither too many logins in flight nor a place that does not know its owner. */
static inline void play_check(void)
{
    struct gp_audit a;
    struct gp_pool_row row = play_row();

    gp_segment_audit(play.seg, &a);
    CHECK_EQ(a.dead_owners + a.bad_idle_bits + a.lost_creates + a.over_limit, 0);
    CHECK(a.slots_in_use <= play.size);
    CHECK(row.sv_login <= play.creates && row.sv_login <= play.house);
    if (row.sv_login > play.most)
        play.most = row.sv_login;
}

static inline bool play_waits(const struct play_client *c)
{
    return c->far != -1 && c->asks && !c->works;
}

/* It has come when its worker has heard of it: later than it has asked, if it was being moved. */
static inline void play_note_arrival(struct play_client *c)
{
    struct gp_client_row *row = gp_client_at(play.seg, c->id);
    bool known = atomic_load(&row->state) == GP_CLIENT_WAITING;
    uint64_t since = known ? atomic_load(&row->wait_since_ns) : play.now_ns;

    if (c->asked_ns < since)
        c->asked_ns = since;
}

/* Nobody waits still who came before one who was served in this step of time, but for those who were
 * on their way to another worker meanwhile, and in no queue. */
static inline void play_check_order(void)
{
    for (int w = 0; w < PLAY_CLIENTS; w++) {
        struct play_client *c = &play.clients[w];
        if (!play_waits(c))
            continue;
        play_note_arrival(c);
        uint32_t worker = gp_client_worker(play.seg, c->id);
        bool moved = c->worker != worker;
        c->worker = worker;
        if (moved)
            continue;
        for (uint32_t i = 0; i < play.served_count; i++)
            CHECK(c->asked_ns + GP_SLACK_NS >= play.clients[play.served[i]].asked_ns);
    }
    play.served_count = 0;
}

/* ---- PostgreSQL ---- */

static inline struct play_client *client_of(int serial)
{
    for (int i = 0; i < PLAY_CLIENTS; i++) {
        if (play.clients[i].far != -1 && play.clients[i].serial == serial)
            return &play.clients[i];
    }
    return NULL;
}

/* A query with a client's number in it, or one of greenpool's own, which takes no time. */
static inline void server_begins(struct play_server *s, const char *text)
{
    CHECK(!s->works);
    s->works = true;
    s->ends_ns = play.now_ns;
    if (text[0] < '0' || text[0] > '9')
        return;
    struct play_client *c = client_of(atoi(text));
    if (!c)
        return; /* it has left; its query was under way */
    s->ends_ns += c->work_ns;
    c->works = true;
    c->waited_ns += play.now_ns - c->asked_ns;
    play.served[play.served_count++] = (int)(c - play.clients);
}

static inline bool server_hears(struct play_server *s)
{
    char bytes[256];
    ssize_t got = s->far == -1 ? -1 : recv(s->far, bytes, sizeof(bytes), 0);

    for (ssize_t at = 0, total; at < got; at += total) {
        total = 1 + (ssize_t)gp_get_u32be((const uint8_t *)bytes + at + 1);
        CHECK(at + total <= got);
        if (bytes[at] == 'Q') /* not the CopyFail after a client that has vanished */
            server_begins(s, bytes + at + 5);
    }
    return got > 0;
}

static inline bool server_works(struct play_server *s)
{
    static const char answer[] = "C\0\0\0\x05\0Z\0\0\0\x05I";

    if (s->far == -1 || !s->works || s->ends_ns > play.now_ns)
        return false;
    s->works = false;
    CHECK_EQ(send(s->far, answer, sizeof(answer) - 1, MSG_NOSIGNAL), sizeof(answer) - 1);
    return true;
}

/* ---- clients ---- */

static inline int play_come(uint32_t worker)
{
    const struct gp_plan_settings settings = {
        .method = GP_LOGIN_NONE,
        .terms = {.pool = play.pool, .look_sql = (const uint8_t *)"look", .look_length = 4}};
    int i = 0;
    int32_t ends[2];

    while (play.clients[i].far != -1)
        CHECK(++i < PLAY_CLIENTS);
    play_pair(ends);
    play.clients[i] =
        (struct play_client){.id = gp_client_enter(play.engines[worker], false, "here"),
                             .serial = ++play.serial % 10000,
                             .far = ends[1],
                             .worker = worker};
    struct gp_plan *plan = gp_plan_new(&settings);
    CHECK_EQ(
        gp_client_login(play.engines[worker], play.clients[i].id, plan, ends[0], NULL, 0, NULL, 0),
        GP_OK);
    gp_plan_free(plan);
    return i;
}

static inline void play_ask(int client, uint64_t work_ns)
{
    struct play_client *c = &play.clients[client];
    char query[QUERY_BYTES + 1] = "Q\0\0\0\x09";

    CHECK(c->far != -1 && !c->asks);
    (void)snprintf(query + 5, 5, "%04d", c->serial);
    CHECK_EQ(send(c->far, query, QUERY_BYTES, 0), QUERY_BYTES);
    c->asks = true;
    c->works = false;
    c->asked_ns = play.now_ns;
    c->work_ns = work_ns;
}

static inline void play_leave(int client)
{
    close(play.clients[client].far);
    play.clients[client].far = -1;
    play.clients[client].asks = false;
}

static inline bool client_hears(struct play_client *c)
{
    uint8_t bytes[1024];
    ssize_t got = c->far == -1 ? -1 : recv(c->far, bytes, sizeof(bytes), 0);

    if (got <= 0)
        return false;
    CHECK(c->asks && bytes[got - 6] == 'Z');
    c->asks = false;
    if (bytes[0] == 'E') {
        CHECK(!c->works);
        c->waited_ns += play.now_ns - c->asked_ns;
        c->refusals++;
    } else {
        c->answers++;
    }
    return true;
}

/* ---- workers ---- */

static inline void login_begins(uint32_t worker, uint32_t slot)
{
    if (gp_server_spare(play.engines[worker], play.pool, slot))
        return;
    CHECK(!play.logins[slot].runs);
    play.logins[slot] =
        (struct play_login){.runs = true, .worker = worker, .ends_ns = play.now_ns + play.login_ns};
}

static inline bool login_goes_on(uint32_t slot)
{
    struct play_login *l = &play.logins[slot];
    int32_t ends[2];

    if (!l->runs || l->ends_ns > play.now_ns)
        return false;
    l->runs = false;
    if (play.refuses) {
        play.failed++;
        gp_server_failed(play.engines[l->worker], play.pool, slot, GP_AILS_POOL, "", "no");
        return true;
    }
    play.opened++;
    play_pair(ends);
    CHECK_EQ(play.servers[slot].far, -1);
    play.servers[slot] = (struct play_server){.far = ends[1]};
    CHECK_EQ(gp_server_opened(play.engines[l->worker], play.pool, slot, ends[0], NULL, 4711,
                              (const uint8_t *)"key!", 4, 0, "there"),
             GP_OK);
    return true;
}

static inline void server_retires(uint32_t worker, uint32_t slot)
{
    struct gp_tls *tls;
    int32_t fd = gp_server_surrender(play.engines[worker], play.pool, slot, &tls);

    if (fd != -1)
        close(fd);
    close(play.servers[slot].far);
    play.servers[slot].far = -1;
    gp_server_freed(play.engines[worker], play.pool, slot);
}

static inline void worker_hears(uint32_t worker, const struct gp_event *event)
{
    int32_t fd;

    switch (event->kind) {
    case GP_EVENT_OPEN:
        login_begins(worker, event->slot);
        break;
    case GP_EVENT_RETIRE:
        server_retires(worker, event->slot);
        break;
    case GP_EVENT_CANCEL:
        gp_server_canceled(play.engines[worker], play.pool, event->slot);
        break;
    case GP_EVENT_GOODBYE:
        fd = gp_client_forget(play.engines[worker], event->client);
        if (fd != -1)
            close(fd);
        break;
    default:
        break;
    }
}

static inline bool worker_steps(uint32_t worker)
{
    struct gp_engine *e = play.engines[worker];
    struct gp_event events[PLAY_EVENTS];
    struct pollfd ready = {.fd = gp_engine_fd(e), .events = POLLIN};

    if (!e->todo_first && !e->events_count && poll(&ready, 1, 0) != 1)
        return false;
    uint32_t count = gp_engine_step(e, events, PLAY_EVENTS);
    for (uint32_t i = 0; i < count; i++)
        worker_hears(worker, &events[i]);
    play_check();
    return true;
}

/* All that can be done now, until nothing can. */
static inline void play_settle(void)
{
    bool more = true;

    for (uint32_t w = 0; w < play.workers; w++) {
        if (play.now_ns >= play.sweep_ns) {
            gp_engine_sweep(play.engines[w]);
        } else if (play.engines[w]->haste_at && play.engines[w]->haste_at <= play.now_ns) {
            play.engines[w]->now = play.now_ns;
            gp_growth_due(play.engines[w]);
        }
    }
    if (play.now_ns >= play.sweep_ns)
        play.sweep_ns = play.now_ns + 100 * MS;
    while (more) {
        more = false;
        for (uint32_t slot = 0; slot < PLAY_SLOTS; slot++) {
            more |= login_goes_on(slot);
            more |= server_hears(&play.servers[slot]);
            more |= server_works(&play.servers[slot]);
        }
        for (uint32_t w = 0; w < play.workers; w++)
            more |= worker_steps(w);
        for (int c = 0; c < PLAY_CLIENTS; c++)
            more |= client_hears(&play.clients[c]);
    }
    play_check_order();
}

/* Let so much time go by, in steps of half a millisecond. */
static inline void play_run(uint64_t ns)
{
    for (uint64_t end = play.now_ns + ns; play.now_ns < end;) {
        play_settle();
        play.now_ns += end - play.now_ns < MS / 2 ? end - play.now_ns : MS / 2;
    }
    play_settle();
}

/* ---- life ---- */

static inline void play_setup(const struct gp_pool_settings *settings, uint32_t workers)
{
    uint64_t now_ns = play.now_ns + 1000 * MS;

    play = (struct play){.now_ns = now_ns,
                         .sweep_ns = now_ns,
                         .workers = workers,
                         .house = 4,
                         .login_ns = 10 * MS,
                         .size = settings->size,
                         .creates = settings->max_creates};
    CHECK(settings->size <= PLAY_SLOTS && workers <= PLAY_WORKERS);
    for (int i = 0; i < PLAY_CLIENTS; i++)
        play.clients[i].far = -1;
    for (int i = 0; i < PLAY_SLOTS; i++)
        play.servers[i] = (struct play_server){.far = -1};
    play.seg = gp_segment_create(workers, 1, PLAY_CLIENTS);
    CHECK(play.seg != NULL);
    gp_segment_limits(play.seg, PLAY_CLIENTS, play.house);
    CHECK_EQ(gp_pool_define(play.seg, "shop", "ann", settings, &play.pool), GP_OK);
    for (uint32_t w = 0; w < workers; w++) {
        play.engines[w] = gp_engine_new(play.seg, w, GP_IO_EPOLL);
        CHECK(play.engines[w] != NULL);
        play.engines[w]->dice = w + 1;
    }
    play_settle();
}

/* Nobody waits, no ticket is out, no place of a login is taken: in no worker. */
static inline void play_check_empty(void)
{
    struct gp_pool_row row = play_row();

    CHECK_EQ(row.cl_waiting + row.sv_login, 0);
    CHECK_EQ(row.maxwait_ns, 0);
    for (uint32_t w = 0; w < play.workers; w++) {
        struct gp_queue *q = play_queue(w);
        CHECK_EQ(q->length + q->opening + q->pace.patient, 0);
        CHECK_EQ(gp_lane_outstanding(play.seg, play.pool, w), 0);
        CHECK_EQ(atomic_load(&gp_lane_at(play.seg, play.pool, w)->waiting), 0);
    }
}

/* An engine ends with its process, which frees these. */
static inline void worker_ends(struct gp_engine *e)
{
    for (uint32_t slot = 0; slot < PLAY_SLOTS; slot++) {
        struct gp_server *s = gp_server_find(e, play.pool, slot);
        if (s)
            gp_server_drop(e, s);
    }
    gp_servers_bury(e);
    gp_engine_free(e);
}

static inline void play_teardown(void)
{
    for (int i = 0; i < PLAY_CLIENTS; i++) {
        if (play.clients[i].far != -1)
            play_leave(i);
    }
    play_run(20 * MS);
    play_check_empty();
    CHECK_EQ(play_row().cl_idle + play_row().cl_active, 0);
    for (uint32_t w = 0; w < play.workers; w++) {
        (void)gp_pool_retire_idle(play.engines[w], play.pool, GP_REASON_SHUTDOWN);
        play_settle();
    }
    for (uint32_t w = 0; w < play.workers; w++)
        worker_ends(play.engines[w]);
    for (int i = 0; i < PLAY_SLOTS; i++) {
        if (play.servers[i].far != -1)
            close(play.servers[i].far);
    }
    gp_segment_destroy(play.seg);
}

#endif
