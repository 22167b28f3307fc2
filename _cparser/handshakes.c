#include "handshakes.h"

#include <string.h>

#include "entrance.h"
#include "tls.h"

#define TURNS       16u /* in a batch: each takes 0.1 to 0.3 ms, and whoever is served waits meanwhile */
#define TLS_RECORD  0x16u /* a handshake's */
#define REQUEST_LEN 8u
#define FLIGHT      8192u /* a certificate with its chain is most often below it */

static const uint8_t ssl_request[REQUEST_LEN] = {0, 0, 0, REQUEST_LEN, 0x04, 0xd2, 0x16, 0x2f};

static struct gp_guest *guest_of(struct gp_client *c)
{
    return &c->entrance->guest;
}

static void send_flight(struct gp_engine *e, struct gp_client *c)
{
    uint8_t wire[FLIGHT];
    uint32_t len;

    while ((len = gp_tls_take(guest_of(c)->tls, wire, sizeof(wire))) > 0)
        gp_wire_send(e->transport, &c->conn, wire, len);
}

/* Keep what its like is known by. False: Python is to say what is wrong. */
static bool note_facts(struct gp_guest *guest)
{
    struct gp_tls_facts facts;

    if (gp_tls_describe(guest->tls, &facts) != GP_OK || (guest->direct && !facts.has_alpn))
        return false;
    guest->certified = facts.has_peer;
    guest->binding_length = facts.binding_length;
    memcpy(guest->binding, facts.binding, facts.binding_length);
    return true;
}

/* The connection is TLS from here on; what came with the end of the handshake is looked at. */
static void secure(struct gp_engine *e, struct gp_client *c)
{
    uint8_t plain[GP_SECURE_BYTES];
    size_t len;

    c->conn.tls = guest_of(c)->tls;
    guest_of(c)->tls = NULL;
    enum gp_result result =
        gp_secure_open(e->transport, &c->conn, NULL, 0, plain, sizeof(plain), &len);
    if (len)
        gp_guest_received(e, c, plain, len);
    else if (result != GP_OK)
        gp_guest_closed(e, c);
}

static void shake(struct gp_engine *e, struct gp_client *c)
{
    enum gp_result result = gp_tls_handshake(guest_of(c)->tls);

    send_flight(e, c); /* an alert, if it has failed */
    if (result == GP_OK && note_facts(guest_of(c)))
        secure(e, c);
    else if (result != GP_AGAIN)
        gp_guest_estrange(e, c);
}

static bool has_turn(struct gp_engine *e)
{
    struct gp_handshakes *turns = &e->guests.handshakes;

    if (turns->batch_ns != e->now) {
        turns->batch_ns = e->now;
        turns->taken = 0;
    }
    return turns->taken++ < TURNS;
}

static void shake_in_turn(struct gp_engine *e, struct gp_client *c)
{
    guest_of(c)->is_due = !has_turn(e);
    if (!guest_of(c)->is_due) {
        shake(e, c);
        return;
    }
    e->guests.handshakes.due = true;
    gp_worker_poke(e->seg, e->worker);
}

void gp_handshake_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data,
                           size_t len)
{
    if (gp_tls_feed(guest_of(c)->tls, data, (uint32_t)len) != GP_OK)
        gp_guest_closed(e, c);
    else if (!guest_of(c)->is_due)
        shake_in_turn(e, c);
}

void gp_handshakes_continue(struct gp_engine *e)
{
    struct gp_client *next;

    if (!e->guests.handshakes.due)
        return;
    e->guests.handshakes.due = false;
    for (struct gp_client *c = e->guests.waiting.first; c; c = next) {
        next = c->behind;
        if (guest_of(c)->is_due)
            shake_in_turn(e, c);
    }
}

/* Whether this is where TLS begins; *direct: without a request. */
static bool begins(const struct gp_guest *guest, const uint8_t *data, size_t len, bool *direct)
{
    *direct = len && data[0] == TLS_RECORD && !guest->refused;
    return *direct || (len == REQUEST_LEN && memcmp(data, ssl_request, len) == 0 &&
                       !(guest->refused & GP_ENCRYPTION_SSL));
}

bool gp_handshake_begin(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len)
{
    struct gp_guest *guest = guest_of(c);

    if (!e->guests.is.tls || guest->family == AF_UNIX || c->conn.tls ||
        !begins(guest, data, len, &guest->direct))
        return false;
    guest->tls = gp_tls_new(e->guests.is.tls, NULL, false);
    if (!guest->tls)
        return false; /* nor will Python have one, and say so */
    if (guest->direct)
        gp_handshake_received(e, c, data, len);
    else
        gp_conn_send(e->transport, &c->conn, (const uint8_t *)"S", 1);
    return true;
}
