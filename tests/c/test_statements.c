/* sources: _cparser/statements.c _cparser/statement_names.c _cparser/memory.c _cparser/session.c */
/*
 * Prepared statements by content: identities, interned texts, a client's names, a server's holding.
 * The holding is driven by thousands of random operations beside a slow model of it.
 */
#include "check.h"
#include "../../_cparser/protocol.h"
#include "../../_cparser/statements.h"

static const uint8_t KEY[GP_HASH_KEY_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
                                               9, 10, 11, 12, 13, 14, 15, 16};

static uint64_t random_state = 0x9e3779b97f4a7c15ull;

static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % bound;
}

static struct gp_sid sid_of(const char *text)
{
    return gp_sid_make(KEY, 0, (const uint8_t *)text, strlen(text) + 1);
}

static struct gp_sid sid_number(uint32_t number)
{
    return gp_sid_make(KEY, 0, (const uint8_t *)&number, sizeof(number));
}

/* ---- identity ---- */

/* Every input that may change what PostgreSQL makes of a statement changes its identity. */
static void test_identity_depends_on_everything(void)
{
    static const uint8_t other_key[GP_HASH_KEY_BYTES] = {2};
    const uint8_t body[] = "select 1";
    struct gp_sid id = gp_sid_make(KEY, 7, body, sizeof(body));

    CHECK(gp_sid_same(id, gp_sid_make(KEY, 7, body, sizeof(body))));
    CHECK(!gp_sid_same(id, gp_sid_make(other_key, 7, body, sizeof(body))));
    CHECK(!gp_sid_same(id, gp_sid_make(KEY, 8, body, sizeof(body))));
    CHECK(!gp_sid_same(id, gp_sid_make(KEY, 7, body, sizeof(body) - 1)));
    CHECK(!gp_sid_same(id, gp_sid_make(KEY, 7, (const uint8_t *)"select 2", sizeof(body))));
}

/* Of zeroes, only their number can tell one body from another. Read up to a guard page. */
static void test_identity_depends_on_length(void)
{
    struct gp_sid ids[64];
    uint8_t zeroes[64] = {0};

    for (size_t len = 0; len < 64; len++) {
        struct guard body = guard_copy(zeroes, len);
        ids[len] = gp_sid_make(KEY, 0, body.at, len);
        guard_free(&body);
        for (size_t shorter = 0; shorter < len; shorter++)
            CHECK(!gp_sid_same(ids[len], ids[shorter]));
    }
}

static void test_names_are_distinct_and_fit(void)
{
    char first[GP_SERVER_NAME_BYTES], name[GP_SERVER_NAME_BYTES];
    struct gp_sid id = sid_of("select 1");

    gp_sid_name(id, first);
    CHECK_EQ(strlen(first), GP_SERVER_NAME_BYTES - 1);
    CHECK_EQ(first[0], 'g');
    CHECK_EQ(strspn(first, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$"),
             GP_SERVER_NAME_BYTES - 1);
    for (unsigned bit = 0; bit < 128; bit++) { /* the lowest of low is the clock's */
        struct gp_sid other = id;
        if (bit == 64)
            continue;
        if (bit < 64)
            other.high ^= 1ull << bit;
        else
            other.low ^= 1ull << (bit - 64);
        gp_sid_name(other, name);
        CHECK(strcmp(name, first) != 0);
    }
}

static void test_clock_bit_is_free(void)
{
    for (uint32_t number = 0; number < 1000; number++) {
        struct gp_sid id = sid_number(number);
        CHECK_EQ(id.low & 1, 0);
        CHECK(id.high != 0 || id.low != 0);
    }
}

/* ---- interned statements ---- */

static struct gp_statement *intern(struct gp_interner *interner, const char *text)
{
    return gp_statement_intern(interner, sid_of(text), (const uint8_t *)text, strlen(text) + 1,
                               GP_ASK);
}

static void test_interned_message(void)
{
    struct gp_interner interner = {0};
    const char text[] = "select $1";
    struct gp_statement *statement = intern(&interner, text);

    CHECK_EQ(statement->length, GP_HEADER_SIZE + GP_SERVER_NAME_BYTES + sizeof(text));
    CHECK_EQ(statement->parse[0], GP_PARSE);
    CHECK_EQ(gp_get_u32be(statement->parse + 1), statement->length - 1);
    CHECK_MEM(statement->parse + GP_HEADER_SIZE, statement->name, GP_SERVER_NAME_BYTES);
    CHECK_MEM(statement->parse + GP_HEADER_SIZE + GP_SERVER_NAME_BYTES, text, sizeof(text));
    gp_statement_release(&interner, statement);
    gp_interner_free(&interner);
}

static void test_one_text_is_kept_once(void)
{
    struct gp_interner interner = {0};
    struct gp_statement *a = intern(&interner, "select 1"), *b = intern(&interner, "select 1");

    CHECK(a == b);
    CHECK_EQ(a->refs, 2);
    CHECK_EQ(interner.count, 1);
    gp_statement_release(&interner, a);
    CHECK_EQ(interner.idle, 0);
    gp_statement_release(&interner, b);
    CHECK_EQ(interner.idle, 1);
    CHECK(intern(&interner, "select 1") == a); /* back from the idle ones */
    CHECK_EQ(interner.idle, 0);
    CHECK_EQ(a->refs, 1);
    gp_statement_release(&interner, a);
    gp_interner_free(&interner);
    CHECK_EQ(interner.cap, 0);
}

static struct gp_statement *intern_number(struct gp_interner *interner, uint32_t number)
{
    return gp_statement_intern(interner, sid_number(number), (const uint8_t *)&number,
                               sizeof(number), GP_ASK);
}

static bool is_interned(const struct gp_interner *interner, uint32_t number)
{
    struct gp_sid id = sid_number(number);
    const struct gp_statement *each = interner->buckets[id.high & (interner->cap - 1)];

    while (each && !gp_sid_same(each->id, id))
        each = each->next;
    return each != NULL;
}

/* The idle ones are bounded; the one idle for longest goes first, in use none does. */
static void test_idle_texts_are_bounded(void)
{
    struct gp_interner interner = {0};
    struct gp_statement *used = intern_number(&interner, 0);
    const uint32_t bound = gp_memory_rules.idle_statements, many = 3 * bound;

    for (uint32_t number = 1; number <= many; number++)
        gp_statement_release(&interner, intern_number(&interner, number));
    CHECK_EQ(interner.idle, bound);
    CHECK_EQ(interner.count, bound + 1);
    CHECK(is_interned(&interner, 0));
    for (uint32_t number = 1; number <= many; number++)
        CHECK_EQ(is_interned(&interner, number), number > many - bound);
    /* Used again, the oldest becomes the youngest. */
    gp_statement_release(&interner, intern_number(&interner, many - bound + 1));
    gp_statement_release(&interner, intern_number(&interner, many + 1));
    CHECK(is_interned(&interner, many - bound + 1));
    CHECK(!is_interned(&interner, many - bound + 2));
    gp_statement_release(&interner, used);
    gp_interner_free(&interner);
}

/* ---- a client's names ---- */

static struct gp_statement *find(const struct gp_names *names, const char *name)
{
    return gp_names_find(names, (const uint8_t *)name, strlen(name));
}

static void set(struct gp_names *names, struct gp_interner *interner, const char *name,
                struct gp_statement *statement)
{
    CHECK(gp_names_set(names, interner, (const uint8_t *)name, strlen(name), statement, GP_ASK));
}

static void drop(struct gp_names *names, struct gp_interner *interner, const char *name)
{
    gp_names_drop(names, interner, (const uint8_t *)name, strlen(name));
}

static void test_names_set_replace_drop(void)
{
    struct gp_interner interner = {0};
    struct gp_names names = {0};
    struct gp_statement *a = intern(&interner, "a"), *b = intern(&interner, "b");

    drop(&names, &interner, "s"); /* of nothing: no effect */
    drop(&names, &interner, "");
    for (int round = 0; round < 2; round++) {
        const char *name = round ? "" : "s"; /* the unnamed one is like any other */
        CHECK(find(&names, name) == NULL);
        set(&names, &interner, name, a);
        CHECK(find(&names, name) == a);
        CHECK_EQ(a->refs, 2);
        set(&names, &interner, name, a);
        CHECK_EQ(a->refs, 2);
        set(&names, &interner, name, b);
        CHECK(find(&names, name) == b);
        CHECK_EQ(a->refs, 1);
        CHECK_EQ(b->refs, 2);
        drop(&names, &interner, name);
        drop(&names, &interner, name);
        CHECK(find(&names, name) == NULL);
        CHECK_EQ(b->refs, 1);
    }
    CHECK_EQ(names.count, 0);
    gp_statement_release(&interner, a);
    gp_statement_release(&interner, b);
    gp_names_clear(&names, &interner);
    gp_interner_free(&interner);
}

static void test_names_grow_and_clear(void)
{
    enum { MANY = 2000 };
    struct gp_interner interner = {0};
    struct gp_names names = {0};
    char name[32];

    for (uint32_t number = 0; number < MANY; number++) {
        struct gp_statement *statement = intern_number(&interner, number % 100);
        snprintf(name, sizeof(name), "statement_%u", number);
        set(&names, &interner, name, statement);
        gp_statement_release(&interner, statement);
    }
    CHECK_EQ(names.count, MANY);
    for (uint32_t number = 0; number < MANY; number++) {
        snprintf(name, sizeof(name), "statement_%u", number);
        CHECK(gp_sid_same(find(&names, name)->id, sid_number(number % 100)));
        if (number % 2)
            drop(&names, &interner, name);
    }
    CHECK_EQ(names.count, MANY / 2);
    CHECK(find(&names, "statement_1") == NULL);
    CHECK(find(&names, "statement_") == NULL); /* a prefix is another name */
    CHECK_EQ(find(&names, "statement_0")->refs, MANY / 100);
    gp_names_clear(&names, &interner);
    CHECK_EQ(names.count, 0);
    CHECK(find(&names, "statement_0") == NULL);
    CHECK_EQ(interner.idle, interner.count); /* nobody refers to any of them */
    gp_interner_free(&interner);
}

static void test_called(void)
{
    struct gp_interner interner = {0};
    struct gp_names names = {0};
    struct gp_statement *a = intern(&interner, "a"), *b = intern(&interner, "b");
    const uint8_t *name;
    size_t len;

    CHECK(!gp_names_called(&names, (const uint8_t *)a->name, &name, &len));
    set(&names, &interner, "mine", a);
    set(&names, &interner, "", b);
    CHECK(gp_names_called(&names, (const uint8_t *)a->name, &name, &len));
    CHECK_EQ(len, 4);
    CHECK_MEM(name, "mine", len);
    CHECK(gp_names_called(&names, (const uint8_t *)b->name, &name, &len));
    CHECK_EQ(len, 0);
    gp_statement_release(&interner, a);
    gp_statement_release(&interner, b);
    gp_names_clear(&names, &interner);
    gp_interner_free(&interner);
}

/* ---- what a server holds ---- */

#define NUMBERS 400u /* identities that the random operations choose from */

struct model {
    struct gp_sid ids[NUMBERS];
    bool held[NUMBERS];
    uint32_t count;
};

/* Room for the largest holding, which ends where a guard page begins. */
static struct gp_holding *make_holding(struct guard *room)
{
    size_t bytes = gp_holding_bytes(GP_HOLDING_PLACES / 2);
    uint8_t *zeroes = calloc(1, bytes);

    CHECK(zeroes != NULL);
    *room = guard_copy(zeroes, bytes);
    free(zeroes);
    return (struct gp_holding *)(void *)room->at;
}

static void check_same(struct gp_holding *holding, const struct model *model)
{
    CHECK_EQ(holding->count, model->count);
    CHECK(holding->cap == 0 || holding->count <= holding->cap / 2 + 1);
    for (uint32_t number = 0; number < NUMBERS; number++) {
        /* gp_holding_has marks what it finds: look at a copy of the places instead. */
        bool found = false;
        for (uint32_t at = 0; at < holding->cap && !found; at++)
            found = holding->places[at].id.high == model->ids[number].high &&
                    (holding->places[at].id.low & ~1ull) == model->ids[number].low;
        CHECK_EQ(found, model->held[number]);
    }
}

static void model_set(struct model *model, uint32_t number, bool held)
{
    model->count += (uint32_t)held - (uint32_t)model->held[number];
    model->held[number] = held;
}

/* Make room and add, as a Parse does. */
static void add_within(struct gp_holding *holding, struct model *model, uint32_t number,
                       uint32_t bound)
{
    struct gp_sid evicted;
    uint32_t which = 0;

    if (!model->held[number] && gp_holding_evict(holding, bound, &evicted)) {
        while (which < NUMBERS && !gp_sid_same(model->ids[which], evicted))
            which++;
        CHECK(which < NUMBERS); /* an identity as it came in, without the clock's bit */
        CHECK(model->held[which]);
        model_set(model, which, false);
    }
    gp_holding_add(holding, model->ids[number]);
    model_set(model, number, true);
    CHECK(holding->count <= bound);
}

/* Identities are drawn so that half of them want one of a few neighbouring places, also across the
 * end of the table: chains of probing are long, and deletions move what lies behind. */
static void run_like_the_model(uint32_t bound)
{
    struct model model = {.count = 0};
    struct guard room;
    struct gp_holding *holding = make_holding(&room);

    for (uint32_t number = 0; number < NUMBERS; number++) {
        model.ids[number] = sid_number(number);
        if (number % 2)
            model.ids[number].high = (model.ids[number].high & ~0xffffull) | (0xfffeu + number % 5);
    }
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t number = random_below(NUMBERS);
        switch (random_below(8)) {
        case 0:
        case 1:
        case 2:
            add_within(holding, &model, number, bound);
            break;
        case 3:
            gp_holding_remove(holding, model.ids[number]);
            model_set(&model, number, false);
            break;
        default:
            CHECK_EQ(gp_holding_has(holding, model.ids[number]), model.held[number]);
        }
        if (step % 200 == 0)
            check_same(holding, &model);
        if (step == 15000) {
            gp_holding_reset(holding);
            memset(model.held, 0, sizeof(model.held));
            model.count = 0;
        }
    }
    check_same(holding, &model);
    guard_free(&room);
}

static void test_holding_like_the_model(void)
{
    static const uint32_t bounds[] = {1, 2, 3, 31, 32, 33, 64, 100, 300, NUMBERS};

    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        run_like_the_model(bounds[i]);
}

static void test_holding_evicts_nothing_while_there_is_room(void)
{
    struct guard room;
    struct gp_holding *holding = make_holding(&room);
    struct gp_sid evicted;

    CHECK(!gp_holding_evict(holding, 10, &evicted));
    CHECK(!gp_holding_evict(holding, 0, &evicted)); /* empty: there is nothing to take */
    for (uint32_t number = 0; number < 9; number++)
        gp_holding_add(holding, sid_number(number));
    CHECK(!gp_holding_evict(holding, 10, &evicted));
    gp_holding_add(holding, sid_number(9));
    gp_holding_add(holding, sid_number(9)); /* the same once more: no second place */
    CHECK_EQ(holding->count, 10);
    CHECK(gp_holding_evict(holding, 10, &evicted));
    CHECK_EQ(holding->count, 9);
    guard_free(&room);
}

/* A statement that is used between two passes of the hand stays, whatever else comes and goes. */
static void test_clock_spares_what_is_used(void)
{
    const uint32_t bound = 50;
    struct guard room;
    struct gp_holding *holding = make_holding(&room);
    struct gp_sid favourite = sid_number(0), evicted;

    gp_holding_add(holding, favourite);
    for (uint32_t number = 1; number < 5000; number++) {
        CHECK(gp_holding_has(holding, favourite));
        if (gp_holding_evict(holding, bound, &evicted)) {
            CHECK(!gp_sid_same(evicted, favourite));
            CHECK(!gp_holding_has(holding, evicted));
        }
        gp_holding_add(holding, sid_number(number));
    }
    CHECK_EQ(holding->count, bound);
    guard_free(&room);
}

/* When all were used, the hand takes one in its second pass. */
static void test_clock_ends_when_all_are_used(void)
{
    struct guard room;
    struct gp_holding *holding = make_holding(&room);
    struct gp_sid evicted;

    for (uint32_t number = 0; number < 64; number++) {
        gp_holding_add(holding, sid_number(number));
        CHECK(gp_holding_has(holding, sid_number(number)));
    }
    for (uint32_t left = 64; left > 0; left--) {
        CHECK(gp_holding_evict(holding, 1, &evicted));
        CHECK_EQ(holding->count, left - 1);
    }
    CHECK(!gp_holding_evict(holding, 1, &evicted));
    guard_free(&room);
}

/* It used to grow beyond its room, into the next slot's, when one that it had was added again. */
static void test_holding_stays_in_its_room(void)
{
    const uint32_t most = GP_HOLDING_PLACES - 1;
    struct guard room;
    struct gp_holding *holding = make_holding(&room);

    CHECK_EQ(room.len, sizeof(*holding) + GP_HOLDING_PLACES * sizeof(struct gp_held));
    for (uint32_t number = 0; number < GP_HOLDING_PLACES + 100; number++) {
        gp_holding_add(holding, sid_number(number));
        gp_holding_add(holding, sid_number(number));
        CHECK_EQ(holding->count, number < most ? number + 1 : most);
        CHECK_EQ(gp_holding_has(holding, sid_number(number)), number < most);
    }
    CHECK_EQ(holding->cap, GP_HOLDING_PLACES);
    gp_holding_remove(holding, sid_number(7));
    CHECK(!gp_holding_has(holding, sid_number(7)));
    gp_holding_add(holding, sid_number(most));
    CHECK(gp_holding_has(holding, sid_number(most)));
    guard_free(&room);
}

/* A name is made of an identity and read back; nothing else is one. */
static void test_name_is_read_back(void)
{
    static const uint8_t key[GP_HASH_KEY_BYTES] = {7};
    char name[GP_SERVER_NAME_BYTES];
    struct gp_sid id, again;

    for (uint8_t i = 0; i < 200; i++) {
        id = gp_sid_make(key, 0, &i, 1);
        gp_sid_name(id, name);
        CHECK(gp_sid_of_name((uint8_t *)name, strlen(name), &again));
        CHECK(gp_sid_same(id, again));
    }
    CHECK(!gp_sid_of_name((uint8_t *)name, strlen(name) - 1, &again));
    name[5] = '-';
    CHECK(!gp_sid_of_name((uint8_t *)name, strlen(name), &again));
    CHECK(!gp_sid_of_name((const uint8_t *)"gzzzzzzzzzz_zzzzzzzzzz_", 23, &again));
    CHECK(!gp_sid_of_name((const uint8_t *)"hAAAAAAAAAAAAAAAAAAAAAA", 23, &again));
}

int main(void)
{
    RUN(test_name_is_read_back);
    RUN(test_identity_depends_on_everything);
    RUN(test_identity_depends_on_length);
    RUN(test_names_are_distinct_and_fit);
    RUN(test_clock_bit_is_free);
    RUN(test_interned_message);
    RUN(test_one_text_is_kept_once);
    RUN(test_idle_texts_are_bounded);
    RUN(test_names_set_replace_drop);
    RUN(test_names_grow_and_clear);
    RUN(test_called);
    RUN(test_holding_like_the_model);
    RUN(test_holding_evicts_nothing_while_there_is_room);
    RUN(test_clock_spares_what_is_used);
    RUN(test_clock_ends_when_all_are_used);
    RUN(test_holding_stays_in_its_room);
    return check_done();
}
