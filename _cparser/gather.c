#include <string.h>

#include "transport.h"

void gp_gather_begin(struct gp_gather *g, struct gp_transport *t, struct gp_conn *conn)
{
    g->transport = t;
    g->conn = conn;
    g->keep = NULL;
    g->end = NULL;
    g->bytes = 0;
    g->count = g->spare_used = 0;
}

void gp_gather_flush(struct gp_gather *g)
{
    if (g->count)
        gp_conn_sendv(g->transport, g->conn, g->pieces, g->count);
    g->count = g->spare_used = 0;
    g->end = NULL;
}

void gp_gather_keep(struct gp_kept *kept, const uint8_t *data, size_t len)
{
    if (len > sizeof(kept->bytes) - kept->len) {
        kept->over = 1;
        return;
    }
    memcpy(kept->bytes + kept->len, data, len);
    kept->len += (uint32_t)len;
}

void gp_gather_piece(struct gp_gather *g, const uint8_t *data, size_t len)
{
    if (g->count == GP_PIECES)
        gp_gather_flush(g);
    g->pieces[g->count++] = (struct iovec){.iov_base = (void *)data, .iov_len = len};
}

void gp_gather_copy(struct gp_gather *g, const uint8_t *data, size_t len)
{
    if (len == 0)
        return;
    if (len > GP_SPARE_BYTES) {
        gp_gather_add(g, data, len);
        gp_gather_flush(g);
        return;
    }
    if (len > GP_SPARE_BYTES - g->spare_used || g->count == GP_PIECES)
        gp_gather_flush(g);
    memcpy(g->spare + g->spare_used, data, len);
    gp_gather_add(g, g->spare + g->spare_used, len);
    g->spare_used += (uint32_t)len;
}
