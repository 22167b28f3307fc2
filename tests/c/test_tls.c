/* sources: _cparser/tls.c _cparser/tls_context.c _cparser/buffer.c _cparser/memory.c */
/* libraries: -lssl -lcrypto */
/*
 * TLS sessions pumped against each other, without any socket: whatever the sizes in which
 * ciphertext travels and plaintext is read, the bytes are the same, and what is wrong is told.
 */
#include "check.h"
#include "tls_certificates.h"
#include "../../_cparser/buffer.h"
#include "../../_cparser/tls.h"

static struct gp_tls_context *context(bool server, const struct credential *own,
                                      const struct credential *authority)
{
    struct gp_tls_context *c = gp_tls_context_new(server);

    CHECK(c != NULL);
    if (own) {
        CHECK_EQ(gp_tls_context_certificate(c, own->cert, own->cert_len), GP_OK);
        CHECK_EQ(gp_tls_context_key(c, own->key, own->key_len), GP_OK);
    }
    if (authority)
        CHECK_EQ(gp_tls_context_authorities(c, authority->cert, authority->cert_len), GP_OK);
    return c;
}

/* Carry all ciphertext from one to the other, `step` bytes at a time. Gives how many. */
static size_t carry(struct gp_tls *from, struct gp_tls *to, uint32_t step)
{
    uint8_t *wire = malloc(step);
    size_t total = 0;
    uint32_t len;

    CHECK(wire != NULL);
    while ((len = gp_tls_take(from, wire, step)) > 0) {
        struct guard g = guard_copy(wire, len);
        CHECK_EQ(gp_tls_feed(to, g.at, len), GP_OK);
        guard_free(&g);
        total += len;
    }
    free(wire);
    return total;
}

struct pair {
    struct gp_tls *client, *server;
    enum gp_result client_says, server_says;
};

/* Shake hands until both are done or one has failed. */
static struct pair shake(struct gp_tls_context *client, struct gp_tls_context *server,
                         const char *host, uint32_t step)
{
    struct pair p = {gp_tls_new(client, host, host != NULL), gp_tls_new(server, NULL, false),
                     GP_AGAIN, GP_AGAIN};

    CHECK(p.client != NULL && p.server != NULL);
    for (int turn = 0; turn < 10; turn++) {
        if (p.client_says == GP_AGAIN)
            p.client_says = gp_tls_handshake(p.client);
        size_t moved = carry(p.client, p.server, step);
        if (p.server_says == GP_AGAIN)
            p.server_says = gp_tls_handshake(p.server);
        moved += carry(p.server, p.client, step);
        if (moved == 0)
            break;
    }
    return p;
}

static void part(struct pair *p)
{
    gp_tls_free(p->client);
    gp_tls_free(p->server);
}

static uint8_t byte_at(size_t index)
{
    return (uint8_t)(index * 31 + index / 251);
}

/* Send len bytes through a sink of cap bytes, read them in pieces of `piece` from ciphertext that
 * comes in pieces of `step`. */
static void transfer(struct gp_tls *from, struct gp_tls *to, size_t len, size_t cap, size_t step,
                     size_t piece)
{
    uint8_t *plain = malloc(len + 1), *wire = malloc(cap), *back = malloc(piece);
    struct gp_tls_sink sink = {wire, cap, 0};
    size_t sent = 0, seen = 0;
    enum gp_result result;

    for (size_t i = 0; i < len; i++)
        plain[i] = byte_at(i);
    do {
        size_t taken, got;
        result = gp_tls_seal(from, plain + sent, len - sent, &sink, &taken);
        CHECK(result == GP_OK || result == GP_AGAIN);
        CHECK(sink.len <= sink.cap);
        sent += taken;
        for (size_t at = 0; at < sink.len; at += step) {
            size_t n = sink.len - at < step ? sink.len - at : step;
            struct guard g = guard_copy(wire + at, n);
            CHECK_EQ(gp_tls_open(to, g.at, n, back, piece, &got), GP_OK);
            guard_free(&g);
            while (got) {
                for (size_t i = 0; i < got; i++)
                    CHECK_EQ(back[i], byte_at(seen + i));
                seen += got;
                CHECK_EQ(gp_tls_open(to, NULL, 0, back, piece, &got), GP_OK);
            }
        }
        sink.len = 0;
    } while (result == GP_AGAIN);
    CHECK_EQ(sent, len);
    CHECK_EQ(seen, len);
    CHECK(!gp_tls_midway(to));
    free(plain);
    free(wire);
    free(back);
}

static struct credential authority, good, other_authority, stranger;
static struct gp_tls_context *client, *server;

static void test_bytes_survive_any_cut(void)
{
    static const size_t lengths[] = {1, 8191, 8192, 8193, 100000};
    static const size_t steps[] = {1, 5, 6, 8192, 65536};

    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 5; k++) {
            if (lengths[i] > 10000 && steps[k] == 1)
                continue; /* an hour's work for nothing new */
            struct pair p = shake(client, server, "db.example", (uint32_t)steps[k]);
            CHECK_EQ(p.client_says, GP_OK);
            CHECK_EQ(p.server_says, GP_OK);
            transfer(p.client, p.server, lengths[i], 70000, steps[k], 65536);
            transfer(p.server, p.client, lengths[i], 1000, steps[k], 100);
            part(&p);
        }
}

static void test_end_is_told_and_later_bytes_are_not_read(void)
{
    struct pair p = shake(client, server, "db.example", 4096);
    uint8_t data[16];
    uint32_t len;

    CHECK_EQ(gp_tls_write(p.client, (const uint8_t *)"last", 4), GP_OK);
    gp_tls_end(p.client);
    carry(p.client, p.server, 4096);
    CHECK_EQ(gp_tls_read(p.server, data, sizeof(data), &len), GP_OK);
    CHECK_EQ(len, 4);
    CHECK_MEM(data, "last", 4);
    CHECK_EQ(gp_tls_read(p.server, data, sizeof(data), &len), GP_EOF);
    CHECK_EQ(gp_tls_read(p.server, data, sizeof(data), &len), GP_EOF);
    CHECK_EQ(gp_tls_write(p.server, (const uint8_t *)"still", 5), GP_OK); /* a half-close */
    carry(p.server, p.client, 4096);
    CHECK_EQ(gp_tls_read(p.client, data, sizeof(data), &len), GP_OK);
    CHECK_EQ(len, 5);
    part(&p);
}

/* A changed bit ends the session in both directions, and the peer is sent an alert. */
static void test_changed_bit_is_noticed(void)
{
    struct pair p = shake(client, server, "db.example", 4096);
    uint8_t wire[256], data[16];
    uint32_t len;

    CHECK_EQ(gp_tls_write(p.client, (const uint8_t *)"bytes", 5), GP_OK);
    uint32_t size = gp_tls_take(p.client, wire, sizeof(wire));
    wire[size - 1] ^= 1;
    CHECK_EQ(gp_tls_feed(p.server, wire, size), GP_OK);
    CHECK_EQ(gp_tls_read(p.server, data, sizeof(data), &len), GP_EPROTO);
    CHECK(strlen(gp_tls_why(p.server)) > 0);
    CHECK(gp_tls_take(p.server, wire, sizeof(wire)) > 0);
    CHECK_EQ(gp_tls_read(p.server, data, sizeof(data), &len), GP_EPROTO);
    CHECK_EQ(gp_tls_write(p.server, (const uint8_t *)"x", 1), GP_EPROTO);
    part(&p);
}

static void test_garbage_fails_the_handshake(void)
{
    static const uint8_t garbage[3][18] = {"GET / HTTP/1.1\r\n",
                                           {0, 0, 0, 8, 4, 210, 22, 47}, /* a second SSLRequest */
                                           {22, 3, 1, 255, 255, 1}};     /* too long a record */

    for (size_t i = 0; i < 3; i++) {
        struct gp_tls *tls = gp_tls_new(server, NULL, false);
        CHECK_EQ(gp_tls_handshake(tls), GP_AGAIN);
        CHECK_EQ(gp_tls_feed(tls, garbage[i], sizeof(garbage[i])), GP_OK);
        CHECK_EQ(gp_tls_handshake(tls), GP_EPROTO);
        CHECK_EQ(gp_tls_handshake(tls), GP_EPROTO);
        CHECK(strlen(gp_tls_why(tls)) > 0);
        gp_tls_free(tls);
    }
}

static void test_host_and_authority_decide(void)
{
    struct gp_tls_context *trusting_other = context(false, NULL, &other_authority);
    struct gp_tls_context *trusting_all = context(false, NULL, NULL);

    struct pair p = shake(client, server, "127.0.0.1", 4096);
    CHECK_EQ(p.client_says, GP_OK);
    part(&p);
    p = shake(client, server, "elsewhere.example", 4096);
    CHECK_EQ(p.client_says, GP_EPROTO);
    CHECK(strstr(gp_tls_why(p.client), "hostname mismatch") != NULL);
    part(&p);
    p = shake(client, server, "127.0.0.2", 4096);
    CHECK(strstr(gp_tls_why(p.client), "IP address mismatch") != NULL);
    part(&p);
    p = shake(trusting_other, server, "db.example", 4096);
    CHECK_EQ(p.client_says, GP_EPROTO);
    CHECK(strstr(gp_tls_why(p.client), "certificate verify failed") != NULL);
    CHECK(p.server_says == GP_EPROTO); /* by the client's alert */
    part(&p);
    p = shake(trusting_all, server, NULL, 4096);
    CHECK_EQ(p.client_says, GP_OK);
    part(&p);
    gp_tls_context_free(trusting_other);
    gp_tls_context_free(trusting_all);
}

static void test_client_certificate_is_described_or_refused(void)
{
    struct gp_tls_context *asking = context(true, &good, &authority);
    struct gp_tls_context *known = context(false, &good, &authority);
    struct gp_tls_context *unknown = context(false, &stranger, &authority);
    struct gp_tls_facts facts;

    struct pair p = shake(known, asking, "db.example", 4096);
    CHECK_EQ(p.server_says, GP_OK);
    CHECK_EQ(gp_tls_describe(p.server, &facts), GP_OK);
    CHECK(facts.has_peer && facts.has_alpn && !facts.resumed);
    CHECK(strcmp(facts.peer_name, "db.example") == 0);
    CHECK(strcmp(facts.peer_subject, "CN=db.example,O=Test \\, Ltd") == 0);
    CHECK(strcmp(facts.version, "TLSv1.3") == 0);
    CHECK_EQ(facts.binding_length, 32);
    struct gp_tls_facts theirs;
    CHECK_EQ(gp_tls_describe(p.client, &theirs), GP_OK);
    CHECK_MEM(facts.binding, theirs.binding, 32);
    part(&p);

    p = shake(client, asking, "db.example", 4096); /* has none: that is told in words, later */
    CHECK_EQ(p.server_says, GP_OK);
    CHECK_EQ(gp_tls_describe(p.server, &facts), GP_OK);
    CHECK(!facts.has_peer && facts.peer_name[0] == '\0');
    part(&p);

    p = shake(unknown, asking, "db.example", 4096);
    CHECK_EQ(p.server_says, GP_EPROTO);
    CHECK(strstr(gp_tls_why(p.server), "certificate verify failed") != NULL);
    part(&p);
    gp_tls_context_free(asking);
    gp_tls_context_free(known);
    gp_tls_context_free(unknown);
}

static void test_contexts_refuse_what_does_not_fit(void)
{
    struct gp_tls_context *c = gp_tls_context_new(true);
    struct gp_tls_own own;

    CHECK(!gp_tls_context_own(c, &own));
    CHECK_EQ(gp_tls_context_certificate(c, (const uint8_t *)"nonsense", 8), GP_EPROTO);
    CHECK(strstr(gp_tls_context_why(c), "not a certificate in PEM") != NULL);
    CHECK_EQ(gp_tls_context_authorities(c, (const uint8_t *)"nonsense", 8), GP_EPROTO);
    CHECK_EQ(gp_tls_context_certificate(c, good.cert, good.cert_len), GP_OK);
    CHECK_EQ(gp_tls_context_certificate(c, good.cert, good.cert_len / 2), GP_EPROTO);
    CHECK_EQ(gp_tls_context_certificate(c, good.cert, good.cert_len), GP_OK);
    CHECK_EQ(gp_tls_context_key(c, stranger.key, stranger.key_len), GP_EPROTO);
    CHECK(strstr(gp_tls_context_why(c), "does not fit the certificate") != NULL);
    CHECK_EQ(gp_tls_context_key(c, good.key, good.key_len / 2), GP_EPROTO);
    CHECK_EQ(gp_tls_context_key(c, good.key, good.key_len), GP_OK);
    CHECK_EQ(gp_tls_context_versions(c, 2, "NO-SUCH-CIPHER", NULL), GP_EPROTO);
    CHECK_EQ(gp_tls_context_versions(c, 2, NULL, "NO_SUCH_SUITE"), GP_EPROTO);
    CHECK_EQ(gp_tls_context_versions(c, 3, NULL, "TLS_AES_128_GCM_SHA256"), GP_OK);
    CHECK(gp_tls_context_own(c, &own));
    CHECK(own.not_after_s > own.not_before_s && !own.key_is_rsa && own.key_bits == 256);
    gp_tls_context_free(c);
}

int main(void)
{
    authority = make_credential(&(struct wish){.name = "authority"});
    other_authority = make_credential(&(struct wish){.name = "authority"});
    good = make_credential(&(struct wish){
        .name = "db.example", .alternatives = "DNS:db.example,IP:127.0.0.1", .issuer = &authority});
    stranger = make_credential(&(struct wish){.name = "db.example", .issuer = &other_authority});
    client = context(false, NULL, &authority);
    server = context(true, &good, NULL);
    RUN(test_bytes_survive_any_cut);
    RUN(test_end_is_told_and_later_bytes_are_not_read);
    RUN(test_changed_bit_is_noticed);
    RUN(test_garbage_fails_the_handshake);
    RUN(test_host_and_authority_decide);
    RUN(test_client_certificate_is_described_or_refused);
    RUN(test_contexts_refuse_what_does_not_fit);
    gp_tls_context_free(client);
    gp_tls_context_free(server);
    free_credential(&authority);
    free_credential(&other_authority);
    free_credential(&good);
    free_credential(&stranger);
    return check_done();
}
