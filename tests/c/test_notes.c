/* sources: _cparser/pool.c _cparser/slot.c _cparser/segment.c _cparser/client_rows.c */
/* sources: _cparser/reclaim.c _cparser/rows.c _cparser/names.c _cparser/statements.c */
/* sources: _cparser/session.c _cparser/memory.c _cparser/mapping.c _cparser/outage.c */
/* sources: _cparser/database.c _cparser/coordinator.c _cparser/histogram.c */
/* What workers tell each other about a pool: written, read, wiped, and left by the dead in every
 * state. At the end real processes write, and are killed, while this one reads. */
#include "check.h"

#include "jitter.h"
#include "notes.c" /* with its races made likely */

#include "pool_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static uint8_t text[GP_SUSPECTS_BYTES];
static uint64_t version;
static const uint32_t longest[GP_NOTES] = {GP_WELCOME_BYTES, GP_KEYS_BYTES, GP_SUSPECTS_BYTES,
                                           GP_OUTAGE_BYTES};

static enum gp_result tell(uint32_t kind, uint32_t worker, const char *words)
{
    return gp_note_write(seg, pool, kind, worker, (const uint8_t *)words, (uint32_t)strlen(words));
}

static uint32_t hear(uint32_t kind)
{
    return gp_note_read(seg, pool, kind, text, longest[kind], &version);
}

static bool hears(uint32_t kind, const char *words)
{
    return hear(kind) == strlen(words) && memcmp(text, words, strlen(words)) == 0;
}

/* Whether nothing but zeroes is left in any copy. */
static bool is_blank(uint32_t kind)
{
    struct note n = note_at(seg, pool, kind);
    uint64_t left = 0;
    for (uint32_t i = 0; i < 2 * (1 + n.capacity / 8); i++)
        left |= atomic_load(&n.copies[i]);
    return left == 0;
}

/* Leave a note as a worker that was killed while it wrote. */
static void die_writing(uint32_t kind, uint32_t worker)
{
    struct note n = note_at(seg, pool, kind);
    uint64_t word = atomic_load(n.word);
    CHECK(word_swap(n, word, word | (worker + 1)));
    copy_fill(n, version_of(word) + 1, (const uint8_t *)"half a secr", 11);
}

static void test_what_one_writes_all_read(void)
{
    setup();
    for (uint32_t kind = 0; kind < GP_NOTES; kind++) {
        CHECK_EQ(hear(kind), 0);
        CHECK_EQ(version, 0);
        CHECK_EQ(tell(kind, 1, "TimeZone"), GP_OK);
        CHECK(hears(kind, "TimeZone"));
        CHECK_EQ(version, 1);
        CHECK_EQ(gp_note_version(seg, pool, kind), 1);
        CHECK_EQ(tell(kind, 2, ""), GP_OK);
        CHECK(hears(kind, ""));
        CHECK_EQ(version, 2);
    }
    teardown();
}

static void test_longest_text_fits_and_one_more_does_not(void)
{
    uint8_t *words = malloc(GP_SUSPECTS_BYTES + 1);
    setup();
    memset(words, 'x', GP_SUSPECTS_BYTES + 1);
    for (uint32_t kind = 0; kind < GP_NOTES; kind++) {
        CHECK_EQ(gp_note_write(seg, pool, kind, 0, words, longest[kind]), GP_OK);
        CHECK_EQ(gp_note_write(seg, pool, kind, 0, words, longest[kind] + 1), GP_EFULL);
        CHECK_EQ(hear(kind), longest[kind]);
        CHECK_MEM(text, words, longest[kind]);
        CHECK_EQ(version, 1);
    }
    CHECK_EQ(gp_note_read(seg, pool, GP_NOTE_KEYS, text, GP_KEYS_BYTES - 1, &version), 0);
    free(words);
    teardown();
}

static void test_nobody_writes_for_a_pool_that_is_none(void)
{
    setup();
    CHECK_EQ(gp_note_write(seg, 1, GP_NOTE_KEYS, 0, text, 4), GP_ENOENT);
    CHECK_EQ(gp_note_write(seg, pool, GP_NOTES, 0, text, 4), GP_ENOENT);
    CHECK_EQ(gp_note_write(seg, pool, GP_NOTE_KEYS, W, text, 4), GP_ENOENT);
    CHECK_EQ(gp_note_read(seg, 1, GP_NOTE_KEYS, text, GP_KEYS_BYTES, &version), 0);
    CHECK(version == GP_NOTE_UNREAD);
    CHECK(gp_note_version(seg, 1, GP_NOTE_KEYS) == GP_NOTE_UNREAD);
    teardown();
}

static void test_removed_and_renewed_pools_are_forgotten(void)
{
    uint32_t again;
    setup();
    for (uint32_t kind = 0; kind < GP_NOTES; kind++) {
        CHECK_EQ(tell(kind, 0, "first"), GP_OK);
        CHECK_EQ(tell(kind, 0, "second"), GP_OK);
    }
    gp_pool_renew(seg, pool);
    CHECK(is_blank(GP_NOTE_WELCOME) && is_blank(GP_NOTE_KEYS));
    CHECK(hears(GP_NOTE_KEYS, ""));
    CHECK_EQ(version, 3);
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "third"), GP_OK);
    CHECK_EQ(gp_pool_remove(seg, pool), GP_OK);
    CHECK(is_blank(GP_NOTE_KEYS));
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "too late"), GP_ENOENT);
    CHECK(is_blank(GP_NOTE_KEYS));
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &again), GP_OK);
    CHECK_EQ(again, pool);
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "in time"), GP_OK);
    CHECK(hears(GP_NOTE_KEYS, "in time"));
    teardown();
}

static void test_note_of_a_dead_writer_is_read_and_after_reclaim_written(void)
{
    setup();
    CHECK_EQ(tell(GP_NOTE_KEYS, 1, "old"), GP_OK);
    die_writing(GP_NOTE_KEYS, 1);
    CHECK(hears(GP_NOTE_KEYS, "old"));
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "new"), GP_AGAIN);
    gp_segment_reclaim(seg, 2); /* another one */
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "new"), GP_AGAIN);
    gp_segment_reclaim(seg, 1);
    CHECK(hears(GP_NOTE_KEYS, "old"));
    CHECK(atomic_load(copy_of(note_at(seg, pool, GP_NOTE_KEYS), version + 1)) == 0);
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "new"), GP_OK);
    CHECK(hears(GP_NOTE_KEYS, "new"));
    teardown();
}

static void test_wipe_that_meets_a_writer_is_done_by_whoever_lets_go(void)
{
    struct note n;
    setup();
    CHECK_EQ(tell(GP_NOTE_KEYS, 1, "old"), GP_OK);
    die_writing(GP_NOTE_KEYS, 1);
    gp_pool_renew(seg, pool);
    CHECK(hears(GP_NOTE_KEYS, ""));
    CHECK(version == GP_NOTE_UNREAD);
    CHECK(!is_blank(GP_NOTE_KEYS));
    gp_segment_reclaim(seg, 1); /* it was dead */
    CHECK(is_blank(GP_NOTE_KEYS));
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "new"), GP_OK);

    die_writing(GP_NOTE_KEYS, 2);
    gp_pool_renew(seg, pool);
    n = note_at(seg, pool, GP_NOTE_KEYS); /* it was alive, and publishes */
    CHECK(!let_go(n, at_rest(3) | 3, at_rest(4)));
    CHECK(is_blank(GP_NOTE_KEYS));
    CHECK_EQ(tell(GP_NOTE_KEYS, 0, "newest"), GP_OK);
    CHECK(hears(GP_NOTE_KEYS, "newest"));
    teardown();
}

static void test_keys_are_on_pages_of_their_own_that_no_core_dump_has(void)
{
    char line[4096];
    unsigned long begin, end, here;
    bool inside = false, excluded = false;
    FILE *maps;
    setup();
    here = (unsigned long)note_at(seg, pool, GP_NOTE_KEYS).word;
    CHECK_EQ(seg->keys_off % (uint64_t)sysconf(_SC_PAGESIZE), 0);
    CHECK((char *)gp_common_pool_at(seg, seg->pools_max) <= (char *)seg + seg->keys_off);
    maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            inside = begin <= here && here < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            excluded = strstr(line, " dd") != NULL;
    }
    (void)fclose(maps);
    CHECK(excluded);
    teardown();
}

/* ---- real processes ---- */

enum { WRITES_NS = 2000000000, KILL_NS = 3000000 };

/* A text of which every byte follows from its first: a mixture of two is seen. */
static uint32_t text_make(uint8_t *words, uint32_t seed)
{
    uint32_t length = 1 + seed % 3000;
    memset(words, (uint8_t)seed, length);
    words[0] = (uint8_t)(length % 251);
    return length;
}

static bool text_is_whole(uint32_t length)
{
    for (uint32_t i = 2; i < length; i++)
        if (text[i] != text[1])
            return false;
    return length == 0 || text[0] == length % 251;
}

static pid_t writer_fork(uint32_t me)
{
    static uint8_t words[GP_WELCOME_BYTES];
    pid_t pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (uint32_t seed = (uint32_t)getpid();; seed = seed * 1664525u + 1013904223u) {
            uint32_t length = text_make(words, seed >> 8);
            (void)gp_note_write(seg, pool, GP_NOTE_WELCOME, me, words, length);
        }
    }
    return pid;
}

static void writer_bury(pid_t pid, uint32_t me)
{
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    gp_segment_reclaim(seg, me);
    gp_worker_born(seg, me, 1);
}

static void test_readers_see_whole_texts_whoever_is_killed(void)
{
    pid_t writers[2];
    uint64_t begin = gp_now_ns(), killed = begin, rounds = 0, last = 0, whole = 0;
    setup();
    for (uint32_t w = 0; w < 2; w++)
        writers[w] = writer_fork(w);
    for (uint64_t now = begin; now - begin < WRITES_NS; now = gp_now_ns()) {
        uint32_t length = hear(GP_NOTE_WELCOME);
        CHECK(text_is_whole(length));
        if (version != GP_NOTE_UNREAD) {
            CHECK(version >= last);
            last = version;
            whole += length != 0;
        }
        if (now - killed < KILL_NS)
            continue;
        killed = now;
        writer_bury(writers[rounds % 2], (uint32_t)rounds % 2);
        writers[rounds % 2] = writer_fork((uint32_t)rounds % 2);
        if (rounds++ % 8 == 0)
            gp_pool_renew(seg, pool);
    }
    for (uint32_t w = 0; w < 2; w++)
        writer_bury(writers[w], w);
    CHECK(whole > 100);
    CHECK_EQ(tell(GP_NOTE_WELCOME, 2, "after all"), GP_OK);
    CHECK(hears(GP_NOTE_WELCOME, "after all"));
    teardown();
}

int main(void)
{
    RUN(test_what_one_writes_all_read);
    RUN(test_longest_text_fits_and_one_more_does_not);
    RUN(test_nobody_writes_for_a_pool_that_is_none);
    RUN(test_removed_and_renewed_pools_are_forgotten);
    RUN(test_note_of_a_dead_writer_is_read_and_after_reclaim_written);
    RUN(test_wipe_that_meets_a_writer_is_done_by_whoever_lets_go);
    RUN(test_keys_are_on_pages_of_their_own_that_no_core_dump_has);
    RUN(test_readers_see_whole_texts_whoever_is_killed);
    return check_done();
}
