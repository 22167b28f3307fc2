#include "digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define BLOCK_BYTES 64u /* of SHA-256: what HMAC fills a key up to */
#define IPAD        0x36
#define OPAD        0x5c

static bool add(EVP_MD_CTX *ctx, const struct gp_span *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (EVP_DigestUpdate(ctx, pieces[i].at, pieces[i].len) != 1)
            return false;
    return true;
}

/* The digest of all pieces; out has room for what md makes. */
static bool digest(EVP_MD_CTX *ctx, const EVP_MD *md, const struct gp_span *first,
                   const struct gp_span *pieces, size_t count, uint8_t *out)
{
    return ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1 && add(ctx, first, 1) &&
           add(ctx, pieces, count) && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

bool gp_sha256(const uint8_t *data, size_t len, uint8_t out[GP_SHA256_BYTES])
{
    return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1;
}

bool gp_hmac_sha256(const uint8_t key[GP_SHA256_BYTES], const struct gp_span *pieces, size_t count,
                    uint8_t out[GP_SHA256_BYTES])
{
    uint8_t inner[BLOCK_BYTES], outer[BLOCK_BYTES];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    memset(inner, IPAD, sizeof(inner));
    memset(outer, OPAD, sizeof(outer));
    for (size_t i = 0; i < GP_SHA256_BYTES; i++) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
    bool ok =
        digest(ctx, EVP_sha256(), &(struct gp_span){inner, sizeof(inner)}, pieces, count, out);
    ok = ok && digest(ctx, EVP_sha256(), &(struct gp_span){outer, sizeof(outer)},
                      &(struct gp_span){out, GP_SHA256_BYTES}, 1, out);
    EVP_MD_CTX_free(ctx); /* wiped, as OpenSSL does with all of a digest's state */
    gp_wipe(inner, sizeof(inner));
    gp_wipe(outer, sizeof(outer));
    return ok;
}

bool gp_md5_hex(struct gp_span first, struct gp_span second, char hex[GP_MD5_HEX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum[GP_MD5_HEX / 2];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = digest(ctx, EVP_md5(), &first, &second, 1, sum);

    for (size_t i = 0; ok && i < sizeof(sum); i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    EVP_MD_CTX_free(ctx);
    gp_wipe(sum, sizeof(sum));
    return ok;
}

/* ---- base64 ---- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t gp_base64_encode(const uint8_t *data, size_t len, char *text)
{
    char *at = text;

    for (size_t i = 0; i < len; i += 3, at += 4) {
        size_t left = len - i;
        uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0);
        at[0] = letters[bits >> 18];
        at[1] = letters[bits >> 12 & 63];
        at[2] = left > 1 ? letters[bits >> 6 & 63] : '=';
        at[3] = left > 2 ? letters[bits & 63] : '=';
    }
    return (size_t)(at - text);
}

/* The six bits of a letter; 64: it is none. */
static uint32_t value_of(uint8_t letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26u;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52u;
    if (letter == '+')
        return 62;
    return letter == '/' ? 63 : 64;
}

bool gp_base64_decode(struct gp_span text, uint8_t *data, size_t len)
{
    size_t padding = (3 - len % 3) % 3;

    if (text.len != GP_BASE64_CHARS(len))
        return false;
    for (size_t i = 0, done = 0; i < text.len; i += 4) {
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            bool pad = i + j >= text.len - padding;
            uint32_t value = pad ? 0 : value_of(text.at[i + j]);
            if (value > 63 || (pad && text.at[i + j] != '='))
                return false;
            bits = bits << 6 | value;
        }
        for (int shift = 16; shift >= 0 && done < len; shift -= 8)
            data[done++] = (uint8_t)(bits >> shift);
    }
    return true;
}

bool gp_same(const void *one, size_t one_len, const void *other, size_t other_len)
{
    return one_len == other_len && CRYPTO_memcmp(one, other, one_len) == 0;
}

void gp_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}
