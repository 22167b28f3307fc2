/* What proofs are made of: SHA-256, HMAC, MD5, base64, and comparisons that tell nothing by their
 * time. Over OpenSSL, without allocation by the caller, without I/O.
 *
 * Law: the one file beside tls.c and tls_context.c that includes OpenSSL's headers. A digest that
 * cannot be had (memory, or a policy that forbids MD5) is false, never a wrong value.
 * Source: RFC 2104, 4648, 6234. */
#ifndef GP_DIGEST_H
#define GP_DIGEST_H

#include "protocol.h"

#define GP_SHA256_BYTES 32u
#define GP_MD5_HEX      32u
/* Characters of so many bytes in base64, without a NUL. */
#define GP_BASE64_CHARS(bytes) (((bytes) + 2) / 3 * 4)

GP_NODISCARD bool gp_sha256(const uint8_t *data, size_t len, uint8_t digest[GP_SHA256_BYTES]);
/* Of the pieces one behind the other, under a key of GP_SHA256_BYTES. */
GP_NODISCARD bool gp_hmac_sha256(const uint8_t key[GP_SHA256_BYTES], const struct gp_span *pieces,
                                 size_t count, uint8_t digest[GP_SHA256_BYTES]);
/* Of two pieces, in hexadecimal and lower case, without a NUL. */
GP_NODISCARD bool gp_md5_hex(struct gp_span first, struct gp_span second, char hex[GP_MD5_HEX]);

/* Gives the number of characters, GP_BASE64_CHARS(len). */
size_t gp_base64_encode(const uint8_t *data, size_t len, char *text);
/* Whether the text is the base64 of exactly `len` bytes, which are then in data. */
GP_NODISCARD bool gp_base64_decode(struct gp_span text, uint8_t *data, size_t len);

/* Whether both are the same; takes as long however much of them differs. Lengths are no secret. */
GP_NODISCARD bool gp_same(const void *one, size_t one_len, const void *other, size_t other_len);
/* Forget a secret: not optimized away. */
void gp_wipe(void *secret, size_t len);

#endif
