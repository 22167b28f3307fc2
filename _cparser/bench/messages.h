/* Messages as they are written, one behind the other. Whoever writes knows that there is room. */
#ifndef GP_BENCH_MESSAGES_H
#define GP_BENCH_MESSAGES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../protocol.h"

struct messages {
    uint8_t *at;
    size_t len, cap;
};

static inline void put(struct messages *m, const void *data, size_t len)
{
    memcpy(m->at + m->len, data, len);
    m->len += len;
}

static inline void put_u16(struct messages *m, uint32_t value)
{
    put(m, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static inline void put_u32(struct messages *m, uint32_t value)
{
    gp_put_u32be(m->at + m->len, value);
    m->len += 4;
}

static inline void put_string(struct messages *m, const char *text)
{
    put(m, text, strlen(text) + 1);
}

/* Begin a message; gives the place of its length, for end_message(). */
static inline size_t begin_message(struct messages *m, uint8_t type)
{
    put(m, &type, 1);
    m->len += 4;
    return m->len - 4;
}

static inline void end_message(struct messages *m, size_t mark)
{
    gp_put_u32be(m->at + mark, (uint32_t)(m->len - mark));
}

static inline void put_empty(struct messages *m, uint8_t type)
{
    end_message(m, begin_message(m, type));
}

#endif
