#include <string.h>

#include "record_fields.h"
#include "prepare.h"

struct writer {
    struct gp_buffer **record;
    bool failed;
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (len && !w->failed)
        w->failed = !gp_buffer_insist(w->record, data, len);
}

static void put_number(struct writer *w, uint64_t value, unsigned bytes)
{
    uint8_t digits[8];

    for (unsigned i = 0; i < bytes; i++)
        digits[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    put(w, digits, bytes);
}

static void put_header(struct writer *w, uint16_t tag, size_t len)
{
    w->failed |= len > UINT32_MAX;
    put_number(w, tag, 2);
    put_number(w, len, 4);
}

/* What is zero is not said. */
static void put_number_field(struct writer *w, uint16_t tag, uint64_t value)
{
    if (value == 0)
        return;
    put_header(w, tag, 8);
    put_number(w, value, 8);
}

static uint64_t load(const uint8_t *at, size_t size)
{
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;

    switch (size) {
    case 8:
        memcpy(&u64, at, 8);
        return u64;
    case 4:
        memcpy(&u32, at, 4);
        return u32;
    case 2:
        memcpy(&u16, at, 2);
        return u16;
    default:
        return *at;
    }
}

static void put_tables(struct writer *w, const struct gp_luggage *luggage)
{
    for (size_t i = 0; i < gp_place_numbers_count; i++) {
        const uint8_t *at = gp_place_of(luggage, &gp_place_numbers[i]);
        if (at)
            put_number_field(w, gp_place_numbers[i].tag, load(at, gp_place_numbers[i].size));
    }
    for (size_t i = 0; i < gp_place_buffers_count; i++) {
        struct gp_buffer *const *at =
            (struct gp_buffer *const *)gp_place_of(luggage, &gp_place_buffers[i]);
        if (!at || !*at)
            continue;
        put_header(w, gp_place_buffers[i].tag, gp_buffer_len(*at));
        put(w, gp_buffer_at(*at), gp_buffer_len(*at));
    }
}

/* The SQL of a state's Query message. */
static struct gp_span state_sql(const struct gp_state *state)
{
    if (!state->length)
        return (struct gp_span){NULL, 0};
    return (struct gp_span){state->data + GP_HEADER_SIZE, state->length - GP_HEADER_SIZE - 1};
}

static void put_states(struct writer *w, const struct gp_client *c)
{
    struct gp_span sql = state_sql(c->base);

    put_header(w, CLIENT_BASE, 12 + sql.len + c->base->look_length);
    put_number(w, c->base->hash, 8);
    put_number(w, sql.len, 4);
    put(w, sql.at, sql.len);
    put(w, c->base->data + c->base->length, c->base->look_length);
    if (c->params == c->base)
        return;
    sql = state_sql(c->params);
    put_header(w, CLIENT_PARAMS, 4 + sql.len + c->params->names_length);
    put_number(w, sql.len, 4);
    put(w, sql.at, sql.len);
    put(w, c->params->data + c->params->length + c->params->look_length, c->params->names_length);
}

#define STATEMENT_HEADER 13u

static size_t statement_bytes(const struct gp_statement *statement)
{
    return STATEMENT_HEADER + (statement ? statement->length - GP_STATEMENT_TEXT : 0);
}

static void put_statement(struct writer *w, const struct gp_statement *statement)
{
    put_number(w, statement ? statement->reads : 0, 8);
    put_number(w, statement ? statement->own : 0, 1);
    put_number(w, statement_bytes(statement) - STATEMENT_HEADER, 4);
    if (statement)
        put(w, statement->parse + GP_STATEMENT_TEXT, statement->length - GP_STATEMENT_TEXT);
}

static void put_name(void *context, const uint8_t *name, size_t len,
                     const struct gp_statement *statement)
{
    struct writer *w = context;

    put_header(w, CLIENT_NAME, statement_bytes(statement) + len);
    put_statement(w, statement);
    put(w, name, len);
}

#define INTENT_HEADER 22u

static void put_intent(struct writer *w, const struct gp_intent *intent)
{
    size_t len = INTENT_HEADER + statement_bytes(intent->statement) + intent->name_len;

    put_header(w, SERVER_INTENT, len);
    put_number(w, intent->kind, 1);
    put_number(w, intent->sent, 1);
    put_number(w, intent->segment, 4);
    put_number(w, intent->id.high, 8);
    put_number(w, intent->id.low, 8);
    put_statement(w, intent->statement);
    put(w, intent->name, intent->name_len);
}

#define KEPT_HEADER 12u

static void put_server(struct writer *w, const struct gp_server *s)
{
    put_number_field(w, SERVER_FLAGS, gp_server_flags(s));
    if (s->replies.count)
        put_header(w, SERVER_REPLIES, s->replies.count);
    for (uint32_t i = 0; i < s->replies.count; i++)
        put_number(w, *gp_replies_entry(&s->replies, i), 1);
    for (const struct gp_intent *i = s->intents_first; i; i = i->newer)
        put_intent(w, i);
    if (!s->kept)
        return;
    put_header(w, SERVER_KEPT, KEPT_HEADER + s->kept->len);
    put_number(w, s->kept->answered, 4);
    put_number(w, s->kept->segment, 4);
    put_number(w, s->kept->over, 4);
    put(w, s->kept->bytes, s->kept->len);
}

bool gp_record_write(const struct gp_luggage *luggage, struct gp_buffer **record)
{
    struct writer w = {.record = record};

    put_number(&w, GP_RECORD_MAGIC, 4);
    put_number(&w, GP_RECORD_VERSION, 2);
    put_tables(&w, luggage);
    put_number_field(&w, CLIENT_FLAGS, gp_client_flags(luggage->client));
    put_states(&w, luggage->client);
    gp_names_each(&luggage->client->names, put_name, &w);
    if (luggage->server)
        put_server(&w, luggage->server);
    return !w.failed;
}
