/* sources: _cparser/scram.c _cparser/digest.c _cparser/protocol.c */
/* libraries: -lcrypto -Wl,--wrap=gp_hmac_sha256,--wrap=gp_sha256,--wrap=gp_same */
/*
 * SCRAM's server side against RFC 7677's example, and every way in which a message may be wrong. The
 * texts are PostgreSQL's (auth-scram.c). Inputs sit against a guard page.
 */
#include "../../_cparser/scram.h"
#include "check.h"

#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define NONCES       "rOprNGfwEbeRWgbNEkqO" SERVER_NONCE
#define CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define SERVER_FIRST "r=" NONCES ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define CLIENT_FINAL "c=biws,r=" NONCES ",p=" PROOF
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

#define MALFORMED "malformed SCRAM message"

/* ---- work, counted ---- */

static unsigned long work;

bool __real_gp_hmac_sha256(const uint8_t *key, const struct gp_span *pieces, size_t count,
                           uint8_t *digest);
bool __wrap_gp_hmac_sha256(const uint8_t *key, const struct gp_span *pieces, size_t count,
                           uint8_t *digest);
bool __real_gp_sha256(const uint8_t *data, size_t len, uint8_t *digest);
bool __wrap_gp_sha256(const uint8_t *data, size_t len, uint8_t *digest);
bool __real_gp_same(const void *one, size_t one_len, const void *other, size_t other_len);
bool __wrap_gp_same(const void *one, size_t one_len, const void *other, size_t other_len);

bool __wrap_gp_hmac_sha256(const uint8_t *key, const struct gp_span *pieces, size_t count,
                           uint8_t *digest)
{
    for (size_t i = 0; i < count; i++)
        work += 1000 + pieces[i].len;
    return __real_gp_hmac_sha256(key, pieces, count, digest);
}

bool __wrap_gp_sha256(const uint8_t *data, size_t len, uint8_t *digest)
{
    work += 1000000 + len;
    return __real_gp_sha256(data, len, digest);
}

bool __wrap_gp_same(const void *one, size_t one_len, const void *other, size_t other_len)
{
    work += 100000000;
    return __real_gp_same(one, one_len, other, other_len);
}

/* ---- the exchange ---- */

static struct gp_span span_of(const char *text)
{
    return (struct gp_span){(const uint8_t *)text, strlen(text)};
}

/* PENCIL: the password of the example. Keys by RFC 5802 from PBKDF2, as PostgreSQL stores them. */
static struct gp_scram_secret pencil(void)
{
    struct gp_scram_secret secret = {.iterations = 4096, .salt_length = 16};

    CHECK(gp_base64_decode(span_of("W22ZaJ0SNY7soEsUEjb6gQ=="), secret.salt, 16));
    CHECK(gp_base64_decode(span_of("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="),
                           secret.stored_key, 32));
    CHECK(gp_base64_decode(span_of("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
                           secret.server_key, 32));
    return secret;
}

static enum gp_scram_verdict first(struct gp_scram *s, const char *text, size_t len,
                                   struct gp_fault *fault)
{
    struct guard copy = guard_copy(text, len);
    enum gp_scram_verdict verdict =
        gp_scram_first(s, (struct gp_span){copy.at, len}, SERVER_NONCE, fault);

    guard_free(&copy);
    return verdict;
}

static enum gp_scram_verdict final(struct gp_scram *s, const char *text, size_t len, char *answer,
                                   struct gp_fault *fault)
{
    struct guard copy = guard_copy(text, len);
    enum gp_scram_verdict verdict =
        gp_scram_final(s, (struct gp_span){copy.at, len}, answer, fault);

    guard_free(&copy);
    return verdict;
}

static struct gp_scram begun(const struct gp_scram_secret *secret, const char *client_first)
{
    struct gp_scram s = {.secret = secret};
    struct gp_fault fault;

    CHECK_EQ(first(&s, client_first, strlen(client_first), &fault), GP_SCRAM_FINE);
    return s;
}

static void test_follows_the_rfc(void)
{
    struct gp_scram_secret secret = pencil();
    struct gp_scram s = begun(&secret, CLIENT_FIRST);
    char answer[GP_SCRAM_FINAL_BYTES];
    uint8_t stored[32];
    struct gp_fault fault;

    CHECK_EQ(s.first_len, strlen(SERVER_FIRST));
    CHECK_MEM(s.first, SERVER_FIRST, s.first_len);
    CHECK_EQ(final(&s, CLIENT_FINAL, strlen(CLIENT_FINAL), answer, &fault), GP_SCRAM_FINE);
    CHECK_MEM(answer, SERVER_FINAL, sizeof(answer));
    CHECK(gp_sha256(s.client_key, 32, stored)); /* what logs in elsewhere */
    CHECK_MEM(stored, secret.stored_key, 32);
}

static void test_every_flipped_bit_of_the_proof_is_wrong(void)
{
    struct gp_scram_secret secret = pencil();
    char answer[GP_SCRAM_FINAL_BYTES], text[] = CLIENT_FINAL;
    uint8_t proof[32], none[32] = {0};
    struct gp_fault fault;

    CHECK(gp_base64_decode(span_of(PROOF), proof, sizeof(proof)));
    for (size_t bit = 0; bit < 256; bit++) {
        struct gp_scram s = begun(&secret, CLIENT_FIRST);
        proof[bit / 8] ^= (uint8_t)(1u << bit % 8);
        gp_base64_encode(proof, sizeof(proof), text + strlen(text) - strlen(PROOF));
        proof[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_EQ(final(&s, text, strlen(text), answer, &fault), GP_SCRAM_WRONG);
        CHECK_MEM(s.client_key, none, sizeof(none));
    }
}

static unsigned long work_of(const struct gp_scram_secret *secret, const char *proof)
{
    struct gp_scram s = begun(secret, CLIENT_FIRST);
    char answer[GP_SCRAM_FINAL_BYTES], text[256];
    struct gp_fault fault;

    snprintf(text, sizeof(text), "c=biws,r=%s,p=%s", NONCES, proof);
    work = 0;
    CHECK_EQ(final(&s, text, strlen(text), answer, &fault), GP_SCRAM_WRONG);
    return work;
}

/* Who is not there costs what a wrong password does: also when the proof is right. */
static void test_the_doomed_cost_the_same_work(void)
{
    static const char wrong[] = "AAAAZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    struct gp_scram_secret known = pencil(), doomed = pencil(), mock = pencil();

    doomed.doomed = mock.doomed = true;
    memset(mock.stored_key, 0, sizeof(mock.stored_key));
    memset(mock.server_key, 0, sizeof(mock.server_key));
    CHECK(work_of(&known, wrong) > 0);
    CHECK_EQ(work_of(&doomed, PROOF), work_of(&known, wrong));
    CHECK_EQ(work_of(&mock, wrong), work_of(&known, wrong));
}

static void test_another_exchange_s_proof_is_refused(void)
{
    struct gp_scram_secret secret = pencil();
    struct gp_scram s = {.secret = &secret};
    char answer[GP_SCRAM_FINAL_BYTES];
    struct gp_fault fault;

    CHECK_EQ(gp_scram_first(&s, span_of(CLIENT_FIRST), "another", &fault), GP_SCRAM_FINE);
    CHECK_EQ(final(&s, CLIENT_FINAL, strlen(CLIENT_FINAL), answer, &fault), GP_SCRAM_FAULTY);
    CHECK(strcmp(fault.message, "invalid SCRAM response") == 0);
    CHECK(strcmp(fault.detail, "Nonce does not match.") == 0);
}

/* ---- channel binding ---- */

static const uint8_t hash[32] = "the hash of our certificate, 32";
#define P_HEADER "p=tls-server-end-point,,"

/* client-final with this behind c=, and a proof of nothing. */
static enum gp_scram_verdict bound_final(const void *told, size_t len, struct gp_fault *fault)
{
    struct gp_scram_secret secret = pencil();
    struct gp_scram s = {.secret = &secret, .binding = {hash, sizeof(hash)}, .bound = true};
    char answer[GP_SCRAM_FINAL_BYTES], encoded[128], text[512];

    CHECK_EQ(first(&s, P_HEADER "n=,r=c", strlen(P_HEADER "n=,r=c"), fault), GP_SCRAM_FINE);
    encoded[gp_base64_encode(told, len, encoded)] = '\0';
    int n = snprintf(text, sizeof(text), "c=%s,r=c%s,p=%s", encoded, SERVER_NONCE, PROOF);
    return final(&s, text, (size_t)n, answer, fault);
}

static void test_only_our_certificate_passes(void)
{
    uint8_t told[sizeof(P_HEADER) - 1 + sizeof(hash)] = P_HEADER;
    struct gp_fault fault;

    memcpy(told + strlen(P_HEADER), hash, sizeof(hash));
    CHECK_EQ(bound_final(told, sizeof(told), &fault), GP_SCRAM_WRONG); /* it comes to the proof */
    for (size_t len = 0; len < sizeof(told); len++)
        CHECK_EQ(bound_final(told, len, &fault), GP_SCRAM_FAULTY);
    CHECK(strcmp(fault.sqlstate, "28000") == 0);
    CHECK(strcmp(fault.message, "SCRAM channel binding check failed") == 0);
    told[sizeof(told) - 1] ^= 1;
    CHECK_EQ(bound_final(told, sizeof(told), &fault), GP_SCRAM_FAULTY);
}

/* ---- what is wrong with messages ---- */

struct expectation {
    bool bound; /* and with a certificate to bind to */
    const char *text;
    const char *sqlstate, *message, *detail;
};

static const struct expectation firsts[] = {
    {false, "", "08P01", MALFORMED, "The message is empty."},
    {false, P_HEADER "n=,r=x", "08P01", MALFORMED,
     "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes "
     "channel binding data."},
    {false, "z,,n=,r=x", "08P01", MALFORMED, "Unexpected channel-binding flag \"'z'\"."},
    {false, "\x01,,n=,r=x", "08P01", MALFORMED, "Unexpected channel-binding flag \"0x01\"."},
    {false, "n", "08P01", MALFORMED, "Comma expected, but found character \"0x00\"."},
    {false, "nn,n=,r=x", "08P01", MALFORMED, "Comma expected, but found character \"'n'\"."},
    {false, "n,b=x,n=,r=x", "08P01", MALFORMED,
     "Unexpected attribute \"'b'\" in client-first-message."},
    {false, "n,,r=x", "08P01", MALFORMED, "Expected attribute \"n\" but found \"'r'\"."},
    {false, "n,,n=", "08P01", MALFORMED, "Expected attribute \"r\" but found \"0x00\"."},
    {false, "n,,n", "08P01", MALFORMED, "Expected character \"=\" for attribute \"n\"."},
    {false, "n,,n=,r=x,1=2", "08P01", MALFORMED,
     "Attribute expected, but found invalid character \"'1'\"."},
    {false, "n,,n=,r=x,\xff=2", "08P01", MALFORMED,
     "Attribute expected, but found invalid character \"0xff\"."},
    {false, "n,a=me,n=,r=x", "0A000", "client uses authorization identity, but it is not supported",
     ""},
    {false, "n,,m=x,n=,r=x", "0A000", "client requires an unsupported SCRAM extension", ""},
    {false, "n,,n=,r=x y", "08P01", "non-printable characters in SCRAM nonce", ""},
    {true, "n,,n=,r=c", "08P01", MALFORMED,
     "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel "
     "binding data."},
    {true, "p=tls-unique,,n=,r=c", "08P01", "unsupported SCRAM channel-binding type \"tls-unique\"",
     ""},
    {true, "p=\x01\xff xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,,", "08P01",
     "unsupported SCRAM channel-binding type \"???xxxxxxxxxxxxxxxxxxxxxxxxxxx\"", ""},
    {true, "p=tls-server-end-point,a=me,n=,r=c", "0A000",
     "client uses authorization identity, but it is not supported", ""},
    {true, "p,,n=,r=c", "08P01", MALFORMED, "Expected character \"=\" for attribute \"p\"."},
};

static const struct expectation finals[] = {
    {false, "c=eSws,r=" NONCES ",p=" PROOF, "08P01",
     "unexpected SCRAM channel-binding attribute in client-final-message", ""},
    {false, "r=" NONCES ",p=" PROOF, "08P01", MALFORMED,
     "Expected attribute \"c\" but found \"'r'\"."},
    {false, "c=biws,r=" NONCES "0,p=" PROOF, "08P01", "invalid SCRAM response",
     "Nonce does not match."},
    {false, "c=biws,r=" NONCES ",p=HzbZapWIk4jUhN", "08P01", MALFORMED,
     "Malformed proof in client-final-message."},
    {false, "c=biws,r=" NONCES ",p=*HzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "08P01",
     MALFORMED, "Malformed proof in client-final-message."},
    {false, "c=biws,r=" NONCES ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQQ", "08P01",
     MALFORMED, "Malformed proof in client-final-message."},
    {false, "c=biws,r=" NONCES ",p=" PROOF ",x=1", "08P01", MALFORMED,
     "Garbage found at the end of client-final-message."},
    {false, "c=biws,r=" NONCES, "08P01", MALFORMED, "Attribute expected, but found end of string."},
};

static void check_fault(const struct expectation *want, const struct gp_fault *fault)
{
    if (strcmp(fault->message, want->message) || strcmp(fault->detail, want->detail))
        fprintf(stderr, "%s: %s (%s)\n", want->text, fault->message, fault->detail);
    CHECK(strcmp(fault->sqlstate, want->sqlstate) == 0);
    CHECK(strcmp(fault->message, want->message) == 0);
    CHECK(strcmp(fault->detail, want->detail) == 0);
}

static void test_what_is_wrong_is_told_in_postgresql_s_words(void)
{
    struct gp_scram_secret secret = pencil();
    char answer[GP_SCRAM_FINAL_BYTES];
    struct gp_fault fault;

    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        const struct expectation *want = &firsts[i];
        struct gp_scram s = {.secret = &secret, .bound = want->bound};
        if (want->bound)
            s.binding = (struct gp_span){hash, sizeof(hash)};
        CHECK_EQ(first(&s, want->text, strlen(want->text), &fault), GP_SCRAM_FAULTY);
        check_fault(want, &fault);
    }
    for (size_t i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
        struct gp_scram s = begun(&secret, CLIENT_FIRST);
        CHECK_EQ(final(&s, finals[i].text, strlen(finals[i].text), answer, &fault),
                 GP_SCRAM_FAULTY);
        check_fault(&finals[i], &fault);
    }
}

static void test_a_zero_byte_and_a_downgrade_are_refused(void)
{
    struct gp_scram_secret secret = pencil();
    struct gp_scram s = {.secret = &secret};
    struct gp_fault fault;

    CHECK_EQ(first(&s, "n,,n=,r=x", 10, &fault), GP_SCRAM_FAULTY);
    CHECK(strcmp(fault.detail, "Message length does not match input length.") == 0);
    s.binding = (struct gp_span){hash, sizeof(hash)};
    CHECK_EQ(first(&s, "y,,n=,r=x", 9, &fault), GP_SCRAM_FAULTY);
    CHECK(strcmp(fault.sqlstate, "28000") == 0);
    CHECK(strcmp(fault.message, "SCRAM channel binding negotiation error") == 0);
}

static void test_flag_y_and_extensions_are_taken(void)
{
    struct gp_scram_secret secret = pencil();
    struct gp_scram s = begun(&secret, "y,,n=,r=c,x=later");
    static const char text[] = "c=eSws,r=c" SERVER_NONCE ",x=1,p=" PROOF;
    char answer[GP_SCRAM_FINAL_BYTES];
    struct gp_fault fault;

    CHECK_EQ(final(&s, text, strlen(text), answer, &fault), GP_SCRAM_WRONG);
}

/* The longest lawful message and the longest salt: nothing is written past its place. */
static void test_the_longest_fits(void)
{
    struct gp_scram_secret secret = pencil();
    struct gp_scram s = {.secret = &secret};
    char text[GP_SCRAM_MESSAGE_BYTES];
    struct gp_fault fault;

    secret.salt_length = GP_SALT_BYTES;
    secret.iterations = UINT32_MAX;
    memset(text, 'x', sizeof(text));
    memcpy(text, "n,,n=,r=", 8);
    CHECK_EQ(first(&s, text, sizeof(text), &fault), GP_SCRAM_FINE);
    CHECK_MEM(s.first + s.first_len - 13, ",i=4294967295", 13);
}

static void test_base64_is_strict(void)
{
    uint8_t data[4];

    CHECK(gp_base64_decode(span_of("AQID"), data, 3));
    CHECK(gp_base64_decode(span_of("AQIDBA=="), data, 4));
    CHECK(!gp_base64_decode(span_of("AQID"), data, 2));
    CHECK(!gp_base64_decode(span_of("AQI="), data, 3));
    CHECK(!gp_base64_decode(span_of("AQ=="), data, 2));
    CHECK(!gp_base64_decode(span_of(" QID"), data, 3));
    CHECK(!gp_base64_decode(span_of("AQID\n"), data, 3));
    CHECK(gp_base64_decode(span_of(""), data, 0));
}

int main(void)
{
    RUN(test_follows_the_rfc);
    RUN(test_every_flipped_bit_of_the_proof_is_wrong);
    RUN(test_the_doomed_cost_the_same_work);
    RUN(test_another_exchange_s_proof_is_refused);
    RUN(test_only_our_certificate_passes);
    RUN(test_what_is_wrong_is_told_in_postgresql_s_words);
    RUN(test_a_zero_byte_and_a_downgrade_are_refused);
    RUN(test_flag_y_and_extensions_are_taken);
    RUN(test_the_longest_fits);
    RUN(test_base64_is_strict);
    return check_done();
}
