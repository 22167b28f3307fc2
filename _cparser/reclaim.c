/* What a dead worker leaves behind, and the audit that finds what should not be. Runs in the master
 * while the other workers go on: each step is a compare-and-swap that somebody else may win, and
 * then there is nothing left to do. */
#include "database.h"
#include "memory.h"
#include "notes.h"
#include "outage.h"
#include "pool_internal.h"

#include <string.h>

/* ---- reclaim ---- */

static void rows_reclaim(struct gp_segment *seg, uint32_t dead)
{
    for (uint32_t row = 0; row < seg->clients_max; row++) {
        if (owner_worker(atomic_load_explicit(owner_at(seg, row), memory_order_acquire)) == dead)
            row_vacate(seg, row);
    }
}

/* Places of logins that name the dead. Nobody else writes them. */
static void places_reclaim(struct gp_segment *seg, uint32_t dead)
{
    for (uint32_t i = 0; i < GP_CREATES_MAX; i++) {
        if (atomic_load_explicit(&gp_common_of(seg)->creates[i], memory_order_acquire) >> 48 ==
            dead + 1)
            atomic_store_explicit(&gp_common_of(seg)->creates[i], 0, memory_order_release);
    }
    for (uint32_t pool = 0, high = gp_pools_high(seg); pool < high; pool++) {
        _Atomic uint32_t *creates = gp_common_pool_at(seg, pool)->creates;
        for (uint32_t i = 0; i < GP_CREATES_MAX; i++) {
            if (atomic_load_explicit(&creates[i], memory_order_acquire) >> 16 != dead + 1)
                continue;
            gp_outage_failed(seg, pool, GP_AILS_NOTHING);
            atomic_store_explicit(&creates[i], 0, memory_order_release);
        }
    }
}

/* Who closes a server that the dead had in hand. Who lives and holds it, failing that who lives: it
 * has a query to cancel, although the death has closed the connection. Nobody lives: the dead one's
 * successor. */
static uint32_t slot_reaper(struct gp_segment *seg, struct gp_slot *s, uint32_t dead)
{
    uint64_t alive = workers_alive(seg);
    uint32_t heir = slot_heir(seg, s);

    if (heir != GP_NO_WORKER)
        return heir;
    return alive != 0 ? set_pop(&alive) : dead;
}

/* One attempt at a slot that names the dead. False: the word has changed meanwhile, look again. */
static bool slot_reclaim_once(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                              struct gp_word from)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word to = from;

    switch (from.state) {
    case GP_SLOT_IDLE:
    case GP_SLOT_HANDOFF: /* clean: no client has it */
        if (!slot_rehome(seg, pool, slot, from))
            return false;
        if (from.state == GP_SLOT_IDLE)
            hint_clear(gp_lane_at(seg, pool, from.worker)->idle, slot);
        return true;
    case GP_SLOT_CONNECTING: /* the descriptor was shared with nobody yet */
        return slot_empty(seg, pool, slot, from);
    default: /* ACTIVE, PARKED, CLOSING, REAP: nobody knows what PostgreSQL is doing for it */
        to.state = GP_SLOT_REAP;
        to.worker = slot_reaper(seg, s, from.worker);
        to.client = GP_NO_CLIENT;
        return slot_move(s, from, to);
    }
}

static void slot_reclaim(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t dead)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word w;

    atomic_fetch_and_explicit(&s->holders, ~worker_bit(dead), memory_order_acq_rel);
    do {
        w = slot_word(s);
        if (w.state == GP_SLOT_HANDOFF &&
            w.worker != dead) /* the dead may have handed it and not said so */
            handoff_announce(seg, pool, slot, w.worker);
        if (w.state == GP_SLOT_FREE || w.worker != dead)
            return;
    } while (!slot_reclaim_once(seg, pool, slot, w));
}

static void pool_reclaim(struct gp_segment *seg, uint32_t pool, uint32_t dead)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    gp_notes_reclaim(seg, pool, dead);
    lane_clear(seg, pool, dead);
    for (uint32_t slot = 0, high = pool_high(p); slot < high; slot++)
        slot_reclaim(seg, pool, slot, dead);
    /* It may have freed a slot and not said so (vacancy_announce). */
    atomic_fetch_add_explicit(&p->frees, 1, memory_order_release);
}

/* The steps. Each can be repeated, so that a reclaim that was itself interrupted is simply run
 * again.
 *
 *  1. The place is not alive. FENCE, paired with those of slot_hand and slot_rehome: a releaser
 * that hands a slot to the dead sees that it is dead and takes the slot back, or step 4 sees the
 * slot.
 *  2. Client rows of the dead are wiped: no cancel finds their servers any more.
 *  3. Its places of logins are free. Where it died while a server moved from one place of its database
 *     to another, the server has one of them.
 *  4. In each pool: its tickets are claimed by nobody; each slot forgets it as a holder; each slot
 *     that names it goes where pool.h says; hints of hand-offs that others could have lost with it
 *     are given again. Hints that point at its place stay: a releaser that has not yet noticed the
 *     death may just have set one, and the successor is to find it.
 *  5. Places of databases whose servers are no more are free: it may have died between the two.
 *  6. Survivors are woken, hard: the dead may have marked them as poked without the write. They
 * settle (a slot may have come to rest while they looked elsewhere), claim (places are free), reap,
 * and share descriptors with the successor. */
void gp_segment_reclaim(struct gp_segment *seg, uint32_t worker)
{
    struct gp_worker *w;

    if (worker >= seg->workers)
        return;
    w = gp_worker_at(seg, worker);
    atomic_fetch_and_explicit(&gp_common_of(seg)->accepting, ~worker_bit(worker),
                              memory_order_relaxed);
    atomic_fetch_and_explicit(&gp_common_of(seg)->alive, ~worker_bit(worker), memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    rows_reclaim(seg, worker);
    places_reclaim(seg, worker);
    gp_databases_untwin(seg, worker);
    for (uint32_t pool = 0, high = gp_pools_high(seg); pool < high; pool++)
        pool_reclaim(seg, pool, worker);
    gp_databases_wipe(seg);
    atomic_store_explicit(&w->clients, 0, memory_order_relaxed);
    atomic_store_explicit(&w->busy_permille, 0, memory_order_relaxed);
    gp_memory_clear(seg, worker);
    atomic_fetch_and_explicit(&gp_common_of(seg)->starved, ~worker_bit(worker),
                              memory_order_relaxed);
    for (uint64_t alive = workers_alive(seg); alive != 0;)
        worker_poke_hard(seg, set_pop(&alive));
}

/* ---- audit ---- */

static bool slot_connecting(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker)
{
    return pool < gp_pools_high(seg) && slot < GP_SLOTS_MAX &&
           word_is(slot_word(gp_slot_at(seg, pool, slot)), GP_SLOT_CONNECTING, worker);
}

/* Count one place of a login: named after a worker, a pool and a slot. */
static void place_audit(struct gp_segment *seg, struct gp_audit *audit, uint32_t worker,
                        uint32_t pool, uint32_t slot)
{
    audit->dead_owners += worker >= seg->workers || !worker_alive(seg, worker);
    audit->lost_creates += !slot_connecting(seg, pool, slot, worker);
}

static void slot_audit(struct gp_segment *seg, struct gp_audit *audit, uint32_t pool, uint32_t slot)
{
    struct gp_word w = slot_word(gp_slot_at(seg, pool, slot));

    if (w.state == GP_SLOT_FREE)
        return;
    audit->slots_in_use++;
    audit->slots_idle += w.state == GP_SLOT_IDLE;
    audit->slots_active += w.state == GP_SLOT_ACTIVE;
    audit->over_limit +=
        slot >= atomic_load_explicit(&gp_pool_at(seg, pool)->size, memory_order_relaxed);
    /* REAP is the one state that may wait for a successor */
    audit->dead_owners += w.state != GP_SLOT_REAP && !worker_alive(seg, w.worker);
    audit->bad_idle_bits +=
        w.state == GP_SLOT_IDLE && !hint_is_set(gp_lane_at(seg, pool, w.worker)->idle, slot);
}

static void pool_audit(struct gp_segment *seg, struct gp_audit *audit, uint32_t pool)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    for (uint32_t i = 0; i < GP_CREATES_MAX; i++) {
        uint32_t place = atomic_load_explicit(&p->creates[i], memory_order_acquire);
        if (place != 0)
            place_audit(seg, audit, (place >> 16) - 1, pool, place & 0xffffu);
    }
    for (uint32_t slot = 0, high = pool_high(p); slot < high; slot++)
        slot_audit(seg, audit, pool, slot);
}

static void rows_audit(struct gp_segment *seg, struct gp_audit *audit)
{
    for (uint32_t row = 0; row < seg->clients_max; row++) {
        uint64_t owner = atomic_load_explicit(owner_at(seg, row), memory_order_acquire);
        uint32_t state =
            atomic_load_explicit(&gp_client_at(seg, row + 1)->state, memory_order_acquire);
        audit->clients += owner != 0;
        audit->orphan_clients += (owner == 0) != (state == GP_CLIENT_FREE);
        audit->dead_owners += owner != 0 && !worker_alive(seg, owner_worker(owner));
    }
}

void gp_segment_audit(struct gp_segment *seg, struct gp_audit *audit)
{
    memset(audit, 0, sizeof(*audit));
    for (uint32_t i = 0; i < GP_CREATES_MAX; i++) {
        uint64_t place = atomic_load_explicit(&gp_common_of(seg)->creates[i], memory_order_acquire);
        if (place != 0)
            place_audit(seg, audit, (uint32_t)(place >> 48) - 1, (uint32_t)(place >> 16),
                        (uint32_t)place & 0xffffu);
    }
    for (uint32_t pool = 0, high = gp_pools_high(seg); pool < high; pool++)
        pool_audit(seg, audit, pool);
    gp_databases_audit(seg, audit);
    rows_audit(seg, audit);
}
