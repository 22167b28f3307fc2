/* sources: @segment */
/* How many are in under one name or from one address, how often that may try; at the end with real
 * processes. */
#include "check.h"

#include "jitter.h"
#include "admission.c" /* with its races made likely */

#include "pool_fixture.h"

#include <sys/wait.h>

static uint32_t client_of(uint32_t worker, const char *user, const char *database)
{
    uint32_t client = gp_client_claim(seg, worker, false);
    struct gp_client_row *row = gp_client_at(seg, client);

    CHECK(client != GP_NO_CLIENT);
    snprintf(row->user, sizeof(row->user), "%s", user);
    snprintf(row->database, sizeof(row->database), "%s", database);
    return client;
}

static bool counts_are(uint32_t client, uint32_t user, uint32_t database, uint32_t both)
{
    struct gp_client_counts c;
    gp_client_counts(seg, client, &c);
    return c.user == user && c.database == database && c.both == both;
}

static void test_only_those_who_were_admitted_count(void)
{
    setup();
    uint32_t ann = client_of(0, "ann", "shop"), bob = client_of(1, "bob", "shop");
    uint32_t again = client_of(2, "ann", "till");
    gp_client_admit(seg, ann);
    CHECK(counts_are(ann, 1, 1, 1));
    gp_client_admit(seg, bob);
    gp_client_admit(seg, again);
    CHECK(counts_are(ann, 2, 2, 1));
    CHECK(counts_are(bob, 1, 2, 1));
    CHECK(counts_are(again, 2, 1, 1));
    gp_client_release(seg, again, 2);
    CHECK(counts_are(ann, 1, 2, 1));
    teardown();
}

static void test_the_dead_do_not_count(void)
{
    setup();
    uint32_t ann = client_of(0, "ann", "shop");
    gp_client_admit(seg, client_of(1, "ann", "shop"));
    gp_client_admit(seg, ann);
    CHECK(counts_are(ann, 2, 2, 2));
    gp_segment_reclaim(seg, 1);
    CHECK(counts_are(ann, 1, 1, 1));
    teardown();
}

static const uint8_t here[] = {10, 0, 0, 1}, there[] = {10, 0, 0, 2};

static void test_address_has_no_more_than_its_limit(void)
{
    setup();
    uint32_t first = client_of(0, "ann", "shop"), second = client_of(1, "bob", "till");
    uint32_t third = client_of(2, "ann", "shop");
    CHECK(gp_client_from(seg, first, here, 4, 2));
    CHECK(gp_client_from(seg, second, here, 4, 2));
    CHECK(!gp_client_from(seg, third, here, 4, 2));
    CHECK(gp_client_from(seg, third, here, 4, 0));
    CHECK(gp_client_from(seg, third, there, 4, 1));
    CHECK(gp_client_from(seg, first, here, 4, 2));
    gp_client_release(seg, second, 1);
    CHECK(gp_client_from(seg, third, here, 4, 2));
    teardown();
}

static void test_address_keeps_clients_that_move_and_loses_the_dead(void)
{
    setup();
    uint32_t moved = client_of(0, "ann", "shop"), other = client_of(2, "ann", "shop");
    CHECK(gp_client_from(seg, moved, here, 4, 1));
    uint64_t offer = gp_client_offer(seg, moved, 0, 1);
    CHECK(!gp_client_from(seg, other, here, 4, 1)); /* on its way it is somebody's still */
    CHECK(gp_client_adopt(seg, moved, offer));
    CHECK(!gp_client_from(seg, other, here, 4, 1));
    gp_segment_reclaim(seg, 0);
    CHECK(!gp_client_from(seg, other, here, 4, 1));
    gp_segment_reclaim(seg, 1);
    CHECK(gp_client_from(seg, other, here, 4, 1));
    teardown();
}

static void test_rate_is_a_second_s_worth_and_then_one_at_a_time(void)
{
    struct gp_rate_line line = {0};
    uint64_t now = 5000000;
    for (uint32_t i = 0; i < 4; i++)
        CHECK(rate_take(&line, 7, now, 4));
    CHECK(!rate_take(&line, 7, now, 4));
    CHECK(!rate_take(&line, 7, now + 249999, 4));
    CHECK(rate_take(&line, 7, now + 250000, 4));
    CHECK(!rate_take(&line, 7, now + 250000, 4));
    CHECK(rate_take(&line, 9, now, 4)); /* another address */
    for (uint32_t i = 0; i < 4; i++)
        CHECK(rate_take(&line, 7, now + 10000000, 4));
    CHECK(!rate_take(&line, 7, now + 10000000, 4));
}

static void test_full_line_forgets_who_is_free_first(void)
{
    struct gp_rate_line line = {0};
    uint64_t now = 5000000;
    for (uint64_t tag = 1; tag <= GP_RATE_WAYS; tag++)
        CHECK(rate_take(&line, tag, now + tag, 1));
    CHECK(rate_take(&line, 100, now + 20, 1)); /* in place of 1 */
    CHECK(!rate_take(&line, 100, now + 20, 1));
    CHECK(!rate_take(&line, 8, now + 20, 1));
    CHECK(rate_take(&line, 1, now + 20, 1)); /* forgotten; in place of 2 */
}

static void test_rates_of_the_segment(void)
{
    setup();
    CHECK(gp_login_allowed(seg, here, 4, 1));
    CHECK(!gp_login_allowed(seg, here, 4, 1));
    CHECK(gp_login_allowed(seg, there, 4, 1));
    CHECK(gp_login_allowed(seg, here, 4, 0));
    CHECK(gp_login_allowed(seg, here, 4, 2000000));
    teardown();
}

/* Processes take as much as they get; together it is not more than the rate. */
static void test_processes_share_one_rate(void)
{
    enum { CHILDREN = 4, RATE = 100, TRIES_EACH = 200 };
    pid_t pids[CHILDREN];
    struct gp_rate_line *line;
    uint32_t taken = 0;

    setup();
    line = gp_rate_line_at(seg, 5);
    for (uint32_t i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        CHECK(pids[i] != -1);
        if (pids[i] == 0) {
            uint32_t mine = 0;
            for (uint32_t t = 0; t < TRIES_EACH; t++)
                mine += rate_take(line, 7, 5000000, RATE);
            _exit((int)mine);
        }
    }
    for (uint32_t i = 0; i < CHILDREN; i++) {
        int status;
        CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
        CHECK(WIFEXITED(status));
        taken += (uint32_t)WEXITSTATUS(status);
    }
    CHECK_EQ(taken, RATE);
    teardown();
}

/* Each child takes places and keeps them; all that were given are there at the end. */
static void test_processes_share_one_address(void)
{
    enum { CHILDREN = 3, LIMIT = 4, TRIES_EACH = 20 };
    pid_t pids[CHILDREN];
    uint32_t given = 0;

    setup();
    for (uint32_t i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        CHECK(pids[i] != -1);
        if (pids[i] == 0) {
            uint32_t mine = 0;
            for (uint32_t t = 0; t < TRIES_EACH; t++) {
                uint32_t client = gp_client_claim(seg, i, false);
                if (client && gp_client_from(seg, client, here, 4, LIMIT))
                    mine++;
                else if (client)
                    gp_client_release(seg, client, i);
            }
            _exit((int)mine);
        }
    }
    for (uint32_t i = 0; i < CHILDREN; i++) {
        int status;
        CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
        CHECK(WIFEXITED(status));
        given += (uint32_t)WEXITSTATUS(status);
    }
    CHECK(given >= 1 && given <= LIMIT);
    teardown();
}

int main(void)
{
    RUN(test_only_those_who_were_admitted_count);
    RUN(test_the_dead_do_not_count);
    RUN(test_address_has_no_more_than_its_limit);
    RUN(test_address_keeps_clients_that_move_and_loses_the_dead);
    RUN(test_rate_is_a_second_s_worth_and_then_one_at_a_time);
    RUN(test_full_line_forgets_who_is_free_first);
    RUN(test_rates_of_the_segment);
    RUN(test_processes_share_one_rate);
    RUN(test_processes_share_one_address);
    return check_done();
}
