/* TLS while Python has the socket, and the contexts of all sessions. Part of engine.h. Partners: tls.c,
 * tls_context.c, greenpool/tls.py. */
#ifndef GP_ENGINE_TLS_H
#define GP_ENGINE_TLS_H

#include "engine_names.h"

/* cdef:begin */
#define GP_TLS_SECRET_BYTES 32

/* ---- TLS: contexts; tls.h tells the rest ---- */

/* For many sessions, in several threads; TLS 1.2 or newer, protocol `postgresql` in ALPN. NULL: no
 * memory. What is refused below (GP_EPROTO) is told by gp_tls_context_why; the context is of no use
 * then. All of it is set before the first session. */
GP_API struct gp_tls_context *gp_tls_context_new(bool server);
/* Sessions that are there keep it. */
GP_API void gp_tls_context_free(struct gp_tls_context *context);
GP_API const char *gp_tls_context_why(const struct gp_tls_context *context);
/* What this side shows, the certificate first (with its chain behind it), then the key. */
GP_API enum gp_result gp_tls_context_certificate(struct gp_tls_context *context, const uint8_t *pem,
                                                 uint32_t length);
GP_API enum gp_result gp_tls_context_key(struct gp_tls_context *context, const uint8_t *pem,
                                         uint32_t length);
/* Whom the other side's certificate must come from: a server's is verified from here on, a client's
 * is asked for and verified if it has one. Revocation lists may stand among the certificates. */
GP_API enum gp_result gp_tls_context_authorities(struct gp_tls_context *context, const uint8_t *pem,
                                                 uint32_t length);
/* least_minor: 2 or 3, of TLS 1. Ciphers of 1.2 and suites of 1.3 as OpenSSL lists them; NULL:
 * leave them. */
GP_API enum gp_result gp_tls_context_versions(struct gp_tls_context *context, uint32_t least_minor,
                                              const char *ciphers, const char *suites);
/* Let clients resume sessions in every process that has the same secret. */
GP_API void gp_tls_context_tickets(struct gp_tls_context *context, const uint8_t *secret);
struct gp_tls_own {
    int64_t not_before_s, not_after_s; /* of the calendar */
    uint32_t key_bits;
    bool key_is_rsa;
};
/* The certificate that this side shows; false: it has none. */
GP_API bool gp_tls_context_own(struct gp_tls_context *context, struct gp_tls_own *own);

/* Take the turn of one more handshake, per_second (not 0) of them over all workers. Gives the ns to
 * wait for it; more than patience_ns: no turn was taken. */
GP_API uint64_t gp_handshake_turn(struct gp_segment *seg, uint32_t per_second,
                                  uint64_t patience_ns);

/* ---- TLS: sessions, while Python has the socket ---- */

/* host: whom a client expects, a name or an address; check_host: its certificate must say so. NULL:
 * no memory, or no such host. */
GP_API struct gp_tls *gp_tls_new(struct gp_tls_context *context, const char *host, bool check_host);
GP_API void gp_tls_free(struct gp_tls *tls);
/* Words for the last GP_EPROTO. */
GP_API const char *gp_tls_why(const struct gp_tls *tls);
/* Ciphertext: what came, and what is to be sent (0: nothing). Look for the latter after every call
 * below. GP_EFULL: no memory. */
GP_API enum gp_result gp_tls_feed(struct gp_tls *tls, const uint8_t *data, uint32_t length);
GP_API uint32_t gp_tls_take(struct gp_tls *tls, uint8_t *data, uint32_t capacity);
/* GP_OK: done. GP_AGAIN: feed more. GP_EPROTO: it has failed. May take a millisecond of CPU; runs in
 * any thread, nothing else touching the session meanwhile. */
GP_API enum gp_result gp_tls_handshake(struct gp_tls *tls);
/* Plaintext. GP_AGAIN: feed more. GP_EOF: the peer has ended it. GP_EPROTO. */
GP_API enum gp_result gp_tls_read(struct gp_tls *tls, uint8_t *data, uint32_t capacity,
                                  uint32_t *length);
GP_API enum gp_result gp_tls_write(struct gp_tls *tls, const uint8_t *data, uint32_t length);
/* Say that no more follows (close_notify). */
GP_API void gp_tls_end(struct gp_tls *tls);
struct gp_tls_facts {
    char version[16], cipher[48]; /* TLSv1.3, TLS_AES_256_GCM_SHA384 */
    bool has_alpn, resumed, has_peer;
    uint32_t binding_length; /* of tls-server-end-point; 0: the certificate has none */
    uint8_t binding[64];
    /* the peer's certificate: its common name, RFC 2253 names, decimal serial number */
    char peer_name[256], peer_subject[1024], peer_issuer[1024], peer_serial[64];
};
/* After the handshake. GP_EPROTO: the peer's names cannot be told apart from others. */
GP_API enum gp_result gp_tls_describe(struct gp_tls *tls, struct gp_tls_facts *facts);
/* cdef:end */

#endif
