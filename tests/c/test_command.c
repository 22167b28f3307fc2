/* sources: _cparser/command.c */
/*
 * Which texts of simple queries are understood. What is taken for certain here is answered without
 * PostgreSQL, so a text too many is a wrong answer; tests/integration/test_deferred_begin.py shows
 * that PostgreSQL reads these texts the same way.
 */
#include <ctype.h>

#include "../../_cparser/command.h"
#include "check.h"

struct expectation {
    const char *text;
    enum gp_command_kind kind;
    uint8_t modes;
    const char *name;
};

static struct gp_command command_of(const char *text, size_t len)
{
    struct guard copy = guard_copy(text, len);
    struct gp_command command = gp_command_of(copy.at, len);

    guard_free(&copy);
    return command;
}

static void check_one(const struct expectation *want, const char *text)
{
    struct gp_command got = command_of(text, strlen(text));

    if (got.kind != want->kind || (got.kind != GP_COMMAND_OTHER && got.modes != want->modes))
        fprintf(stderr, "in: %s\n", text);
    CHECK_EQ(got.kind, want->kind);
    if (got.kind == GP_COMMAND_BEGIN || got.kind == GP_COMMAND_START_TRANSACTION)
        CHECK_EQ(got.modes, want->modes);
    if (want->name) {
        CHECK_EQ(got.name_len, strlen(want->name));
        CHECK(memcmp(got.name, want->name, got.name_len) == 0);
    }
}

static void check_all(const struct expectation *wanted, size_t count)
{
    char capitals[256];

    for (size_t i = 0; i < count; i++) {
        const char *text = wanted[i].text;
        check_one(&wanted[i], text);
        for (size_t at = 0; at <= strlen(text); at++)
            capitals[at] = (char)toupper((unsigned char)text[at]);
        if (!strchr(text, '"'))
            check_one(&wanted[i], capitals);
        for (size_t cut = 0; cut < strlen(text); cut++)
            (void)command_of(text, cut); /* never read beyond its end */
    }
}

#define CHECK_ALL(table) check_all((table), sizeof(table) / sizeof((table)[0]))

static void test_begin(void)
{
    static const struct expectation wanted[] = {
        {"begin", GP_COMMAND_BEGIN, GP_BEGIN_PLAIN, NULL},
        {"  begin work ; ;", GP_COMMAND_BEGIN, GP_BEGIN_PLAIN, NULL},
        {"/* app: /* 7 */ */ begin -- so\n transaction;", GP_COMMAND_BEGIN, GP_BEGIN_PLAIN, NULL},
        {"start transaction", GP_COMMAND_START_TRANSACTION, GP_BEGIN_PLAIN, NULL},
        {"begin read only", GP_COMMAND_BEGIN, GP_BEGIN_PLAIN | GP_BEGIN_READ_ONLY, NULL},
        {"begin transaction isolation level repeatable read, read only,not deferrable",
         GP_COMMAND_BEGIN,
         GP_BEGIN_PLAIN | GP_BEGIN_REPEATABLE_READ | GP_BEGIN_READ_ONLY | GP_BEGIN_NOT_DEFERRABLE,
         NULL},
        {"start transaction isolation level read committed isolation level read uncommitted",
         GP_COMMAND_START_TRANSACTION, GP_BEGIN_PLAIN | GP_BEGIN_READ_UNCOMMITTED, NULL},
        {"begin not deferrable deferrable", GP_COMMAND_BEGIN, GP_BEGIN_PLAIN | GP_BEGIN_DEFERRABLE,
         NULL},
    };

    CHECK_ALL(wanted);
}

static void test_ends(void)
{
    static const struct expectation wanted[] = {
        {"commit", GP_COMMAND_COMMIT, 0, NULL},
        {"commit work;", GP_COMMAND_COMMIT, 0, NULL},
        {"end transaction", GP_COMMAND_COMMIT, 0, NULL},
        {"rollback", GP_COMMAND_ROLLBACK, 0, NULL},
        {"abort work", GP_COMMAND_ROLLBACK, 0, NULL},
    };

    CHECK_ALL(wanted);
}

static void test_not_certain(void)
{
    static const struct expectation wanted[] = {
        {"", GP_COMMAND_OTHER, 0, NULL},
        {";", GP_COMMAND_OTHER, 0, NULL},
        {"beginning", GP_COMMAND_OTHER, 0, NULL},
        {"begin; select 1", GP_COMMAND_OTHER, 0, NULL},
        {"begin;;commit", GP_COMMAND_OTHER, 0, NULL},
        {"begin read write", GP_COMMAND_OTHER, 0, NULL},
        {"begin isolation level serializable", GP_COMMAND_OTHER, 0, NULL},
        {"begin isolation level", GP_COMMAND_OTHER, 0, NULL},
        {"begin , read only", GP_COMMAND_OTHER, 0, NULL},
        {"begin read only,", GP_COMMAND_OTHER, 0, NULL},
        {"begin work transaction", GP_COMMAND_OTHER, 0, NULL},
        {"begin /* no end", GP_COMMAND_OTHER, 0, NULL},
        {"begin atomic", GP_COMMAND_OTHER, 0, NULL},
        {"start work", GP_COMMAND_OTHER, 0, NULL},
        {"start", GP_COMMAND_OTHER, 0, NULL},
        {"select 1", GP_COMMAND_OTHER, 0, NULL},
        {"commit and chain", GP_COMMAND_OTHER, 0, NULL},
        {"commit prepared 'x'", GP_COMMAND_OTHER, 0, NULL},
        {"rollback to savepoint a", GP_COMMAND_OTHER, 0, NULL},
        {"rollback to a", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate all", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate prepare all", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate \"\"", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate \"a", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate 1a", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate a b", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate \xc3\xa4", GP_COMMAND_OTHER, 0, NULL},
        {"deallocate u&\"a\"", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint s", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint s;deallocate p;release t", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint s;deallocate p;release s2", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint s;deallocate p;rollback to s", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint s;deallocate p;", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint s;select 1;release s", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint \"s\";deallocate p;release \"s\"", GP_COMMAND_OTHER, 0, NULL},
        {"savepoint s;;release s", GP_COMMAND_OTHER, 0, NULL},
    };

    CHECK_ALL(wanted);
}

static void test_deallocate(void)
{
    static const struct expectation wanted[] = {
        {"deallocate pdo_stmt_00000001", GP_COMMAND_DEALLOCATE, 0, "pdo_stmt_00000001"},
        {"DEALLOCATE Mine;", GP_COMMAND_DEALLOCATE, 0, "mine"},
        {"deallocate prepare \"S_1\"", GP_COMMAND_DEALLOCATE, 0, "S_1"},
        {"deallocate \"a\"\"b\" ; ", GP_COMMAND_DEALLOCATE, 0, "a\"b"},
        {"deallocate prepare", GP_COMMAND_DEALLOCATE, 0, "prepare"},
        {"deallocate prepare ;", GP_COMMAND_DEALLOCATE, 0, "prepare"},
        {"savepoint s;deallocate \"P1\";release s", GP_COMMAND_DEALLOCATE, 0, "P1"},
        {" savepoint s1 ; deallocate p ; release s1 ; ", GP_COMMAND_DEALLOCATE, 0, "p"},
    };

    CHECK_ALL(wanted);
}

static void test_lengths(void)
{
    char text[GP_COMMAND_MAX + 2];
    uint8_t name[16 + GP_COMMAND_NAME];

    memset(text, ' ', sizeof(text));
    memcpy(text, "begin", 5);
    CHECK_EQ(gp_command_of((uint8_t *)text, GP_COMMAND_MAX).kind, GP_COMMAND_BEGIN);
    CHECK_EQ(gp_command_of((uint8_t *)text, GP_COMMAND_MAX + 1).kind, GP_COMMAND_OTHER);
    memset(name, 'n', sizeof(name));
    memcpy(name, "deallocate ", 11);
    CHECK_EQ(gp_command_of(name, 11 + GP_COMMAND_NAME).kind, GP_COMMAND_DEALLOCATE);
    CHECK_EQ(gp_command_of(name, 12 + GP_COMMAND_NAME).kind, GP_COMMAND_OTHER);
}

/* What is written is read again as the same. */
static void test_begin_text(void)
{
    char text[GP_BEGIN_TEXT];

    for (unsigned modes = GP_BEGIN_PLAIN; modes < 0x80; modes += 2) {
        unsigned levels = (modes >> 4 & 1) + (modes >> 5 & 1) + (modes >> 6 & 1);
        if (levels > 1 || (modes & 0x0c) == 0x0c)
            continue;
        size_t len = gp_begin_text((uint8_t)modes, text);
        CHECK(len < GP_BEGIN_TEXT);
        CHECK_EQ(gp_command_of((uint8_t *)text, len).kind, GP_COMMAND_BEGIN);
        CHECK_EQ(gp_command_of((uint8_t *)text, len).modes, modes);
    }
}

int main(void)
{
    RUN(test_begin);
    RUN(test_ends);
    RUN(test_not_certain);
    RUN(test_deallocate);
    RUN(test_lengths);
    RUN(test_begin_text);
    return check_done();
}
