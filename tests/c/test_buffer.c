/* sources: _cparser/buffer.c _cparser/memory.c */
/*
 * Buffers against a plain stream of bytes: whatever the sizes of what goes in and comes out, the
 * bytes are the same and in order, and an empty buffer is NULL.
 */
#include "check.h"
#include "../../_cparser/buffer.h"

static uint8_t byte_at(size_t index)
{
    return (uint8_t)(index * 31 + index / 256);
}

static void append(struct gp_buffer **buffer, size_t *written, size_t len)
{
    uint8_t *bytes = malloc(len + 1);

    CHECK(bytes != NULL);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(*written + i);
    struct guard g = guard_copy(bytes, len);
    CHECK(gp_buffer_append(buffer, g.at, g.len));
    guard_free(&g);
    free(bytes);
    *written += len;
}

static void consume(struct gp_buffer **buffer, size_t *read, size_t len)
{
    for (size_t i = 0; i < len; i++)
        CHECK_EQ(gp_buffer_at(*buffer)[i], byte_at(*read + i));
    gp_buffer_consume(buffer, len);
    *read += len;
}

static void test_nothing(void)
{
    struct gp_buffer *buffer = NULL;

    CHECK_EQ(gp_buffer_len(buffer), 0);
    CHECK(gp_buffer_append(&buffer, NULL, 0));
    CHECK(buffer == NULL);
    gp_buffer_consume(&buffer, 0);
    gp_buffer_free(&buffer);
    CHECK(buffer == NULL);
}

static void test_empty_is_null(void)
{
    struct gp_buffer *buffer = NULL;
    size_t written = 0, read = 0;

    append(&buffer, &written, 10);
    CHECK_EQ(gp_buffer_len(buffer), 10);
    consume(&buffer, &read, 4);
    CHECK_EQ(gp_buffer_len(buffer), 6);
    consume(&buffer, &read, 6);
    CHECK(buffer == NULL);
}

/* Sizes around the first capacity and its doublings. */
static void test_grows(void)
{
    static const size_t sizes[] = {1, 511, 512, 513, 1023, 1024, 1025, 65535, 65536, 65537};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            struct gp_buffer *buffer = NULL;
            size_t written = 0, read = 0;

            append(&buffer, &written, sizes[i]);
            append(&buffer, &written, sizes[k]);
            CHECK(buffer->cap >= written);
            CHECK(buffer->cap < 4 * written + 1024);
            consume(&buffer, &read, written);
            CHECK(buffer == NULL);
        }
}

/* What was taken makes room: a queue that never holds much never grows. */
static void test_slides(void)
{
    struct gp_buffer *buffer = NULL;
    size_t written = 0, read = 0;

    append(&buffer, &written, 200);
    size_t cap = buffer->cap;
    for (int turn = 0; turn < 1000; turn++) {
        append(&buffer, &written, 150);
        consume(&buffer, &read, 150);
        CHECK_EQ(buffer->cap, cap);
        CHECK(buffer->start <= buffer->end && buffer->end <= buffer->cap);
    }
    gp_buffer_free(&buffer);
}

static void test_any_sizes(void)
{
    struct gp_buffer *buffer = NULL;
    size_t written = 0, read = 0;
    uint32_t seed = 7;

    for (int turn = 0; turn < 5000; turn++) {
        seed = seed * 1103515245u + 12345u;
        size_t len = (seed >> 8) % ((seed >> 4) % 8 ? 64 : 3000);
        if (seed >> 31) {
            append(&buffer, &written, len);
        } else {
            size_t kept = gp_buffer_len(buffer);
            if (kept > 0)
                consume(&buffer, &read, len < kept ? len : kept);
        }
        CHECK_EQ(gp_buffer_len(buffer), written - read);
        CHECK((buffer == NULL) == (written == read));
    }
    gp_buffer_free(&buffer);
}

static void test_refuses_what_cannot_be(void)
{
    struct gp_buffer *buffer = NULL;
    size_t written = 0, read = 0;

    append(&buffer, &written, 100);
    CHECK(!gp_buffer_append(&buffer, (const uint8_t *)"x", SIZE_MAX - 50));
    CHECK_EQ(gp_buffer_len(buffer), 100);
    consume(&buffer, &read, 100);
}

int main(void)
{
    RUN(test_nothing);
    RUN(test_empty_is_null);
    RUN(test_grows);
    RUN(test_slides);
    RUN(test_any_sizes);
    RUN(test_refuses_what_cannot_be);
    return check_done();
}
