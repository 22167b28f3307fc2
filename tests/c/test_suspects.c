/* sources: @segment _cparser/suspects.c */
/* Lists of functions that change sessions in secret: which texts they fit, and that no worker takes
 * one for true that is void. */
#include "check.h"

#include "suspects.h"

#include "pool_fixture.h"

static struct gp_engine engines[2];
static uint32_t events;

void gp_event_push(struct gp_engine *e, enum gp_event_kind kind, uint32_t client, uint32_t at,
                   uint32_t slot, uint64_t detail)
{
    CHECK(e && kind == GP_EVENT_SUSPECTS && client == 0 && at == pool && slot == 0 && detail == 0);
    events++;
}

static void begin(void)
{
    setup();
    events = 0;
    for (uint32_t w = 0; w < 2; w++) {
        engines[w] = (struct gp_engine){.seg = seg, .worker = w};
        engines[w].suspects = calloc(seg->pools_max, sizeof(*engines[w].suspects));
        CHECK(engines[w].suspects);
    }
}

static void end(void)
{
    gp_suspects_free(&engines[0]);
    gp_suspects_free(&engines[1]);
    teardown();
}

static enum gp_result tell_as_of(uint32_t as_of, uint32_t flags, const char *words, uint32_t length,
                                 const char *names)
{
    return gp_suspects_tell(&engines[0], pool, as_of, flags, (const uint8_t *)words, length,
                            (const uint8_t *)names, (uint32_t)strlen(names));
}

/* words: with a comma between. */
static void tell(uint32_t flags, const char *words, const char *names)
{
    char list[256];
    uint32_t as_of;
    size_t len = strlen(words);

    CHECK(len < sizeof(list));
    for (size_t i = 0; i < len; i++)
        list[i] = words[i] == ',' ? '\0' : words[i];
    (void)gp_suspects_known(&engines[0], pool, &as_of);
    CHECK_EQ(tell_as_of(as_of, flags, list, (uint32_t)len, names), GP_OK);
}

static bool is_suspect(const char *text)
{
    struct guard copy = guard_copy(text, strlen(text));
    const struct gp_suspects *list = gp_suspects_of(&engines[1], pool);
    bool found = gp_suspects_in(list, copy.at, strlen(text));

    CHECK(list->active || !found);
    guard_free(&copy);
    return found;
}

static void test_words_are_found_as_identifiers(void)
{
    static const char *const texts[] = {
        "select f()", "select F ( )", "select \"f\"()",        "select a.f()",
        "f",          "call f",       "select 'f'::regproc",   "select 1 -- f",
        "(f)",        "f\n",          "select u&\"\\0066\"()", "select U&\"x\"()"};
    static const char *const others[] = {
        "select ff()", "select f1()",      "select _f()", "",
        "select",      "select u & \"x\"", "select g_f",  "select \xc3\xa4_f"};

    begin();
    tell(0, "f,other_name", "");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!is_suspect(texts[i]))
            fprintf(stderr, "in: %s\n", texts[i]);
        CHECK(is_suspect(texts[i]));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK(!is_suspect(others[i]));
    end();
}

static void test_names_of_more_than_one_word(void)
{
    begin();
    tell(0, "Two Words,a+b,$x", "");
    CHECK(is_suspect("select \"Two Words\"()") && is_suspect("two"));
    CHECK(!is_suspect("select words")); /* PostgreSQL cuts names at their ends */
    CHECK(is_suspect("select \"a+b\"()") && is_suspect("$x"));
    end();
}

static void test_name_that_postgresql_cuts(void)
{
    char name[64], text[80];

    memset(name, 'n', 63);
    name[63] = '\0';
    snprintf(text, sizeof(text), "%snnnn()", name);
    begin();
    tell(0, name, "");
    CHECK(is_suspect(name) && is_suspect(text));
    CHECK(!is_suspect(name + 1));
    end();
}

static void test_names_that_words_cannot_tell(void)
{
    begin();
    tell(0,
         "gr\xc3\xb6\xc3\x9f"
         "e,plain",
         "");
    CHECK(is_suspect("select Gr\xf6\xdf"
                     "e()")); /* in another encoding */
    CHECK(is_suspect("select plain") && !is_suspect("select 1"));
    tell(0, "+-+", "");
    CHECK(is_suspect("select 1"));
    tell(GP_SUSPECTS_ANY, "", "");
    CHECK(is_suspect(""));
    end();
}

static void test_every_text_is_suspect_until_there_is_a_list(void)
{
    uint32_t as_of;

    begin();
    CHECK(!gp_suspects_known(&engines[0], pool, &as_of));
    CHECK(is_suspect("select 1"));
    tell(0, "", "");
    CHECK(!is_suspect("select 1") && gp_suspects_known(&engines[1], pool, &as_of));
    CHECK(!gp_suspects_of(&engines[1], pool)->active);
    gp_suspects_redefined(&engines[1], pool);
    CHECK_EQ(events, 1);
    CHECK(is_suspect("select 1"));
    CHECK_EQ(tell_as_of(as_of, 0, "f", 1, ""), GP_OK); /* it was asked before */
    CHECK(is_suspect("select 1") && !gp_suspects_known(&engines[0], pool, &as_of));
    CHECK_EQ(tell_as_of(as_of, 0, "g", 1, ""), GP_OK);
    CHECK(!is_suspect("select f") && is_suspect("select g"));
    gp_pool_renew(seg, pool); /* other servers, perhaps of another database */
    CHECK(is_suspect("select 1"));
    end();
}

static void test_redefinition_is_for_all_pools_of_a_database(void)
{
    const uint8_t none[1] = {0};
    uint32_t same, other, as_of;

    begin();
    CHECK_EQ(
        gp_pool_define(seg, gp_common_pool_at(seg, pool)->database, "another", &settings, &same),
        GP_OK);
    CHECK_EQ(gp_pool_define(seg, "another", "another", &settings, &other), GP_OK);
    for (uint32_t each = pool; each <= other; each++)
        CHECK_EQ(gp_suspects_tell(&engines[0], each, 0, 0, none, 0, none, 0), GP_OK);
    gp_suspects_redefined(&engines[0], pool);
    CHECK(!gp_suspects_known(&engines[0], pool, &as_of));
    CHECK(!gp_suspects_known(&engines[0], same, &as_of));
    CHECK(gp_suspects_known(&engines[0], other, &as_of));
    end();
}

static void test_list_that_is_the_same_is_not_told_again(void)
{
    begin();
    tell(0, "f,g", ",app.x");
    uint64_t word = gp_suspects_word(&engines[0], pool);
    tell(0, "g,f,f", ",app.x");
    CHECK(gp_suspects_word(&engines[0], pool) == word);
    tell(0, "g,f,f", ",app.y");
    CHECK(gp_suspects_word(&engines[0], pool) != word);
    const struct gp_suspects *list = gp_suspects_of(&engines[1], pool);
    CHECK_EQ(list->names_length, 6);
    CHECK(memcmp(list->names, ",app.y", 6) == 0);
    end();
}

static void test_list_that_is_too_long_says_anything(void)
{
    static char words[4 * 4096];
    uint32_t length = 0;

    begin();
    for (uint32_t i = 0; i < 2500; i++)
        length += (uint32_t)snprintf(words + length, 7, "n%u", i) + 1;
    CHECK_EQ(tell_as_of(0, 0, words, length, ""), GP_OK);
    CHECK(is_suspect("select 1"));
    CHECK(gp_suspects_of(&engines[1], pool)->flags & GP_SUSPECTS_HIDE);
    end();
}

static void test_list_is_due_when_it_is_old_and_used(void)
{
    _Atomic uint64_t *count;
    const uint64_t hour = 3600000000000ull;

    begin();
    count = &gp_counters_of(&engines[0], pool)->xact_count;
    tell(0, "", "");
    CHECK(!gp_suspects_due(&engines[0], pool, 0)); /* nobody uses it */
    atomic_store(count, 5);
    CHECK(!gp_suspects_due(&engines[0], pool, 0)); /* it is new */
    CHECK(gp_suspects_due(&engines[0], pool, 0));
    CHECK(!gp_suspects_due(&engines[0], pool, 0)); /* not used since */
    atomic_store(count, 6);                        /* by the question itself */
    CHECK(!gp_suspects_due(&engines[0], pool, 0));
    atomic_store(count, 7);
    CHECK(gp_suspects_due(&engines[0], pool, hour));
    atomic_store(count, 9);
    CHECK(!gp_suspects_due(&engines[0], pool, 0)); /* not before it is old */
    gp_suspects_redefined(&engines[1], pool);
    CHECK(gp_suspects_due(&engines[0], pool, hour));
    end();
}

int main(void)
{
    RUN(test_words_are_found_as_identifiers);
    RUN(test_names_of_more_than_one_word);
    RUN(test_name_that_postgresql_cuts);
    RUN(test_names_that_words_cannot_tell);
    RUN(test_every_text_is_suspect_until_there_is_a_list);
    RUN(test_redefinition_is_for_all_pools_of_a_database);
    RUN(test_list_that_is_the_same_is_not_told_again);
    RUN(test_list_that_is_too_long_says_anything);
    RUN(test_list_is_due_when_it_is_old_and_used);
    return check_done();
}
