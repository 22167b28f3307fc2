/* sources: @segment */
/* The limit of a database with real processes that open, move and close servers of three pools as
 * fast as they can, and are killed at any instruction. A server is open between its claim and the
 * moment at which its slot is FREE, so the slots in use are counted, and never are too many of them.
 *
 * POOL_STRESS_SECONDS (default 2) is the time of each test; a busy machine takes longer, for as many
 * servers as make it a stress. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "coordinator.h"

#include "check.h"

enum { WORKERS = 4, POOLS = 3, MAX = 5, RESERVE = 2, SIZE = 6, ENOUGH = 2000 };

struct truth {
    _Atomic uint32_t stop;
    _Atomic uint64_t opened, reserve, moved, denied;
};

static struct gp_segment *seg;
static struct truth *truth;

static uint32_t dice(uint32_t *seed, uint32_t sides)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % sides;
}

static struct gp_word word_of(uint32_t pool, uint32_t slot)
{
    return gp_word_unpack(atomic_load(&gp_slot_at(seg, pool, slot)->word));
}

/* ---- a worker ---- */

static void close_one(uint32_t me, uint32_t pool, uint32_t slot)
{
    if (gp_slot_closing(seg, pool, slot, me))
        gp_slot_free(seg, pool, slot, me);
}

static void reap(uint32_t me)
{
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        for (uint32_t slot = 0; slot < gp_slots_high(seg, pool); slot++) {
            struct gp_word w = word_of(pool, slot);
            if (w.state == GP_SLOT_REAP && w.worker == me)
                close_one(me, pool, slot);
        }
    }
}

static void open_one(uint32_t me, uint32_t *seed)
{
    uint32_t pool = dice(seed, POOLS);
    bool reserve = dice(seed, 4) == 0;
    uint32_t slot = reserve ? gp_pool_claim_reserve(seg, pool, me) : gp_pool_claim(seg, pool, me);

    if (slot == GP_NO_SLOT) {
        atomic_fetch_add(&truth->denied, 1);
        return;
    }
    atomic_fetch_add(&truth->opened, 1);
    atomic_fetch_add(&truth->reserve, reserve);
    if (dice(seed, 4) == 0) {
        gp_slot_free(seg, pool, slot, me); /* its login failed */
        return;
    }
    gp_slot_opened(seg, pool, slot, me, 1, NULL, 0, gp_now_ns(), 0);
}

/* Look at a server of this worker's: it moves to an ordinary place, or is closed. */
static void turn_one(uint32_t me, uint32_t *seed)
{
    uint32_t pool = dice(seed, POOLS), slot = dice(seed, SIZE);
    struct gp_word w = word_of(pool, slot);

    if (w.state != GP_SLOT_ACTIVE || w.worker != me)
        return;
    if (gp_database_standing(seg, pool, slot) != GP_STANDING_ORDINARY &&
        gp_database_settle(seg, pool, slot))
        atomic_fetch_add(&truth->moved, 1);
    else
        close_one(me, pool, slot);
}

static void worker_main(uint32_t me, uint32_t seed)
{
    gp_worker_born(seg, me, (uint32_t)getpid());
    while (!atomic_load(&truth->stop)) {
        reap(me);
        open_one(me, &seed);
        turn_one(me, &seed);
    }
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        for (uint32_t slot = 0; slot < SIZE; slot++) {
            if (word_of(pool, slot).worker == me)
                close_one(me, pool, slot);
        }
    }
    reap(me);
}

static pid_t worker_fork(uint32_t me)
{
    static uint32_t seed = 2463534242u;
    pid_t pid;

    seed = seed * 1664525u + 1013904223u;
    pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        worker_main(me, seed | 1);
        _exit(0);
    }
    return pid;
}

/* ---- who looks ---- */

/* Slots in use. A login that has claimed its slot and found no place for it is one of them for a
 * moment, so what is counted is looked at again: a slot that has stayed the same all the while. */
static uint32_t servers_count(void)
{
    uint64_t before[POOLS][SIZE];
    uint32_t count = 0;

    for (uint32_t pool = 0; pool < POOLS; pool++)
        for (uint32_t slot = 0; slot < SIZE; slot++)
            before[pool][slot] = atomic_load(&gp_slot_at(seg, pool, slot)->word);
    for (uint32_t pool = 0; pool < POOLS; pool++)
        for (uint32_t slot = 0; slot < SIZE; slot++)
            count += gp_word_unpack(before[pool][slot]).state == GP_SLOT_ACTIVE &&
                     atomic_load(&gp_slot_at(seg, pool, slot)->word) == before[pool][slot];
    return count;
}

static void pause_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    (void)nanosleep(&t, NULL); /* shorter is as good */
}

static void define(void)
{
    struct gp_database_settings limit = {.max = MAX, .reserve = RESERVE};
    struct gp_pool_settings settings = {
        .size = SIZE, .max_creates = 4, .database_place = 1, .reserve_size = RESERVE};
    char name[8];
    uint32_t index;

    CHECK_EQ(gp_database_define(seg, "stress", &limit, &index), GP_OK);
    for (uint32_t i = 0; i < POOLS; i++) {
        (void)snprintf(name, sizeof(name), "user%u", i);
        CHECK_EQ(gp_pool_define(seg, "stress", name, &settings, &index), GP_OK);
    }
}

static void stress(bool kills)
{
    const char *seconds = getenv("POOL_STRESS_SECONDS");
    uint64_t end = gp_now_ns() + (uint64_t)(seconds != NULL ? atol(seconds) : 2) * 1000000000u;
    struct gp_database_row row;
    struct gp_audit audit;
    pid_t pids[WORKERS];
    uint32_t killed = 0;

    for (uint32_t i = 0; i < WORKERS; i++)
        pids[i] = worker_fork(i);
    while (gp_now_ns() < end || atomic_load(&truth->opened) < ENOUGH) {
        uint32_t victim = (uint32_t)rand() % WORKERS;
        for (uint32_t i = 0; i < 50; i++) {
            CHECK(servers_count() <= MAX + RESERVE);
            pause_us(rand() % 50);
        }
        if (!kills)
            continue;
        CHECK(kill(pids[victim], SIGKILL) == 0);
        CHECK(waitpid(pids[victim], NULL, 0) == pids[victim]);
        gp_segment_reclaim(seg, victim);
        killed++;
        pids[victim] = worker_fork(victim);
    }
    atomic_store(&truth->stop, 1);
    for (uint32_t i = 0; i < WORKERS; i++) {
        CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
        gp_segment_reclaim(seg, i);
    }
    for (uint32_t i = 0; i < WORKERS; i++) /* what the last to end has left to others */
        reap(i);
    gp_segment_audit(seg, &audit);
    CHECK_EQ(audit.lost_places, 0);
    CHECK_EQ(audit.slots_in_use, 0);
    CHECK_EQ(audit.places, 0);
    CHECK_EQ(gp_database_row(seg, 0, &row), GP_OK);
    CHECK_EQ(row.used, 0);
    printf("%u kills: %lu opened, %lu in the reserve, %lu moved, %lu denied\n", killed,
           truth->opened, truth->reserve, truth->moved, truth->denied);
}

static void stress_afresh(bool kills)
{
    truth = mmap(NULL, sizeof(*truth), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(truth != MAP_FAILED);
    seg = gp_segment_create(WORKERS, POOLS, 1);
    CHECK(seg != NULL);
    define();
    stress(kills);
    gp_segment_destroy(seg);
    CHECK(munmap(truth, sizeof(*truth)) == 0);
}

static void test_limit_survives_kills(void)
{
    stress_afresh(true);
}

static void test_limit_holds(void)
{
    stress_afresh(false);
}

int main(void)
{
    RUN(test_limit_survives_kills);
    RUN(test_limit_holds);
    return check_done();
}
