/* The step that gevent calls, and the public functions about the engine as a whole. The loop:
 *
 *   gp_engine_step:  wait (one batch) -> todo list -> bury -> again, until nothing is ready, the
 *                    bound is reached or Python is needed.
 *
 * Hot (much was relayed in the last ticks): instead of returning with nothing, the step sleeps in
 * the transport, which also listens to libev; a timer ticks every 10 ms, so that libev's timers are
 * never late by more. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "changes.h"
#include "deadlines.h"
#include "entrance.h"
#include "growth.h"
#include "handshakes.h"
#include "listeners.h"
#include "move.h"
#include "obey.h"
#include "plans.h"
#include "prepare.h"
#include "pump.h"
#include "suspend.h"

#define GP_EVENTS_FIRST 64u

/* So few completions while so many servers are in use: they come one by one, and each costs a switch
 * of processes. Letting the others run once makes them come together again. */
#define GP_SCANT 2u
#define GP_CROWD 8u
/* ... unless the others take the processor for longer than they need to answer: then not again for a
 * while. */
#define GP_YIELD_LONG_NS  500000u
#define GP_YIELD_PAUSE_NS 50000000u

/* ---- life ---- */

static enum gp_result watch(struct gp_engine *e, struct gp_conn *conn, enum gp_conn_kind kind,
                            int32_t fd)
{
    conn->fd = fd;
    conn->kind = kind;
    return fd == -1 ? GP_EIO : gp_conn_watch(e->transport, conn);
}

static bool prepare(struct gp_engine *e, struct gp_segment *seg, uint32_t backend)
{
    e->me = gp_worker_at(seg, e->worker);
    e->transport = backend == GP_IO_URING ? gp_transport_uring(e) : gp_transport_epoll(e);
    e->clients = calloc(seg->clients_max, sizeof(*e->clients));
    e->servers = calloc(seg->pools_max, sizeof(*e->servers));
    e->queues = calloc(seg->pools_max, sizeof(*e->queues));
    e->answers = calloc(seg->pools_max, sizeof(*e->answers));
    e->suspects = calloc(seg->pools_max, sizeof(*e->suspects));
    e->events = malloc(GP_EVENTS_FIRST * sizeof(*e->events));
    e->events_cap = GP_EVENTS_FIRST;
    if (!e->transport || !e->clients || !e->servers || !e->queues || !e->answers || !e->suspects ||
        !e->events)
        return false;
    struct gp_common_worker *place = gp_common_worker_at(seg, e->worker);
    int32_t timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int32_t haste = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return watch(e, &e->wake, GP_CONN_WAKE, place->wake_fd) == GP_OK &&
           watch(e, &e->inbox, GP_CONN_INBOX, place->inbox_read) == GP_OK &&
           watch(e, &e->tick, GP_CONN_TICK, timer) == GP_OK &&
           watch(e, &e->haste, GP_CONN_HASTE, haste) == GP_OK;
}

struct gp_engine *gp_engine_new(struct gp_segment *seg, uint32_t worker, uint32_t backend)
{
    struct gp_engine *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->seg = seg;
    e->worker = worker;
    e->loop_fd = -1;
    e->tick.fd = e->haste.fd = -1;
    e->now = gp_now_ns();
    e->dice = e->now * 2 + worker * 2 + 1; /* not 0 */
    if (!prepare(e, seg, backend)) {
        int why = errno;
        gp_engine_free(e);
        errno = why;
        return NULL;
    }
    atomic_store_explicit(&e->me->io_backend, backend, memory_order_relaxed);
    gp_memory_join(seg, worker);
    gp_worker_born(seg, worker, (uint32_t)getpid());
    uint64_t others =
        atomic_load_explicit(&gp_common_of(seg)->alive, memory_order_relaxed) & ~(1ull << worker);
    for (; others != 0; others &= others - 1) /* their census shares descriptors with us */
        gp_worker_poke(seg, (uint32_t)__builtin_ctzll(others));
    return e;
}

static void run_todo(struct gp_engine *e)
{
    while (e->todo_first) {
        struct gp_conn *conn = e->todo_first;

        if (conn->kind == GP_CONN_CLIENT) {
            struct gp_client *c = (struct gp_client *)conn;
            e->todo_first = c->next_todo;
            c->todo = 0;
            if (c->forgotten) {
                free(c);
                conn = NULL;
            }
        } else {
            struct gp_server *s = (struct gp_server *)conn;
            e->todo_first = s->next_todo;
            s->todo = 0;
        }
        if (!e->todo_first)
            e->todo_last = NULL;
        if (conn)
            gp_turn(e, conn);
    }
}

void gp_engine_free(struct gp_engine *e)
{
    if (!e)
        return;
    if (e->tick.fd != -1)
        close(e->tick.fd);
    if (e->haste.fd != -1)
        close(e->haste.fd);
    gp_engine_deafen(e);
    gp_guests_free(e);
    run_todo(e);
    gp_plans_free(e);
    gp_transport_free(e->transport);
    gp_moves_free(e);
    gp_pumps_free(e);
    gp_interner_free(&e->interner);
    gp_intents_free(e);
    gp_changes_free(e);
    free(e->clients);
    for (uint32_t pool = 0; e->servers && e->queues && pool < e->seg->pools_max; pool++) {
        free(e->servers[pool]);
        free(e->queues[pool]);
    }
    free(e->servers);
    free(e->queues);
    for (uint32_t pool = 0; e->answers && pool < e->seg->pools_max; pool++)
        free(e->answers[pool]);
    free(e->answers);
    gp_suspects_free(e);
    free(e->events);
    gp_memory_part();
    if (e->me)
        gp_memory_clear(e->seg, e->worker);
    free(e);
}

int32_t gp_engine_fd(struct gp_engine *e)
{
    return gp_transport_fd(e->transport);
}

void gp_engine_hot(struct gp_engine *e, int32_t loop_fd)
{
    e->loop_fd = loop_fd;
}

void gp_engine_farewells(struct gp_engine *e, bool told)
{
    e->quiet = !told;
}

void gp_engine_counts(struct gp_engine *e, struct gp_engine_counts *counts)
{
    *counts = e->transport->counts;
}

int32_t gp_io_uring_refusal(void)
{
    struct gp_transport *t = gp_transport_uring(NULL);
    int why = errno;

    gp_transport_free(t);
    return t ? 0 : why;
}

/* ---- completions ---- */

void gp_on_awake(struct gp_engine *e)
{
    e->now = gp_now_ns();
}

static void deliver(struct gp_engine *e, struct gp_conn *conn, const uint8_t *data, size_t len)
{
    if (conn->kind == GP_CONN_CLIENT)
        gp_frontend_received(e, (struct gp_client *)conn, data, len);
    else if (conn->kind == GP_CONN_SERVER)
        gp_backend_received(e, (struct gp_server *)conn, data, len);
    else
        gp_pump_received(e, conn, data, len);
}

static bool takes_no_more(const struct gp_conn *conn)
{
    const struct gp_client *c = (const struct gp_client *)conn;

    return conn->mode == GP_CONN_OFF ||
           (conn->kind == GP_CONN_CLIENT &&
            (c->state == GP_CLIENT_CLOSING || c->state == GP_CLIENT_GONE));
}

/* Ciphertext. What ends the stream stands behind the bytes that came with it. */
static void decrypt(struct gp_engine *e, struct gp_conn *conn, const uint8_t *data, size_t len)
{
    uint8_t plain[GP_SECURE_BYTES];
    enum gp_result result = GP_OK;

    for (size_t done = 0, take; done < len && result == GP_OK; done += take) {
        size_t got;
        take = len - done < GP_SCRATCH_BYTES ? len - done : GP_SCRATCH_BYTES;
        result = gp_secure_open(e->transport, conn, data + done, take, plain, sizeof(plain), &got);
        if (got)
            deliver(e, conn, plain, got);
        if (takes_no_more(conn))
            return;
    }
    if (result == GP_OK)
        return;
    if (conn->mode == GP_CONN_WATCH) { /* a server that came to rest: found dead like any other */
        gp_on_stirred(e, conn);
        return;
    }
    gp_conn_pause(conn);
    gp_on_closed(e, conn, result == GP_EOF ? GP_EOF : GP_EIO);
}

void gp_on_received(struct gp_engine *e, struct gp_conn *conn, const uint8_t *data, size_t len)
{
    if (conn->tls)
        decrypt(e, conn, data, len);
    else
        deliver(e, conn, data, len);
}

void gp_on_closed(struct gp_engine *e, struct gp_conn *conn, enum gp_result how)
{
    if (conn->kind == GP_CONN_SERVER) {
        gp_server_lost(e, (struct gp_server *)conn,
                       how == GP_EOF ? GP_REASON_SERVER_EOF : GP_REASON_SERVER_IO);
        return;
    }
    if (gp_conn_is_pumps(conn)) {
        gp_pump_closed(e, conn, how);
        return;
    }
    struct gp_client *c = (struct gp_client *)conn;
    if (c->state == GP_CLIENT_CLOSING) {
        conn->broken = 1;
        gp_todo(e, conn);
    } else if (c->state == GP_CLIENT_FREE) {
        gp_guest_closed(e, c);
    } else if (c->entrance) {
        gp_client_finish(e, c, GP_REASON_LOGIN_LEFT);
    } else if (how != GP_EOF) {
        gp_client_finish(e, c, GP_REASON_CLIENT_IO);
    } else {
        if (!c->leaving) /* a half-closed client is still owed its replies */
            c->leaving = GP_REASON_CLIENT_EOF;
        gp_frontend_continue(e, c);
    }
}

void gp_on_drained(struct gp_engine *e, struct gp_conn *conn)
{
    if (conn->kind == GP_CONN_SERVER) {
        struct gp_server *s = (struct gp_server *)conn;
        s->moved_ns = e->now;
        if (s->client)
            gp_todo(e, &s->client->conn);
        gp_link_turn(e, s);
        return;
    }
    if (gp_conn_is_pumps(conn)) {
        gp_pump_drained(e, conn);
        return;
    }
    struct gp_client *c = (struct gp_client *)conn;
    c->moved_ns = e->now;
    if (c->server) {
        c->server->moved_ns = e->now;
        gp_conn_resume(e->transport, &c->server->conn);
    }
    gp_todo(e, conn);
}

void gp_on_starved(struct gp_engine *e, struct gp_conn *conn)
{
    if (gp_conn_is_pumps(conn))
        gp_pump_closed(e, conn, GP_EIO);
    else
        gp_todo(e, conn);
}

/* A server at rest stirs: another worker's traffic, or it has something to say to nobody. */
static void server_stirred(struct gp_engine *e, struct gp_server *s)
{
    if (!gp_slot_seize(e->seg, s->pool, s->slot, e->worker))
        gp_conn_detach(e->transport, &s->conn);
    else if (gp_backend_listen(e, s) == GP_OK)
        gp_server_release(e, s);
    else
        gp_server_retire(e, s, s->said_fatal ? GP_REASON_SERVER_FATAL : GP_REASON_SERVER_EOF);
}

static void woken(struct gp_engine *e)
{
    struct gp_queue *next;

    gp_worker_unpoke(e->seg, e->worker);
    if (gp_worker_expects(e->seg, e->worker))
        gp_inbox_receive(e);
    gp_queue_handoffs(e);
    for (struct gp_queue *q = e->waiting; q; q = next) {
        next = q->behind;
        if (gp_growth_wanted(q))
            gp_pool_grow(e, q->pool); /* a place may have become free */
    }
    gp_yield_sweep(e);
    gp_evict_sweep(e);
    if (e->away)
        gp_moves_settle(e);
    gp_listeners_continue(e);
    gp_handshakes_continue(e);
}

void gp_on_stirred(struct gp_engine *e, struct gp_conn *conn)
{
    uint64_t ticks;

    switch ((enum gp_conn_kind)conn->kind) {
    case GP_CONN_SERVER:
        server_stirred(e, (struct gp_server *)conn);
        break;
    case GP_CONN_WAKE:
        woken(e);
        break;
    case GP_CONN_INBOX:
        gp_inbox_receive(e);
        break;
    case GP_CONN_TICK:
        if (read(conn->fd, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
            e->ticked = true;
        break;
    case GP_CONN_HASTE:
        if (read(conn->fd, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
            gp_growth_due(e);
        break;
    case GP_CONN_LISTENER:
        gp_listener_stirred(e, conn);
        break;
    case GP_CONN_CLIENT:
    case GP_CONN_PUMP_CLIENT:
    case GP_CONN_PUMP_WORKER:
        break;
    }
}

/* ---- the step ---- */

/* No event of the batch can name them any more. */
static void bury(struct gp_engine *e)
{
    gp_servers_bury(e);
    gp_pumps_bury(e);
}

static void set_tick(struct gp_engine *e, bool on)
{
    struct itimerspec every = {0};

    if (on)
        every.it_interval.tv_nsec = every.it_value.tv_nsec = GP_TICK_NS;
    if (e->ticking != on && timerfd_settime(e->tick.fd, 0, &every, NULL) == 0)
        e->ticking = on;
}

/* Whether traffic is such that the step should sleep itself instead of returning to libev: as many
 * batches in this tick's time, or in the last, as make crossings of the hub count. */
static bool stay_hot(struct gp_engine *e)
{
    bool hot =
        e->loop_fd != -1 && (e->batches >= GP_HOT_BATCHES || e->batches_before >= GP_HOT_BATCHES);

    set_tick(e, hot);
    return hot && e->ticking && !e->ticked && gp_transport_heat(e->transport, e->loop_fd) == GP_OK;
}

/* Count by ticks' times; what is counted before a pause does not make what follows it hot. */
static void count_batches(struct gp_engine *e, bool relayed)
{
    uint64_t age = e->now - e->batches_since;

    if (age >= GP_TICK_NS) {
        e->batches_before = age < 2 * GP_TICK_NS ? e->batches : 0;
        e->batches = 0;
        e->batches_since = e->now;
    }
    e->batches += relayed;
}

static uint32_t hand_over_events(struct gp_engine *e, struct gp_event *events, uint32_t capacity)
{
    uint32_t count = e->events_count < capacity ? e->events_count : capacity;

    memcpy(events, e->events + e->events_first, count * sizeof(*events));
    e->events_count -= count;
    e->events_first = e->events_count ? e->events_first + count : 0;
    return count;
}

static void let_others_run(struct gp_engine *e)
{
    if (e->now < e->yield_at)
        return;
    uint64_t began = gp_now_ns();
    (void)sched_yield(); /* else every reply of a crowd wakes this process by itself */
    uint64_t ended = gp_now_ns();
    if (ended - began > GP_YIELD_LONG_NS)
        e->yield_at = ended + GP_YIELD_PAUSE_NS;
}

uint32_t gp_engine_step(struct gp_engine *e, struct gp_event *events, uint32_t capacity)
{
    struct gp_engine_counts *counts = &e->transport->counts;
    bool sleep = false;

    counts->steps++;
    e->ticked = false;
    e->now = gp_now_ns();
    uint64_t until = e->now + GP_BOUND_NS;
    run_todo(e);
    for (;;) {
        uint64_t sent = counts->sends;
        uint32_t ready = gp_transport_wait(e->transport, sleep);
        if (e->movers)
            gp_moves_run(e);
        run_todo(e);
        bury(e);
        count_batches(e, counts->sends != sent);
        if (e->events_count || e->transport->called)
            break;
        sleep = ready < GP_BATCH && !gp_transport_pending(e->transport);
        if (sleep ? !stay_hot(e) : e->now >= until)
            break;
        if (sleep)
            until = e->now + GP_TICK_NS; /* hot: the tick ends it, or this in its place */
        if (sleep && ready <= GP_SCANT && e->linked >= GP_CROWD)
            let_others_run(e);
    }
    if (!gp_transport_cool(e->transport))
        gp_worker_poke(e->seg, e->worker); /* the bound was reached: the next step goes on */
    atomic_store_explicit(&e->me->beat_ns, e->now, memory_order_relaxed);
    return hand_over_events(e, events, capacity);
}

void gp_engine_sweep(struct gp_engine *e)
{
    e->now = gp_now_ns();
    gp_transport_sweep(e->transport);
    gp_obey_sweep(e);
    gp_suspend_sweep(e);
    gp_queue_sweep(e);
    gp_deadlines_sweep(e);
    gp_pumps_sweep(e);
    gp_servers_census(e);
    gp_yield_sweep(e);
    gp_moves_sweep(e);
    gp_listeners_sweep(e);
    gp_guests_sweep(e);
    (void)gp_memory_look();
    gp_interner_trim(&e->interner);
    run_todo(e);
    bury(e);
    if (e->draining && e->clients_live == 0 && !e->drained) {
        e->drained = true;
        gp_event_push(e, GP_EVENT_DRAINED, 0, 0, 0, 0);
    }
    if (e->events_count) /* the next step delivers them: be readable at once */
        gp_worker_poke(e->seg, e->worker);
}

void gp_engine_drain(struct gp_engine *e)
{
    e->draining = true;
    gp_segment_accept(e->seg, e->worker, false);
    for (uint32_t row = 0; row < e->seg->clients_max; row++) {
        if (e->clients[row])
            gp_client_drain(e, e->clients[row]);
    }
    gp_engine_sweep(e);
}

/* ---- placement ---- */

#define GP_PACK_PERMILLE 500u /* a worker that is busier than this is not packed any further */

void gp_engine_busy(struct gp_engine *e, uint32_t busy_permille, uint32_t clients)
{
    atomic_store_explicit(&e->me->busy_permille, busy_permille, memory_order_relaxed);
    atomic_store_explicit(&e->me->clients, clients, memory_order_relaxed);
    atomic_store_explicit(&e->me->statements, e->interner.count, memory_order_relaxed);
    atomic_store_explicit(&e->me->idle_statements, e->interner.idle, memory_order_relaxed);
}

/* Relaxed: who has stopped meanwhile passes the client on. */
static uint64_t accepting(struct gp_engine *e)
{
    return atomic_load_explicit(&gp_common_of(e->seg)->accepting, memory_order_relaxed);
}

static bool may_pack(const struct gp_worker *worker)
{
    return atomic_load_explicit(&worker->clients, memory_order_relaxed) < GP_PACK_CLIENTS &&
           atomic_load_explicit(&worker->busy_permille, memory_order_relaxed) < GP_PACK_PERMILLE;
}

/* Few clients are packed on the first worker, since one busy process wakes up for less than two idle
 * ones; more are spread by their number, and busier workers count for more. */
static uint32_t emptiest(struct gp_engine *e)
{
    uint32_t best = e->worker;
    uint64_t least = UINT64_MAX;

    for (uint64_t set = accepting(e); set != 0; set &= set - 1) {
        uint32_t w = (uint32_t)__builtin_ctzll(set);
        struct gp_worker *worker = gp_worker_at(e->seg, w);
        uint32_t busy = atomic_load_explicit(&worker->busy_permille, memory_order_relaxed);
        uint32_t clients = atomic_load_explicit(&worker->clients, memory_order_relaxed);

        if (may_pack(worker))
            return w;
        uint64_t load = (uint64_t)clients * (1000 + busy);
        if (load < least) {
            least = load;
            best = w;
        }
    }
    return best;
}

/* The client counts at once, so that a burst of them is spread; the worker's own count puts it right
 * within 100 ms. */
uint32_t gp_engine_place(struct gp_engine *e)
{
    uint32_t worker = emptiest(e);

    atomic_fetch_add_explicit(&gp_worker_at(e->seg, worker)->clients, 1, memory_order_relaxed);
    return worker;
}

bool gp_place_may_be_here(struct gp_engine *e)
{
    for (uint64_t set = accepting(e); set != 0; set &= set - 1) {
        uint32_t w = (uint32_t)__builtin_ctzll(set);
        if (w == e->worker)
            return true;
        if (may_pack(gp_worker_at(e->seg, w)))
            return false;
    }
    return true; /* nobody wants any: as far as this one listens, it serves them */
}

/* Others add to the number meanwhile: it is never right for long, nor far from right. */
void gp_place_vacated(struct gp_engine *e)
{
    uint32_t clients = atomic_load_explicit(&e->me->clients, memory_order_relaxed);

    while (clients &&
           !atomic_compare_exchange_weak_explicit(&e->me->clients, &clients, clients - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}
