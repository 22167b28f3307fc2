#include <stdlib.h>
#include <string.h>

#include "record_fields.h"
#include "prepare.h"

/* What is left of a field, or of the record. */
struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static uint64_t take_number(struct reader *r, unsigned bytes)
{
    uint64_t value = 0;

    r->failed |= (size_t)(r->end - r->at) < bytes;
    for (unsigned i = 0; i < bytes && !r->failed; i++)
        value = value << 8 | *r->at++;
    return value;
}

static struct gp_span take(struct reader *r, size_t len)
{
    struct gp_span span = {r->at, len};

    r->failed |= (size_t)(r->end - r->at) < len;
    if (r->failed)
        return (struct gp_span){NULL, 0};
    r->at += len;
    return span;
}

static struct gp_span take_rest(struct reader *r)
{
    return take(r, (size_t)(r->end - r->at));
}

static bool store(uint8_t *at, size_t size, uint64_t value)
{
    uint32_t u32 = (uint32_t)value;
    uint16_t u16 = (uint16_t)value;
    uint8_t u8 = (uint8_t)value;

    if (size < 8 && value >> 8 * size != 0)
        return false;
    memcpy(at,
           size == 8   ? (void *)&value
           : size == 4 ? (void *)&u32
           : size == 2 ? (void *)&u16
                       : &u8,
           size);
    return true;
}

/* One reference more; NULL in *statement: the record has none there. */
static enum gp_result take_statement(struct gp_engine *e, struct reader *r,
                                     struct gp_statement **statement)
{
    uint64_t reads = take_number(r, 8);
    uint64_t own = take_number(r, 1);
    struct gp_span text = take(r, take_number(r, 4));

    *statement = NULL;
    if (r->failed || own > 1)
        return GP_EPROTO;
    if (text.len == 0)
        return GP_OK;
    if (text.len > GP_PARSE_MAX)
        return GP_EPROTO;
    struct gp_sid id = gp_sid_make(gp_common_of(e->seg)->hash_key, reads, text.at, text.len);
    *statement = gp_statement_intern(&e->interner, id, text.at, text.len, GP_INSIST);
    if (!*statement)
        return GP_EFULL;
    (*statement)->reads = reads;
    (*statement)->own = own;
    return GP_OK;
}

static enum gp_result read_base(struct gp_engine *e, struct gp_luggage *luggage, struct reader *r)
{
    struct gp_client *c = luggage->client;
    uint64_t hash = take_number(r, 8);
    struct gp_span sql = take(r, take_number(r, 4));
    struct gp_span look = take_rest(r);

    if (r->failed || c->base)
        return GP_EPROTO;
    c->base = gp_state_intern(e, hash, sql, look, GP_INSIST);
    return c->base ? GP_OK : GP_EFULL;
}

static enum gp_result read_params(struct gp_engine *e, struct gp_luggage *luggage, struct reader *r)
{
    struct gp_client *c = luggage->client;
    struct gp_span sql = take(r, take_number(r, 4));
    struct gp_span names = take_rest(r);

    if (r->failed || c->params)
        return GP_EPROTO;
    c->params = gp_state_of_text(e, sql, names, GP_INSIST);
    return c->params ? GP_OK : GP_EFULL;
}

static enum gp_result read_name(struct gp_engine *e, struct gp_luggage *luggage, struct reader *r)
{
    struct gp_statement *statement;
    enum gp_result result = take_statement(e, r, &statement);

    if (result != GP_OK || !statement)
        return result == GP_OK ? GP_EPROTO : result;
    struct gp_span name = take_rest(r);
    bool done = gp_names_set(&luggage->client->names, &e->interner, name.at, name.len, statement,
                             GP_INSIST);
    gp_statement_release(&e->interner, statement);
    return done ? GP_OK : GP_EFULL;
}

static enum gp_result read_intent(struct gp_engine *e, struct gp_luggage *luggage, struct reader *r)
{
    uint64_t kind = take_number(r, 1);
    uint64_t sent = take_number(r, 1);
    uint32_t segment = (uint32_t)take_number(r, 4);
    struct gp_sid id;
    struct gp_statement *statement;

    id.high = take_number(r, 8);
    id.low = take_number(r, 8);
    enum gp_result result = take_statement(e, r, &statement);
    if (result != GP_OK)
        return result;
    bool needs = kind == GP_INTENT_PARSE || kind == GP_INTENT_INJECT || kind == GP_INTENT_DUPLICATE;
    bool sound = kind <= GP_INTENT_DUPLICATE && sent <= 1 && needs == (statement != NULL);
    if (sound) {
        struct gp_intent *intent =
            gp_intent_add(e, luggage->server, (enum gp_intent_kind)kind, statement, take_rest(r));
        intent->sent = sent;
        intent->segment = segment;
        intent->id = statement ? statement->id : id;
    }
    if (statement)
        gp_statement_release(&e->interner, statement);
    return sound ? GP_OK : GP_EPROTO;
}

static enum gp_result read_replies(struct gp_engine *e, struct gp_luggage *luggage,
                                   struct reader *r)
{
    struct gp_span entries = take_rest(r);

    (void)e;
    for (size_t i = 0; i < entries.len; i++) {
        unsigned kind = entries.at[i] & 0x0f, action = entries.at[i] & ~0x0fu;
        if (kind == GP_REPLY_NONE || kind >= GP_REPLY_KINDS ||
            (action & GP_REPLY_ACTION) == GP_REPLY_ACTION || action > 0x7f)
            return GP_EPROTO;
        if ((action & GP_REPLY_ACTION) == GP_REPLY_SYNTHESIZE && !(action & GP_REPLY_INTENT))
            return GP_EPROTO; /* what is answered here comes true here */
        if (!gp_replies_push(&luggage->server->replies, (enum gp_reply_kind)kind, action))
            return GP_EFULL;
    }
    return GP_OK;
}

static enum gp_result read_kept(struct gp_engine *e, struct gp_luggage *luggage, struct reader *r)
{
    struct gp_server *s = luggage->server;
    struct gp_kept kept = {.answered = (uint32_t)take_number(r, 4),
                           .segment = (uint32_t)take_number(r, 4),
                           .over = (uint32_t)take_number(r, 4)};
    struct gp_span bytes = take_rest(r);

    (void)e;
    if (r->failed || s->kept || bytes.len > GP_KEPT_BYTES)
        return GP_EPROTO;
    s->kept = malloc(sizeof(*s->kept));
    if (!s->kept)
        return GP_EFULL;
    kept.len = (uint32_t)bytes.len;
    memcpy(s->kept, &kept, offsetof(struct gp_kept, bytes));
    if (bytes.len)
        memcpy(s->kept->bytes, bytes.at, bytes.len);
    return GP_OK;
}

static enum gp_result read_client_flags(struct gp_engine *e, struct gp_luggage *luggage,
                                        struct reader *r)
{
    (void)e;
    return gp_client_set_flags(luggage->client, take_number(r, 8)) ? GP_OK : GP_EPROTO;
}

static enum gp_result read_server_flags(struct gp_engine *e, struct gp_luggage *luggage,
                                        struct reader *r)
{
    (void)e;
    return gp_server_set_flags(luggage->server, take_number(r, 8)) ? GP_OK : GP_EPROTO;
}

static const struct {
    uint16_t tag;
    enum gp_result (*read)(struct gp_engine *e, struct gp_luggage *luggage, struct reader *r);
} others[] = {
    {CLIENT_FLAGS, read_client_flags}, {CLIENT_BASE, read_base},
    {CLIENT_PARAMS, read_params},      {CLIENT_NAME, read_name},
    {SERVER_FLAGS, read_server_flags}, {SERVER_REPLIES, read_replies},
    {SERVER_INTENT, read_intent},      {SERVER_KEPT, read_kept},
};

static enum gp_result read_buffer(const struct gp_luggage *luggage, const struct gp_place *where,
                                  struct reader *r)
{
    struct gp_buffer **buffer = (struct gp_buffer **)gp_place_of(luggage, where);
    struct gp_span bytes = take_rest(r);

    if (*buffer)
        return GP_EPROTO; /* twice */
    return gp_buffer_insist(buffer, bytes.at, bytes.len) ? GP_OK : GP_EFULL;
}

static enum gp_result read_field(struct gp_engine *e, struct gp_luggage *luggage, uint16_t tag,
                                 struct reader *r)
{
    for (size_t i = 0; i < gp_place_numbers_count; i++)
        if (gp_place_numbers[i].tag == tag)
            return store(gp_place_of(luggage, &gp_place_numbers[i]), gp_place_numbers[i].size,
                         take_number(r, 8))
                       ? GP_OK
                       : GP_EPROTO;
    for (size_t i = 0; i < gp_place_buffers_count; i++)
        if (gp_place_buffers[i].tag == tag)
            return read_buffer(luggage, &gp_place_buffers[i], r);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i].tag == tag)
            return others[i].read(e, luggage, r);
    (void)take_rest(r);
    return tag & GP_FIELD_NEEDED ? GP_EPROTO : GP_OK;
}

static enum gp_result read_fields(struct gp_engine *e, struct gp_luggage *luggage, struct reader *r)
{
    enum gp_result result = GP_OK;

    while (result == GP_OK && r->at < r->end) {
        uint16_t tag = (uint16_t)take_number(r, 2);
        struct gp_span body = take(r, take_number(r, 4));
        if (r->failed)
            return GP_EPROTO;
        struct reader field = {.at = body.at, .end = body.at + body.len};
        result = read_field(e, luggage, tag, &field);
        if (result == GP_OK && (field.failed || field.at != field.end))
            result = GP_EPROTO;
    }
    return result;
}

/* ---- whether it fits together ---- */

static bool client_sound(struct gp_engine *e, const struct gp_client *c, bool linked)
{
    struct gp_frame frame;

    if (c->id == GP_NO_CLIENT || c->id > e->seg->clients_max || c->pool >= gp_pools_high(e->seg) ||
        !c->base || c->breach >= GP_BREACHES || c->leaving >= GP_REASONS)
        return false;
    switch (c->state) {
    case GP_CLIENT_IDLE:
        return !linked;
    case GP_CLIENT_ACTIVE:
        return linked;
    case GP_CLIENT_WAITING: /* for the sake of the request that it keeps */
        return !linked && c->in &&
               gp_frame_peek(gp_buffer_at(c->in), gp_buffer_len(c->in), GP_FRONTEND, &frame) ==
                   GP_OK;
    default:
        return false;
    }
}

/* Each reply that carries an intent has one, and none is left over. */
static bool intents_sound(const struct gp_server *s)
{
    const struct gp_intent *intent = s->intents_first;

    for (uint32_t i = 0; i < s->replies.count; i++) {
        if (!(*gp_replies_entry(&s->replies, i) & GP_REPLY_INTENT))
            continue;
        if (!intent)
            return false;
        intent = intent->newer;
    }
    return !intent;
}

static bool server_sound(const struct gp_server *s)
{
    return s->slot < GP_SLOTS_MAX && s->described <= GP_DESCRIBED_AGAIN &&
           s->session <= GP_SESSION_TRACK && intents_sound(s);
}

/* Of a record that has no server, the empty one that was made to read into goes. */
static bool make_sound(struct gp_engine *e, struct gp_luggage *luggage)
{
    struct gp_client *c = luggage->client;
    struct gp_server *s = luggage->server;
    bool linked = c->state == GP_CLIENT_ACTIVE;

    if (!client_sound(e, c, linked) || (linked && !server_sound(s)))
        return false;
    if (!c->params)
        c->params = gp_state_share(c->base);
    s->pool = c->pool;
    if (!linked) {
        gp_server_clear(e, s);
        free(s);
        luggage->server = NULL;
    }
    return true;
}

enum gp_result gp_record_read(struct gp_engine *e, const uint8_t *record, size_t len,
                              struct gp_luggage *luggage)
{
    struct reader r = {.at = record, .end = record + len};
    enum gp_result result = GP_EFULL;

    *luggage = (struct gp_luggage){.client = calloc(1, sizeof(struct gp_client)),
                                   .server = calloc(1, sizeof(struct gp_server))};
    if (take_number(&r, 4) != GP_RECORD_MAGIC || take_number(&r, 2) == 0)
        result = GP_EPROTO;
    else if (luggage->client && luggage->server)
        result = read_fields(e, luggage, &r);
    if (result == GP_OK && !make_sound(e, luggage))
        result = GP_EPROTO;
    if (result != GP_OK)
        gp_luggage_drop(e, luggage);
    return result;
}

void gp_luggage_drop(struct gp_engine *e, struct gp_luggage *luggage)
{
    struct gp_client *c = luggage->client;

    if (luggage->server)
        gp_server_clear(e, luggage->server);
    if (c)
        gp_client_clear(e, c);
    free(luggage->server);
    free(c);
    gp_buffer_free(&luggage->client_held);
    gp_buffer_free(&luggage->client_out);
    gp_buffer_free(&luggage->server_held);
    gp_buffer_free(&luggage->server_out);
    *luggage = (struct gp_luggage){0};
}
