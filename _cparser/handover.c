/* A worker that ends gives all it has to others: its clients (move.c), its guests that have said nothing
 * (guests.c), and its idle servers, which other workers hold too and which therefore only change their
 * owner. Clients with TLS leave their session here (pump.h). Servers with TLS are closed when they come
 * to rest. */
#include "guests.h"
#include "move.h"

#define NOBODY UINT32_MAX

/* The least loaded of these workers. */
static uint32_t choose(struct gp_engine *e, uint64_t among)
{
    uint32_t best = NOBODY, least = UINT32_MAX;

    for (uint32_t w = 0; w < e->seg->workers; w++) {
        uint32_t clients =
            atomic_load_explicit(&gp_worker_at(e->seg, w)->clients, memory_order_relaxed);
        if (among >> w & 1 && gp_worker_lives(e, w) && clients < least) {
            least = clients;
            best = w;
        }
    }
    return best;
}

static void assign_clients(struct gp_engine *e)
{
    for (uint32_t row = 0; row < e->seg->clients_max; row++) {
        struct gp_client *c = e->clients[row];
        uint32_t to = c && !c->target ? choose(e, e->targets) : NOBODY;
        if (to != NOBODY && gp_engine_move(e, c->id, to) == GP_OK)
            atomic_fetch_add_explicit(&gp_worker_at(e->seg, to)->clients, 1, memory_order_relaxed);
    }
}

/* A server at rest that is ours. */
static void give_away(struct gp_engine *e, struct gp_server *s)
{
    uint64_t holders =
        atomic_load_explicit(&gp_slot_at(e->seg, s->pool, s->slot)->holders, memory_order_acquire);
    uint32_t heir = choose(e, holders & e->targets), other = choose(e, e->targets);

    if (heir != NOBODY)
        (void)gp_slot_bequeath(e->seg, s->pool, s->slot, e->worker, heir);
    else if (s->conn.tls && gp_slot_seize(e->seg, s->pool, s->slot, e->worker))
        gp_server_retire(e, s, GP_REASON_SHUTDOWN);
    else if (!s->conn.tls && other != NOBODY)
        (void)gp_inbox_share(e, other, s); /* it is given away when that has it */
}

/* Gives the number of slots that still are in our name. */
static uint32_t give_away_servers(struct gp_engine *e, uint32_t pool)
{
    uint32_t left = 0;

    for (uint32_t slot = 0, high = gp_slots_high(e->seg, pool); slot < high; slot++) {
        struct gp_word word = gp_slot_word(e->seg, pool, slot);
        if (word.state == GP_SLOT_FREE || word.worker != e->worker)
            continue;
        left++;
        struct gp_server *s = gp_server_find(e, pool, slot);
        if (word.state == GP_SLOT_IDLE && s && s->state == GP_SERVER_REST)
            give_away(e, s);
    }
    return left;
}

static void hand_over(struct gp_engine *e)
{
    uint32_t servers = 0;

    assign_clients(e);
    gp_guests_pass(e);
    for (uint32_t pool = 0, high = gp_pools_high(e->seg); pool < high; pool++)
        servers += give_away_servers(e, pool);
    bool done = servers == 0 && e->clients_live == 0;
    if (done && !e->drained)
        gp_event_push(e, GP_EVENT_DRAINED, 0, 0, 0, 0);
    e->drained = done;
}

void gp_engine_hand_over(struct gp_engine *e, const uint32_t *targets, uint32_t count)
{
    e->targets = 0;
    for (uint32_t i = 0; i < count; i++)
        if (targets[i] < e->seg->workers && targets[i] != e->worker)
            e->targets |= 1ull << targets[i];
    gp_segment_accept(e->seg, e->worker, e->targets == 0);
    e->drained = false;
    gp_engine_sweep(e);
}

void gp_moves_sweep(struct gp_engine *e)
{
    if (e->away)
        gp_moves_settle(e);
    if (e->targets && !e->draining)
        hand_over(e);
    else if (!e->draining)
        gp_rebalance(e);
    if (e->movers)
        gp_moves_run(e);
}
