/* currval and lastval: sequences.h. */
#include "sequences.h"

#include <string.h>

#include "continuity.h"
#include "session.h"

bool gp_sequences_hold(struct gp_engine *e, struct gp_server *s, uint16_t hints)
{
    s->draws |= (hints & GP_HINT_DRAWS) != 0;
    if (!(hints & GP_HINT_DRAWN) || s->session == GP_SESSION_OFF || gp_sequences_asked(e, s->pool))
        return false;
    atomic_store_explicit(&gp_common_pool_at(e->seg, s->pool)->sequences, 1, memory_order_relaxed);
    if (s->status != GP_TXN_IDLE)
        return false;
    gp_link_prepare(e, s);
    return true;
}

static bool begins(const struct gp_tag *tag, const char *word)
{
    return tag->text.len >= strlen(word) && memcmp(tag->text.at, word, strlen(word)) == 0;
}

void gp_sequences_tag(struct gp_engine *e, struct gp_server *s, const struct gp_tag *tag)
{
    static const char *const words[] = {"INSERT", "MERGE", "COPY", "CALL", "DO"};

    if (tag->kind == GP_TAG_DISCARD_ALL || gp_span_is(tag->text, "DISCARD SEQUENCES")) {
        s->draws = 0;
        gp_continuity_pin(e, s->client, s->client->pins & (uint8_t)~GP_PIN_SEQUENCE);
    }
    if (tag->kind != GP_TAG_ROWS && tag->kind != GP_TAG_OTHER)
        return;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        s->draws |= begins(tag, words[i]);
}

void gp_sequences_end(struct gp_engine *e, struct gp_server *s)
{
    if (s->session == GP_SESSION_TRACK && gp_sequences_asked(e, s->pool))
        gp_continuity_pin(e, s->client, s->client->pins | GP_PIN_SEQUENCE);
    s->draws = 0;
}
