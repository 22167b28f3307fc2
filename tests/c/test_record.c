/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto */
/* The record of a client: what goes in comes out, and what makes no sense is refused whole. Read from
 * a copy that ends at a guard page. */
#include "check.h"

#include "prepare.h"
#include "record_fields.h"

#define TAG(tag) (tag) >> 8 & 0xff, (tag)&0xff

static struct gp_segment *seg;
static struct gp_engine *engine;

static void setup(void)
{
    const struct gp_pool_settings settings = {.size = 4, .max_creates = 2, .statements_max = 64};
    uint32_t pool;

    seg = gp_segment_create(2, 1, 10);
    CHECK(seg != NULL);
    gp_segment_limits(seg, 10, 4);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &pool), GP_OK);
    engine = gp_engine_new(seg, 0, GP_IO_EPOLL);
    CHECK(engine != NULL);
}

static void teardown(void)
{
    CHECK_EQ(engine->interner.count, engine->interner.idle); /* no reference has leaked */
    gp_engine_free(engine);
    gp_segment_destroy(seg);
}

static struct gp_span span(const char *text)
{
    return (struct gp_span){(const uint8_t *)text, strlen(text)};
}

static struct gp_statement *statement(const char *text, uint64_t reads)
{
    struct gp_sid id =
        gp_sid_make(gp_common_of(seg)->hash_key, reads, (const uint8_t *)text, strlen(text));
    struct gp_statement *made =
        gp_statement_intern(&engine->interner, id, (const uint8_t *)text, strlen(text), GP_ASK);

    CHECK(made != NULL);
    made->reads = reads;
    return made;
}

static void name_it(struct gp_client *c, const char *name, const char *text, uint64_t reads)
{
    struct gp_statement *s = statement(text, reads);

    CHECK(
        gp_names_set(&c->names, &engine->interner, (const uint8_t *)name, strlen(name), s, GP_ASK));
    gp_statement_release(&engine->interner, s);
}

static struct gp_buffer *bytes(const char *text)
{
    struct gp_buffer *buffer = NULL;

    CHECK(gp_buffer_append(&buffer, (const uint8_t *)text, strlen(text)));
    return buffer;
}

/* A client in the midst of all there is. */
static struct gp_luggage busy_client(void)
{
    struct gp_client *c = calloc(1, sizeof(*c));
    struct gp_server *s = calloc(1, sizeof(*s));

    c->id = 7;
    c->state = GP_CLIENT_ACTIVE;
    c->leaving = GP_REASON_CLIENT_PROTOCOL;
    c->breach = GP_BREACH_TYPE;
    c->skipping = 1;
    c->msg_left = 4711;
    c->pins = 5;
    c->begun = 0x21;
    c->since_ns = 0x123456789abcdefull;
    c->in = bytes("half a message");
    c->base = gp_state_intern(engine, 99, span("select set_config('a', 'b', false)"), span("look"),
                              GP_ASK);
    c->params = gp_state_of_text(engine, span("select 1"), span(",app.x"), GP_ASK);
    name_it(c, "", "unnamed\0", 0);
    name_it(c, "s1", "select $1", 3);
    name_it(c, "s2", "select $2", 0);
    s->slot = 3;
    s->generation = 12;
    s->txn = 'T';
    s->in_copy = s->opening = s->renew = s->said_fatal = s->copies_out = 1;
    s->moved_ns = s->overdue_ns = 17;
    s->lay = 18;
    s->described = GP_DESCRIBED_AGAIN;
    s->session = GP_SESSION_TRACK;
    s->hints = 0x1ff;
    s->segment = 70000;
    s->reads = UINT64_MAX;
    s->stale = (struct gp_sid){5, 6};
    s->said = bytes(",app.x");
    struct gp_statement *sent = statement("select 3", 0);
    gp_intent_add(engine, s, GP_INTENT_PARSE, sent, span("s3"))->sent = true;
    gp_intent_add(engine, s, GP_INTENT_EVICT, NULL, span(""))->id = (struct gp_sid){8, 9};
    gp_statement_release(&engine->interner, sent);
    CHECK(gp_replies_push(&s->replies, GP_REPLY_PARSE, GP_REPLY_FORWARD | GP_REPLY_INTENT));
    CHECK(gp_replies_push(&s->replies, GP_REPLY_CLOSE, GP_REPLY_SWALLOW | GP_REPLY_INTENT));
    for (int i = 0; i < 100; i++)
        CHECK(gp_replies_push(&s->replies, GP_REPLY_SYNC, GP_REPLY_FORWARD));
    s->kept = calloc(1, sizeof(*s->kept));
    s->kept->len = 5;
    s->kept->answered = 2;
    memcpy(s->kept->bytes, "kept!", 5);
    return (struct gp_luggage){.client = c,
                               .server = s,
                               .client_held = bytes("held"),
                               .client_out = bytes("unsent"),
                               .server_held = bytes("row"),
                               .server_out = bytes("query")};
}

static struct gp_buffer *written(const struct gp_luggage *luggage)
{
    struct gp_buffer *record = NULL;

    CHECK(gp_record_write(luggage, &record));
    return record;
}

static enum gp_result read_copy(const uint8_t *record, size_t len, struct gp_luggage *luggage)
{
    struct guard copy = guard_copy(record, len);
    enum gp_result result = gp_record_read(engine, copy.at, copy.len, luggage);

    guard_free(&copy);
    return result;
}

static void check_bytes(const struct gp_buffer *buffer, const char *text)
{
    CHECK_EQ(gp_buffer_len(buffer), strlen(text));
    CHECK_MEM(gp_buffer_at(buffer), text, strlen(text));
}

static void test_what_goes_in_comes_out(void)
{
    setup();
    struct gp_luggage in = busy_client(), out;
    struct gp_buffer *record = written(&in);
    CHECK_EQ(read_copy(gp_buffer_at(record), gp_buffer_len(record), &out), GP_OK);
    CHECK_EQ(out.client->id, 7);
    CHECK_EQ(out.client->breach, GP_BREACH_TYPE);
    CHECK_EQ(out.client->msg_left, 4711);
    CHECK_EQ(out.client->since_ns, 0x123456789abcdefull);
    CHECK(out.client->skipping && !out.client->msg_forward);
    CHECK(out.client->base == in.client->base && out.client->params == in.client->params);
    check_bytes(out.client->in, "half a message");
    for (const char *const *name = (const char *const[]){"", "s1", "s2", NULL}; *name; name++) {
        struct gp_span key = span(*name);
        CHECK(gp_names_find(&out.client->names, key.at, key.len) != NULL);
        CHECK(gp_names_find(&out.client->names, key.at, key.len) ==
              gp_names_find(&in.client->names, key.at, key.len));
    }
    CHECK_EQ(out.server->slot, 3);
    CHECK_EQ(out.server->reads, UINT64_MAX);
    CHECK_EQ(out.server->hints, 0x1ff);
    CHECK(out.server->in_copy && out.server->renew && !out.server->skipping);
    CHECK_EQ(out.server->replies.count, 102);
    CHECK_EQ(out.server->intents_first->kind, GP_INTENT_PARSE);
    CHECK(out.server->intents_first->statement == in.server->intents_first->statement);
    CHECK_EQ(out.server->intents_last->id.low, 9);
    CHECK_MEM(out.server->kept->bytes, "kept!", 5);
    check_bytes(out.client_held, "held");
    check_bytes(out.server_out, "query");
    struct gp_buffer *again = written(&out);
    CHECK_EQ(gp_buffer_len(again), gp_buffer_len(record));
    gp_buffer_free(&record);
    gp_buffer_free(&again);
    gp_luggage_drop(engine, &in);
    gp_luggage_drop(engine, &out);
    teardown();
}

static void test_a_client_without_server(void)
{
    setup();
    struct gp_luggage in = busy_client(), out;
    struct gp_server *server = in.server;
    in.server = NULL;
    in.client->state = GP_CLIENT_IDLE;
    struct gp_buffer *record = written(&in);
    CHECK_EQ(read_copy(gp_buffer_at(record), gp_buffer_len(record), &out), GP_OK);
    CHECK(out.server == NULL);
    gp_luggage_drop(engine, &out);
    gp_buffer_free(&record);
    in.server = server;
    gp_luggage_drop(engine, &in);
    teardown();
}

/* Cut anywhere, it is refused, or it makes a client all the same: never anything between. */
static void test_a_part_of_a_record(void)
{
    setup();
    struct gp_luggage in = busy_client(), out;
    struct gp_buffer *record = written(&in);
    for (size_t len = 0; len < gp_buffer_len(record); len++)
        if (read_copy(gp_buffer_at(record), len, &out) == GP_OK)
            gp_luggage_drop(engine, &out);
    gp_buffer_free(&record);
    gp_luggage_drop(engine, &in);
    teardown();
}

static enum gp_result read_with(const struct gp_buffer *record, const uint8_t *field, size_t len)
{
    struct gp_buffer *longer = NULL;
    struct gp_luggage out;

    CHECK(gp_buffer_append(&longer, gp_buffer_at(record), gp_buffer_len(record)));
    CHECK(gp_buffer_append(&longer, field, len));
    enum gp_result result = read_copy(gp_buffer_at(longer), gp_buffer_len(longer), &out);
    if (result == GP_OK)
        gp_luggage_drop(engine, &out);
    gp_buffer_free(&longer);
    return result;
}

static void test_what_is_unknown_is_skipped_unless_it_is_needed(void)
{
    const uint8_t spare[] = {0x70, 1, 0, 0, 0, 2, 'h', 'i'};
    const uint8_t needed[] = {0xf0, 1, 0, 0, 0, 2, 'h', 'i'};
    const uint8_t beyond[] = {0x70, 1, 0, 0, 0, 3, 'h', 'i'};
    const uint8_t unknown_flag[] = {TAG(CLIENT_FLAGS), 0, 0, 0, 8, 0x80, 0, 0, 0, 0, 0, 0, 0};
    const uint8_t too_large[] = {
        TAG(CLIENT_PINS), 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0}; /* pins: a byte */
    const uint8_t no_intent[] = {TAG(SERVER_REPLIES), 0, 0, 0, 1, 0x42};
    setup();
    struct gp_luggage in = busy_client();
    struct gp_buffer *record = written(&in);
    CHECK_EQ(read_with(record, spare, sizeof(spare)), GP_OK);
    CHECK_EQ(read_with(record, needed, sizeof(needed)), GP_EPROTO);
    CHECK_EQ(read_with(record, beyond, sizeof(beyond)), GP_EPROTO);
    CHECK_EQ(read_with(record, unknown_flag, sizeof(unknown_flag)), GP_EPROTO);
    CHECK_EQ(read_with(record, too_large, sizeof(too_large)), GP_EPROTO);
    CHECK_EQ(read_with(record, no_intent, sizeof(no_intent)), GP_EPROTO);
    gp_buffer_free(&record);
    gp_luggage_drop(engine, &in);
    teardown();
}

int main(void)
{
    RUN(test_what_goes_in_comes_out);
    RUN(test_a_client_without_server);
    RUN(test_a_part_of_a_record);
    RUN(test_what_is_unknown_is_skipped_unless_it_is_needed);
    return check_done();
}
