/* TLS between the transport and the relay.
 *
 *     relay    plaintext    gp_conn_send(v)          gp_on_received -> deliver (engine.c)
 *                                |                        ^
 *              seal, open   gp_secure_sendv          gp_secure_open
 *                                |                        |
 *     backend  ciphertext   gp_wire_send             gp_on_received
 *
 * What one read brings is decrypted whole, however much the relay wants of it: as on a plain
 * connection it gets one buffer more than it asked for at most. Small pieces share a record; records
 * share a send. Nothing is allocated for that, the bytes lie on the stack. */
#include <string.h>

#include "tls.h"
#include "transport.h"

_Static_assert(GP_SECURE_BYTES >= GP_SCRATCH_BYTES + GP_TLS_RECORD_BYTES + GP_TLS_OVERHEAD_BYTES,
               "one read and the record that it completes");

/* Ciphertext of a scratch buffer in records of GP_TLS_SEND_BYTES, with their overhead. */
#define GP_SINK_BYTES (GP_SCRATCH_BYTES + 2048u)

struct seal {
    struct gp_transport *transport;
    struct gp_conn *conn;
    struct gp_tls_sink sink;
    size_t staged; /* plaintext of small pieces, not sealed yet */
    uint8_t stage[GP_TLS_SEND_BYTES];
    uint8_t wire[GP_SINK_BYTES];
};

static void flush(struct seal *s)
{
    if (s->sink.len)
        gp_wire_send(s->transport, s->conn, s->wire, s->sink.len);
    s->sink.len = 0;
}

static void seal(struct seal *s, const uint8_t *data, size_t len)
{
    enum gp_result result = GP_AGAIN;
    size_t taken;

    for (size_t done = 0; result == GP_AGAIN; done += taken) {
        result = gp_tls_seal(s->conn->tls, data + done, len - done, &s->sink, &taken);
        if (result == GP_AGAIN)
            flush(s);
    }
    if (result != GP_OK)
        s->conn->broken = 1;
}

static void unstage(struct seal *s)
{
    if (s->staged)
        seal(s, s->stage, s->staged);
    s->staged = 0;
}

static void add(struct seal *s, const uint8_t *data, size_t len)
{
    while (len) {
        if (s->staged == 0 && len >= GP_TLS_SEND_BYTES) {
            size_t whole = len - len % GP_TLS_SEND_BYTES;
            seal(s, data, whole);
            data += whole;
            len -= whole;
            continue;
        }
        size_t room = GP_TLS_SEND_BYTES - s->staged, n = len < room ? len : room;
        memcpy(s->stage + s->staged, data, n);
        s->staged += n;
        data += n;
        len -= n;
        if (s->staged == GP_TLS_SEND_BYTES)
            unstage(s);
    }
}

void gp_secure_sendv(struct gp_transport *t, struct gp_conn *conn, const struct iovec *pieces,
                     uint32_t count)
{
    struct seal s;

    if (conn->broken)
        return;
    s.transport = t;
    s.conn = conn;
    s.staged = 0;
    s.sink = (struct gp_tls_sink){s.wire, sizeof(s.wire), 0};
    if (count == 1 && pieces[0].iov_len <= GP_TLS_SEND_BYTES) {
        seal(&s, pieces[0].iov_base, pieces[0].iov_len);
    } else {
        for (uint32_t i = 0; i < count && !conn->broken; i++)
            add(&s, pieces[i].iov_base, pieces[i].iov_len);
        unstage(&s);
    }
    if (!conn->broken)
        flush(&s);
}

/* Send what TLS itself has to say: alerts, new keys, the end. */
static void answer(struct gp_transport *t, struct gp_conn *conn)
{
    uint8_t wire[512];
    uint32_t len;

    while ((len = gp_tls_take(conn->tls, wire, sizeof(wire))) > 0)
        gp_wire_send(t, conn, wire, len);
}

enum gp_result gp_secure_open(struct gp_transport *t, struct gp_conn *conn, const uint8_t *data,
                              size_t len, uint8_t *plain, size_t cap, size_t *got)
{
    enum gp_result result = gp_tls_open(conn->tls, data, len, plain, cap, got);

    answer(t, conn);
    return result;
}

enum gp_result gp_secure_read(struct gp_transport *t, struct gp_conn *conn, uint8_t *buf,
                              size_t cap, size_t *len)
{
    uint8_t wire[4096];
    size_t n = 0;

    for (;;) {
        enum gp_result result = gp_secure_open(t, conn, wire, n, buf, cap, len);
        if (*len)
            return GP_OK;
        if (result != GP_OK)
            return result;
        result = gp_wire_read(t, conn, wire, sizeof(wire), &n);
        if (result == GP_AGAIN && gp_tls_midway(conn->tls))
            return GP_EPROTO; /* a server at rest that stops within a record is not waited for */
        if (result != GP_OK)
            return result;
    }
}

void gp_secure_end(struct gp_transport *t, struct gp_conn *conn)
{
    if (conn->broken)
        return;
    gp_tls_end(conn->tls);
    answer(t, conn);
}
