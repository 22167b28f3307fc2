/* sources: tls.c tls_context.c buffer.c memory.c */
/* libraries: -lssl -lcrypto */
/* Two TLS sessions, and an input that says who writes how much, in which pieces the ciphertext
 * travels and is read, and where a bit is flipped. What arrives is always the beginning of what was
 * sent; all of it once everything has been carried, unless a bit was flipped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../buffer.h"
#include "../tls.h"
#include "../../tests/c/tls_certificates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLAIN_MAX = 1 << 16, WIRE_MAX = 1 << 18 };

struct way { /* one direction */
    struct gp_tls *from, *to;
    struct gp_buffer *wire;
    size_t sent, seen;
    bool spoiled, ended, over;
    const struct way *opposite; /* spoiled, it ends this one: by an alert */
};

static uint8_t byte_at(size_t index)
{
    return (uint8_t)(index * 131 + index / 255);
}

static void write_some(struct way *w, size_t len, size_t cap)
{
    uint8_t plain[256 * 64], wire[4096];
    struct gp_tls_sink sink = {wire, 64 + cap, 0};
    enum gp_result result = GP_AGAIN;
    size_t taken;

    if (w->ended || w->sent + len > PLAIN_MAX || gp_buffer_len(w->wire) > WIRE_MAX)
        return;
    for (size_t i = 0; i < len; i++)
        plain[i] = byte_at(w->sent + i);
    for (size_t done = 0; result == GP_AGAIN; done += taken) {
        result = gp_tls_seal(w->from, plain + done, len - done, &sink, &taken);
        CHECK(gp_buffer_append(&w->wire, wire, sink.len));
        sink.len = 0;
    }
    if (result == GP_OK)
        w->sent += len;
    else
        w->ended = true; /* it has met a flipped bit in the other direction */
}

static void see(struct way *w, const uint8_t *plain, size_t len)
{
    CHECK(w->seen + len <= w->sent);
    for (size_t i = 0; i < len; i++)
        CHECK(plain[i] == byte_at(w->seen + i));
    w->seen += len;
}

static void judge(struct way *w, enum gp_result result)
{
    CHECK(result == GP_OK || result == GP_AGAIN || w->ended || w->spoiled || w->opposite->spoiled);
    w->over |= result != GP_OK && result != GP_AGAIN;
}

static void carry(struct way *w, size_t len, size_t cap, bool feed)
{
    uint8_t plain[1 + 255 * 64], wire[256 * 32];
    uint32_t read = 0;
    size_t got = 0;

    len = len < gp_buffer_len(w->wire) ? len : gp_buffer_len(w->wire);
    if (len)
        memcpy(wire, gp_buffer_at(w->wire), len);
    gp_buffer_consume(&w->wire, len);
    if (w->over)
        return;
    if (!feed) {
        judge(w, gp_tls_open(w->to, wire, len, plain, 1 + cap, &got));
        see(w, plain, got);
        return;
    }
    CHECK(gp_tls_feed(w->to, wire, (uint32_t)len) == GP_OK);
    judge(w, gp_tls_read(w->to, plain, (uint32_t)(1 + cap), &read));
    see(w, plain, read);
}

static void spoil(struct way *w, size_t at)
{
    if (w->ended || gp_buffer_len(w->wire) <= at)
        return;
    w->wire->data[w->wire->start + at] ^= 1;
    w->spoiled = true;
}

/* What a session has to say by itself joins what it has written. */
static void collect(struct way *w)
{
    uint8_t wire[512];
    uint32_t len;

    while ((len = gp_tls_take(w->from, wire, sizeof(wire))) > 0)
        CHECK(gp_buffer_append(&w->wire, wire, len));
}

static void shake(struct way *there, struct way *back)
{
    for (int turn = 0; turn < 4; turn++) {
        uint8_t wire[8192];
        uint32_t len;
        (void)gp_tls_handshake(there->from);
        while ((len = gp_tls_take(there->from, wire, sizeof(wire))) > 0)
            CHECK(gp_tls_feed(there->to, wire, len) == GP_OK);
        (void)gp_tls_handshake(back->from);
        while ((len = gp_tls_take(back->from, wire, sizeof(wire))) > 0)
            CHECK(gp_tls_feed(back->to, wire, len) == GP_OK);
    }
    CHECK(gp_tls_handshake(there->from) == GP_OK && gp_tls_handshake(back->from) == GP_OK);
}

static struct gp_tls_context *context_of(bool server)
{
    static struct credential own;
    struct gp_tls_context *c = gp_tls_context_new(server);

    CHECK(c != NULL);
    if (!server)
        return c;
    own = make_credential(&(struct wish){.name = "fuzz"});
    CHECK(gp_tls_context_certificate(c, own.cert, own.cert_len) == GP_OK);
    CHECK(gp_tls_context_key(c, own.key, own.key_len) == GP_OK);
    return c;
}

static void play(struct way *w, uint8_t verb, size_t amount)
{
    switch (verb & 7) {
    case 0:
    case 1:
        write_some(w, amount * 64, amount * 8);
        break;
    case 2:
    case 3:
        carry(w, amount * 32, amount * 64, (verb & 1) != 0);
        break;
    case 4:
        carry(w, amount, amount, false);
        break;
    case 5:
        carry(w, sizeof(uint8_t[256 * 32]), 255 * 64, false);
        break;
    case 6:
        spoil(w, amount);
        break;
    default:
        if (amount == 0 && !w->ended) {
            gp_tls_end(w->from);
            w->ended = true;
        }
    }
    collect(w);
}

static void finish(struct way *w)
{
    while (gp_buffer_len(w->wire))
        carry(w, 256 * 32, 255 * 64, false);
    for (size_t before = w->seen + 1; before != w->seen && !w->over;) {
        before = w->seen;
        carry(w, 0, 255 * 64, false);
    }
    CHECK(w->spoiled || w->over || w->seen == w->sent);
    gp_buffer_free(&w->wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gp_tls_context *client, *server;

    if (!client) {
        client = context_of(false);
        server = context_of(true);
    }
    struct gp_tls *near = gp_tls_new(client, NULL, false), *far = gp_tls_new(server, NULL, false);
    struct way there = {.from = near, .to = far}, back = {.from = far, .to = near};
    there.opposite = &back;
    back.opposite = &there;
    shake(&there, &back);
    for (size_t i = 0; i + 1 < size; i += 2)
        play(data[i] & 8 ? &back : &there, data[i], data[i + 1]);
    if (!there.spoiled && !back.spoiled) {
        finish(&there);
        finish(&back);
    }
    gp_buffer_free(&there.wire);
    gp_buffer_free(&back.wire);
    gp_tls_free(near);
    gp_tls_free(far);
    return 0;
}
