/* What tls.c and tls_context.c share. */
#ifndef GP_TLS_INTERNAL_H
#define GP_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "buffer.h"
#include "tls.h"

#define GP_TLS_WHY_BYTES 192u

/* Everything of it but `refs` and `why` stays as it is from the first session on. */
struct gp_tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *wire; /* of tls.c */
    _Atomic uint32_t refs;
    bool server;
    uint8_t ticket_secret[GP_TLS_SECRET_BYTES];
    char why[GP_TLS_WHY_BYTES];
};

struct gp_tls {
    SSL *ssl;
    struct gp_tls_context *context;
    const uint8_t *fed; /* the caller's bytes, while its call lasts */
    size_t fed_len;
    struct gp_buffer *kept; /* ciphertext that no call has wanted yet; comes before fed */
    struct gp_buffer *out;  /* ciphertext to be taken, where there is no sink */
    struct gp_tls_sink *sink;
    bool failed;
    char why[GP_TLS_WHY_BYTES];
};

/* Describe OpenSSL's newest error in this thread, after `what` if that is given; forget all. */
void gp_tls_explain(char why[GP_TLS_WHY_BYTES], const char *what);
/* The BIO between a session and its bytes. */
BIO_METHOD *gp_tls_wire_new(void);

#endif
