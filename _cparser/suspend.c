#include "suspend.h"

/* Stop one that is read. True: nobody read it, and nothing of it is unsent. */
static bool quiet(struct gp_engine *e, struct gp_conn *conn)
{
    bool was = conn->mode != GP_CONN_READ;

    if (!was) {
        gp_conn_pause(conn);
        (void)gp_conn_halt(e->transport, conn);
    }
    return was && (conn->broken || gp_conn_sent(e->transport, conn));
}

static bool quiet_client(struct gp_engine *e, struct gp_client *c)
{
    bool is_quiet;

    if (c->entrance || c->own || c->state == GP_CLIENT_GONE)
        return true;
    is_quiet = quiet(e, &c->conn);
    if (c->server && c->server->conn.mode != GP_CONN_WATCH)
        is_quiet &= quiet(e, &c->server->conn);
    return is_quiet;
}

static void stop(struct gp_engine *e)
{
    bool is_still = true;

    gp_transport_still(e->transport, true);
    for (uint32_t row = 0; row < e->seg->clients_max; row++)
        if (e->clients[row])
            is_still &= quiet_client(e, e->clients[row]);
    atomic_store_explicit(&gp_common_worker_at(e->seg, e->worker)->still, is_still,
                          memory_order_relaxed);
}

static void go_on(struct gp_engine *e)
{
    e->resumed_ns = e->now;
    atomic_store_explicit(&gp_common_worker_at(e->seg, e->worker)->still, 0, memory_order_relaxed);
    gp_transport_still(e->transport, false);
    for (uint32_t row = 0; row < e->seg->clients_max; row++) {
        struct gp_client *c = e->clients[row];
        if (!c)
            continue;
        if (c->server && !c->conn.out)
            gp_conn_resume(e->transport, &c->server->conn);
        gp_todo(e, &c->conn);
    }
}

void gp_suspend_sweep(struct gp_engine *e)
{
    bool before = e->suspended;

    e->suspended = gp_segment_suspended(e->seg);
    if (e->suspended)
        stop(e);
    else if (before)
        go_on(e);
}
