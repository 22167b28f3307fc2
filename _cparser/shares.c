#include "shares.h"

static size_t buffered(struct gp_engine *e, const struct gp_conn *conn)
{
    return gp_buffer_cap(conn->out) + gp_buffer_cap(gp_conn_held(e->transport, conn));
}

/* Rows are looked at by others: what has not changed is left alone. */
static void tell(_Atomic uint64_t *word, uint64_t value)
{
    if (atomic_load_explicit(word, memory_order_relaxed) != value)
        atomic_store_explicit(word, value, memory_order_relaxed);
}

void gp_share_tell(struct gp_engine *e, const struct gp_client *c)
{
    struct gp_client_row *row = gp_client_at(e->seg, c->id);
    const struct gp_server *s = c->server;
    const struct gp_statement *unnamed = c->names.unnamed;
    size_t bytes = buffered(e, &c->conn) + gp_buffer_cap(c->in);

    if (s)
        bytes += buffered(e, &s->conn) + gp_buffer_cap(s->in);
    tell(&row->buffer_bytes, bytes);
    tell(&row->prepared_bytes, c->names.bytes + (unnamed ? unnamed->length : 0));
    atomic_store_explicit(&row->prepared_named, c->names.count, memory_order_relaxed);
    atomic_store_explicit(&row->prepared_unnamed, unnamed != NULL, memory_order_relaxed);
}
