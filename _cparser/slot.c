/* A server connection from claim to FREE, apart from the hot path (pool.c) and the fate of the dead
 * (reclaim.c).
 *
 * A login in flight holds two places, one of its pool and one of the house; they are taken after
 * the slot is CONNECTING and given back before it is anything else, so a place always names a
 * CONNECTING slot. Then it takes a place of its database, which the server has until it is FREE
 * (database.h). */
#include "coordinator.h"
#include "outage.h"
#include "pool_internal.h"

#include <string.h>

struct gp_word gp_word_unpack(uint64_t word)
{
    return word_unpack(word);
}

struct gp_word gp_slot_word(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    return slot_word(gp_slot_at(seg, pool, slot));
}

uint64_t gp_word_pack(struct gp_word word)
{
    return word_pack(word);
}

/* ---- places of logins ---- */

/* Then one login is in flight at a time, whenever the others began. */
static bool ailing(struct gp_common_pool *p)
{
    return atomic_load_explicit(&p->outage.failures, memory_order_acquire) != 0;
}

/* A pool that cannot log in leaves the last place of the house to others: a server that does not
 * answer would keep it for a whole connect_timeout. */
static uint32_t house_limit(struct gp_segment *seg, uint32_t pool)
{
    uint32_t limit = atomic_load_explicit(&seg->max_creates, memory_order_relaxed);

    return limit > 1 && gp_pool_ailing(seg, pool) ? limit - 1 : limit;
}

static uint32_t max_creates(struct gp_segment *seg, uint32_t pool)
{
    return atomic_load_explicit(&gp_pool_at(seg, pool)->max_creates, memory_order_relaxed);
}

/* The rows of places differ in width only: u32 in a pool, u64 in the house. Acquire and release: a
 * place travels from one login to the next like a lock. */
static bool pool_place_take(struct gp_segment *seg, uint32_t pool, uint32_t name)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);
    uint32_t limit = ailing(p) ? 1 : max_creates(seg, pool);

    for (uint32_t i = 0; i < limit; i++) {
        uint32_t none = 0;
        if (atomic_compare_exchange_strong_explicit(&p->creates[i], &none, name,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
    return false;
}

static bool house_place_take(struct gp_segment *seg, uint64_t name, uint32_t limit)
{
    for (uint32_t i = 0; i < limit; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong_explicit(&gp_common_of(seg)->creates[i], &none, name,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
    return false;
}

/* Not bounded by the limits: they may have shrunk since. */
static void pool_place_free(struct gp_common_pool *p, uint32_t name)
{
    for (uint32_t i = 0; i < GP_CREATES_MAX; i++) {
        uint32_t expected = name;
        if (atomic_compare_exchange_strong_explicit(&p->creates[i], &expected, 0,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return;
    }
}

static void house_place_free(struct gp_segment *seg, uint64_t name)
{
    for (uint32_t i = 0; i < GP_CREATES_MAX; i++) {
        uint64_t expected = name;
        if (atomic_compare_exchange_strong_explicit(&gp_common_of(seg)->creates[i], &expected, 0,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return;
    }
}

/* Whether the pool may begin one more login; an ailing one only when none is in flight. */
static bool pool_place_left(struct gp_segment *seg, uint32_t pool)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);
    bool alone = ailing(p);
    uint32_t limit = alone ? GP_CREATES_MAX : max_creates(seg, pool);
    uint32_t used = 0;

    for (uint32_t i = 0; i < limit; i++)
        used += atomic_load_explicit(&p->creates[i], memory_order_relaxed) != 0;
    return alone ? used == 0 : used < limit;
}

/* Is there a place of each kind? A look only; it spares a claim that would have to be undone. */
static bool places_left(struct gp_segment *seg, uint32_t pool)
{
    uint32_t of_house = house_limit(seg, pool);

    if (!pool_place_left(seg, pool) || gp_outage_slows(seg, pool))
        return false;
    for (uint32_t i = 0; i < of_house; i++) {
        if (atomic_load_explicit(&gp_common_of(seg)->creates[i], memory_order_relaxed) == 0)
            return true;
    }
    return false;
}

static bool places_take(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker)
{
    if (!pool_place_take(seg, pool, pool_place(worker, slot)))
        return false;
    if (house_place_take(seg, house_place(worker, pool, slot), house_limit(seg, pool)))
        return true;
    pool_place_free(gp_common_pool_at(seg, pool), pool_place(worker, slot));
    return false;
}

static void places_free(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker)
{
    house_place_free(seg, house_place(worker, pool, slot));
    pool_place_free(gp_common_pool_at(seg, pool), pool_place(worker, slot));
}

/* ---- who wants a place ---- */

/* A login has ended: wake those who found no place for theirs. */
static void starved_wake(struct gp_segment *seg)
{
    /* Pairs with the fence in gp_pool_claim: either that finds the place, or this finds the bit. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&gp_common_of(seg)->starved, memory_order_relaxed) != 0)
        workers_poke(
            seg, atomic_exchange_explicit(&gp_common_of(seg)->starved, 0, memory_order_acq_rel));
}

void vacancy_announce(struct gp_segment *seg, uint32_t pool)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    atomic_fetch_add_explicit(&p->frees, 1, memory_order_release); /* pairs with free_find */
    starved_wake(
        seg); /* its fence also pairs with the one in gp_pool_settle: publish, fence, claim */
    workers_poke(seg, atomic_load_explicit(&p->waiters, memory_order_acquire));
}

bool slot_empty(struct gp_segment *seg, uint32_t pool, uint32_t slot, struct gp_word from)
{
    /* acquire, and first: who has the slot next may write another */
    uint32_t place =
        atomic_load_explicit(&gp_slot_cold_at(seg, pool, slot)->place, memory_order_acquire);

    if (!slot_vacate(gp_slot_at(seg, pool, slot), from))
        return false;
    gp_database_leave(seg, pool, slot, from.generation, place);
    return true;
}

/* ---- claim ---- */

/* Raise size_high before the slot is anything but FREE, so that whoever scans sees all that is in
 * use. */
static void high_raise(struct gp_common_pool *p, uint32_t slot)
{
    uint32_t high = atomic_load_explicit(&p->size_high, memory_order_relaxed);

    while (high <= slot &&
           !atomic_compare_exchange_weak_explicit(&p->size_high, &high, slot + 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
}

/* Whether nothing has become FREE since somebody last found the pool full. */
static bool is_full(struct gp_segment *seg, uint32_t pool)
{
    /* acquire: pairs with the release in vacancy_announce */
    return atomic_load_explicit(&gp_pool_at(seg, pool)->full_at, memory_order_relaxed) ==
           atomic_load_explicit(&gp_common_pool_at(seg, pool)->frees, memory_order_acquire);
}

bool gp_pool_full(struct gp_segment *seg, uint32_t pool)
{
    return is_full(seg, pool);
}

bool gp_pool_gate_shut(struct gp_segment *seg, uint32_t pool)
{
    return !places_left(seg, pool);
}

/* FREE -> CONNECTING(worker) for the lowest index there is. When there is none, remember at which
 * count of `frees`: until that grows nobody need search again. */
static uint32_t free_find(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    struct gp_pool *p = gp_pool_at(seg, pool);
    struct gp_common_pool *common = gp_common_pool_at(seg, pool);
    uint32_t size = atomic_load_explicit(&p->size, memory_order_acquire);
    uint32_t frees = atomic_load_explicit(&common->frees, memory_order_acquire);

    for (uint32_t slot = 0; slot < size; slot++) {
        struct gp_slot *s = gp_slot_at(seg, pool, slot);
        struct gp_word from = slot_word(s);
        if (from.state != GP_SLOT_FREE)
            continue;
        high_raise(common, slot);
        if (slot_move(s, from, word_to(from, GP_SLOT_CONNECTING, worker)))
            return slot;
    }
    atomic_store_explicit(&p->full_at, frees, memory_order_relaxed);
    return GP_NO_SLOT;
}

/* CONNECTING(this worker), without places of logins -> FREE. */
static void claim_undo(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    (void)slot_empty(seg, pool, slot,
                     slot_word(gp_slot_at(seg, pool, slot))); /* ours: cannot fail */
    vacancy_announce(seg, pool); /* somebody may have found the pool full because of this */
}

/* One attempt. *starved: there may be a slot, but no place for one more login. The commonest answer,
 * that the pool is full, is found first: who waits is woken when it no longer is. */
static uint32_t claim_once(struct gp_segment *seg, uint32_t pool, uint32_t worker, bool reserve,
                           bool *starved)
{
    uint32_t slot;

    *starved = false;
    if (is_full(seg, pool) || gp_outage_bars(seg, pool)) /* the sweep asks again */
        return GP_NO_SLOT;
    *starved = !places_left(seg, pool);
    if (*starved || !gp_coordinator_admits(seg, pool, reserve))
        return GP_NO_SLOT;
    slot = free_find(seg, pool, worker);
    if (slot == GP_NO_SLOT)
        return slot;
    *starved = !places_take(seg, pool, slot, worker);
    if (!*starved && gp_database_take(seg, pool, slot, reserve) && gp_outage_try(seg, pool))
        return slot;
    if (!*starved)
        places_free(seg, pool, slot, worker);
    claim_undo(seg, pool, slot);
    return GP_NO_SLOT;
}

static bool paused(struct gp_common_pool *p)
{
    return (atomic_load_explicit(&p->hold, memory_order_acquire) & GP_HOLD_PAUSED) != 0;
}

static uint32_t claim(struct gp_segment *seg, uint32_t pool, uint32_t worker, bool reserve)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);
    bool starved;
    uint32_t slot;

    if (atomic_load_explicit(&p->in_use, memory_order_acquire) == 0 || paused(p))
        return GP_NO_SLOT;
    slot = claim_once(seg, pool, worker, reserve, &starved);
    if (starved) {
        atomic_fetch_or_explicit(&gp_common_of(seg)->starved, worker_bit(worker),
                                 memory_order_release);
        atomic_thread_fence(memory_order_seq_cst); /* pairs with the fence in starved_wake */
        slot = claim_once(seg, pool, worker, reserve, &starved);
    }
    if (slot == GP_NO_SLOT)
        return slot;
    /* as of the beginning of the login: a renewal during it makes the server stale */
    atomic_store_explicit(&gp_slot_at(seg, pool, slot)->epoch,
                          atomic_load_explicit(&p->epoch, memory_order_acquire),
                          memory_order_relaxed);
    if (!paused(p)) /* after the epoch: see controls.c */
        return slot;
    gp_outage_failed(seg, pool, GP_AILS_NOTHING);
    places_free(seg, pool, slot, worker);
    claim_undo(seg, pool, slot);
    return GP_NO_SLOT;
}

uint32_t gp_pool_claim(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    return claim(seg, pool, worker, false);
}

uint32_t gp_pool_claim_reserve(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    return claim(seg, pool, worker, true);
}

/* ---- open ---- */

void gp_slot_opened(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                    uint32_t backend_pid, const uint8_t *key, uint32_t key_length, uint64_t now_ns,
                    uint64_t expires_ns)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_slot_cold *cold = gp_slot_cold_at(seg, pool, slot);
    struct gp_word from = slot_word(s);

    if (!word_is(from, GP_SLOT_CONNECTING, worker))
        return;
    cold->key_length = key_length <= GP_KEY_BYTES ? key_length : 0;
    if (cold->key_length != 0)
        memcpy(cold->key, key, cold->key_length);
    s->backend_pid = backend_pid;
    /* relaxed: all of it is published by the release of the word below */
    atomic_store_explicit(&s->xacts, 0, memory_order_relaxed);
    atomic_store_explicit(&s->state_hash, 0, memory_order_relaxed);
    atomic_store_explicit(&s->idle_since_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&s->opened_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&s->expires_ns, expires_ns, memory_order_relaxed);
    gp_holding_reset(gp_holding_at(seg, pool, slot));
    atomic_store_explicit(&s->holders, worker_bit(worker),
                          memory_order_release); /* see gp_slot_hold */
    places_free(seg, pool, slot, worker);
    (void)slot_move(s, from, word_to(from, GP_SLOT_ACTIVE, worker)); /* ours: cannot fail */
    gp_count(&gp_meter_at(seg, pool, worker)->counters.logins, 1);
    gp_outage_ended(seg, pool);
    starved_wake(seg);
}

bool gp_slot_hold(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation,
                  uint32_t worker)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word w = slot_word(s);

    if (w.state == GP_SLOT_FREE || w.state == GP_SLOT_CONNECTING || w.generation != generation)
        return false;
    /* acquire: pairs with the release of holders in gp_slot_opened. If that came first, the word
     * read next is of the new life; if it comes later, it wipes this bit. */
    atomic_fetch_or_explicit(&s->holders, worker_bit(worker), memory_order_acq_rel);
    w = slot_word(s);
    if (w.state != GP_SLOT_FREE && w.state != GP_SLOT_CONNECTING && w.generation == generation)
        return true;
    atomic_fetch_and_explicit(&s->holders, ~worker_bit(worker), memory_order_relaxed);
    return false;
}

void gp_slot_assign(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                    uint32_t client)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from, to;

    do {
        from = slot_word(s);
        if (!word_is(from, GP_SLOT_ACTIVE, worker))
            return;
        to = from;
        to.client = client;
    } while (!slot_move(s, from, to)); /* a cancel for the client before was counted meanwhile */
}

bool gp_slot_convey(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation,
                    uint32_t worker, uint32_t client, uint32_t to)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from, next;

    do {
        from = slot_word(s);
        if (!word_is(from, GP_SLOT_ACTIVE, worker) || from.generation != generation ||
            from.client != client)
            return false;
        next = from;
        next.worker = to;
    } while (!slot_move(s, from, next)); /* a cancel came or went meanwhile */
    return true;
}

/* ---- close ---- */

bool gp_slot_seize(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from = slot_word(s);

    return from.state == GP_SLOT_IDLE &&
           (atomic_load_explicit(&s->holders, memory_order_acquire) & worker_bit(worker)) != 0 &&
           slot_unrest(seg, pool, slot, from, word_to(from, GP_SLOT_ACTIVE, worker));
}

bool gp_slot_closing(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from, to;

    do {
        from = slot_word(s);
        if (from.worker != worker || (from.state != GP_SLOT_ACTIVE &&
                                      from.state != GP_SLOT_PARKED && from.state != GP_SLOT_REAP))
            return false;
        to = word_to(from, GP_SLOT_CLOSING, worker);
        to.cancels = from.cancels; /* still on their way, and still this generation's */
    } while (!slot_move(s, from, to));
    return true;
}

/* Gives the state that it had; FREE: it was not this worker's to free. */
static enum gp_slot_state slot_end(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                                   uint32_t worker)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from;

    do {
        from = slot_word(s);
        if (!word_is(from, GP_SLOT_CLOSING, worker) && !word_is(from, GP_SLOT_CONNECTING, worker))
            return GP_SLOT_FREE;
        if (from.state == GP_SLOT_CONNECTING)
            places_free(seg, pool, slot, worker);
        atomic_store_explicit(&s->holders, 0,
                              memory_order_relaxed); /* before the word, which releases it */
    } while (!slot_empty(seg, pool, slot, from));    /* a cancel ended meanwhile */
    vacancy_announce(seg, pool);
    return from.state;
}

void gp_slot_free(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker)
{
    if (slot_end(seg, pool, slot, worker) == GP_SLOT_CONNECTING)
        gp_count(&gp_meter_at(seg, pool, worker)->counters.login_failures, 1);
}

void gp_slot_spare(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker)
{
    (void)slot_end(seg, pool, slot, worker);
}
