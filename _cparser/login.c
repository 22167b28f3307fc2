#include "login.h"

#include <stdio.h>
#include <stdlib.h>

#define PLUS      "SCRAM-SHA-256-PLUS"
#define PLAIN     "SCRAM-SHA-256"
#define VIOLATION "08P01"
#define MD5_CHARS (3 + GP_MD5_HEX) /* "md5" and the digest */

/* Codes of Authentication messages: PostgreSQL's protocol.h. */
enum auth_code {
    AUTH_OK = 0,
    AUTH_MD5 = 5,
    AUTH_SASL = 10,
    AUTH_SASL_CONTINUE = 11,
    AUTH_SASL_FINAL = 12
};

/* ---- states ---- */

#define TO(state) (1u << (state))

static const uint8_t moves[GP_LOGIN_STATES] = {
    [GP_LOGIN_NEW] = TO(GP_LOGIN_MD5_SENT) | TO(GP_LOGIN_SASL_SENT) | TO(GP_LOGIN_PROVED),
    [GP_LOGIN_MD5_SENT] = TO(GP_LOGIN_PROVED) | TO(GP_LOGIN_FAILED),
    [GP_LOGIN_SASL_SENT] = TO(GP_LOGIN_ASKED) | TO(GP_LOGIN_CHALLENGED) | TO(GP_LOGIN_FAILED),
    [GP_LOGIN_ASKED] = TO(GP_LOGIN_CHALLENGED) | TO(GP_LOGIN_FAILED),
    [GP_LOGIN_CHALLENGED] = TO(GP_LOGIN_PROVED) | TO(GP_LOGIN_FAILED),
};

static void enter(struct gp_login *l, enum gp_login_state state)
{
    if (!(moves[l->state] & TO(state)))
        abort(); /* nobody may be let in by a mistake of ours */
    l->state = (uint8_t)state;
}

static bool is_asking(const struct gp_login *l)
{
    return l->state >= GP_LOGIN_MD5_SENT && l->state <= GP_LOGIN_CHALLENGED;
}

static bool is_md5(const struct gp_login *l)
{
    return l->state == GP_LOGIN_MD5_SENT;
}

static void fail(struct gp_login *l, const char *sqlstate, const char *message)
{
    gp_fault_set(&l->fault, sqlstate, message, NULL);
    enter(l, GP_LOGIN_FAILED);
}

/* The one answer to a wrong password, an unknown user and a secret of the wrong kind. */
static void fail_wrong(struct gp_login *l)
{
    char message[GP_FAULT_BYTES];

    snprintf(message, sizeof(message), "password authentication failed for user \"%s\"",
             l->plan->is.user);
    fail(l, "28P01", message);
}

/* ---- answers ---- */

static void answer(struct gp_login_out *out, enum auth_code code, const void *data, size_t len)
{
    uint8_t *at = out->bytes + out->len;

    if (len > sizeof(out->bytes) - out->len - GP_AUTH_HEADER)
        abort(); /* the assertion in login.h has counted them */
    at[0] = GP_AUTHENTICATION;
    gp_put_u32be(at + 1, (uint32_t)(GP_AUTH_HEADER - 1 + len));
    gp_put_u32be(at + GP_HEADER_SIZE, code);
    if (len)
        memcpy(at + GP_AUTH_HEADER, data, len);
    out->len += (uint32_t)(GP_AUTH_HEADER + len);
}

static void succeed(struct gp_login *l, struct gp_login_out *out)
{
    answer(out, AUTH_OK, NULL, 0);
    enter(l, GP_LOGIN_PROVED);
}

static void offer_mechanisms(const struct gp_login *l, struct gp_login_out *out)
{
    static const char both[] = PLUS "\0" PLAIN "\0";
    size_t skipped = l->scram.binding.len ? 0 : sizeof(PLUS);

    answer(out, AUTH_SASL, both + skipped, sizeof(both) - skipped);
}

/* ---- messages: what is said in each state that waits for one ---- */

static void on_md5(struct gp_login *l, struct gp_span body, struct gp_login_out *out)
{
    const struct gp_span secret = {(const uint8_t *)l->plan->is.md5 + 3, GP_MD5_HEX};
    const struct gp_span salt = {l->random, GP_MD5_SALT_BYTES};
    char right[MD5_CHARS] = "md5";
    const uint8_t *nul = body.len ? memchr(body.at, '\0', body.len) : NULL;

    if (!nul || (size_t)(nul - body.at) + 1 != body.len)
        fail(l, VIOLATION, "invalid password packet size");
    else if (body.len == 1)
        fail(l, "28P01", "empty password returned by client");
    else if (gp_md5_hex(secret, salt, right + 3) &&
             gp_same(body.at, body.len - 1, right, sizeof(right)))
        succeed(l, out);
    else
        fail_wrong(l);
}

static void on_first(struct gp_login *l, struct gp_span message, struct gp_login_out *out)
{
    char nonce[GP_SCRAM_NONCE_CHARS + 1];

    nonce[gp_base64_encode(l->random, GP_SCRAM_RAW_NONCE, nonce)] = '\0';
    if (gp_scram_first(&l->scram, message, nonce, &l->fault) != GP_SCRAM_FINE) {
        enter(l, GP_LOGIN_FAILED);
        return;
    }
    answer(out, AUTH_SASL_CONTINUE, l->scram.first, l->scram.first_len);
    enter(l, GP_LOGIN_CHALLENGED);
}

/* SASLInitialResponse:  | mechanism, NUL | length, -1: none | data |  */
static void on_initial(struct gp_login *l, struct gp_span body, struct gp_login_out *out)
{
    const uint8_t *nul = body.len ? memchr(body.at, '\0', body.len) : NULL;

    if (!nul) {
        fail(l, VIOLATION, "invalid string in message");
        return;
    }
    struct gp_span mechanism = {body.at, (size_t)(nul - body.at)};
    struct gp_span rest = {nul + 1, body.len - mechanism.len - 1};
    bool plus = gp_span_is(mechanism, PLUS) && l->scram.binding.len;
    if (!plus && !gp_span_is(mechanism, PLAIN)) {
        fail(l, VIOLATION, "client selected an invalid SASL authentication mechanism");
        return;
    }
    l->scram.bound = plus;
    uint32_t length = rest.len >= 4 ? gp_get_u32be(rest.at) : 0;
    bool none = length == UINT32_MAX;
    if (rest.len < 4 || (!none && length > rest.len - 4)) {
        fail(l, VIOLATION, "insufficient data left in message");
    } else if (rest.len - 4 != (none ? 0 : length)) {
        fail(l, VIOLATION, "invalid message format");
    } else if (none) {
        answer(out, AUTH_SASL_CONTINUE, NULL, 0);
        enter(l, GP_LOGIN_ASKED);
    } else {
        on_first(l, (struct gp_span){rest.at + 4, length}, out);
    }
}

static void on_final(struct gp_login *l, struct gp_span message, struct gp_login_out *out)
{
    char final[GP_SCRAM_FINAL_BYTES];

    switch (gp_scram_final(&l->scram, message, final, &l->fault)) {
    case GP_SCRAM_FINE:
        answer(out, AUTH_SASL_FINAL, final, sizeof(final));
        succeed(l, out);
        break;
    case GP_SCRAM_FAULTY:
        enter(l, GP_LOGIN_FAILED);
        break;
    case GP_SCRAM_WRONG:
        fail_wrong(l);
        break;
    }
}

typedef void on_message(struct gp_login *l, struct gp_span body, struct gp_login_out *out);

static on_message *const handlers[GP_LOGIN_STATES] = {
    [GP_LOGIN_MD5_SENT] = on_md5,
    [GP_LOGIN_SASL_SENT] = on_initial,
    [GP_LOGIN_ASKED] = on_first,
    [GP_LOGIN_CHALLENGED] = on_final,
};

/* ---- framing ---- */

static void check_type(struct gp_login *l, uint8_t type)
{
    char message[GP_FAULT_BYTES];

    if (type == GP_PASSWORD)
        return;
    if (gp_type_table[GP_FRONTEND][type])
        snprintf(message, sizeof(message), "expected %s response, got message type %u",
                 is_md5(l) ? "password" : "SASL", type);
    else
        snprintf(message, sizeof(message), "invalid frontend message type %u", type);
    fail(l, VIOLATION, message);
}

/* A password that long is lawful, and wrong: it need not be read. */
static void check_length(struct gp_login *l)
{
    struct gp_frame frame;

    if (gp_frame_peek(l->message, GP_HEADER_SIZE, GP_FRONTEND, &frame) != GP_OK)
        fail(l, VIOLATION, "invalid message length");
    else if (frame.total > sizeof(l->message) && is_md5(l))
        fail_wrong(l);
    else if (frame.total > sizeof(l->message))
        fail(l, VIOLATION, "invalid message length");
}

/* Bytes of the message that is on its way which are to come before anything can be told of it. */
static uint32_t wanted(const struct gp_login *l)
{
    if (l->have < GP_HEADER_SIZE)
        return l->have == 0 ? 1 : GP_HEADER_SIZE;
    return gp_get_u32be(l->message + 1) + 1;
}

/* What has come of a message is looked at as soon as it tells anything. */
static void look(struct gp_login *l, struct gp_login_out *out)
{
    if (l->have == 1)
        check_type(l, l->message[0]);
    if (l->have == GP_HEADER_SIZE)
        check_length(l);
    if (!is_asking(l) || l->have < GP_HEADER_SIZE || l->have < wanted(l))
        return;
    struct gp_span body = {l->message + GP_HEADER_SIZE, l->have - GP_HEADER_SIZE};
    l->have = 0;
    handlers[l->state](l, body, out);
}

static enum gp_result result_of(const struct gp_login *l)
{
    if (is_asking(l))
        return GP_AGAIN;
    return l->state == GP_LOGIN_PROVED ? GP_OK : GP_EPROTO;
}

void gp_login_begin(struct gp_login *l, struct gp_plan *plan,
                    const uint8_t random[GP_LOGIN_RANDOM_BYTES])
{
    l->plan = gp_plan_share(plan);
    memcpy(l->random, random, sizeof(l->random));
    l->scram.secret = &plan->is.scram;
    l->scram.binding = (struct gp_span){plan->is.binding, plan->is.binding_length};
}

void gp_login_end(struct gp_login *l)
{
    gp_plan_free(l->plan);
    gp_wipe(l, offsetof(struct gp_login, fault));
}

enum gp_result gp_login_first(struct gp_login *l, struct gp_login_out *out)
{
    out->len = 0;
    switch ((enum gp_login_method)l->plan->is.method) {
    case GP_LOGIN_TRUST:
        succeed(l, out);
        break;
    case GP_LOGIN_MD5:
        answer(out, AUTH_MD5, l->random, GP_MD5_SALT_BYTES);
        enter(l, GP_LOGIN_MD5_SENT);
        break;
    case GP_LOGIN_SCRAM:
        offer_mechanisms(l, out);
        enter(l, GP_LOGIN_SASL_SENT);
        break;
    case GP_LOGIN_NONE:
        enter(l, GP_LOGIN_PROVED);
        break;
    }
    return result_of(l);
}

enum gp_result gp_login_next(struct gp_login *l, const uint8_t *data, size_t len, size_t *taken,
                             struct gp_login_out *out)
{
    out->len = 0;
    *taken = 0;
    while (is_asking(l) && *taken < len) {
        size_t missing = wanted(l) - l->have;
        size_t some = len - *taken < missing ? len - *taken : missing;
        memcpy(l->message + l->have, data + *taken, some);
        l->have += (uint32_t)some;
        *taken += some;
        look(l, out);
    }
    return result_of(l);
}

/* ---- for Python, where it has the socket ---- */

struct gp_login *gp_login_new(struct gp_plan *plan, const uint8_t *random)
{
    struct gp_login *l = calloc(1, sizeof(*l));

    if (l)
        gp_login_begin(l, plan, random);
    return l;
}

void gp_login_free(struct gp_login *l)
{
    if (!l)
        return;
    gp_login_end(l);
    free(l);
}

enum gp_result gp_login_start(struct gp_login *l, uint8_t *answers, uint32_t *length)
{
    struct gp_login_out out;
    enum gp_result result = gp_login_first(l, &out);

    memcpy(answers, out.bytes, out.len);
    *length = out.len;
    return result;
}

enum gp_result gp_login_feed(struct gp_login *l, const uint8_t *data, uint32_t data_length,
                             uint32_t *taken, uint8_t *answers, uint32_t *length)
{
    struct gp_login_out out;
    size_t done = 0;
    enum gp_result result = gp_login_next(l, data, data_length, &done, &out);

    memcpy(answers, out.bytes, out.len);
    *length = out.len;
    *taken = (uint32_t)done;
    return result;
}

bool gp_login_key(const struct gp_login *l, uint8_t *client_key)
{
    if (l->state != GP_LOGIN_PROVED || l->plan->is.method != GP_LOGIN_SCRAM)
        return false;
    memcpy(client_key, l->scram.client_key, GP_SHA256_BYTES);
    return true;
}

void gp_login_fault(const struct gp_login *l, struct gp_fault *fault)
{
    *fault = l->fault;
}
