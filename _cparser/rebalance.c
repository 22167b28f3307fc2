/* Clients follow the load: a worker that has clearly more busy clients than another gives some of
 * them away (move.h).
 *
 *     every GP_LOOK_NS: count the busy ones, publish their number;
 *     crowded, the busiest of all, and more than a tenth above the least busy, twice in a row:
 *     half of the difference goes there
 *
 * A worker is crowded when it has more busy clients than are packed on one (engine.c), or hardly any
 * time left. So a few clients that one worker serves easily stay together; and what has just been
 * levelled is not far enough from level to go back. */
#include "move.h"

#define GP_LOOK_NS        500000000ull
#define GP_BUSY_NS        1000000000ull /* busy is who has asked for something since */
#define GP_FULL_PERMILLE  850u          /* of a core: this worker is the bottleneck */
#define GP_SPARE_PERMILLE 300u          /* ... and the other has so much more time */
#define GP_ROUND_CLIENTS  256u          /* no more at a time: each takes some microseconds */

static bool is_busy(struct gp_engine *e, const struct gp_client *c)
{
    uint64_t asked =
        atomic_load_explicit(&gp_client_at(e->seg, c->id)->request_ns, memory_order_relaxed);

    return c->state == GP_CLIENT_ACTIVE || c->state == GP_CLIENT_WAITING ||
           (c->state == GP_CLIENT_IDLE && asked && asked + GP_BUSY_NS > e->now);
}

static uint32_t count_busy(struct gp_engine *e)
{
    uint32_t count = 0;

    for (uint32_t row = 0; row < e->seg->clients_max && e->clients_live; row++)
        count += e->clients[row] && is_busy(e, e->clients[row]);
    return count;
}

static uint32_t busy_of(struct gp_engine *e, uint32_t worker)
{
    return atomic_load_explicit(&gp_worker_at(e->seg, worker)->busy_clients, memory_order_relaxed);
}

static uint32_t permille_of(struct gp_engine *e, uint32_t worker)
{
    return atomic_load_explicit(&gp_worker_at(e->seg, worker)->busy_permille, memory_order_relaxed);
}

/* The least busy of the others, if this worker is the busiest of all; otherwise this one. */
static uint32_t least_busy(struct gp_engine *e, uint32_t mine)
{
    uint32_t best = e->worker, least = mine;
    uint64_t takers = atomic_load_explicit(&gp_common_of(e->seg)->accepting, memory_order_relaxed);

    for (takers &= ~(1ull << e->worker); takers != 0; takers &= takers - 1) {
        uint32_t w = (uint32_t)__builtin_ctzll(takers);
        uint32_t busy = busy_of(e, w);
        if (busy > mine)
            return e->worker;
        if (busy < least) {
            least = busy;
            best = w;
        }
    }
    return best;
}

/* How many are too many here. */
static uint32_t surplus(struct gp_engine *e, uint32_t mine, uint32_t other)
{
    uint32_t difference = mine - busy_of(e, other);
    bool full = permille_of(e, e->worker) >= GP_FULL_PERMILLE &&
                permille_of(e, other) + GP_SPARE_PERMILLE <= permille_of(e, e->worker);

    if ((mine <= GP_PACK_CLIENTS && !full) || difference < 2 || difference * 10 <= mine)
        return 0;
    return difference / 2 < GP_ROUND_CLIENTS ? difference / 2 : GP_ROUND_CLIENTS;
}

static void send_some(struct gp_engine *e, uint32_t to, uint32_t count)
{
    for (uint32_t row = 0; row < e->seg->clients_max && count; row++) {
        struct gp_client *c = e->clients[row];
        if (c && !c->target && is_busy(e, c) && gp_engine_move(e, c->id, to) == GP_OK)
            count--;
    }
}

void gp_rebalance(struct gp_engine *e)
{
    if (e->now < e->look_at)
        return;
    e->look_at = e->now + GP_LOOK_NS;
    uint32_t mine = count_busy(e);
    atomic_store_explicit(&e->me->busy_clients, mine, memory_order_relaxed);
    uint32_t other = least_busy(e, mine);
    uint32_t count = other == e->worker ? 0 : surplus(e, mine, other);
    e->lopsided = count ? e->lopsided + 1 : 0;
    if (e->lopsided < 2)
        return;
    e->lopsided = 0;
    send_some(e, other, count);
}
