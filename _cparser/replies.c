#include "replies.h"

#include <stdlib.h>
#include <string.h>

#define KIND   0x0fu
#define ACTION 0xf0u

_Static_assert(sizeof(((struct gp_replies *)0)->inline_ring) == 32, "a power of two");

static uint8_t *entry(const struct gp_replies *replies, uint32_t index)
{
    const uint8_t *ring = replies->ring ? replies->ring : replies->inline_ring;
    uint32_t cap = replies->ring ? replies->cap : sizeof(replies->inline_ring);

    return (uint8_t *)ring + ((replies->head + index) & (cap - 1));
}

static bool grow(struct gp_replies *replies)
{
    uint32_t cap = replies->ring ? replies->cap : sizeof(replies->inline_ring);
    uint8_t *ring;

    if (cap >= GP_REPLIES_MAX || !(ring = malloc(cap * 2)))
        return false;
    for (uint32_t i = 0; i < replies->count; i++)
        ring[i] = *entry(replies, i);
    free(replies->ring);
    replies->ring = ring;
    replies->cap = cap * 2;
    replies->head = 0;
    return true;
}

bool gp_replies_push(struct gp_replies *replies, enum gp_reply_kind kind,
                     enum gp_reply_action action)
{
    uint32_t cap = replies->ring ? replies->cap : sizeof(replies->inline_ring);

    if (replies->count == cap && !grow(replies))
        return false;
    *entry(replies, replies->count) = (uint8_t)(kind | action);
    replies->count++;
    return true;
}

void gp_replies_pop(struct gp_replies *replies)
{
    replies->head++;
    if (--replies->count == 0)
        gp_replies_clear(replies);
}

enum gp_reply_kind gp_replies_head(struct gp_replies *replies, enum gp_reply_action *action)
{
    while (replies->count) {
        uint8_t head = *entry(replies, 0);

        *action = head & ACTION;
        if ((head & KIND) != GP_REPLY_COPY_END)
            return head & KIND;
        gp_replies_pop(replies);
    }
    *action = GP_REPLY_FORWARD;
    return GP_REPLY_NONE;
}

bool gp_replies_skip_to_sync(struct gp_replies *replies)
{
    while (replies->count) {
        if ((*entry(replies, 0) & KIND) == GP_REPLY_SYNC)
            return true;
        gp_replies_pop(replies);
    }
    return false;
}

/* Take entry index out of the middle. */
static void cut(struct gp_replies *replies, uint32_t index)
{
    for (uint32_t i = index; i + 1 < replies->count; i++)
        *entry(replies, i) = *entry(replies, i + 1);
    replies->count--;
}

bool gp_replies_copy_begins(struct gp_replies *replies)
{
    uint32_t behind = 1;

    while (behind < replies->count && (*entry(replies, behind) & KIND) == GP_REPLY_SYNC)
        behind++;
    if (behind < replies->count && (*entry(replies, behind) & KIND) != GP_REPLY_COPY_END)
        return true;
    while (--behind)
        cut(replies, 1);
    return replies->count > 1;
}

void gp_replies_copy_ends(struct gp_replies *replies)
{
    if (replies->count > 1 && (*entry(replies, 1) & KIND) == GP_REPLY_COPY_END)
        cut(replies, 1);
}

bool gp_replies_open(const struct gp_replies *replies)
{
    if (replies->count == 0)
        return false;
    switch (*entry(replies, replies->count - 1) & KIND) {
    case GP_REPLY_QUERY:
    case GP_REPLY_SYNC:
    case GP_REPLY_FUNCTION:
        return false;
    default:
        return true;
    }
}

void gp_replies_clear(struct gp_replies *replies)
{
    free(replies->ring);
    memset(replies, 0, sizeof(*replies));
}
