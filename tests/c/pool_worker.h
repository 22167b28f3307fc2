/* A worker process of test_pool_stress.c: the reference use of pool.h. It does what the relay does,
 * with a private queue, published tickets and one place where it looks when it was poked; only that
 * its clients and servers do nothing but count. It never sweeps by time, so a wake-up that is lost
 * shows: the worker sleeps too long. */
#ifndef GP_TESTS_POOL_WORKER_H
#define GP_TESTS_POOL_WORKER_H

#include "jitter.h"

#include "pool.c"
#include "reclaim.c"
#include "segment.c"
#include "slot.c"

#include <errno.h>
#include <poll.h>
#include <sched.h>

#include "check.h"

enum {
    WORKERS = 4,
    SIZE = 5,
    CLIENTS = 7,     /* of each worker */
    LOST_MS = 30000, /* no machine is that busy, and who was forgotten sleeps for ever */
    PARKED_NS = 200 * 1000 * 1000,
    POOL = 0
};

/* What the processes tell each other beyond the segment: who may write to a slot's server. */
struct truth {
    _Atomic uint32_t owner[SIZE]; /* 0 or worker + 1 */
    uint32_t workers, rounds; /* rounds: one client a worker, one transaction a round, no mishaps */
    _Atomic uint64_t finished; /* transactions of all rounds */
    _Atomic uint32_t stop;
    _Atomic uint32_t done;     /* workers that have nothing left to do */
    _Atomic uint32_t failures; /* broken rules; each is printed where it was seen */
    _Atomic uint64_t xacts, left, bounced, cancels, parked, stuck, reaped, stale, failed_logins;
};

struct client {
    uint32_t id;
    uint32_t work; /* rounds until its transaction ends; 0 while it has no server */
    uint32_t slot;
    uint64_t arrival_ns; /* 0 = not waiting */
    uint64_t served;     /* transactions that ended */
};

struct cancel {
    uint32_t slot, generation, client, rounds;
};

struct worker {
    uint32_t me, seed;
    uint32_t deaths_seen;
    struct client clients[CLIENTS];
    struct client *queue[CLIENTS]; /* waiters, oldest first; the first `published` have a ticket */
    uint32_t length, published;
    uint32_t login[SIZE];  /* rounds until that login ends, 0 = none */
    uint64_t parked[SIZE]; /* since when, 0 = not */
    uint32_t held[SIZE];   /* generation + 1 whose descriptor it has, 0 = none */
    struct cancel cancel;  /* one in flight; rounds 0 = none */
};

static struct gp_segment *seg;
static struct truth *truth;

static void violation(const struct worker *w, const char *what, uint32_t slot)
{
    struct gp_word word = gp_word_unpack(atomic_load(&gp_slot_at(seg, POOL, slot)->word));
    fprintf(stderr, "worker %u: %s: slot %u state %u worker %u client %u, owner %u\n", w->me, what,
            slot, word.state, word.worker, word.client, atomic_load(&truth->owner[slot]));
    atomic_fetch_add(&truth->failures, 1);
}

static uint32_t dice(struct worker *w, uint32_t sides)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 17;
    w->seed ^= w->seed << 5;
    return w->seed % sides;
}

static uint32_t clients_count(void)
{
    return truth->rounds != 0 ? 1 : CLIENTS;
}

/* Whether something goes wrong this time. */
static bool mishap(struct worker *w, uint32_t sides)
{
    return truth->rounds == 0 && dice(w, sides) == 0;
}

static struct gp_word word_of(uint32_t slot)
{
    return gp_word_unpack(atomic_load(&gp_slot_at(seg, POOL, slot)->word));
}

/* ---- the queue ---- */

/* Have a ticket for each waiter, as far as the ring goes, and none too many. Then look a second
 * time. */
static void queue_publish(struct worker *w)
{
    bool more = false;

    while (w->published > w->length && gp_lane_retract(seg, POOL, w->me))
        w->published--;
    while (w->published < w->length &&
           gp_lane_publish(seg, POOL, w->me, w->queue[w->published]->arrival_ns)) {
        w->published++;
        more = true;
    }
    if (w->length == 0 && w->published == 0)
        gp_lane_quiet(seg, POOL, w->me);
    if (more)
        gp_pool_settle(seg, POOL, w->me, gp_now_ns());
}

static void queue_remove(struct worker *w, uint32_t index)
{
    w->length--;
    memmove(&w->queue[index], &w->queue[index + 1], (w->length - index) * sizeof(w->queue[0]));
}

static void queue_leave(struct worker *w, uint32_t index)
{
    w->queue[index]->arrival_ns = 0;
    queue_remove(w, index);
    if (index < w->published && gp_lane_retract(seg, POOL, w->me))
        w->published--;
    queue_publish(w);
    atomic_fetch_add(&truth->left, 1);
}

/* The oldest waiter, because a slot came for one of our tickets; NULL: it has left. */
static struct client *queue_pop(struct worker *w)
{
    struct client *c = w->length != 0 ? w->queue[0] : NULL;

    if (w->published > gp_lane_outstanding(seg, POOL, w->me))
        w->published--;
    if (c != NULL) {
        queue_remove(w, 0);
        c->arrival_ns = 0;
    }
    return c;
}

/* A ticket that a dead worker had claimed is lost: publish anew. One grant too many does no harm.
 */
static void queue_again(struct worker *w)
{
    uint32_t deaths = 0;

    for (uint32_t i = 0; i < truth->workers; i++)
        deaths += 2 * atomic_load(&gp_common_worker_at(seg, i)->births) +
                  ((atomic_load(&gp_common_of(seg)->alive) >> i & 1) == 0);
    if (deaths == w->deaths_seen)
        return;
    w->deaths_seen = deaths;
    gp_lane_quiet(seg, POOL, w->me);
    w->published = 0;
}

/* ---- servers ---- */

static void own_enter(struct worker *w, uint32_t slot)
{
    if (atomic_exchange(&truth->owner[slot], w->me + 1) != 0)
        violation(w, "two owners (at link)", slot);
}

static void own_leave(struct worker *w, uint32_t slot)
{
    if (atomic_exchange(&truth->owner[slot], 0) != w->me + 1)
        violation(w, "two owners (at release)", slot);
}

static void server_retire(struct worker *w, uint32_t slot)
{
    if (!gp_slot_closing(seg, POOL, slot, w->me))
        violation(w, "cannot close", slot);
    gp_slot_free(seg, POOL, slot, w->me);
}

static void client_link(struct worker *w, struct client *c, uint32_t slot)
{
    own_enter(w, slot);
    if (slot >= SIZE || w->held[slot] != word_of(slot).generation + 1)
        violation(w, "got a slot without its descriptor", slot);
    c->slot = slot;
    c->work = 1 + dice(w, 3);
    atomic_store(&gp_client_at(seg, c->id)->slot, slot + 1);
    atomic_store(&gp_client_at(seg, c->id)->state, GP_CLIENT_ACTIVE);
}

/* To the next client of this worker, to another worker, or to rest. */
static void server_release(struct worker *w, uint32_t slot)
{
    for (;;) {
        struct client *c;
        switch (gp_pool_release(seg, POOL, slot, w->me, gp_now_ns(), 100000, 0)) {
        case GP_RELEASED_SELF:
            c = queue_pop(w);
            if (c == NULL) {
                atomic_fetch_add(&truth->bounced, 1);
                continue;
            }
            gp_slot_assign(seg, POOL, slot, w->me, c->id);
            client_link(w, c, slot);
            queue_publish(w);
            return;
        case GP_RELEASED_PARKED:
            w->parked[slot] = gp_now_ns();
            atomic_fetch_add(&truth->parked, 1);
            return;
        case GP_RELEASED_STALE:
            atomic_fetch_add(&truth->stale, 1);
            server_retire(w, slot);
            return;
        case GP_RELEASED_IDLE:
        case GP_RELEASED_AWAY:
            return;
        }
    }
}

static void handoffs_receive(struct worker *w)
{
    uint32_t pool, slot;

    while (gp_pool_next_handoff(seg, w->me, &pool, &slot)) {
        bool parked = w->parked[slot] != 0;
        struct client *c = parked ? NULL : queue_pop(w);
        w->parked[slot] = 0;
        if (c == NULL) {
            atomic_fetch_add(&truth->bounced, !parked);
            server_release(w, slot);
            continue;
        }
        gp_slot_assign(seg, POOL, slot, w->me, c->id);
        client_link(w, c, slot);
    }
}

static void grow(struct worker *w)
{
    uint32_t slot;

    for (uint32_t n = w->length; n != 0; n--) {
        if ((slot = gp_pool_claim(seg, POOL, w->me)) == GP_NO_SLOT)
            return;
        if (slot >= SIZE)
            violation(w, "claimed beyond pool_size", slot);
        w->login[slot] = 1 + dice(w, 4);
    }
}

static void login_end(struct worker *w, uint32_t slot)
{
    if (mishap(w, 10)) {
        atomic_fetch_add(&truth->failed_logins, 1);
        gp_slot_free(seg, POOL, slot, w->me);
        return;
    }
    gp_slot_opened(seg, POOL, slot, w->me, 1, NULL, 0, gp_now_ns(), 0);
    w->held[slot] = word_of(slot).generation + 1;
    server_release(w, slot);
    for (uint32_t i = 0; i < truth->workers; i++) /* share its descriptor */
        gp_worker_poke(seg, i);
}

/* Receive descriptors, reap what the dead left, retire what is stale. */
static void census(struct worker *w)
{
    uint32_t epoch = atomic_load(&gp_common_pool_at(seg, POOL)->epoch);

    for (uint32_t slot = 0; slot < gp_slots_high(seg, POOL); slot++) {
        struct gp_word word = word_of(slot);
        if (word.state != GP_SLOT_FREE && word.state != GP_SLOT_CONNECTING &&
            w->held[slot] != word.generation + 1 &&
            gp_slot_hold(seg, POOL, slot, word.generation, w->me))
            w->held[slot] = word.generation + 1;
        if (word.state == GP_SLOT_REAP && word.worker == w->me) {
            atomic_store(&truth->owner[slot], 0);
            atomic_fetch_add(&truth->reaped, 1);
            server_retire(w, slot);
        }
        if (word.state == GP_SLOT_IDLE &&
            atomic_load(&gp_slot_at(seg, POOL, slot)->epoch) != epoch &&
            gp_slot_seize(seg, POOL, slot, w->me)) {
            atomic_fetch_add(&truth->stale, 1);
            server_retire(w, slot);
        }
    }
}

/* All that a poke may mean. */
static void look(struct worker *w)
{
    census(w);
    queue_again(w);
    handoffs_receive(w);
    queue_publish(w);
    if (w->length != 0) {
        gp_pool_settle(seg, POOL, w->me, gp_now_ns());
        handoffs_receive(w);
        grow(w);
    }
}

/* ---- clients ---- */

/* In rounds a client begins when all have ended the round before. */
static bool client_may_ask(const struct client *c)
{
    return !atomic_load(&truth->stop) &&
           (truth->rounds == 0 || atomic_load(&truth->finished) / truth->workers == c->served);
}

static void client_ask(struct worker *w, struct client *c)
{
    uint32_t slot = w->length == 0 ? gp_pool_take(seg, POOL, w->me, c->id) : GP_NO_SLOT;

    if (slot != GP_NO_SLOT) {
        client_link(w, c, slot);
        return;
    }
    c->arrival_ns = gp_now_ns();
    w->queue[w->length++] = c;
    queue_publish(w);
    grow(w);
}

static void client_finish(struct worker *w, struct client *c)
{
    uint32_t slot = c->slot;

    own_leave(w, slot);
    c->work = 0;
    atomic_store(&gp_client_at(seg, c->id)->state, GP_CLIENT_IDLE);
    atomic_store(&gp_client_at(seg, c->id)->slot, 0);
    atomic_fetch_add(&truth->xacts, 1);
    c->served++;
    if (mishap(w, 40)) /* PostgreSQL has hung up */
        server_retire(w, slot);
    else
        server_release(w, slot);
    atomic_fetch_add(&truth->finished, 1);
}

static void clients_run(struct worker *w)
{
    for (uint32_t i = 0; i < clients_count(); i++) {
        struct client *c = &w->clients[i];
        if (c->work > 1)
            c->work--;
        else if (c->work == 1)
            client_finish(w, c);
        else if (c->arrival_ns == 0 && client_may_ask(c))
            client_ask(w, c);
    }
    if (w->length != 0 && mishap(w, 20))
        queue_leave(w, dice(w, w->length));
}

static void cancel_run(struct worker *w)
{
    struct cancel *k = &w->cancel;
    uint32_t pool, client = 1 + dice(w, truth->workers * CLIENTS);
    struct gp_word word;
    bool waiting;

    if (k->rounds == 0) {
        if (!atomic_load(&truth->stop) && mishap(w, 10) &&
            gp_cancel_begin(seg, client, (const uint8_t *)"key", 3, &pool, &k->slot, &k->generation,
                            &waiting) == GP_OK) {
            k->rounds = 1 + dice(w, 3);
            k->client = client;
            atomic_fetch_add(&truth->cancels, 1);
        }
        return;
    }
    word = word_of(k->slot);
    if (word.generation == k->generation && word.state != GP_SLOT_REAP &&
        word.state != GP_SLOT_CLOSING && word.client != k->client)
        violation(w, "a server changed hands with a cancel in flight", k->slot);
    if (--k->rounds == 0)
        gp_cancel_end(seg, POOL, k->slot, k->generation);
}

/* ---- the worker process ---- */

static void servers_run(struct worker *w)
{
    for (uint32_t slot = 0; slot < SIZE; slot++) {
        if (w->login[slot] != 0 && --w->login[slot] == 0)
            login_end(w, slot);
        if (w->parked[slot] != 0 && gp_now_ns() - w->parked[slot] > PARKED_NS &&
            gp_slot_closing(seg, POOL, slot, w->me)) { /* its canceller died */
            w->parked[slot] = 0;
            atomic_fetch_add(&truth->stuck, 1);
            gp_slot_free(seg, POOL, slot, w->me);
        }
    }
}

/* How long it may sleep: not at all while something runs here or the next round is awaited (awake,
 * so that all begin at once, and no poke hides one that was lost); bounded while something is
 * parked. */
static int worker_patience(const struct worker *w)
{
    int patience = w->length != 0 ? LOST_MS : 100;

    if (w->cancel.rounds != 0)
        return 0;
    for (uint32_t i = 0; i < clients_count(); i++) {
        if (w->clients[i].work != 0)
            return 0;
        if (w->clients[i].arrival_ns == 0 && !atomic_load(&truth->stop))
            return 0;
    }
    for (uint32_t slot = 0; slot < SIZE; slot++) {
        if (w->login[slot] != 0)
            return 0;
        if (w->parked[slot] != 0)
            patience = 100;
    }
    return patience;
}

static void worker_sleep(struct worker *w)
{
    int patience = worker_patience(w);
    struct pollfd p = {.fd = gp_common_worker_at(seg, w->me)->wake_fd, .events = POLLIN};

    if (patience == 0)
        (void)sched_yield(); /* it always succeeds */
    if (poll(&p, 1, patience) == 0) {
        if (patience == LOST_MS)
            violation(w, "a wake-up was lost", 0);
        return;
    }
    gp_worker_unpoke(seg, w->me);
    look(w);
}

static bool worker_busy(const struct worker *w)
{
    bool busy = w->length != 0 || w->cancel.rounds != 0;

    for (uint32_t i = 0; i < clients_count(); i++)
        busy |= w->clients[i].work != 0;
    for (uint32_t slot = 0; slot < SIZE; slot++)
        busy |= w->login[slot] != 0 || w->parked[slot] != 0;
    return busy;
}

static void worker_main(uint32_t me, uint32_t seed)
{
    struct worker w = {.me = me, .seed = seed};
    bool done = false;

    gp_worker_born(seg, me, (uint32_t)getpid());
    for (uint32_t i = 0; i < clients_count(); i++) {
        struct gp_client_row *row;
        w.clients[i].id = gp_client_claim(seg, me, false);
        if (w.clients[i].id == GP_NO_CLIENT) {
            violation(&w, "no client row", 0);
            return;
        }
        row = gp_client_at(seg, w.clients[i].id);
        memcpy(row->key, "key", 3);
        row->key_length = 3;
        atomic_store(&row->pool, POOL + 1);
    }
    while (atomic_load(&truth->done) < truth->workers && atomic_load(&truth->failures) == 0) {
        clients_run(&w);
        servers_run(&w);
        cancel_run(&w);
        worker_sleep(&w);
        if (!done && atomic_load(&truth->stop) && !worker_busy(&w)) {
            done = true;
            atomic_fetch_add(&truth->done, 1);
        }
    }
    for (uint32_t i = 0; i < clients_count(); i++)
        gp_client_release(seg, w.clients[i].id, me);
}

#endif
