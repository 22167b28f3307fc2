#include "replies.h"

#include <stdlib.h>
#include <string.h>

#define KIND   0x0fu
#define ACTION GP_REPLY_ACTION

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

bool gp_replies_push(struct gp_replies *replies, enum gp_reply_kind kind, unsigned action)
{
    uint32_t cap = replies->ring ? replies->cap : sizeof(replies->inline_ring);

    if (replies->count == cap && !grow(replies))
        return false;
    *entry(replies, replies->count) = (uint8_t)(kind | action);
    replies->count++;
    return true;
}

bool gp_replies_intends(const struct gp_replies *replies)
{
    return *entry(replies, 0) & GP_REPLY_INTENT;
}

bool gp_replies_pop(struct gp_replies *replies)
{
    bool intent = *entry(replies, 0) & GP_REPLY_INTENT;

    replies->head++;
    if (--replies->count == 0)
        gp_replies_clear(replies);
    return intent;
}

bool gp_replies_all_synthetic(const struct gp_replies *replies)
{
    for (uint32_t i = 0; i < replies->count; i++)
        if ((*entry(replies, i) & ACTION) != GP_REPLY_SYNTHESIZE)
            return false;
    return true;
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

bool gp_replies_skip_to_sync(struct gp_replies *replies, uint32_t *intents)
{
    *intents = 0;
    while (replies->count) {
        if ((*entry(replies, 0) & KIND) == GP_REPLY_SYNC)
            return true;
        *intents += gp_replies_pop(replies);
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

static bool ends_segment(uint8_t entry)
{
    unsigned kind = entry & KIND;

    return kind == GP_REPLY_QUERY || kind == GP_REPLY_SYNC || kind == GP_REPLY_FUNCTION;
}

bool gp_replies_owes_ready(const struct gp_replies *replies)
{
    for (uint32_t i = replies->count; i-- > 0;)
        if (ends_segment(*entry(replies, i)))
            return true;
    return false;
}

bool gp_replies_one_segment(const struct gp_replies *replies)
{
    for (uint32_t i = 0; i < replies->count; i++)
        if (ends_segment(*entry(replies, i)))
            return (*entry(replies, i) & KIND) == GP_REPLY_SYNC && i + 1 == replies->count;
    return true;
}

bool gp_replies_prepend(struct gp_replies *replies, struct gp_replies *others)
{
    bool done = true;

    for (uint32_t i = 0; i < replies->count && done; i++)
        done = gp_replies_push(others, *entry(replies, i) & KIND, *entry(replies, i) & ~KIND);
    if (!done) {
        gp_replies_clear(others);
        return false;
    }
    gp_replies_clear(replies);
    *replies = *others;
    memset(others, 0, sizeof(*others));
    return true;
}

bool gp_replies_open(const struct gp_replies *replies)
{
    uint32_t last = replies->count;

    while (last > 0 && (*entry(replies, last - 1) & KIND) == GP_REPLY_COPY_END)
        last--;
    return last > 0 && !ends_segment(*entry(replies, last - 1));
}

void gp_replies_clear(struct gp_replies *replies)
{
    free(replies->ring);
    memset(replies, 0, sizeof(*replies));
}
