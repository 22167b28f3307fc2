/* sources: _cparser/protocol.c */
/*
 * Builders: the exact bytes, at the exact capacity; one byte less is refused and writes nothing.
 */
#include "check.h"
#include "../../_cparser/protocol.h"

static void test_simple(void)
{
    struct guard g = guard_copy("-----", GP_SIMPLE_TOTAL);

    CHECK_EQ(gp_build_simple(g.at, GP_SYNC), GP_SIMPLE_TOTAL);
    CHECK_MEM(g.at, "S\0\0\0\4", 5);
    CHECK_EQ(gp_build_simple(g.at, GP_PARSE_COMPLETE), GP_SIMPLE_TOTAL);
    CHECK_MEM(g.at, "1\0\0\0\4", 5);
    guard_free(&g);
}

static void test_ready(void)
{
    struct guard g = guard_copy("------", GP_READY_TOTAL);

    CHECK_EQ(gp_build_ready(g.at, GP_TXN_FAILED), GP_READY_TOTAL);
    CHECK_MEM(g.at, "Z\0\0\0\5E", 6);
    guard_free(&g);
}

enum builder { QUERY, ERROR };

static size_t build(enum builder which, uint8_t *buf, size_t cap)
{
    if (which == QUERY)
        return gp_build_query(buf, cap, "rollback");
    return gp_build_error(buf, cap, "FATAL", "57P01", "bye", "");
}

/* The message is `bytes`; it fits in exactly its size and in nothing less. */
static void check_build(enum builder which, const char *bytes, size_t len)
{
    uint8_t untouched[64];

    memset(untouched, '-', sizeof(untouched));
    for (size_t cap = 0; cap <= len; cap++) {
        struct guard g = guard_copy(untouched, cap);

        CHECK_EQ(build(which, g.at, cap), cap < len ? 0 : len);
        CHECK_MEM(g.at, cap < len ? (const char *)untouched : bytes, cap);
        guard_free(&g);
    }
}

static void test_query(void)
{
    static const char bytes[] = "Q\0\0\0\x0drollback";

    check_build(QUERY, bytes, sizeof(bytes));
}

static void test_error(void)
{
    static const char bytes[] = "E\0\0\0\x1fSFATAL\0VFATAL\0C57P01\0Mbye\0";

    check_build(ERROR, bytes, sizeof(bytes));
}

static void test_built_messages_are_lawful(void)
{
    uint8_t buf[128];
    struct gp_frame frame;
    struct gp_error error;
    size_t total = gp_build_error(buf, sizeof(buf), "ERROR", "08P01", "invalid message format", "");

    CHECK_EQ(gp_frame_peek(buf, total, GP_BACKEND, &frame), GP_OK);
    CHECK_EQ(frame.total, total);
    CHECK_EQ(gp_error_fields(buf + GP_HEADER_SIZE, frame.length - 4, &error), GP_OK);
    CHECK(gp_span_is(error.severity, "ERROR") && gp_span_is(error.sqlstate, "08P01"));
    CHECK(gp_span_is(error.message, "invalid message format"));
}

/* 1 GB of spaces that takes 2 MB: one piece of memory, mapped again and again. */
static char *long_text(size_t len)
{
    const size_t piece = 2u << 20;
    int fd = memfd_create("spaces", MFD_CLOEXEC);
    char *text = mmap(NULL, len + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(fd != -1 && text != MAP_FAILED && len % piece == 0);
    CHECK(ftruncate(fd, (off_t)piece) == 0);
    for (size_t at = 0; at < len; at += piece)
        CHECK(mmap(text + at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
              text + at);
    memset(text, ' ', piece);
    CHECK(close(fd) == 0);
    return text;
}

/* A text longer than the protocol allows is refused whatever the capacity says. */
static void test_text_beyond_the_protocol_is_refused(void)
{
    const size_t len = 0x40000000;
    const size_t longest = 0x3ffffffe - 4 - 1; /* PQ_LARGE_MESSAGE_LIMIT - length word - NUL */
    char *text = long_text(len);
    struct guard g = guard_copy("-", 1);

    CHECK_EQ(gp_build_query(g.at, SIZE_MAX, text + (len - longest - 1)), 0);
    CHECK_EQ(gp_build_error(g.at, SIZE_MAX, "ERROR", "XX000", text, ""), 0);
    CHECK_EQ(*g.at, '-');
    guard_free(&g);
    CHECK(munmap(text, len + 1) == 0);
}

int main(void)
{
    RUN(test_simple);
    RUN(test_ready);
    RUN(test_query);
    RUN(test_error);
    RUN(test_built_messages_are_lawful);
    RUN(test_text_beyond_the_protocol_is_refused);
    return check_done();
}
