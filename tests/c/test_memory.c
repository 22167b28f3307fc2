/* sources: @segment _cparser/buffer.c */
/*
 * max_memory_usage: what is granted never exceeds it, however many workers ask at once; the last
 * eighth is for small things; nothing is lost with a dead worker.
 */
#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../_cparser/buffer.h"
#include "../../_cparser/memory.h"
#include "../../_cparser/pool.h"
#include "../../_cparser/statements.h"

#define LIMIT   (8u << 20)
#define WORKERS 4u
#define TURNS   30000

static struct gp_segment *seg;

static void begin(uint64_t limit)
{
    seg = gp_segment_create(WORKERS, 4, 8);
    CHECK(seg != NULL);
    gp_segment_bound_memory(seg, limit);
    for (uint32_t worker = 0; worker < WORKERS; worker++)
        gp_worker_born(seg, worker, (uint32_t)getpid());
    gp_memory_join(seg, 0);
}

static void end(void)
{
    gp_memory_part();
    gp_segment_destroy(seg);
}

static bool ask(size_t bytes)
{
    return gp_memory_take(GP_MEMORY_BUFFERS, bytes, GP_ASK);
}

static void test_a_process_alone_has_no_limit(void)
{
    CHECK(ask(1ull << 50));
    gp_memory_give(GP_MEMORY_BUFFERS, 1ull << 50);
    CHECK_EQ(gp_memory_look(), GP_MEMORY_EASY);
}

static void test_no_limit(void)
{
    begin(0);
    CHECK(ask(1ull << 50));
    CHECK_EQ(gp_memory_held(seg), 1ull << 50);
    CHECK_EQ(gp_memory_look(), GP_MEMORY_EASY);
    gp_memory_give(GP_MEMORY_BUFFERS, 1ull << 50);
    CHECK_EQ(gp_memory_held(seg), 0);
    end();
}

/* Each level, by what is held; and what it allows. */
static void test_levels(void)
{
    static const struct {
        uint64_t held;
        enum gp_memory_level level;
    } cases[] = {
        {LIMIT / 4 * 3 - 1, GP_MEMORY_EASY},   {LIMIT / 4 * 3, GP_MEMORY_TIGHT},
        {LIMIT / 8 * 7 - 1, GP_MEMORY_TIGHT},  {LIMIT / 8 * 7, GP_MEMORY_SCARCE},
        {LIMIT - 1, GP_MEMORY_SCARCE},         {LIMIT, GP_MEMORY_FULL},
        {(uint64_t)LIMIT * 2, GP_MEMORY_FULL},
    };

    begin(LIMIT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool easy = cases[i].level == GP_MEMORY_EASY;
        CHECK(gp_memory_take(GP_MEMORY_STATES, cases[i].held, GP_INSIST));
        CHECK_EQ(gp_memory_look(), cases[i].level);
        CHECK_EQ(gp_memory_rules.read_bytes, easy ? 65536 : 4096);
        CHECK_EQ(gp_memory_rules.replies, easy ? 65536 : 256);
        gp_memory_give(GP_MEMORY_STATES, cases[i].held);
    }
    CHECK_EQ(gp_memory_look(), GP_MEMORY_EASY);
    CHECK_EQ(gp_memory_rules.read_bytes, 65536);
    end();
}

static void test_the_last_eighth_is_for_little(void)
{
    begin(LIMIT);
    CHECK(ask(LIMIT / 8 * 7));
    CHECK(!ask(GP_MEMORY_SMALL + 1));
    CHECK_EQ(gp_memory_held(seg), LIMIT / 8 * 7); /* a refusal changes nothing */
    for (uint32_t left = LIMIT / 8; left != 0; left -= GP_MEMORY_SMALL)
        CHECK(ask(GP_MEMORY_SMALL));
    CHECK(!ask(1));
    CHECK(gp_memory_take(GP_MEMORY_BUFFERS, 100, GP_INSIST));
    CHECK_EQ(gp_memory_held(seg), LIMIT + 100);
    struct gp_worker_row row;
    CHECK_EQ(gp_worker_row(seg, 0, &row), GP_OK);
    CHECK_EQ(row.memory_refusals, 2);
    CHECK_EQ(row.memory_bytes[GP_MEMORY_BUFFERS], LIMIT + 100);
    gp_memory_give(GP_MEMORY_BUFFERS, LIMIT + 100);
    end();
}

/* What others hold counts; what a dead one held does not. */
static void test_over_all_workers(void)
{
    begin(LIMIT);
    gp_memory_part();
    gp_memory_join(seg, 1);
    CHECK(ask(LIMIT / 2));
    gp_memory_part(); /* killed: its words stay */
    gp_memory_give(GP_MEMORY_BUFFERS, LIMIT / 2);
    gp_memory_join(seg, 0);
    CHECK_EQ(gp_memory_held(seg), LIMIT / 2);
    CHECK(!ask(LIMIT / 2));
    gp_segment_reclaim(seg, 1);
    CHECK_EQ(gp_memory_held(seg), 0);
    gp_worker_born(seg, 1, (uint32_t)getpid());
    CHECK_EQ(gp_memory_held(seg), 0);
    CHECK(ask(LIMIT / 2));
    gp_memory_give(GP_MEMORY_BUFFERS, LIMIT / 2);
    end();
}

/* Whoever is granted room says so in `granted`, and never is more said than the limit. */
static void hammer(uint32_t worker, _Atomic uint64_t *granted)
{
    static size_t held[64];
    uint32_t seed = worker * 7919u + 1;

    gp_memory_join(seg, worker);
    for (int turn = 0; turn < TURNS; turn++) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        size_t *mine = &held[seed % 64];
        size_t bytes = (seed >> 7) % (seed & 64 ? 600000 : 2000) + 1;
        if (*mine) {
            atomic_fetch_sub(granted, *mine);
            gp_memory_give(GP_MEMORY_BUFFERS, *mine);
            *mine = 0;
        } else if (ask(bytes)) {
            *mine = bytes;
            CHECK(atomic_fetch_add(granted, bytes) + bytes <= LIMIT);
        }
    }
    _exit(check_done());
}

static void test_never_above_whoever_asks(void)
{
    _Atomic uint64_t *granted =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t refusals = 0;

    CHECK(granted != MAP_FAILED);
    begin(LIMIT);
    gp_memory_part();
    for (uint32_t worker = 0; worker < WORKERS; worker++) {
        pid_t pid = fork();
        CHECK(pid != -1);
        if (pid == 0)
            hammer(worker, granted);
    }
    for (uint32_t worker = 0; worker < WORKERS; worker++) {
        int status;
        CHECK(wait(&status) != -1);
        CHECK_EQ(status, 0);
    }
    for (uint32_t worker = 0; worker < WORKERS; worker++) {
        struct gp_worker_row row;
        CHECK_EQ(gp_worker_row(seg, worker, &row), GP_OK);
        refusals += row.memory_refusals;
    }
    CHECK(refusals > 0);
    CHECK_EQ(gp_memory_held(seg), *granted);
    munmap((void *)granted, 4096);
    end();
}

/* ---- who asks ---- */

static void test_a_buffer_that_may_not_grow_is_as_it_was(void)
{
    static uint8_t bytes[LIMIT / 2];
    struct gp_buffer *buffer = NULL;

    begin(LIMIT);
    CHECK(gp_buffer_append(&buffer, bytes, 3 << 20));
    CHECK(gp_buffer_append(&buffer, bytes, 3 << 20)); /* in place: never both at once */
    CHECK_EQ(gp_memory_held(seg), gp_buffer_cap(buffer));
    CHECK(!gp_buffer_append(&buffer, bytes, 3 << 20));
    CHECK_EQ(gp_buffer_len(buffer), 6 << 20);
    CHECK(gp_buffer_insist(&buffer, bytes, 3 << 20));
    CHECK_EQ(gp_buffer_len(buffer), 9 << 20);
    gp_buffer_free(&buffer);
    CHECK_EQ(gp_memory_held(seg), 0);
    end();
}

/* Texts that nobody refers to make room for others. */
static void test_idle_statements_go_first(void)
{
    static uint8_t text[1 << 20];
    struct gp_interner interner = {0};
    struct gp_sid id = {.high = 1};

    begin(LIMIT);
    for (id.low = 2; id.low < 20; id.low += 2)
        gp_statement_release(&interner,
                             gp_statement_intern(&interner, id, text, sizeof(text), GP_ASK));
    CHECK(gp_memory_held(seg) <= LIMIT);
    struct gp_statement *used[8];
    uint32_t count = 0;
    for (id.high = 3; count < 8; id.high++) {
        used[count] = gp_statement_intern(&interner, id, text, sizeof(text), GP_ASK);
        if (!used[count])
            break;
        count++;
    }
    CHECK_EQ(count, 6); /* seven eighths, and each is a little longer than its text */
    CHECK_EQ(interner.idle, 0);
    while (count)
        gp_statement_release(&interner, used[--count]);
    gp_interner_free(&interner);
    CHECK_EQ(gp_memory_held(seg), 0);
    end();
}

int main(void)
{
    RUN(test_a_process_alone_has_no_limit);
    RUN(test_no_limit);
    RUN(test_levels);
    RUN(test_the_last_eighth_is_for_little);
    RUN(test_over_all_workers);
    RUN(test_never_above_whoever_asks);
    RUN(test_a_buffer_that_may_not_grow_is_as_it_was);
    RUN(test_idle_statements_go_first);
    return check_done();
}
