/* SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side: two messages in, two out.
 *
 *     client-first   n,,n=,r=<nonce>           --> gp_scram_first
 *                    r=<nonce+nonce>,s=,i=     <--
 *     client-final   c=biws,r=<nonce+nonce>,p= --> gp_scram_final
 *                    v=<signature>             <--
 *
 * Within TLS the PLUS variant binds the exchange to our certificate (tls-server-end-point):
 * client-first begins `p=tls-server-end-point,,` and c= holds that and the certificate's hash, so
 * who is in between with another certificate fails. `y` says "I could, you did not offer it": a lie
 * in between is found out.
 *
 * Law: pure; secrets are compared in constant time; a doomed exchange takes the same steps as a real
 * one. What is wrong with a message is told in PostgreSQL's words. Partner: login.c, which frames
 * the messages. Source: RFC 5802, 5929, 7677; PostgreSQL auth-scram.c. */
#ifndef GP_SCRAM_H
#define GP_SCRAM_H

#include "digest.h"
#include "engine.h"

#define GP_SCRAM_MESSAGE_BYTES 1024u /* PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH */
#define GP_SCRAM_RAW_NONCE     18u
#define GP_SCRAM_NONCE_CHARS   GP_BASE64_CHARS(GP_SCRAM_RAW_NONCE)
/* server-first: "r=" both nonces ",s=" salt ",i=" iterations. */
#define GP_SCRAM_FIRST_BYTES (GP_SCRAM_MESSAGE_BYTES + 64u + GP_BASE64_CHARS(GP_SALT_BYTES) + 20u)
#define GP_SCRAM_FINAL_BYTES (2u + GP_BASE64_CHARS(GP_SHA256_BYTES)) /* server-final */

/* `message` and `detail` (NULL: none), cut where they are too long. */
void gp_fault_set(struct gp_fault *fault, const char *sqlstate, const char *message,
                  const char *detail);

enum gp_scram_verdict {
    GP_SCRAM_FINE,
    GP_SCRAM_FAULTY, /* the message is wrong: the fault tells */
    GP_SCRAM_WRONG   /* the proof is */
};

/* Zero it, then set the first three. */
struct gp_scram {
    const struct gp_scram_secret *secret; /* outlives this */
    struct gp_span binding; /* our certificate's hash; empty: there is nothing to bind to */
    bool bound;             /* the client has chosen the PLUS variant */
    uint8_t flag;           /* n, y or p: what client-first said about binding */
    size_t bare_len, first_len, nonce_len;
    uint8_t bare[GP_SCRAM_MESSAGE_BYTES]; /* client-first-bare */
    char first[GP_SCRAM_FIRST_BYTES];     /* server-first; the nonce stands behind "r=" */
    uint8_t client_key[GP_SHA256_BYTES];  /* after FINE of the last message: logs in elsewhere */
};

/* `nonce` is our part, printable, at most GP_SCRAM_NONCE_CHARS and a few. The answer: s->first. */
GP_NODISCARD enum gp_scram_verdict gp_scram_first(struct gp_scram *s, struct gp_span message,
                                                  const char *nonce, struct gp_fault *fault);
/* The answer, without a NUL, when it is FINE. */
GP_NODISCARD enum gp_scram_verdict gp_scram_final(struct gp_scram *s, struct gp_span message,
                                                  char answer[GP_SCRAM_FINAL_BYTES],
                                                  struct gp_fault *fault);

#endif
