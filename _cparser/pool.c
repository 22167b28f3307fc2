/* Take, wait, release: the hot path of the shared pool (pool.h tells the states; slot.c opens and
 * closes).
 *
 * Who frees a slot and who begins to wait meet through two seq_cst fences, one on each side:
 *
 *     slot_rest (releaser)                 gp_pool_settle (waiter, after gp_lane_publish)
 *       set idle bit, word = IDLE            ticket, tail, waiters bit
 *       FENCE                                FENCE
 *       look for tickets                     look for idle slots
 *
 * At least one of them sees the other. Whoever looks and finds has to win a compare-and-swap, on
 * the slot's word and on the ring's head, and whoever loses one looks again; so a slot and a ticket
 * never rest side by side. */
#include "database.h"
#include "pool_internal.h"

/* ---- tickets: a ring for each lane ---- */

struct ticket {
    uint32_t worker;
    uint32_t head; /* where it stands: claimed by head -> head + 1 */
    uint64_t arrival_ns;
};

static uint32_t lane_outstanding(struct gp_lane *lane)
{
    uint32_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
    /* acquire: pairs with the release in gp_lane_publish. The head is read first and never passes
     * the tail. */
    return atomic_load_explicit(&lane->tail, memory_order_acquire) - head;
}

static bool lane_peek(struct gp_segment *seg, uint32_t pool, uint32_t worker, struct ticket *t)
{
    struct gp_lane *lane = gp_lane_at(seg, pool, worker);

    t->worker = worker;
    t->head = atomic_load_explicit(&lane->head, memory_order_acquire);
    if (atomic_load_explicit(&lane->tail, memory_order_acquire) == t->head)
        return false;
    /* Overwritten only after head has moved on, and then the claim fails. */
    t->arrival_ns = atomic_load_explicit(&lane->ticket[t->head % GP_TICKETS], memory_order_relaxed);
    return true;
}

static bool lane_claim(struct gp_segment *seg, uint32_t pool, const struct ticket *t)
{
    uint32_t head = t->head;
    /* release: pairs with the acquire of head in gp_lane_publish, so an entry is read before it is
     * reused */
    return atomic_compare_exchange_strong_explicit(&gp_lane_at(seg, pool, t->worker)->head, &head,
                                                   head + 1, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* Of these workers, those that live and have a ticket nobody has claimed yet. */
static uint64_t lanes_of(struct gp_segment *seg, uint32_t pool, uint64_t maybe)
{
    uint64_t waiting = 0;

    while (maybe != 0) {
        uint32_t worker = set_pop(&maybe);
        if (lane_outstanding(gp_lane_at(seg, pool, worker)) != 0 && worker_alive(seg, worker))
            waiting |= worker_bit(worker);
    }
    return waiting;
}

/* The living workers that have a ticket nobody has claimed yet. */
static inline uint64_t lanes_waiting(struct gp_segment *seg, uint32_t pool)
{
    uint64_t maybe =
        atomic_load_explicit(&gp_common_pool_at(seg, pool)->waiters, memory_order_acquire);

    return maybe == 0 ? 0 : lanes_of(seg, pool, maybe);
}

/* The workers that could use this slot, those whose descriptor is on its way to them included. */
static uint64_t slot_users(struct gp_slot *s, uint64_t sent)
{
    return atomic_load_explicit(&s->holders, memory_order_acquire) | sent;
}

/* Is there a ticket that this slot could go to? */
static bool slot_wanted(struct gp_segment *seg, uint32_t pool, struct gp_slot *s, uint64_t sent)
{
    return (lanes_waiting(seg, pool) & slot_users(s, sent)) != 0;
}

bool gp_lane_publish(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint64_t arrival_ns)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);
    struct gp_lane *lane = gp_lane_at(seg, pool, worker);
    uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed); /* ours alone */

    if (tail - atomic_load_explicit(&lane->head, memory_order_acquire) >= GP_TICKETS)
        return false;
    atomic_store_explicit(&lane->ticket[tail % GP_TICKETS], arrival_ns, memory_order_relaxed);
    atomic_store_explicit(&lane->tail, tail + 1, memory_order_release); /* pairs with lane_peek */
    if ((atomic_load_explicit(&p->waiters, memory_order_relaxed) & worker_bit(worker)) == 0)
        atomic_fetch_or_explicit(&p->waiters, worker_bit(worker), memory_order_release);
    return true;
}

void gp_lane_restate(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t back,
                     uint64_t arrival_ns)
{
    struct gp_lane *lane = gp_lane_at(seg, pool, worker);
    uint32_t last = atomic_load_explicit(&lane->tail, memory_order_relaxed) - 1; /* ours alone */

    /* relaxed: who still reads the old one is as right as a moment ago */
    atomic_store_explicit(&lane->ticket[(last - back) % GP_TICKETS], arrival_ns,
                          memory_order_relaxed);
}

bool gp_lane_retract(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    struct ticket t;

    while (lane_peek(seg, pool, worker, &t)) {
        if (lane_claim(seg, pool, &t))
            return true;
    }
    return false;
}

void gp_lane_quiet(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    while (gp_lane_retract(seg, pool, worker))
        ;
    /* relaxed: the rings are the truth, the bit only saves looking at them */
    atomic_fetch_and_explicit(&gp_common_pool_at(seg, pool)->waiters, ~worker_bit(worker),
                              memory_order_relaxed);
}

void lane_clear(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    struct gp_lane *lane = gp_lane_at(seg, pool, worker);

    gp_lane_quiet(seg, pool, worker);
    atomic_store_explicit(&lane->waiting, 0, memory_order_relaxed);
    atomic_store_explicit(&lane->oldest_ns, 0, memory_order_relaxed);
}

uint32_t gp_lane_outstanding(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    return lane_outstanding(gp_lane_at(seg, pool, worker));
}

/* Claim the ticket that should have a slot of these users'. Tickets of dead workers, and of others,
 * are passed over. Gives the worker, or GP_NO_WORKER. */
static uint32_t ticket_claim(struct gp_segment *seg, uint32_t pool, uint64_t users, uint32_t worker,
                             uint64_t slack_ns)
{
    for (;;) {
        struct ticket best = {.worker = GP_NO_WORKER, .arrival_ns = UINT64_MAX};
        struct ticket t;
        uint64_t able =
            atomic_load_explicit(&gp_common_pool_at(seg, pool)->waiters, memory_order_acquire) &
            users;

        while (able != 0) {
            uint32_t w = set_pop(&able);
            if (!worker_alive(seg, w) || !lane_peek(seg, pool, w, &t))
                continue;
            if (w == worker)
                t.arrival_ns -= t.arrival_ns < slack_ns ? t.arrival_ns : slack_ns;
            if (best.worker == GP_NO_WORKER || t.arrival_ns < best.arrival_ns ||
                (t.arrival_ns == best.arrival_ns && w == worker))
                best = t;
        }
        if (best.worker == GP_NO_WORKER || lane_claim(seg, pool, &best))
            return best.worker;
    }
}

/* ---- take ---- */

static bool slot_held_by(struct gp_slot *s, uint32_t worker)
{
    return (atomic_load_explicit(&s->holders, memory_order_acquire) & worker_bit(worker)) != 0;
}

bool slot_unrest(struct gp_segment *seg, uint32_t pool, uint32_t slot, struct gp_word from,
                 struct gp_word to)
{
    if (!slot_move(gp_slot_at(seg, pool, slot), from, to))
        return false;
    /* Only now: the bit of an IDLE slot is never missing. And nobody else sets it while the slot is
     * ours. */
    hint_clear(gp_lane_at(seg, pool, from.worker)->idle, slot);
    return true;
}

/* What is to be taken, and by whom. `waiting`: those whom no slot may be taken from under their
 * noses. */
struct wish {
    uint32_t pool, worker, client;
    uint64_t waiting;
};

/* Take from one lane the lowest slot of those from `slot` up to `high`. */
static uint32_t lane_take(struct gp_segment *seg, const struct wish *wish, uint32_t lane,
                          uint32_t slot, uint32_t high)
{
    uint32_t pool = wish->pool, worker = wish->worker;
    _Atomic uint64_t *idle = gp_lane_at(seg, pool, lane)->idle;

    for (; hint_next(idle, high, &slot); slot++) {
        struct gp_slot *s = gp_slot_at(seg, pool, slot);
        struct gp_word from = slot_word(s);
        struct gp_word to = word_to(from, GP_SLOT_ACTIVE, worker);

        to.client = wish->client;
        if (from.state == GP_SLOT_IDLE && slot_fresh(seg, pool, slot, s) &&
            slot_held_by(s, worker) &&
            (atomic_load_explicit(&s->holders, memory_order_relaxed) & wish->waiting) == 0 &&
            slot_unrest(seg, pool, slot, from, to))
            return slot;
    }
    return GP_NO_SLOT;
}

/* The same in turn: the next one behind that which was taken last, whoever took it. */
static uint32_t lane_take_in_turn(struct gp_segment *seg, const struct wish *wish, uint32_t lane,
                                  uint32_t high)
{
    _Atomic uint32_t *turn = &gp_common_pool_at(seg, wish->pool)->turn;
    uint32_t first = atomic_load_explicit(turn, memory_order_relaxed);
    uint32_t slot = first < high ? lane_take(seg, wish, lane, first, high) : GP_NO_SLOT;

    if (slot == GP_NO_SLOT)
        slot = lane_take(seg, wish, lane, 0, first < high ? first : high);
    if (slot != GP_NO_SLOT)
        atomic_store_explicit(turn, slot + 1, memory_order_relaxed);
    return slot;
}

uint32_t gp_pool_take(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t client)
{
    struct gp_counters *counters = &gp_meter_at(seg, pool, worker)->counters;
    struct wish wish = {pool, worker, client, lanes_waiting(seg, pool)};
    uint32_t in_turn =
        atomic_load_explicit(&gp_pool_at(seg, pool)->round_robin, memory_order_relaxed);
    uint32_t high = pool_high(gp_common_pool_at(seg, pool));

    for (uint64_t lanes = workers_from(seg, worker); lanes != 0;) {
        uint32_t lane = (worker + set_pop(&lanes)) % 64;
        uint32_t slot = in_turn ? lane_take_in_turn(seg, &wish, lane, high)
                                : lane_take(seg, &wish, lane, 0, high);
        if (slot != GP_NO_SLOT) {
            gp_count(lane == worker ? &counters->taken_own : &counters->taken_other, 1);
            return slot;
        }
    }
    return GP_NO_SLOT;
}

/* ---- release ---- */

/* Part a slot from its client, so that no cancel can find it through that client any more. Gives
 * its state then: ACTIVE, PARKED when a cancel has found it already, FREE when it was not
 * ACTIVE(worker) (nothing is changed). */
static enum gp_slot_state slot_part(struct gp_slot *s, uint32_t worker)
{
    struct gp_word from, to;

    do {
        from = slot_word(s);
        if (!word_is(from, GP_SLOT_ACTIVE, worker))
            return GP_SLOT_FREE;
        to = from;
        if (from.cancels != 0)
            to.state = GP_SLOT_PARKED;
        else
            to.client = GP_NO_CLIENT;
    } while (!slot_move(s, from, to)); /* a cancel came or went meanwhile */
    return to.state;
}

/* ACTIVE(worker, no client) -> IDLE(worker), and the releaser's fence. False: it was not that. */
static bool slot_rest(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                      uint64_t now_ns)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from = slot_word(s);

    if (!word_is(from, GP_SLOT_ACTIVE, worker))
        return false;
    atomic_store_explicit(&s->idle_since_ns, now_ns,
                          memory_order_relaxed); /* travels with the word */
    hint_set(gp_lane_at(seg, pool, worker)->idle, slot);
    if (!slot_move(s, from, word_to(from, GP_SLOT_IDLE, worker)))
        return false;
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the fence in gp_pool_settle */
    return true;
}

void handoff_announce(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t to)
{
    hint_set(gp_lane_at(seg, pool, to)->handed,
             slot); /* pairs with hint_clear in lane_next_handed */
    hint_set(gp_common_worker_at(seg, to)->handed_pools,
             pool % (64 * 64)); /* and in gp_pool_next_handoff */
}

/* ACTIVE(worker, no client) -> HANDOFF(to). False: `to` has died and the slot is still ours. */
static bool slot_hand(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                      uint32_t to)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word mine = word_to(slot_word(s), GP_SLOT_ACTIVE, worker);
    struct gp_word handed = word_handed(seg, mine, to);

    if (!slot_move(s, mine, handed))
        return true;
    handoff_announce(seg, pool, slot, to);
    /* Pairs with the fence in gp_segment_reclaim: either that sees HANDOFF(to), or this sees `to`
     * dead. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!worker_alive(seg, to))
        return !slot_move(s, handed, mine);
    gp_worker_poke(seg, to);
    return true;
}

/* Find a place for a slot that is ACTIVE(worker, no client): the right waiter, or rest. */
static enum gp_release slot_pass(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                                 uint32_t worker, uint64_t now_ns, uint64_t slack_ns, uint64_t sent)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_counters *counters = &gp_meter_at(seg, pool, worker)->counters;

    for (;;) {
        uint32_t to = ticket_claim(seg, pool, slot_users(s, sent), worker, slack_ns);
        if (to == worker)
            return GP_RELEASED_SELF;
        if (to != GP_NO_WORKER) {
            if (sent >> to & 1u) /* release: before the word; pairs with gp_worker_expects */
                atomic_store_explicit(&gp_common_worker_at(seg, to)->expects, 1,
                                      memory_order_release);
            if (!slot_hand(seg, pool, slot, worker, to))
                continue;
            gp_count(&counters->handed_away, 1);
            return GP_RELEASED_AWAY;
        }
        if (!slot_rest(seg, pool, slot, worker, now_ns))
            return GP_RELEASED_AWAY;
        /* The second look: a ticket published before the fence, by someone who did not see the
         * slot. */
        if (!slot_wanted(seg, pool, s, sent) || !gp_slot_seize(seg, pool, slot, worker))
            return GP_RELEASED_IDLE;
    }
}

enum gp_release gp_pool_release(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                                uint32_t worker, uint64_t now_ns, uint64_t slack_ns, uint64_t sent)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    uint64_t expires_ns = atomic_load_explicit(&s->expires_ns, memory_order_relaxed);
    enum gp_slot_state state = slot_part(s, worker);

    if (state != GP_SLOT_ACTIVE)
        return state == GP_SLOT_PARKED ? GP_RELEASED_PARKED : GP_RELEASED_AWAY;
    if (!slot_fresh(seg, pool, slot, s) || (expires_ns != 0 && now_ns >= expires_ns))
        return GP_RELEASED_STALE;
    return slot_pass(seg, pool, slot, worker, now_ns, slack_ns, sent);
}

/* ---- settle ---- */

/* Give one idle slot to the oldest ticket that can have it. */
static void slot_settle(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                        uint64_t now_ns)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);

    if (!slot_fresh(seg, pool, slot, s) || !slot_wanted(seg, pool, s, 0) ||
        !gp_slot_seize(seg, pool, slot, worker))
        return;
    if (slot_pass(seg, pool, slot, worker, now_ns, 0, 0) == GP_RELEASED_SELF)
        (void)slot_hand(seg, pool, slot, worker, worker); /* true: this worker is alive */
}

void gp_pool_settle(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint64_t now_ns)
{
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the fence in slot_rest */
    if (lanes_waiting(seg, pool) == 0)
        return;
    for (uint64_t lanes = workers_from(seg, worker); lanes != 0;) {
        uint32_t lane = (worker + set_pop(&lanes)) % 64;
        _Atomic uint64_t *idle = gp_lane_at(seg, pool, lane)->idle;
        uint32_t high = pool_high(gp_common_pool_at(seg, pool));
        for (uint32_t slot = 0; hint_next(idle, high, &slot); slot++)
            slot_settle(seg, pool, slot, worker, now_ns);
    }
}

/* ---- slots that one worker alone holds ---- */

uint64_t gp_pool_elder(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    uint64_t waiting = lanes_waiting(seg, pool) & ~worker_bit(worker);
    uint64_t elder = UINT64_MAX;
    struct ticket t;

    while (waiting != 0) {
        if (lane_peek(seg, pool, set_pop(&waiting), &t) && t.arrival_ns < elder)
            elder = t.arrival_ns;
    }
    return elder;
}

uint32_t gp_pool_tickets(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    uint64_t waiting = lanes_waiting(seg, pool) & ~worker_bit(worker);
    uint32_t count = 0;

    while (waiting != 0)
        count += lane_outstanding(gp_lane_at(seg, pool, set_pop(&waiting)));
    return count;
}

uint32_t gp_pool_room(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    uint32_t size = atomic_load_explicit(&gp_pool_at(seg, pool)->size, memory_order_acquire);
    struct gp_database *d = gp_database_of(seg, pool);
    uint32_t room = 0, left = d ? gp_database_left(d) : UINT32_MAX;

    for (uint32_t slot = 0; slot < size; slot++) {
        struct gp_word w = slot_word(gp_slot_at(seg, pool, slot));
        if (w.state == GP_SLOT_FREE && left != 0) {
            left--;
            room++;
        }
        room += w.state == GP_SLOT_CLOSING || (w.state == GP_SLOT_CONNECTING && w.worker != worker);
    }
    return room;
}

void gp_pool_poke_idle(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    uint32_t high = pool_high(gp_common_pool_at(seg, pool));

    for (uint64_t others = workers_alive(seg) & ~worker_bit(worker); others != 0;) {
        uint32_t w = set_pop(&others), slot = 0;
        if (hint_next(gp_lane_at(seg, pool, w)->idle, high, &slot))
            gp_worker_poke(seg, w);
    }
}

/* ---- hand-off ---- */

uint32_t slot_heir(struct gp_segment *seg, struct gp_slot *s)
{
    uint64_t holders = atomic_load_explicit(&s->holders, memory_order_acquire);

    while (holders != 0) {
        uint32_t worker = set_pop(&holders);
        if (worker_alive(seg, worker))
            return worker;
    }
    return GP_NO_WORKER;
}

bool slot_rehome(struct gp_segment *seg, uint32_t pool, uint32_t slot, struct gp_word from)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);

    for (;;) {
        uint32_t heir = slot_heir(seg, s);
        if (heir == GP_NO_WORKER) { /* no process has the descriptor: the kernel has closed it */
            if (!slot_empty(seg, pool, slot, from))
                return false;
            vacancy_announce(seg, pool);
            return true;
        }
        hint_set(gp_lane_at(seg, pool, heir)->idle, slot);
        if (!slot_move(s, from, word_to(from, GP_SLOT_IDLE, heir)))
            return false;
        /* Two pairs: gp_segment_reclaim (the heir may have died meanwhile), gp_pool_settle (who
         * waits is woken to look). */
        atomic_thread_fence(memory_order_seq_cst);
        workers_poke(seg, lanes_waiting(seg, pool));
        if (worker_alive(seg, heir))
            return true;
        from = word_to(from, GP_SLOT_IDLE, heir);
    }
}

bool gp_slot_bequeath(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t worker,
                      uint32_t to)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from = slot_word(s), next = word_to(from, GP_SLOT_IDLE, to);

    if (!word_is(from, GP_SLOT_IDLE, worker))
        return false;
    hint_set(gp_lane_at(seg, pool, to)->idle, slot); /* before the word, as in slot_rest */
    if (!slot_move(s, from, next))
        return false;
    hint_clear(gp_lane_at(seg, pool, worker)->idle, slot);
    /* Two pairs, as in slot_rehome; and who looked through the lanes meanwhile may have missed it. */
    atomic_thread_fence(memory_order_seq_cst);
    workers_poke(seg, lanes_waiting(seg, pool));
    if (!worker_alive(seg, to))
        (void)slot_rehome(seg, pool, slot, next);
    return true;
}

/* Can this worker have a slot that is HANDOFF(worker)? Not one that was meant for its predecessor.
 * And not one without the descriptor, which a releaser has handed by what the predecessor held:
 * then the ticket it claimed for it was ours, and is published again, as the oldest. */
static bool handoff_fits(struct gp_segment *seg, uint32_t pool, struct gp_slot *s,
                         struct gp_word handed, uint32_t worker)
{
    if (handed.client != word_handed(seg, handed, worker).client)
        return false;
    if (slot_held_by(s, worker))
        return true;
    (void)gp_lane_publish(seg, pool, worker, 0); /* a full ring: others of ours will do */
    return false;
}

/* The next slot of one lane that is HANDOFF(worker), now ACTIVE(worker). */
static bool lane_next_handed(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t *slot)
{
    _Atomic uint64_t *handed = gp_lane_at(seg, pool, worker)->handed;
    uint32_t high = pool_high(gp_common_pool_at(seg, pool));

    for (uint32_t i = 0; hint_next(handed, high, &i); i++) {
        struct gp_slot *s = gp_slot_at(seg, pool, i);
        struct gp_word from;

        hint_clear(handed, i); /* first: what is handed after the look at the word sets it again */
        from = slot_word(s);
        if (!word_is(from, GP_SLOT_HANDOFF, worker))
            continue;
        if (!handoff_fits(seg, pool, s, from, worker)) {
            (void)slot_rehome(seg, pool, i, from); /* false: its giver has just taken it back */
            continue;
        }
        if (slot_move(s, from, word_to(from, GP_SLOT_ACTIVE, worker))) {
            *slot = i;
            return true;
        }
    }
    return false;
}

/* Look through the pools that share one bit of handed_pools (one pool, unless there are more than
 * 4096). */
static bool pools_next_handed(struct gp_segment *seg, uint32_t worker, uint32_t bit, uint32_t *pool,
                              uint32_t *slot)
{
    for (uint32_t i = bit, high = gp_pools_high(seg); i < high; i += 64 * 64) {
        if (lane_next_handed(seg, i, worker, slot)) {
            *pool = i;
            return true;
        }
    }
    return false;
}

bool gp_worker_expects(struct gp_segment *seg, uint32_t worker)
{
    _Atomic uint32_t *expects = &gp_common_worker_at(seg, worker)->expects;

    return atomic_load_explicit(expects, memory_order_relaxed) != 0 &&
           atomic_exchange_explicit(expects, 0, memory_order_acquire) != 0;
}

bool gp_pool_next_handoff(struct gp_segment *seg, uint32_t worker, uint32_t *pool, uint32_t *slot)
{
    _Atomic uint64_t *pools = gp_common_worker_at(seg, worker)->handed_pools;
    uint32_t high = gp_pools_high(seg);

    high = high < 64 * 64 ? high : 64 * 64;
    for (uint32_t i = 0; hint_next(pools, high, &i); i++) {
        if (pools_next_handed(seg, worker, i, pool, slot))
            return true;
        hint_clear(pools, i);
        /* Look once more: what was handed between the look and the clear has lost its bit. */
        if (pools_next_handed(seg, worker, i, pool, slot)) {
            hint_set(pools, i);
            return true;
        }
    }
    return false;
}
