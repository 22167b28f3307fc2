#include "replies.h"

#include <stdlib.h>
#include <string.h>

static enum gp_reply_kind kind_at(const struct gp_replies *replies, uint32_t index)
{
    return *gp_replies_entry(replies, index) & GP_REPLY_KIND;
}

bool gp_replies_grow(struct gp_replies *replies)
{
    uint32_t cap = gp_replies_cap(replies);
    uint8_t *ring;

    if (cap >= GP_REPLIES_MAX || !(ring = malloc(cap * 2)))
        return false;
    for (uint32_t i = 0; i < replies->count; i++)
        ring[i] = *gp_replies_entry(replies, i);
    free(replies->ring);
    replies->ring = ring;
    replies->cap = cap * 2;
    replies->head = 0;
    return true;
}

bool gp_replies_all_synthetic(const struct gp_replies *replies)
{
    for (uint32_t i = 0; i < replies->count; i++)
        if ((*gp_replies_entry(replies, i) & GP_REPLY_ACTION) != GP_REPLY_SYNTHESIZE)
            return false;
    return true;
}

uint8_t gp_replies_drop_marks(struct gp_replies *replies)
{
    while (replies->count && kind_at(replies, 0) == GP_REPLY_COPY_END)
        gp_replies_pop(replies);
    return replies->count ? *gp_replies_entry(replies, 0) : 0;
}

bool gp_replies_skip_to_sync(struct gp_replies *replies, uint32_t *intents)
{
    *intents = 0;
    while (replies->count) {
        if (kind_at(replies, 0) == GP_REPLY_SYNC)
            return true;
        *intents += gp_replies_pop(replies);
    }
    return false;
}

/* Take entry index out of the middle. */
static void cut(struct gp_replies *replies, uint32_t index)
{
    for (uint32_t i = index; i + 1 < replies->count; i++)
        *gp_replies_entry(replies, i) = *gp_replies_entry(replies, i + 1);
    replies->count--;
}

bool gp_replies_copy_begins(struct gp_replies *replies)
{
    uint32_t behind = 1;

    while (behind < replies->count && kind_at(replies, behind) == GP_REPLY_SYNC)
        behind++;
    if (behind < replies->count && kind_at(replies, behind) != GP_REPLY_COPY_END)
        return true;
    while (--behind)
        cut(replies, 1);
    return replies->count > 1;
}

void gp_replies_copy_ends(struct gp_replies *replies)
{
    if (replies->count > 1 && kind_at(replies, 1) == GP_REPLY_COPY_END)
        cut(replies, 1);
}

static bool ends_segment(enum gp_reply_kind kind)
{
    return kind == GP_REPLY_QUERY || kind == GP_REPLY_SYNC || kind == GP_REPLY_FUNCTION;
}

bool gp_replies_owes_ready(const struct gp_replies *replies)
{
    for (uint32_t i = replies->count; i-- > 0;)
        if (ends_segment(kind_at(replies, i)))
            return true;
    return false;
}

bool gp_replies_one_segment(const struct gp_replies *replies)
{
    for (uint32_t i = 0; i < replies->count; i++)
        if (ends_segment(kind_at(replies, i)))
            return kind_at(replies, i) == GP_REPLY_SYNC && i + 1 == replies->count;
    return true;
}

bool gp_replies_prepend(struct gp_replies *replies, struct gp_replies *others)
{
    bool done = true;

    for (uint32_t i = 0; i < replies->count && done; i++)
        done = gp_replies_push(others, kind_at(replies, i),
                               *gp_replies_entry(replies, i) & ~GP_REPLY_KIND);
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

    while (last > 0 && kind_at(replies, last - 1) == GP_REPLY_COPY_END)
        last--;
    return last > 0 && !ends_segment(kind_at(replies, last - 1));
}

void gp_replies_clear(struct gp_replies *replies)
{
    free(replies->ring);
    memset(replies, 0, sizeof(*replies));
}
