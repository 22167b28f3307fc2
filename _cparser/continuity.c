#include "continuity.h"

#include <string.h>

#include "session.h"

void gp_continuity_pin(struct gp_engine *e, struct gp_client *c, uint8_t pins)
{
    if (pins && !c->pins)
        gp_count(&gp_counters_of(e, c->pool)->pins, 1);
    if (pins != c->pins)
        atomic_store_explicit(&gp_client_at(e->seg, c->id)->pins, pins, memory_order_relaxed);
    c->pins = pins;
}

void gp_continuity_text(struct gp_server *s, uint8_t hints)
{
    s->hints |= hints;
    if (hints & GP_HINT_ASK)
        s->look = 1;
}

void gp_continuity_tag(struct gp_engine *e, struct gp_server *s, const struct gp_tag *tag)
{
    switch (tag->kind) {
    case GP_TAG_SET:
        s->look |= (s->hints & GP_HINT_SET) != 0;
        if ((s->hints & GP_HINT_ALL) == GP_HINT_ALL)
            s->hints |= GP_HINT_NAME;
        return;
    case GP_TAG_DECLARE_CURSOR:
        s->look |= (s->hints & GP_HINT_HOLD) != 0;
        return;
    case GP_TAG_DISCARD_ALL:
        if (s->client)
            gp_continuity_pin(e, s->client, s->client->pins & (uint8_t)~GP_PIN_SETTING);
        s->look = 1;
        return;
    case GP_TAG_RESET:
    case GP_TAG_PREPARE:
    case GP_TAG_DEALLOCATE:
    case GP_TAG_DEALLOCATE_ALL:
    case GP_TAG_DISCARD:
    case GP_TAG_LISTEN:
    case GP_TAG_UNLISTEN:
        s->look = 1;
        return;
    default: /* a DO may SET; a pin may go with a DROP or CLOSE */
        if ((s->hints & GP_HINT_SET) && tag->text.len == 2 && memcmp(tag->text.at, "DO", 2) == 0)
            s->look = 1;
        if (s->client && s->client->pins && tag->text.len >= 4 &&
            (memcmp(tag->text.at, "DROP", 4) == 0 || tag->kind == GP_TAG_CLOSE_CURSOR))
            s->look = 1;
    }
}

bool gp_continuity_look(struct gp_engine *e, struct gp_server *s)
{
    struct gp_state *base = s->client->base;

    if (s->session != GP_SESSION_TRACK || base->look_length == 0)
        return false;
    if (!gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_SWALLOW))
        return false;
    gp_server_enter(e, s, GP_SERVER_LOOK);
    gp_count(&gp_counters_of(e, s->pool)->looks, 1);
    s->status = 0;
    s->failed = 0;
    gp_conn_send(e->transport, &s->conn, base->query + base->length, base->look_length);
    if (s->conn.broken)
        gp_todo(e, &s->conn);
    return true;
}

void gp_continuity_row(struct gp_server *s, const uint8_t *body, size_t len)
{
    gp_buffer_free(&s->answer);
    (void)gp_buffer_append(&s->answer, body, len); /* without: as if it could not be asked */
}

struct answer {
    uint8_t pins;
    bool missing; /* this server lacks a setting of the startup packet */
    bool others;  /* it has others than those */
    struct gp_span state;
};

/* One column: a length and its bytes. */
static bool column(const uint8_t **at, const uint8_t *end, struct gp_span *value)
{
    if (end - *at < 4)
        return false;
    uint32_t len = gp_get_u32be(*at);
    *at += 4;
    if (len > (size_t)(end - *at)) /* NULL has the greatest length */
        return false;
    *value = (struct gp_span){*at, len};
    *at += len;
    return true;
}

static uint32_t number(struct gp_span text)
{
    uint32_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n = n * 10 + (text.at[i] - '0');
    return n;
}

static bool read_answer(const struct gp_buffer *buffer, struct answer *answer)
{
    struct gp_span pins, like;

    if (gp_buffer_len(buffer) < 2)
        return false;
    const uint8_t *at = gp_buffer_at(buffer), *end = at + gp_buffer_len(buffer);
    at += 2; /* the number of columns is ours */
    if (!column(&at, end, &pins) || !column(&at, end, &like) || !column(&at, end, &answer->state))
        return false;
    answer->pins = (uint8_t)number(pins);
    answer->missing = number(like) & 1;
    answer->others = number(like) & 2;
    return true;
}

bool gp_continuity_seen(struct gp_engine *e, struct gp_server *s)
{
    struct gp_client *c = s->client;
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);
    struct gp_state *state = NULL;
    struct answer answer = {0};

    if (!s->failed && read_answer(s->answer, &answer))
        state = answer.others ? gp_state_of_text(e, answer.state) : gp_state_share(c->base);
    if (state) {
        gp_state_release(e, c->params);
        c->params = state;
        atomic_store_explicit(&slot->state_hash, answer.missing ? GP_STATE_UNKNOWN : state->hash,
                              memory_order_relaxed);
    }
    uint8_t names = c->pins & GP_PIN_SETTING;
    if (s->hints & GP_HINT_NAME)
        names = GP_PIN_SETTING;
    gp_continuity_pin(e, c, (state ? answer.pins : GP_PIN_UNKNOWN) | names);
    s->dirty = c->pins != 0;
    gp_buffer_free(&s->answer);
    s->look = 0;
    s->hints = 0;
    return state && answer.missing && !names; /* a RESET ALL would take those too */
}
