/* Guests: clients from accept to their startup packet.
 *
 *     accepted --> WAITS --its like is known (plans.h)--> in LOGIN, with a row (entrance.h)
 *                  |  ^ \--anything else, or nothing in time--> STRANGE --gp_guest_take--> Python's
 *                  |  \--it asks for encryption: 'N', or a handshake (handshakes.h)
 *                  \--it leaves--> closed, and nobody is told
 *
 * A guest is a struct gp_client in state FREE: it has no row, and is in one of the engine's two
 * lists. Law: what Python gets is the connection as it is, with its TLS session and all bytes that were
 * read and not answered; Python does with it whatever it does with one it has accepted itself. Who
 * is one too many, in all or of its address, is Python's to tell so. A worker that hands over passes
 * those on who have said nothing yet; their time goes on.
 * Partners: listeners.c, which accepts them; greenpool/worker/listener.py, which takes them.
 * Source: "Message Flow > Start-up", "> SSL Session Encryption". */
#ifndef GP_GUESTS_H
#define GP_GUESTS_H

#include <sys/socket.h>

#include "relay.h"

#define GP_HOST_BYTES    46u /* INET6_ADDRSTRLEN */
#define GP_NETWORK_BYTES 8u

/* Part of struct gp_entrance; the last login does not need it any more. */
struct gp_guest {
    uint64_t since_ns;
    bool strange;    /* Python is to take it */
    uint8_t refused; /* enum gp_encryption */
    uint16_t port;
    int32_t family;
    char host[GP_HOST_BYTES];
    uint8_t network[GP_NETWORK_BYTES]; /* as which it is counted */
    uint32_t network_length;           /* 0: it is not */
    /* handshakes.c */
    struct gp_tls *tls; /* shakes hands; then it is the connection's */
    bool direct;        /* with no request before */
    bool is_due;        /* its bytes wait for a turn */
    bool certified;     /* it has shown a certificate */
    uint8_t binding[GP_BINDING_BYTES];
    uint32_t binding_length;
};

/* Whom was accepted, with its address; its descriptor is the engine's. since_ns: when its time began, if
 * it was another worker's guest before; 0: now. */
void gp_guest_greet(struct gp_engine *e, int32_t fd, const struct sockaddr_storage *address,
                    uint64_t since_ns);
/* Pass those on who have said nothing. Not within a delivery. */
void gp_guests_pass(struct gp_engine *e);
/* Give those to Python whose time is over. */
void gp_guests_sweep(struct gp_engine *e);
void gp_guests_free(struct gp_engine *e);
/* It is for Python to see what it wants. */
void gp_guest_estrange(struct gp_engine *e, struct gp_client *c);

/* ---- of a client in state FREE ---- */
void gp_guest_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len);
void gp_guest_closed(struct gp_engine *e, struct gp_client *c);

#endif
