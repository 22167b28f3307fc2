/* sources: _cparser/session.c */
/*
 * What a text tells about session state. Each text is scanned as it is, in capitals, and up to a
 * guard page; a hint too few would let one client's state reach the next.
 */
#include "check.h"
#include <ctype.h>
#include "../../_cparser/session.h"

struct expectation {
    const char *text;
    uint16_t hints;
};

static uint16_t hints_of(const char *text, size_t len)
{
    struct guard copy = guard_copy(text, len);
    uint16_t hints = gp_session_hints(copy.at, len);

    guard_free(&copy);
    return hints;
}

#define LEAVES                                                                                     \
    (GP_HINT_READS - 1) /* hints at what a text may leave behind; the others of parsing */

/* Cut anywhere, a text is never read beyond its end; among others, it tells no less than alone. */
static void check_cut_and_in_company(const char *text)
{
    char company[300];
    uint16_t alone = hints_of(text, strlen(text));
    int len = snprintf(company, sizeof(company), "select 1;%s;commit", text);

    for (size_t cut = 0; cut < strlen(text); cut++)
        (void)hints_of(text, cut);
    CHECK_EQ(hints_of(company, (size_t)len) & alone, alone);
}

static void check_all(const struct expectation *expected, size_t count, uint16_t mask)
{
    char capitals[256];

    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(expected[i].text);
        CHECK(len < sizeof(capitals));
        for (size_t at = 0; at < len; at++)
            capitals[at] = (char)toupper((unsigned char)expected[i].text[at]);
        if ((hints_of(expected[i].text, len) & mask) != expected[i].hints)
            fprintf(stderr, "in: %s\n", expected[i].text);
        CHECK_EQ(hints_of(expected[i].text, len) & mask, expected[i].hints);
        CHECK_EQ(hints_of(capitals, len) & mask, expected[i].hints);
        check_cut_and_in_company(expected[i].text);
    }
}

#define CHECK_ALL(table, mask) check_all((table), sizeof(table) / sizeof((table)[0]), (mask))

static void test_set(void)
{
    static const struct expectation expected[] = {
        {"set x = 1", GP_HINT_SET},
        {"set\tx to 1", GP_HINT_SET},
        {"begin; set x = 1; commit", GP_HINT_SET},
        {"/* why */set x = 1", GP_HINT_SET},
        {"set session x = 1", GP_HINT_SET},
        {"set session characteristics as transaction read only", GP_HINT_SET},
        {"set role app", GP_HINT_SET},
        {"update t set a = 1", GP_HINT_SET}, /* too often is allowed */
        {"set app.x = 1", GP_HINT_SET | GP_HINT_NAME},
        {"set session app.x to 1", GP_HINT_SET | GP_HINT_NAME},
        {"set session.x = 1", GP_HINT_SET | GP_HINT_NAME},
        {"set \"app.x\" = 1", GP_HINT_SET | GP_HINT_HIDDEN},
        {"set app/**/.x = 1", GP_HINT_SET | GP_HINT_HIDDEN},
        {"execute 'set ' || name", GP_HINT_SET | GP_HINT_HIDDEN},
        {"set session time zone 'a.b'", GP_HINT_SET},
        {"set", GP_HINT_SET},
        {"set local x = 1", 0},
        {"set \n local x = 1", 0},
        {"set transaction read only", 0},
        {"set constraints all deferred", 0},
        {"set local x = 1; set y = 2", GP_HINT_SET},
        {"set locality = 1", GP_HINT_SET},
        {"set local.x = 1", GP_HINT_SET | GP_HINT_NAME}, /* a parameter whose name begins so */
        {"set transaction . x = 1", GP_HINT_SET | GP_HINT_HIDDEN},
        {"set/**/local x = 1", GP_HINT_SET | GP_HINT_HIDDEN},
        {"offset 3", 0},
        {"insert into settings values (1)", 0},
        {"settle", 0},
        {"reset_x", 0},
        {"_set x", 0},
    };

    CHECK_ALL(expected, LEAVES);
}

static void test_set_config(void)
{
    static const struct expectation expected[] = {
        {"select set_config('x', 'y', false)", GP_HINT_CONFIG},
        {"select set_config('app.x', 'y', false)", GP_HINT_CONFIG | GP_HINT_NAME},
        {"select set_config('app' || x, 'y', false)", GP_HINT_CONFIG | GP_HINT_HIDDEN},
        {"update pg_settings set setting = 1", GP_HINT_CONFIG | GP_HINT_SET},
        {"select set_config($1, $2, $3)", GP_HINT_CONFIG | GP_HINT_HIDDEN},
        {"select pg_catalog.set_config('x', 'y', false)", GP_HINT_CONFIG},
        {"select \"set_config\"('x', 'y', true)", GP_HINT_CONFIG | GP_HINT_HIDDEN},
        {"select set_config", GP_HINT_CONFIG | GP_HINT_HIDDEN},
        {"select set_config('x', 'y', true", GP_HINT_CONFIG},
        {"select set_config('x', 'y', true)", 0},
        {"select set_config ( 'x' , $1 , true ) from t", 0},
        {"select set_config('x', concat('a', 'b', ')'), true)", 0},
        {"select set_config('x', 'it''s', true)", 0},
        {"select set_config('a', 'b', true), set_config('c', 'd', false)", GP_HINT_CONFIG},
        {"select set_config('x', 'y', true and false)", GP_HINT_CONFIG},
        {"select set_config('x', 'y', true = false)", GP_HINT_CONFIG},
        {"select set_config('x', e'\\',true)', false)", GP_HINT_CONFIG},
        {"select set_config('x', $$,true)$$, false)", GP_HINT_CONFIG},
        {"select set_config('x', $q$,true)$q$, false)", GP_HINT_CONFIG},
        {"select set_config('x', 'y' /* ,true) */, false)", GP_HINT_CONFIG},
        {"select set_config('x', \"a,true)\", false)", GP_HINT_CONFIG},
        {"select set_config('x', 'y' -- ,true)\n, false)", GP_HINT_CONFIG},
        {"select my_set_config('x', 'y', false)", 0},
    };

    CHECK_ALL(expected, LEAVES);
}

static void test_held_cursors_temporary_objects_locks(void)
{
    static const struct expectation expected[] = {
        {"declare c cursor with hold for select 1", GP_HINT_HOLD},
        {"declare c cursor for select 1", 0},
        {"select holding, threshold, household from t", 0},
        {"create temp table t (a int)", GP_HINT_TEMP},
        {"create local temporary view v as select 1", GP_HINT_TEMP},
        {"select 1 into temp t", GP_HINT_TEMP},
        {"create table pg_temp.t (a int)", GP_HINT_TEMP},
        {"create table pg_temp_3.t (a int)", GP_HINT_TEMP},
        {"select template, contemporary from t", 0},
        {"select pg_advisory_lock(1)", GP_HINT_LOCK},
        {"select pg_try_advisory_lock_shared(1)", GP_HINT_LOCK},
        {"select pg_advisory_unlock_all()", GP_HINT_LOCK},
        {"select pg_advisory_xact_lock(1)", 0},
        {"select pg_try_advisory_xact_lock_shared(1)", 0},
        {"select pg_advisory_xact_lock(1), pg_advisory_lock(2)", GP_HINT_LOCK},
        {"create temp table t (a int); set x = 1", GP_HINT_TEMP | GP_HINT_SET},
        {"select 1", 0},
        {"", 0},
    };

    CHECK_ALL(expected, LEAVES);
}

/* What changes how later texts of the transaction are parsed. */
static void test_reads(void)
{
    static const struct expectation expected[] = {
        {"set search_path = x", GP_HINT_READS},
        {"set local search_path to x", GP_HINT_READS},
        {" /* ; */ -- set\n set session\ttimezone = x", GP_HINT_READS},
        {"select 1;set DateStyle = x", GP_HINT_READS},
        {"set time zone 'UTC'", GP_HINT_READS},
        {"set local session authorization x", GP_HINT_READS},
        {"set names 'utf8'; set schema 'x'; set xml option document", GP_HINT_READS},
        {"set role none", GP_HINT_READS},
        {"reset all", GP_HINT_READS},
        {"discard all", GP_HINT_READS},
        {"set \"role\" = x", GP_HINT_OWN},
        {"set/**/role = x", GP_HINT_OWN},
        {"do $$ begin end $$", GP_HINT_OWN},
        {"do $$ begin create function f() $$", GP_HINT_OWN | GP_HINT_DEFINES},
        {"do $$ begin execute 'alter view v' $$", GP_HINT_OWN | GP_HINT_DEFINES},
        {"do $$ begin recreate() $$", GP_HINT_OWN},
        {"create function f() as 'do'", 0},
        {"execute x", GP_HINT_OWN},
        {"select set_config('role', 'x', true)", GP_HINT_OWN},
        {"select set_config('role', 'x', false)", GP_HINT_OWN},
        {"select set_config($1, 'x', true)", GP_HINT_OWN},
        {"update pg_settings set setting = 1", GP_HINT_OWN},
        {"commit", GP_HINT_ENDS},
        {"select 1; rollback to a", GP_HINT_ENDS},
        {"prepare transaction 'x'", GP_HINT_ENDS},
        {"select set_config('app.x', 'x', true)", 0},
        {"set local app.role = x", 0},
        {"set local.role = x", 0},
        {"set work_mem = x", 0},
        {"set search_path_x = x", 0},
        {"update t set role = x, timezone = y", 0},
        {"insert into t values (1) on conflict do nothing", 0},
        {"select case when a then b end, 'reset', \"do\" from t", 0},
        {"begin", 0},
    };

    CHECK_ALL(expected, (uint16_t)(GP_HINT_READS | GP_HINT_OWN | GP_HINT_ENDS) | GP_HINT_DEFINES);
    CHECK(gp_session_reads((const uint8_t *)"TIMEZONE", 8));
    CHECK(!gp_session_reads((const uint8_t *)"timezones", 9));
}

/* Names that stand in the text are read; where a text may be put together, or where constants end
 * differently for different sessions, nothing is, and the client keeps its server. */
static void test_names(void)
{
    static const struct {
        const char *text, *list;
    } expected[] = {
        {"set app.x = 1", ",app.x"},
        {"SET SESSION App.X TO 'it''s'; set a.b.c=2", ",app.x,a.b.c"},
        {"select set_config('app.x', $1, false), set_config ( 'b._y1$' , e'\n', $2)",
         ",app.x,b._y1$"},
        {"select '\', 'set', \"'\", $$ '$$, $1; /* ' /* */ ' */ set app.x = 1 -- '", ""},
        {"select 'a\b', \"'\", $q$ '$q$, $1, a$b; /* ' /* */ ' */ set app.x = '1'", ",app.x"},
        {"-- it's\nset app.x = e'\\\\ '", ",app.x"},
        {"update t set a.b = 1", ",a.b"},
        {"set local app.x = 1; set app.y = 2", ",app.y"},
        {"set app.x = 'no end", ",app.x"},
        {"do $$ begin set app.x = 1; end $$", ""},
        {"do 'begin set app.x = 1; end'", ""},
        {"set app.y = '\\'; set app.x = 1", ""},
        {"set app.y = e'\\''; set app.x = 1; select '", ""},
        {"-- set app.x = 1", ""},
        {"set \"app\".x = 1", ""},
        {"set app.\"x\" = 1", ""},
        {"set app.x from current", ""},
        {"set app.x", ""},
        {"set app.1 = 1", ""},
        {"set app..x = 1", ""},
        {"set app.\xc3\xa9 = 1", ""},
        {"set app.x = 1; select set_config($1, $2, false)", ""},
        {"select set_config('app.x' || $1, '', false)", ""},
        {"select set_config('app.x'\n'y', '', false)", ""},
        {"select set_config(e'app.x', '', false)", ""},
        {"select set_config('app.x}', '', false)", ""},
        {"set a234567890123456789012345678901234567890123456789012345678901234.x = 1", ""},
    };
    uint8_t list[GP_SESSION_NAMES_MAX];

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const char *text = expected[i].text;
        struct guard copy = guard_copy(text, strlen(text));
        size_t len = gp_session_names(copy.at, strlen(text), list, sizeof(list));
        if (len != strlen(expected[i].list))
            fprintf(stderr, "in: %s\n", text);
        CHECK_EQ(len, strlen(expected[i].list));
        CHECK(memcmp(list, expected[i].list, len) == 0);
        CHECK_EQ(hints_of(text, strlen(text)) & (GP_HINT_NAME | GP_HINT_HIDDEN),
                 len ? GP_HINT_NAME : GP_HINT_HIDDEN);
        CHECK_EQ(gp_session_names(copy.at, strlen(text), list, len ? len - 1 : 0), 0);
        guard_free(&copy);
    }
}

static void test_sequences(void)
{
    static const struct expectation expected[] = {
        {"select lastval()", GP_HINT_DRAWN},
        {"select currval('a_id_seq')", GP_HINT_DRAWN},
        {"select pg_catalog.nextval('a_id_seq')", GP_HINT_DRAWS},
        {"select setval('a', 3), currval('a')", GP_HINT_DRAWS | GP_HINT_DRAWN},
        {"select nextvalue, lastvalue, current_value, setvalue", 0},
        {"insert into a values (default)", 0},
    };
    CHECK_ALL(expected, GP_HINT_DRAWS | GP_HINT_DRAWN);
}

/* Any text, also one with bytes that are none, is read to its end and no further. */
static void test_every_length(void)
{
    const char names[] =
        "set a.b = $q$ '' $q$ /* /* */ */; -- it's\n set_config('c.d' , e'f', 1) \"";
    const char text[] =
        "set local x; set_config('a', f(1), true) \xff hold temp pg_advisory_lock $";

    uint8_t list[GP_SESSION_NAMES_MAX];

    for (size_t len = 0; len < sizeof(names); len++) {
        struct guard copy = guard_copy(names, len);
        CHECK(gp_session_names(copy.at, len, list, sizeof(list)) <= sizeof(list));
        guard_free(&copy);
    }
    for (size_t len = 0; len < sizeof(text); len++)
        CHECK(hints_of(text, len) < 2 * GP_HINT_DRAWS);
    CHECK_EQ(hints_of(text, sizeof(text)), GP_HINT_HOLD | GP_HINT_TEMP | GP_HINT_LOCK);
}

int main(void)
{
    RUN(test_set);
    RUN(test_set_config);
    RUN(test_held_cursors_temporary_objects_locks);
    RUN(test_reads);
    RUN(test_names);
    RUN(test_sequences);
    RUN(test_every_length);
    return check_done();
}
