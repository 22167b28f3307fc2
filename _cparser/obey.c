#include "obey.h"

/* Whether the administrator wants it gone. It may be in LOGIN: its row tells of its pool, if that is
 * certain. */
static bool doomed(struct gp_engine *e, const struct gp_client *c)
{
    struct gp_client_row *row = gp_client_at(e->seg, c->id);
    uint32_t pool = atomic_load_explicit(&row->pool, memory_order_relaxed);

    if (row->connected_ns == atomic_load_explicit(&row->doomed_ns, memory_order_acquire))
        return true;
    return pool && row->connected_ns <=
                       atomic_load_explicit(&gp_common_pool_at(e->seg, pool - 1)->killed_ns,
                                            memory_order_acquire);
}

static void drop_client(struct gp_engine *e, struct gp_client *c)
{
    if (c->server)
        gp_link_break(e, c->server, GP_REASON_KILLED);
    else
        gp_client_end(e, c, GP_REASON_KILLED);
}

void gp_obey_client(struct gp_engine *e, struct gp_client *c)
{
    if (e->suspended)
        gp_conn_pause(&c->conn);
    if (doomed(e, c))
        drop_client(e, c);
}

/* A server that is being cleaned for nobody, or waits for a cancel: opened before the kill? */
static void drop_server(struct gp_engine *e, struct gp_server *s)
{
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);
    uint64_t killed =
        atomic_load_explicit(&gp_common_pool_at(e->seg, s->pool)->killed_ns, memory_order_acquire);

    if ((s->state == GP_SERVER_ORPHAN || s->state == GP_SERVER_CLEAN ||
         s->state == GP_SERVER_PARKED) &&
        atomic_load_explicit(&slot->opened_ns, memory_order_relaxed) <= killed)
        gp_server_retire(e, s, GP_REASON_UNCLEAN);
}

void gp_obey_sweep(struct gp_engine *e)
{
    uint64_t controls = atomic_load_explicit(&gp_common_of(e->seg)->controls, memory_order_acquire);
    uint32_t pools = gp_pools_high(e->seg);

    if (controls == e->controls_seen)
        return;
    e->controls_seen = controls;
    e->census_at = 0; /* servers may be stale now */
    for (uint32_t row = 0; row < e->seg->clients_max; row++) {
        struct gp_client *c = e->clients[row];
        if (c)
            gp_obey_client(e, c);
    }
    for (uint32_t pool = 0; pool < pools; pool++) {
        uint32_t high = gp_slots_high(e->seg, pool);
        for (uint32_t slot = 0; slot < high; slot++) {
            struct gp_server *s = gp_server_find(e, pool, slot);
            if (s)
                drop_server(e, s);
        }
    }
}
