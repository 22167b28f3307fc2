/* TLS handshakes of guests: from the request, or a handshake that nobody asked for first ("direct"),
 * until what the guest says comes through TLS.
 *
 *     WAITS --SSLRequest: 'S'; or a first record of TLS--> SHAKES --done--> WAITS, its words decrypted
 *                                                          ^    \--failed--> STRANGE: Python tells why
 *                                                          |
 *                                       its turn, in another batch, when this one has had many
 *
 * Done by Python instead: handshakes that wait for their turn (tls_rate_limit_per_second) and those
 * whose signature takes so long that a thread makes it. Python also gets, as any guest's, those that
 * take too long, with all that has been agreed so far.
 * Law: bytes behind an SSLRequest and before its answer are Python's to refuse (CVE-2021-23214); from
 * the answer on all that comes is the session's. Partner: guests.c. */
#ifndef GP_HANDSHAKES_H
#define GP_HANDSHAKES_H

#include "guests.h"

/* Begin one if that is what these first bytes ask for. False: it is not, or not done here. */
bool gp_handshake_begin(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len);
/* Ciphertext of a guest that shakes hands. */
void gp_handshake_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data,
                           size_t len);
/* Go on with those that had no turn. */
void gp_handshakes_continue(struct gp_engine *e);

#endif
