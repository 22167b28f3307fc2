/* sources: @segment */
/* The chronicle: what is written can be read until as many others have followed, in whatever state
 * others were killed. At the end real processes write and are killed while this one reads. */
#include "check.h"

#include "chronicle.c" /* with its lines in reach */

#include "pool_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static struct gp_chronicle_row row;

static void tell(uint32_t kind, const char *words)
{
    gp_chronicle_add(seg, kind, 1, (const uint8_t *)words, (uint32_t)strlen(words));
}

static bool tells(uint64_t number, const char *words)
{
    return gp_chronicle_row(seg, number, &row) == GP_OK && row.number == number &&
           row.length == strlen(words) && memcmp(row.text, words, row.length) == 0;
}

static void test_what_is_told_can_be_read(void)
{
    setup();
    CHECK_EQ(gp_chronicle_end(seg), 0);
    CHECK_EQ(gp_chronicle_row(seg, 0, &row), GP_ENOENT);
    CHECK_EQ(gp_chronicle_row(seg, 1, &row), GP_ENOENT);
    tell(3, "first");
    tell(5, "");
    CHECK_EQ(gp_chronicle_end(seg), 2);
    CHECK(tells(1, "first"));
    CHECK_EQ(row.kind, 3);
    CHECK_EQ(row.worker, 1);
    CHECK_EQ(row.pid, getpid());
    CHECK(row.at_ns > 0 && row.at_ns <= gp_now_ns());
    CHECK(tells(2, ""));
    CHECK_EQ(gp_chronicle_count(seg, 3), 1);
    CHECK_EQ(gp_chronicle_count(seg, 4), 0);
    teardown();
}

static void test_the_last_ones_are_kept(void)
{
    setup();
    for (unsigned i = 0; i < GP_CHRONICLE_KEPT + 3; i++)
        tell(0, "again");
    CHECK_EQ(gp_chronicle_end(seg), GP_CHRONICLE_KEPT + 3);
    CHECK_EQ(gp_chronicle_row(seg, 3, &row), GP_ENOENT);
    CHECK(tells(4, "again"));
    CHECK(tells(GP_CHRONICLE_KEPT + 3, "again"));
    CHECK_EQ(gp_chronicle_row(seg, GP_CHRONICLE_KEPT + 4, &row), GP_ENOENT);
    CHECK_EQ(gp_chronicle_count(seg, 0), GP_CHRONICLE_KEPT + 3);
    teardown();
}

static void test_nonsense_is_cut_or_left_out(void)
{
    static uint8_t text[GP_CHRONICLE_BYTES + 9];

    setup();
    memset(text, 'x', sizeof(text));
    gp_chronicle_add(seg, 0, GP_ALL, text, sizeof(text));
    CHECK_EQ(gp_chronicle_row(seg, 1, &row), GP_OK);
    CHECK_EQ(row.length, GP_CHRONICLE_BYTES);
    CHECK_EQ(row.worker, GP_ALL);
    tell(GP_CHRONICLE_KINDS, "no such kind");
    CHECK_EQ(gp_chronicle_end(seg), 1);
    CHECK_EQ(gp_chronicle_count(seg, GP_CHRONICLE_KINDS), 0);
    teardown();
}

static void test_a_line_that_is_not_whole_is_left_out(void)
{
    setup();
    tell(0, "whole");
    struct gp_chronicle_line *line = line_of(chronicle_of(seg), 1);
    line->row.text[0] ^= 1; /* by one who slept, or has not come to an end */
    CHECK_EQ(gp_chronicle_row(seg, 1, &row), GP_ENOENT);
    line->row.text[0] ^= 1;
    CHECK(tells(1, "whole"));
    line->row.length = UINT32_MAX;
    CHECK_EQ(gp_chronicle_row(seg, 1, &row), GP_ENOENT);
    teardown();
}

static pid_t fork_writer(uint32_t kind)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        uint8_t text[200];
        memset(text, (int)('a' + kind), sizeof(text));
        gp_chronicle_add(seg, kind, kind, text, sizeof(text));
    }
}

/* Whatever can be read was written by one and all of it. */
static void check_rows(void)
{
    uint64_t end = gp_chronicle_end(seg);

    for (uint64_t n = end > GP_CHRONICLE_KEPT ? end - GP_CHRONICLE_KEPT + 1 : 1; n <= end; n++) {
        if (gp_chronicle_row(seg, n, &row) != GP_OK)
            continue;
        CHECK_EQ(row.worker, row.kind);
        CHECK_EQ(row.length, 200);
        for (uint32_t i = 0; i < row.length; i++)
            CHECK_EQ(row.text[i], 'a' + row.kind);
    }
}

static void test_processes_write_and_die(void)
{
    setup();
    for (unsigned round = 0; round < 10; round++) {
        pid_t writers[3];
        uint64_t begun = gp_chronicle_end(seg);
        for (uint32_t i = 0; i < 3; i++)
            CHECK((writers[i] = fork_writer(i)) > 0);
        while (gp_chronicle_end(seg) < begun + 5000)
            check_rows();
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_EQ(kill(writers[i], SIGKILL), 0);
            CHECK_EQ(waitpid(writers[i], NULL, 0), writers[i]);
        }
        tell(9, "after them");
        CHECK(tells(gp_chronicle_end(seg), "after them"));
        for (unsigned i = 0; i < GP_CHRONICLE_KEPT; i++)
            tell(9, "and so on");
        for (uint64_t n = gp_chronicle_end(seg); n > gp_chronicle_end(seg) - GP_CHRONICLE_KEPT; n--)
            CHECK(tells(n, "and so on"));                  /* nothing of them is left */
        for (unsigned i = 0; i < GP_CHRONICLE_KEPT; i++) { /* as check_rows wants them */
            uint8_t text[200];
            memset(text, 'a' + 9, sizeof(text));
            gp_chronicle_add(seg, 9, 9, text, sizeof(text));
        }
    }
    teardown();
}

int main(void)
{
    RUN(test_what_is_told_can_be_read);
    RUN(test_the_last_ones_are_kept);
    RUN(test_nonsense_is_cut_or_left_out);
    RUN(test_a_line_that_is_not_whole_is_left_out);
    RUN(test_processes_write_and_die);
    return check_done();
}
