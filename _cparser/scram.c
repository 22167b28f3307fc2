#include "scram.h"

#include <stdarg.h>
#include <stdio.h>

#define HEADER "p=tls-server-end-point,,"
#define TYPE   "tls-server-end-point"
#define SHOWN  8u /* a character as a detail shows it, and its NUL */

#define VIOLATION "08P01"
#define MALFORMED "malformed SCRAM message"

void gp_fault_set(struct gp_fault *fault, const char *sqlstate, const char *message,
                  const char *detail)
{
    snprintf(fault->sqlstate, sizeof(fault->sqlstate), "%s", sqlstate);
    snprintf(fault->message, sizeof(fault->message), "%s", message);
    snprintf(fault->detail, sizeof(fault->detail), "%s", detail ? detail : "");
}

/* Refuse a malformed message. Gives false, for whoever reads it. */
__attribute__((format(printf, 2, 3))) static bool malformed(struct gp_fault *fault,
                                                            const char *format, ...)
{
    char detail[GP_FAULT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    gp_fault_set(fault, VIOLATION, MALFORMED, detail);
    return false;
}

static bool refused(struct gp_fault *fault, const char *sqlstate, const char *message)
{
    gp_fault_set(fault, sqlstate, message, NULL);
    return false;
}

/* ---- attributes: a=value,b=value, read front to back ---- */

static bool stands(struct gp_span left, char letter)
{
    return left.len > 0 && left.at[0] == (uint8_t)letter;
}

/* The first character as PostgreSQL shows it; no control character reaches a log. */
static const char *shown(struct gp_span left, char text[SHOWN])
{
    uint8_t c = left.len ? left.at[0] : 0;

    if (c >= '!' && c <= '~')
        snprintf(text, SHOWN, "'%c'", c);
    else
        snprintf(text, SHOWN, "0x%02x", c);
    return text;
}

static void skip(struct gp_span *left, size_t len)
{
    left->at += len;
    left->len -= len;
}

/* The value behind a name, up to the next comma, which is taken too. */
static bool take_value(struct gp_span *left, struct gp_span *value, struct gp_fault *fault)
{
    if (left->len < 2 || left->at[1] != '=')
        return malformed(fault, "Expected character \"=\" for attribute \"%c\".", left->at[0]);
    skip(left, 2);
    const uint8_t *comma = left->len ? memchr(left->at, ',', left->len) : NULL;
    *value = (struct gp_span){left->at, comma ? (size_t)(comma - left->at) : left->len};
    skip(left, value->len + (comma ? 1 : 0));
    return true;
}

static bool take_named(struct gp_span *left, char name, struct gp_span *value,
                       struct gp_fault *fault)
{
    char text[SHOWN];

    if (!stands(*left, name))
        return malformed(fault, "Expected attribute \"%c\" but found \"%s\".", name,
                         shown(*left, text));
    return take_value(left, value, fault);
}

/* An extension: it means nothing to us. */
static bool take_any(struct gp_span *left, struct gp_fault *fault)
{
    struct gp_span value;
    char text[SHOWN];

    if (left->len == 0)
        return malformed(fault, "Attribute expected, but found end of string.");
    uint8_t letter = left->at[0] | 0x20;
    if (letter < 'a' || letter > 'z' || left->at[0] >= 0x80)
        return malformed(fault, "Attribute expected, but found invalid character \"%s\".",
                         shown(*left, text));
    return take_value(left, &value, fault);
}

static bool check_text(struct gp_span message, struct gp_fault *fault)
{
    if (message.len == 0)
        return malformed(fault, "The message is empty.");
    if (memchr(message.at, '\0', message.len))
        return malformed(fault, "Message length does not match input length.");
    return true;
}

/* ---- client-first ---- */

static bool take_binding_type(const struct gp_scram *s, struct gp_span *left,
                              struct gp_fault *fault)
{
    char kind[31], message[GP_FAULT_BYTES];
    struct gp_span value;
    size_t len;

    if (!s->bound)
        return malformed(fault, "The client selected SCRAM-SHA-256 without channel binding, but "
                                "the SCRAM message includes channel binding data.");
    if (!take_value(left, &value, fault))
        return false;
    if (gp_span_is(value, TYPE))
        return true;
    for (len = 0; len < value.len && len < sizeof(kind) - 1; len++)
        kind[len] = value.at[len] >= '!' && value.at[len] <= '~' ? (char)value.at[len] : '?';
    kind[len] = '\0';
    snprintf(message, sizeof(message), "unsupported SCRAM channel-binding type \"%s\"", kind);
    return refused(fault, VIOLATION, message);
}

/* The channel binding flag, with its comma. */
static bool take_flag(struct gp_scram *s, struct gp_span *left, struct gp_fault *fault)
{
    char text[SHOWN];

    s->flag = left->at[0];
    if (s->flag == 'p')
        return take_binding_type(s, left, fault);
    if (s->flag != 'n' && s->flag != 'y')
        return malformed(fault, "Unexpected channel-binding flag \"%s\".", shown(*left, text));
    if (s->bound)
        return malformed(fault, "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message "
                                "does not include channel binding data.");
    skip(left, 1);
    if (!stands(*left, ','))
        return malformed(fault, "Comma expected, but found character \"%s\".", shown(*left, text));
    skip(left, 1);
    return true;
}

/* All before client-first-bare. */
static bool take_header(struct gp_scram *s, struct gp_span *left, struct gp_fault *fault)
{
    char text[SHOWN];

    if (!take_flag(s, left, fault))
        return false;
    if (stands(*left, 'a'))
        return refused(fault, "0A000",
                       "client uses authorization identity, but it is not supported");
    if (!stands(*left, ','))
        return malformed(fault, "Unexpected attribute \"%s\" in client-first-message.",
                         shown(*left, text));
    skip(left, 1);
    if (s->flag == 'y' && s->binding.len) {
        gp_fault_set(fault, "28000", "SCRAM channel binding negotiation error",
                     "The client supports SCRAM channel binding but thinks the server does not.  "
                     "However, this server does support channel binding.");
        return false;
    }
    return true;
}

static bool take_bare(struct gp_span left, struct gp_span *nonce, struct gp_fault *fault)
{
    struct gp_span name;

    if (stands(left, 'm'))
        return refused(fault, "0A000", "client requires an unsupported SCRAM extension");
    if (!take_named(&left, 'n', &name, fault) || !take_named(&left, 'r', nonce, fault))
        return false;
    for (size_t i = 0; i < nonce->len; i++)
        if (nonce->at[i] < '!' || nonce->at[i] > '~')
            return refused(fault, VIOLATION, "non-printable characters in SCRAM nonce");
    while (left.len)
        if (!take_any(&left, fault))
            return false;
    return true;
}

/* server-first. Whatever the client sent, it fits: GP_SCRAM_FIRST_BYTES. */
static void build_first(struct gp_scram *s, struct gp_span client_nonce, const char *nonce)
{
    char salt[GP_BASE64_CHARS(GP_SALT_BYTES)];
    size_t salt_len = gp_base64_encode(s->secret->salt, s->secret->salt_length, salt);
    int len =
        snprintf(s->first, sizeof(s->first), "r=%.*s%s,s=%.*s,i=%u", (int)client_nonce.len,
                 (const char *)client_nonce.at, nonce, (int)salt_len, salt, s->secret->iterations);

    s->first_len = (size_t)len < sizeof(s->first) ? (size_t)len : sizeof(s->first) - 1;
    s->nonce_len = client_nonce.len + strlen(nonce);
}

enum gp_scram_verdict gp_scram_first(struct gp_scram *s, struct gp_span message, const char *nonce,
                                     struct gp_fault *fault)
{
    struct gp_span client_nonce = {0};

    if (!check_text(message, fault) || !take_header(s, &message, fault) ||
        !take_bare(message, &client_nonce, fault))
        return GP_SCRAM_FAULTY;
    s->bare_len = message.len;
    memcpy(s->bare, message.at, message.len);
    build_first(s, client_nonce, nonce);
    return GP_SCRAM_FINE;
}

/* ---- client-final ---- */

/* c=: the header again, and with PLUS the hash that the client has seen. */
static bool check_binding(const struct gp_scram *s, struct gp_span told, struct gp_fault *fault)
{
    uint8_t raw[sizeof(HEADER) + GP_BINDING_BYTES] = HEADER;
    char ours[GP_BASE64_CHARS(sizeof(raw))];
    size_t len = strlen(HEADER);

    if (s->bound) {
        memcpy(raw + len, s->binding.at, s->binding.len);
        len += s->binding.len;
    } else {
        raw[0] = s->flag;
        raw[1] = raw[2] = ',';
        len = 3;
    }
    if (gp_same(told.at, told.len, ours, gp_base64_encode(raw, len, ours)))
        return true;
    if (s->bound)
        return refused(fault, "28000", "SCRAM channel binding check failed");
    return refused(fault, VIOLATION,
                   "unexpected SCRAM channel-binding attribute in client-final-message");
}

/* Gives the proof, and how much of the message stands before it. */
static bool take_final(const struct gp_scram *s, struct gp_span left, size_t *without_proof,
                       uint8_t proof[GP_SHA256_BYTES], struct gp_fault *fault)
{
    const uint8_t *begin = left.at;
    struct gp_span told, nonce, encoded;

    if (!take_named(&left, 'c', &told, fault) || !check_binding(s, told, fault) ||
        !take_named(&left, 'r', &nonce, fault))
        return false;
    while (!stands(left, 'p'))
        if (!take_any(&left, fault))
            return false;
    *without_proof = (size_t)(left.at - begin) - 1;
    if (!take_value(&left, &encoded, fault))
        return false;
    if (!gp_base64_decode(encoded, proof, GP_SHA256_BYTES))
        return malformed(fault, "Malformed proof in client-final-message.");
    if (left.len)
        return malformed(fault, "Garbage found at the end of client-final-message.");
    if (!gp_same(nonce.at, nonce.len, s->first + 2, s->nonce_len)) {
        gp_fault_set(fault, VIOLATION, "invalid SCRAM response", "Nonce does not match.");
        return false;
    }
    return true;
}

/* Whether the proof is one of the stored key; client_key and the server's signature are then made. */
static bool proves(struct gp_scram *s, struct gp_span without_proof,
                   const uint8_t proof[GP_SHA256_BYTES], uint8_t signature[GP_SHA256_BYTES])
{
    static const uint8_t comma[] = ",";
    const struct gp_span exchange[] = {
        {s->bare, s->bare_len}, {comma, 1}, {(const uint8_t *)s->first, s->first_len}, {comma, 1},
        without_proof,
    };
    const size_t count = sizeof(exchange) / sizeof(exchange[0]);
    uint8_t stored[GP_SHA256_BYTES];

    if (!gp_hmac_sha256(s->secret->stored_key, exchange, count, signature))
        return false;
    for (size_t i = 0; i < GP_SHA256_BYTES; i++)
        s->client_key[i] = proof[i] ^ signature[i];
    bool fits = gp_sha256(s->client_key, GP_SHA256_BYTES, stored) &&
                gp_same(stored, sizeof(stored), s->secret->stored_key, GP_SHA256_BYTES);
    bool made = gp_hmac_sha256(s->secret->server_key, exchange, count, signature);
    return fits && made && !s->secret->doomed;
}

enum gp_scram_verdict gp_scram_final(struct gp_scram *s, struct gp_span message,
                                     char answer[GP_SCRAM_FINAL_BYTES], struct gp_fault *fault)
{
    uint8_t proof[GP_SHA256_BYTES], signature[GP_SHA256_BYTES];
    size_t without_proof = 0;

    if (!check_text(message, fault) || !take_final(s, message, &without_proof, proof, fault))
        return GP_SCRAM_FAULTY;
    if (!proves(s, (struct gp_span){message.at, without_proof}, proof, signature)) {
        gp_wipe(s->client_key, sizeof(s->client_key));
        return GP_SCRAM_WRONG;
    }
    memcpy(answer, "v=", 2);
    gp_base64_encode(signature, sizeof(signature), answer + 2);
    return GP_SCRAM_FINE;
}
