/* TLS without I/O: OpenSSL between two streams of bytes. Ciphertext is fed and taken, plaintext is
 * read and written; no function here makes a system call on a socket, none waits.
 *
 *     wire --feed, open--> | kept | record being completed | --> plaintext
 *     wire <--take, sink-- | out |            records      | <-- plaintext
 *
 * Handshakes are driven by handshakes.c, or by Python through the functions of engine_tls.h; then the
 * engine has the session, and the relay's bytes go through gp_tls_open and gp_tls_seal (secure.c).
 *
 * Law: tls_context.c knows certificates, keys and tickets, tls.c knows bytes, and nothing else
 * includes OpenSSL's headers. A session belongs to one thread at a time; contexts are shared.
 * Source: "Secure TCP/IP Connections with SSL", "SSL Session Encryption"; RFC 8446, 5246, 7301. */
#ifndef GP_TLS_H
#define GP_TLS_H

#include "engine.h"

/* What one record can hold, and what it costs around that. */
#define GP_TLS_RECORD_BYTES   16384u
#define GP_TLS_OVERHEAD_BYTES 512u
/* What PostgreSQL's own records hold: libpq in async mode has stalled on longer ones. */
#define GP_TLS_SEND_BYTES 8192u

/* Room for ciphertext in the caller's hands: emptied whenever it is full. */
struct gp_tls_sink {
    uint8_t *data;
    size_t cap, len;
};

struct gp_tls_context *gp_tls_context_share(struct gp_tls_context *context);

/* Decrypt what has come: all plaintext that is whole goes into `plain`, as far as it has room;
 * *got: its length, also when the result is another than GP_OK. GP_EOF: the peer has said that no
 * more comes. GP_EPROTO: gp_tls_why; nothing can be read or written any more. Answers of TLS itself
 * (alerts) wait to be taken. Without data: what an earlier call had no room for. */
enum gp_result gp_tls_open(struct gp_tls *tls, const uint8_t *data, size_t len, uint8_t *plain,
                           size_t cap, size_t *got);
/* Encrypt into the sink. GP_AGAIN: the sink is full; empty it and call again with the rest of the
 * same bytes, of which *taken are done. */
enum gp_result gp_tls_seal(struct gp_tls *tls, const uint8_t *data, size_t len,
                           struct gp_tls_sink *sink, size_t *taken);
/* What is spoken, as SHOW shows it: version/cipher; cleared when tls is NULL. */
void gp_tls_name(struct gp_tls *tls, char *name, size_t cap);
/* Whether a part of a record is here, so that more must come. */
bool gp_tls_midway(const struct gp_tls *tls);

#endif
