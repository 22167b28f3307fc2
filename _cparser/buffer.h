/* Bytes that a connection owns only while something is unsent or incomplete; an idle connection has
 * none.
 *
 *     | taken | kept bytes          | room |
 *     0    start                   end    cap
 *
 * start <= end <= cap. NULL stands for an empty buffer everywhere. Some of the smallest are kept to be
 * used again, for whoever waits for a server needs one. What a buffer has room for counts (memory.h)
 * for as long as it is there or kept. */
#ifndef GP_BUFFER_H
#define GP_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gp_buffer {
    struct gp_buffer *next; /* of those that are kept */
    size_t start, end, cap;
    uint8_t data[];
};

/* Append a copy. False: no memory (the buffer is unchanged), because of max_memory_usage too. */
bool gp_buffer_append(struct gp_buffer **buffer, const uint8_t *data, size_t len);
/* The same of bytes that are there already and only change hands: whatever the limit. */
bool gp_buffer_insist(struct gp_buffer **buffer, const uint8_t *data, size_t len);
/* Drop the first n kept bytes (n <= gp_buffer_len); frees the buffer when none are left. */
void gp_buffer_consume(struct gp_buffer **buffer, size_t n);
void gp_buffer_let_go(struct gp_buffer **buffer);

static inline void gp_buffer_free(struct gp_buffer **buffer)
{
    if (*buffer)
        gp_buffer_let_go(buffer);
}

static inline size_t gp_buffer_len(const struct gp_buffer *buffer)
{
    return buffer ? buffer->end - buffer->start : 0;
}

/* What it takes, whatever lies in it. */
static inline size_t gp_buffer_cap(const struct gp_buffer *buffer)
{
    return buffer ? buffer->cap : 0;
}

static inline const uint8_t *gp_buffer_at(const struct gp_buffer *buffer)
{
    return buffer->data + buffer->start;
}

#endif
