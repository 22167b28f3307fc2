#include "memory.h"

#include "pool.h"

static const struct gp_memory_rules rules[GP_MEMORY_LEVELS] = {
    [GP_MEMORY_EASY] = {65536, 65536, 512},
    [GP_MEMORY_TIGHT] = {4096, 256, 1},
    [GP_MEMORY_SCARCE] = {4096, 256, 1},
    [GP_MEMORY_FULL] = {4096, 256, 1},
};

struct gp_memory_rules gp_memory_rules = {65536, 65536, 512};

/* Of a process that is no worker, and where there is no limit. */
static struct gp_memory alone;
static struct gp_memory *own = &alone;
static struct gp_segment *house; /* NULL: alone */

static uint64_t held_by(const struct gp_memory *memory)
{
    uint64_t sum = 0;

    for (unsigned kind = 0; kind < GP_MEMORY_WORDS; kind++)
        sum += atomic_load_explicit(&memory->bytes[kind], memory_order_seq_cst);
    return sum;
}

uint64_t gp_memory_held(struct gp_segment *seg)
{
    uint64_t sum = 0;

    /* seq_cst: who is not seen alive has taken nothing before our own take */
    for (uint64_t set = atomic_load_explicit(&gp_common_of(seg)->alive, memory_order_seq_cst);
         set != 0; set &= set - 1)
        sum += held_by(&gp_common_worker_at(seg, (uint32_t)__builtin_ctzll(set))->memory);
    return sum;
}

/* ---- levels ---- */

static enum gp_memory_level level_of(uint64_t held, uint64_t limit)
{
    if (held >= limit)
        return GP_MEMORY_FULL;
    if (held >= limit - limit / 8)
        return GP_MEMORY_SCARCE;
    return held >= limit - limit / 4 ? GP_MEMORY_TIGHT : GP_MEMORY_EASY;
}

/* Each rule is read alone; threads with a handshake may come here, too. */
static enum gp_memory_level enter(enum gp_memory_level level)
{
    const struct gp_memory_rules *now = &rules[level];

    __atomic_store_n(&gp_memory_rules.read_bytes, now->read_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&gp_memory_rules.replies, now->replies, __ATOMIC_RELAXED);
    __atomic_store_n(&gp_memory_rules.idle_statements, now->idle_statements, __ATOMIC_RELAXED);
    return level;
}

enum gp_memory_level gp_memory_look(void)
{
    uint64_t limit =
        house ? atomic_load_explicit(&gp_common_of(house)->memory_limit, memory_order_relaxed) : 0;

    return enter(limit ? level_of(gp_memory_held(house), limit) : GP_MEMORY_EASY);
}

/* ---- room ---- */

/* Whether what has just been added is within the limit. */
static bool fits(size_t bytes)
{
    uint64_t limit =
        house ? atomic_load_explicit(&gp_common_of(house)->memory_limit, memory_order_relaxed) : 0;

    if (limit == 0)
        return true;
    uint64_t held = gp_memory_held(house);
    (void)enter(level_of(held, limit));
    return held <= (bytes > GP_MEMORY_SMALL ? limit - limit / 8 : limit);
}

bool gp_memory_take(enum gp_memory_kind kind, size_t bytes, enum gp_claim claim)
{
    atomic_fetch_add_explicit(&own->bytes[kind], bytes, memory_order_seq_cst);
    if (fits(bytes) || claim == GP_INSIST)
        return true;
    atomic_fetch_sub_explicit(&own->bytes[kind], bytes, memory_order_seq_cst);
    atomic_fetch_add_explicit(&own->refusals, 1, memory_order_relaxed);
    return false;
}

void gp_memory_give(enum gp_memory_kind kind, size_t bytes)
{
    atomic_fetch_sub_explicit(&own->bytes[kind], bytes, memory_order_seq_cst);
}

/* ---- whose words ---- */

/* Count in these words from now on, what is held already too. No other thread is at work. */
static void turn_to(struct gp_memory *memory)
{
    for (unsigned kind = 0; memory != own && kind < GP_MEMORY_WORDS; kind++)
        atomic_store_explicit(&memory->bytes[kind],
                              atomic_load_explicit(&own->bytes[kind], memory_order_relaxed),
                              memory_order_seq_cst);
    own = memory;
}

void gp_memory_join(struct gp_segment *seg, uint32_t worker)
{
    turn_to(&gp_common_worker_at(seg, worker)->memory);
    house = seg;
}

void gp_memory_part(void)
{
    turn_to(&alone);
    house = NULL;
    (void)enter(GP_MEMORY_EASY);
}

void gp_memory_clear(struct gp_segment *seg, uint32_t worker)
{
    struct gp_memory *memory = &gp_common_worker_at(seg, worker)->memory;

    for (unsigned kind = 0; kind < GP_MEMORY_WORDS; kind++)
        atomic_store_explicit(&memory->bytes[kind], 0, memory_order_relaxed);
}

void gp_segment_bound_memory(struct gp_segment *seg, uint64_t limit)
{
    atomic_store_explicit(&gp_common_of(seg)->memory_limit, limit, memory_order_relaxed);
}
