/* sources: _cparser/session.c */
/*
 * Hints of session state: a table of texts, then every text again with other words around it.
 */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "session.h"

struct example {
    const char *sql;
    uint8_t hints;
};

static const struct example examples[] = {
    {"", 0},
    {"select 1", 0},
    {"update t set a = 1", GP_HINT_SET}, /* the tag UPDATE then says that it is none */
    {"insert into settings values (1)", 0},
    {"SET work_mem = '1MB'", GP_HINT_SET},
    {"set\tsession work_mem to 1", GP_HINT_SET},
    {"SET LOCAL work_mem = '1MB'", 0},
    {"set  \n transaction isolation level serializable", 0},
    {"SET CONSTRAINTS ALL DEFERRED", 0},
    {"SET locale = 1", GP_HINT_SET},
    {"set", GP_HINT_SET},
    {"offset 3", 0},
    {"select set_config('a.b', 'c', false)", GP_HINT_ASK},
    {"select set_config('a.b', 'c', true)", 0},
    {"select set_config('a,b', f(1, (2)), true)", 0},
    {"select set_config ( 'a', 'it''s', true )", 0},
    {"select set_config('a', 'b', true), set_config('a', 'b', false)", GP_HINT_ASK},
    {"select set_config('a', 'b', $1)", GP_HINT_ASK},
    {"select set_config('a", GP_HINT_ASK},
    {"select set_config", GP_HINT_ASK},
    {"declare c cursor with hold for select 1", GP_HINT_HOLD},
    {"select household", 0},
    {"create temp table t()", GP_HINT_ASK},
    {"select 1 into TEMPORARY t", GP_HINT_ASK},
    {"select template", 0},
    {"select pg_advisory_lock(1)", GP_HINT_ASK},
    {"select pg_catalog.pg_try_advisory_lock_shared(1)", GP_HINT_ASK},
    {"select pg_advisory_xact_lock(1)", 0},
    {"select pg_try_advisory_xact_lock(1)", 0},
    {"create table pg_temp.t()", GP_HINT_ASK},
};

static void test_table(void)
{
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        size_t len = strlen(examples[i].sql);
        struct guard sql = guard_copy(examples[i].sql, len);
        uint8_t hints = gp_session_hints(sql.at, len);
        if (hints != examples[i].hints)
            fprintf(stderr, "%s\n", examples[i].sql);
        CHECK_EQ(hints, examples[i].hints);
        guard_free(&sql);
    }
}

static void test_table_in_company(void)
{
    char text[256];

    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        int len = snprintf(text, sizeof(text), "select 1;%s;commit", examples[i].sql);
        CHECK_EQ(gp_session_hints((const uint8_t *)text, (size_t)len) | examples[i].hints,
                 gp_session_hints((const uint8_t *)text, (size_t)len));
    }
}

/* Cut anywhere, a text is never read beyond its end. */
static void test_cut(void)
{
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
        for (size_t len = 0; len <= strlen(examples[i].sql); len++) {
            struct guard sql = guard_copy(examples[i].sql, len);
            (void)gp_session_hints(sql.at, len);
            guard_free(&sql);
        }
}

int main(void)
{
    RUN(test_table);
    RUN(test_table_in_company);
    RUN(test_cut);
    return check_done();
}
