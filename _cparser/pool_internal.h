/* What pool.c, slot.c, client_rows.c, reclaim.c, segment.c and rows.c share behind pool.h: the
 * state word's arithmetic, its one mutator, and the few steps that more than one of them takes. */
#ifndef GP_POOL_INTERNAL_H
#define GP_POOL_INTERNAL_H

#include "pool.h"

#define GP_NO_WORKER UINT32_MAX

/* ---- the state word: drawn in layout.h ---- */
#define GP_WORD_CLIENT_SHIFT  GP_WORD_GENERATION_BITS
#define GP_WORD_CANCELS_SHIFT (GP_WORD_CLIENT_SHIFT + GP_WORD_CLIENT_BITS)
#define GP_WORD_WORKER_SHIFT  (GP_WORD_CANCELS_SHIFT + GP_WORD_CANCELS_BITS)
#define GP_WORD_STATE_SHIFT   (GP_WORD_WORKER_SHIFT + GP_WORD_WORKER_BITS)
#define GP_WORD_MASK(bits)    ((1u << (bits)) - 1u)
#define GP_GENERATION_MASK    GP_WORD_MASK(GP_WORD_GENERATION_BITS)
#define GP_CANCELS_MAX        GP_WORD_MASK(GP_WORD_CANCELS_BITS)

_Static_assert(GP_WORKERS_MAX <= 1u << GP_WORD_WORKER_BITS, "a worker fits its field");
_Static_assert(GP_WORKERS_MAX <= 64, "a set of workers is one word");
_Static_assert(GP_SLOT_STATES <= 1u << GP_WORD_STATE_BITS, "a state fits its field");
_Static_assert(GP_CLIENTS_LIMIT < 1u << GP_WORD_CLIENT_BITS, "row + 1 fits its field");
_Static_assert(GP_SLOTS_MAX % 64 == 0 && GP_SLOTS_MAX <= 1u << 16, "slots fit words and places");
_Static_assert((GP_TICKETS & (GP_TICKETS - 1)) == 0, "the ring survives the counters' overflow");

static inline uint64_t word_pack(struct gp_word w)
{
    return (uint64_t)w.state << GP_WORD_STATE_SHIFT | (uint64_t)w.worker << GP_WORD_WORKER_SHIFT |
           (uint64_t)w.cancels << GP_WORD_CANCELS_SHIFT |
           (uint64_t)w.client << GP_WORD_CLIENT_SHIFT | w.generation;
}

static inline struct gp_word word_unpack(uint64_t raw)
{
    return (struct gp_word){
        .state = (enum gp_slot_state)(raw >> GP_WORD_STATE_SHIFT),
        .worker = (uint32_t)(raw >> GP_WORD_WORKER_SHIFT) & GP_WORD_MASK(GP_WORD_WORKER_BITS),
        .cancels = (uint32_t)(raw >> GP_WORD_CANCELS_SHIFT) & GP_CANCELS_MAX,
        .client = (uint32_t)(raw >> GP_WORD_CLIENT_SHIFT) & GP_WORD_MASK(GP_WORD_CLIENT_BITS),
        .generation = (uint32_t)raw & GP_GENERATION_MASK,
    };
}

/* Read a slot's word. Acquire: pairs with the release in slot_move, so what the one who moved the
 * slot had written to it is visible. */
static inline struct gp_word slot_word(struct gp_slot *s)
{
    return word_unpack(atomic_load_explicit(&s->word, memory_order_acquire));
}

/* The one mutator of a slot's state. False: somebody was faster, nothing changed. Acquire and
 * release: a slot's other fields travel with it from owner to owner. */
static inline bool slot_move(struct gp_slot *s, struct gp_word from, struct gp_word to)
{
    uint64_t expected = word_pack(from);
    return atomic_compare_exchange_strong_explicit(&s->word, &expected, word_pack(to),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* The same life of the same slot, elsewhere and without client or cancels. */
static inline struct gp_word word_to(struct gp_word from, enum gp_slot_state state, uint32_t worker)
{
    return (struct gp_word){.state = state, .worker = worker, .generation = from.generation};
}

/* The step of slot_empty (slot.c), which is what everybody calls. */
static inline bool slot_vacate(struct gp_slot *s, struct gp_word from)
{
    return slot_move(s, from,
                     (struct gp_word){.state = GP_SLOT_FREE,
                                      .generation = (from.generation + 1) & GP_GENERATION_MASK});
}

static inline bool word_is(struct gp_word w, enum gp_slot_state state, uint32_t worker)
{
    return w.state == state && w.worker == worker;
}

/* ---- sets of workers and of slots ---- */

static inline uint64_t worker_bit(uint32_t worker)
{
    return 1ull << worker;
}

/* Take the lowest member out of a set that is not empty. */
static inline uint32_t set_pop(uint64_t *set)
{
    uint32_t lowest = (uint32_t)__builtin_ctzll(*set);
    *set &= *set - 1;
    return lowest;
}

/* Release: who sees the bit sees what was written before it (the slot's word, or that it is about
 * to rest). */
static inline void hint_set(_Atomic uint64_t *words, uint32_t index)
{
    atomic_fetch_or_explicit(&words[index / 64], 1ull << index % 64, memory_order_release);
}

/* Acquire: pairs with hint_set; a word read after this is at least as new as the hint. */
static inline void hint_clear(_Atomic uint64_t *words, uint32_t index)
{
    atomic_fetch_and_explicit(&words[index / 64], ~(1ull << index % 64), memory_order_acq_rel);
}

static inline bool hint_is_set(_Atomic uint64_t *words, uint32_t index)
{
    return atomic_load_explicit(&words[index / 64], memory_order_acquire) >> index % 64 & 1u;
}

/* The first hint at or after *index and below `high`. */
static inline bool hint_next(_Atomic uint64_t *words, uint32_t high, uint32_t *index)
{
    for (uint32_t i = *index; i < high; i = (i | 63u) + 1) {
        uint64_t set = atomic_load_explicit(&words[i / 64], memory_order_acquire) >> i % 64;
        if (set != 0) {
            *index = i + (uint32_t)__builtin_ctzll(set);
            return *index < high;
        }
    }
    return false;
}

/* ---- segment.c ---- */

/* Acquire: pairs with the release in gp_worker_born. Its pair at death is the fence of
 * gp_segment_reclaim. */
static inline uint64_t workers_alive(struct gp_segment *seg)
{
    return atomic_load_explicit(&gp_common_of(seg)->alive, memory_order_acquire);
}

/* Bit n: the worker n places after `first` is alive, the places taken as a circle. */
static inline uint64_t workers_from(struct gp_segment *seg, uint32_t first)
{
    uint64_t alive = workers_alive(seg);
    return alive >> first | alive << (-first & 63u);
}

static inline bool worker_alive(struct gp_segment *seg, uint32_t worker)
{
    return (workers_alive(seg) >> worker & 1u) != 0;
}

/* HANDOFF(to), in its client field the birth that it is meant for: a releaser that slept through
 * the death and the rebirth of `to` cannot take back what others have handed to the successor
 * since. */
static inline struct gp_word word_handed(struct gp_segment *seg, struct gp_word from, uint32_t to)
{
    struct gp_word handed = {.state = GP_SLOT_HANDOFF, .worker = to, .generation = from.generation};

    handed.client =
        atomic_load_explicit(&gp_common_worker_at(seg, to)->births, memory_order_acquire) &
        GP_WORD_MASK(GP_WORD_CLIENT_BITS);
    return handed;
}

_Atomic uint64_t *owner_at(struct gp_segment *seg, uint32_t row);

/* Whom a row's word names; GP_NO_WORKER: it is free. */
static inline uint32_t owner_worker(uint64_t owner)
{
    return (uint32_t)(owner & 0xffu) - 1;
}
/* Poke every member of a set of workers. */
void workers_poke(struct gp_segment *seg, uint64_t set);
/* Wake even a worker whose last poke was lost between the mark and the write, because the poker
 * died there. */
void worker_poke_hard(struct gp_segment *seg, uint32_t worker);

/* ---- pool.c ---- */

/* Slots ever claimed. Acquire: pairs with the release in slot.c (high_raise). */
static inline uint32_t pool_high(struct gp_common_pool *p)
{
    return atomic_load_explicit(&p->size_high, memory_order_acquire);
}

/* May this slot be given to anyone? The reasons against it come from the master and the
 * administrator. */
static inline bool slot_fresh(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                              struct gp_slot *s)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    /* acquire: pairs with the releases in segment.c and controls.c; a little late is as good as in
     * time */
    return atomic_load_explicit(&p->in_use, memory_order_acquire) != 0 &&
           slot < atomic_load_explicit(&gp_pool_at(seg, pool)->size, memory_order_acquire) &&
           atomic_load_explicit(&p->epoch, memory_order_acquire) ==
               atomic_load_explicit(&s->epoch, memory_order_relaxed);
}

/* IDLE(x) -> to, by whoever won; the idle bit of x goes with it. False: not idle any more. */
bool slot_unrest(struct gp_segment *seg, uint32_t pool, uint32_t slot, struct gp_word from,
                 struct gp_word to);
/* Tell worker `to` of a slot that is HANDOFF(to): hints only, no poke. */
void handoff_announce(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t to);
/* A clean slot whose holder of record cannot have it goes to rest with the lowest living holder, or
 * becomes FREE when there is none. `from`: the word as read. False: the word has changed meanwhile.
 */
bool slot_rehome(struct gp_segment *seg, uint32_t pool, uint32_t slot, struct gp_word from);
/* The lowest living worker that holds the descriptor, or GP_NO_WORKER. */
uint32_t slot_heir(struct gp_segment *seg, struct gp_slot *s);
/* Nobody waits in a lane any more. For one whose worker is dead, or whose pool is no more. */
void lane_clear(struct gp_segment *seg, uint32_t pool, uint32_t worker);

/* ---- rows.c, histogram.c ---- */

/* The times of one kind that a worker has measured; NULL: none yet, and to look at them would claim
 * memory for zeros (a page of the segment is there from its first access on, also by a reader). */
static inline struct gp_histogram *times_measured(struct gp_segment *seg, uint32_t pool,
                                                  uint32_t worker, enum gp_time_kind kind)
{
    struct gp_counters *c = &gp_meter_at(seg, pool, worker)->counters;
    _Atomic uint64_t *const counts[GP_TIMES] = {
        [GP_TIME_QUERY] = &c->query_count,
        [GP_TIME_TRANSACTION] = &c->xact_count,
        [GP_TIME_WAIT] = &c->wait_count,
    };

    if (atomic_load_explicit(counts[kind], memory_order_relaxed) == 0 &&
        (kind != GP_TIME_WAIT || atomic_load_explicit(&c->waits_left, memory_order_relaxed) == 0))
        return NULL;
    return &gp_times_at(seg, pool, worker)->of[kind];
}

/* ---- slot.c ---- */

/* Any state -> FREE, in the next generation; its place in the database is given back. False: the word
 * has changed meanwhile. Wakes nobody of its own pool. */
bool slot_empty(struct gp_segment *seg, uint32_t pool, uint32_t slot, struct gp_word from);

/* A place has become free: wake who may want it. */
void vacancy_announce(struct gp_segment *seg, uint32_t pool);

/* Places of logins in flight: those of its pool and of the house. Named after worker, pool and slot. */
static inline uint32_t pool_place(uint32_t worker, uint32_t slot)
{
    return (worker + 1) << 16 | slot;
}

static inline uint64_t house_place(uint32_t worker, uint32_t pool, uint32_t slot)
{
    return (uint64_t)(worker + 1) << 48 | (uint64_t)pool << 16 | slot;
}

/* ---- client_rows.c ---- */

/* Wipe a row and give its place back. Its owner, or the reclaimer of a dead one. */
void row_vacate(struct gp_segment *seg, uint32_t row);

#endif
