/* sources: _cparser/login.c _cparser/plan.c _cparser/scram.c _cparser/digest.c _cparser/protocol.c */
/* libraries: -lcrypto */
/*
 * A login as a stream of bytes: cut anywhere, followed by anything, broken in every way that its
 * framing knows. What stands inside SASL messages is test_scram.c's; that both sides agree on real
 * passwords, tests/unit/auth's.
 */
#include "../../_cparser/login.h"
#include "check.h"

#define CLIENT_FIRST "n,,n=,r=c"
#define MD5_OF_JOE   "md5b1c4c8ca4cd5b7b5ee1b2e8ea6c1d2b9" /* any digest does */

static const uint8_t zeros[GP_LOGIN_RANDOM_BYTES];

struct stream {
    uint8_t bytes[4096];
    size_t len;
};

static void put(struct stream *s, const void *bytes, size_t len)
{
    CHECK(len <= sizeof(s->bytes) - s->len);
    memcpy(s->bytes + s->len, bytes, len);
    s->len += len;
}

static struct stream message_of(uint8_t type, const void *body, size_t len)
{
    struct stream s = {.len = GP_HEADER_SIZE};

    s.bytes[0] = type;
    gp_put_u32be(s.bytes + 1, (uint32_t)len + 4);
    put(&s, body, len);
    return s;
}

static struct stream initial_of(const char *mechanism, const char *data)
{
    struct stream body = {.len = 0};
    uint8_t length[4];

    gp_put_u32be(length, data ? (uint32_t)strlen(data) : UINT32_MAX);
    put(&body, mechanism, strlen(mechanism) + 1);
    put(&body, length, sizeof(length));
    if (data)
        put(&body, data, strlen(data));
    return message_of(GP_PASSWORD, body.bytes, body.len);
}

static struct gp_plan *plan_of(enum gp_login_method method)
{
    struct gp_plan_settings settings = {
        .method = method, .user = "joe", .scram = {.iterations = 4096, .salt_length = 16}};

    memcpy(settings.md5, MD5_OF_JOE, sizeof(MD5_OF_JOE));
    /* StoredKey of the ClientKey of zeros: a proof is then the client's signature itself */
    CHECK(gp_sha256(settings.scram.stored_key, 32, settings.scram.stored_key));
    struct gp_plan *plan = gp_plan_new(&settings);
    CHECK(plan != NULL);
    return plan;
}

static struct gp_login *begun(enum gp_login_method method, struct gp_login_out *out)
{
    struct gp_plan *plan = plan_of(method);
    struct gp_login *login = gp_login_new(plan, zeros);

    gp_plan_free(plan); /* the login has it still */
    CHECK(login != NULL);
    CHECK_EQ(gp_login_first(login, out), method == GP_LOGIN_TRUST ? GP_OK : GP_AGAIN);
    return login;
}

static enum gp_result feed(struct gp_login *login, const void *bytes, size_t len, size_t *taken,
                           struct gp_login_out *out)
{
    struct guard copy = guard_copy(bytes, len);
    enum gp_result result = gp_login_next(login, copy.at, len, taken, out);

    guard_free(&copy);
    return result;
}

/* ---- MD5 ---- */

static struct stream md5_answer(void)
{
    const struct gp_span secret = {(const uint8_t *)MD5_OF_JOE + 3, GP_MD5_HEX};
    char text[3 + GP_MD5_HEX + 1] = "md5";

    CHECK(gp_md5_hex(secret, (struct gp_span){zeros, 4}, text + 3));
    text[sizeof(text) - 1] = '\0';
    return message_of(GP_PASSWORD, text, sizeof(text));
}

static void test_trust_asks_for_nothing(void)
{
    struct gp_login_out out;
    struct gp_login *login = begun(GP_LOGIN_TRUST, &out);

    CHECK_EQ(out.len, GP_AUTH_HEADER);
    CHECK_MEM(out.bytes, "R\0\0\0\x08\0\0\0", 9);
    gp_login_free(login);
}

static void test_md5_wherever_it_is_cut_leaves_the_tail(void)
{
    struct stream all = md5_answer();
    size_t end = all.len;

    put(&all, "Q\0\0\0\x05", 5);
    for (size_t cut = 0; cut < end; cut++) {
        struct gp_login_out out;
        struct gp_login *login = begun(GP_LOGIN_MD5, &out);
        size_t taken;

        CHECK_MEM(out.bytes, "R\0\0\0\x0c\0\0\0\x05\0\0\0", 13);
        CHECK_EQ(feed(login, all.bytes, cut, &taken, &out), GP_AGAIN);
        CHECK_EQ(taken, cut);
        CHECK_EQ(feed(login, all.bytes + cut, all.len - cut, &taken, &out), GP_OK);
        CHECK_EQ(taken, end - cut);
        CHECK_MEM(out.bytes, "R\0\0\0\x08\0\0\0", 9);
        gp_login_free(login);
    }
}

/* ---- SCRAM ---- */

/* The proof of a ClientKey of zeros is the signature itself. */
static struct stream final_of(const struct gp_login *login)
{
    static const char without[] = "c=biws,r=cAAAAAAAAAAAAAAAAAAAAAAAA";
    const struct gp_scram *scram = &login->scram;
    const struct gp_span pieces[] = {
        {scram->bare, scram->bare_len},
        {(const uint8_t *)",", 1},
        {(const uint8_t *)scram->first, scram->first_len},
        {(const uint8_t *)",", 1},
        {(const uint8_t *)without, strlen(without)},
    };
    uint8_t signature[32];
    char text[128];

    CHECK(gp_hmac_sha256(login->plan->is.scram.stored_key, pieces, 5, signature));
    int len = snprintf(text, sizeof(text), "%s,p=", without);
    len += (int)gp_base64_encode(signature, sizeof(signature), text + len);
    return message_of(GP_PASSWORD, text, (size_t)len);
}

static void test_scram_byte_by_byte(void)
{
    struct gp_login_out out;
    struct gp_login *login = begun(GP_LOGIN_SCRAM, &out);
    struct stream initial = initial_of("SCRAM-SHA-256", CLIENT_FIRST), final;
    uint8_t key[32], none[32] = {0};
    size_t taken;

    CHECK_MEM(out.bytes + GP_AUTH_HEADER, "SCRAM-SHA-256\0", 15);
    for (size_t i = 0; i < initial.len; i++) {
        CHECK(out.len == 0 || i == 0);
        CHECK_EQ(feed(login, initial.bytes + i, 1, &taken, &out), GP_AGAIN);
    }
    CHECK_EQ(out.len, GP_AUTH_HEADER + login->scram.first_len);
    CHECK(!gp_login_key(login, key));
    final = final_of(login);
    for (size_t i = 0; i + 1 < final.len; i++)
        CHECK_EQ(feed(login, final.bytes + i, 1, &taken, &out), GP_AGAIN);
    CHECK_EQ(feed(login, final.bytes + final.len - 1, 1, &taken, &out), GP_OK);
    CHECK_EQ(out.len, 2 * GP_AUTH_HEADER + GP_SCRAM_FINAL_BYTES);
    CHECK(gp_login_key(login, key));
    CHECK_MEM(key, none, sizeof(key));
    gp_login_free(login);
}

/* Whoever knows the answer before it is asked may send all at once. */
static void test_scram_in_one_read_with_a_query_behind(void)
{
    struct gp_login_out out;
    struct gp_login *login = begun(GP_LOGIN_SCRAM, &out);
    struct stream all = initial_of("SCRAM-SHA-256", CLIENT_FIRST), final;
    size_t taken;

    CHECK_EQ(feed(login, all.bytes, all.len, &taken, &out), GP_AGAIN);
    final = final_of(login);
    gp_login_free(login);
    put(&all, final.bytes, final.len);
    put(&all, "QQQ", 3);
    login = begun(GP_LOGIN_SCRAM, &out);
    CHECK_EQ(feed(login, all.bytes, all.len, &taken, &out), GP_OK);
    CHECK_EQ(taken, all.len - 3);
    gp_login_free(login);
}

static void test_scram_takes_the_first_message_late(void)
{
    struct gp_login_out out;
    struct gp_login *login = begun(GP_LOGIN_SCRAM, &out);
    struct stream initial = initial_of("SCRAM-SHA-256", NULL);
    struct stream late = message_of(GP_PASSWORD, CLIENT_FIRST, strlen(CLIENT_FIRST));
    size_t taken;

    CHECK_EQ(feed(login, initial.bytes, initial.len, &taken, &out), GP_AGAIN);
    CHECK_EQ(out.len, GP_AUTH_HEADER);
    CHECK_EQ(feed(login, late.bytes, late.len, &taken, &out), GP_AGAIN);
    CHECK_EQ(out.len, GP_AUTH_HEADER + login->scram.first_len);
    gp_login_free(login);
}

/* ---- what is refused ---- */

#define WRONG "password authentication failed for user \"joe\""

struct refusal {
    enum gp_login_method method;
    const char *bytes;
    size_t len;
    const char *sqlstate, *message;
};

#define BYTES(text) text, sizeof(text) - 1

static const struct refusal refusals[] = {
    {GP_LOGIN_SCRAM, BYTES("Q"), "08P01", "expected SASL response, got message type 81"},
    {GP_LOGIN_MD5, BYTES("X"), "08P01", "expected password response, got message type 88"},
    {GP_LOGIN_SCRAM, BYTES("Z"), "08P01", "invalid frontend message type 90"},
    {GP_LOGIN_MD5, BYTES("\0"), "08P01", "invalid frontend message type 0"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\3"), "08P01", "invalid message length"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\4\5"), "08P01", "invalid message length"},
    {GP_LOGIN_SCRAM, BYTES("p\xff\xff\xff\xff"), "08P01", "invalid message length"},
    {GP_LOGIN_MD5, BYTES("p\x7f\xff\xff\xff"), "08P01", "invalid message length"},
    {GP_LOGIN_MD5, BYTES("p\0\0\4\5"), "28P01", WRONG},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\4"), "08P01", "invalid string in message"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x06no"), "08P01", "invalid string in message"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x07no\0"), "08P01",
     "client selected an invalid SASL authentication mechanism"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x17SCRAM-SHA-256-PLUS\0"), "08P01",
     "client selected an invalid SASL authentication mechanism"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x15SCRAM-SHA-256\0\0\0\0"), "08P01",
     "insufficient data left in message"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x16SCRAM-SHA-256\0\0\0\0\1"), "08P01",
     "insufficient data left in message"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x16SCRAM-SHA-256\0\xff\xff\xff\xfe"), "08P01",
     "insufficient data left in message"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x18SCRAM-SHA-256\0\0\0\0\1ab"), "08P01",
     "invalid message format"},
    {GP_LOGIN_SCRAM, BYTES("p\0\0\0\x16SCRAM-SHA-256\0\0\0\0\0"), "08P01",
     "malformed SCRAM message"},
    {GP_LOGIN_MD5, BYTES("p\0\0\0\4"), "08P01", "invalid password packet size"},
    {GP_LOGIN_MD5, BYTES("p\0\0\0\x06pw"), "08P01", "invalid password packet size"},
    {GP_LOGIN_MD5, BYTES("p\0\0\0\x08p\0w\0"), "08P01", "invalid password packet size"},
    {GP_LOGIN_MD5, BYTES("p\0\0\0\5\0"), "28P01", "empty password returned by client"},
    {GP_LOGIN_MD5, BYTES("p\0\0\0\x09" MD5_OF_JOE), "08P01", "invalid password packet size"},
    {GP_LOGIN_MD5, BYTES("p\0\0\0\x28" MD5_OF_JOE "\0"), "28P01", WRONG},
};

static void check_refusal(const struct refusal *want, size_t step)
{
    struct gp_login_out out;
    struct gp_login *login = begun(want->method, &out);
    enum gp_result result = GP_AGAIN;
    struct gp_fault fault;
    size_t taken;

    for (size_t at = 0; at < want->len && result == GP_AGAIN; at += step) {
        size_t len = want->len - at < step ? want->len - at : step;
        result = feed(login, want->bytes + at, len, &taken, &out);
    }
    gp_login_fault(login, &fault);
    if (result != GP_EPROTO || strcmp(fault.message, want->message) != 0)
        fprintf(stderr, "wanted: %s\ngot: %s\n", want->message, fault.message);
    CHECK_EQ(result, GP_EPROTO);
    CHECK(strcmp(fault.sqlstate, want->sqlstate) == 0);
    CHECK(strcmp(fault.message, want->message) == 0);
    /* and nothing is read after that */
    struct stream right = md5_answer();
    CHECK_EQ(feed(login, right.bytes, right.len, &taken, &out), GP_EPROTO);
    CHECK_EQ(taken, 0);
    CHECK_EQ(out.len, 0);
    gp_login_free(login);
}

static void test_what_is_broken_is_refused_however_it_is_cut(void)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        check_refusal(&refusals[i], 1);
        check_refusal(&refusals[i], refusals[i].len);
    }
}

static void test_a_plan_outlives_whoever_made_it(void)
{
    struct gp_plan *plan = plan_of(GP_LOGIN_SCRAM);
    struct gp_login *one = gp_login_new(plan, zeros), *other = gp_login_new(plan, zeros);

    gp_plan_free(plan);
    gp_login_free(one);
    CHECK(strcmp(other->plan->is.user, "joe") == 0);
    gp_login_free(other);
    gp_login_free(NULL);
    gp_plan_free(NULL);
}

int main(void)
{
    RUN(test_trust_asks_for_nothing);
    RUN(test_md5_wherever_it_is_cut_leaves_the_tail);
    RUN(test_scram_byte_by_byte);
    RUN(test_scram_in_one_read_with_a_query_behind);
    RUN(test_scram_takes_the_first_message_late);
    RUN(test_what_is_broken_is_refused_however_it_is_cut);
    RUN(test_a_plan_outlives_whoever_made_it);
    return check_done();
}
