/* sources: _cparser/memory.c _cparser/mapping.c */
/* sources: _cparser/client_rows.c _cparser/notes.c _cparser/rows.c _cparser/names.c */
/* sources: _cparser/outage.c */
/* sources: _cparser/statements.c _cparser/session.c */
/* sources: _cparser/database.c _cparser/coordinator.c _cparser/histogram.c */
/* The shared pool under real processes (pool_worker.h), in three tests: with random kills; without;
 * and in rounds, where two workers race for one server once a round and no later traffic wakes whom
 * the race forgot.
 *
 * POOL_STRESS_SECONDS (default 2) is the time of each; a busy machine takes longer, for as many
 * transactions as make it a stress. */
#include "pool_worker.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { KILL_MS = 20, ENOUGH = 1000 };

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
        _exit(atomic_load(&truth->failures) == 0 ? 0 : 1);
    }
    return pid;
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};
    while (nanosleep(&t, &t) == -1 && errno == EINTR)
        ;
}

static void limit_check(void)
{
    CHECK(gp_slots_high(seg, POOL) <= SIZE);
    for (uint32_t slot = SIZE; slot < GP_SLOTS_MAX; slot++)
        CHECK_EQ(word_of(slot).state, GP_SLOT_FREE);
}

static void worker_kill(pid_t *pids, uint32_t victim)
{
    CHECK(kill(pids[victim], SIGKILL) == 0);
    CHECK(waitpid(pids[victim], NULL, 0) == pids[victim]);
    gp_segment_reclaim(seg, victim);
    if (rand() % 2)
        pause_ms(rand() % 5); /* the others go on without it */
    pids[victim] = worker_fork(victim);
}

static void sound_check(void)
{
    struct gp_audit a;

    gp_segment_audit(seg, &a);
    CHECK_EQ(a.dead_owners, 0);
    CHECK_EQ(a.bad_idle_bits, 0);
    CHECK_EQ(a.lost_creates, 0);
    CHECK_EQ(a.over_limit, 0);
    CHECK_EQ(a.orphan_clients, 0);
    CHECK_EQ(a.clients, 0);
    CHECK_EQ(a.slots_in_use, a.slots_idle);
    CHECK(a.slots_idle <= SIZE);
    for (uint32_t slot = 0; slot < SIZE; slot++)
        CHECK_EQ(atomic_load(&truth->owner[slot]), 0);
    for (uint32_t worker = 0; worker < truth->workers; worker++)
        CHECK_EQ(gp_lane_outstanding(seg, POOL, worker), 0);
}

/* Run the workers for a while, with or without kills; then all must come to an end by themselves.
 */
static void stress(long seconds, bool kills)
{
    pid_t pids[WORKERS];
    uint64_t end = gp_now_ns() + (uint64_t)seconds * 1000000000u;
    uint32_t killed = 0;
    int status;

    for (uint32_t i = 0; i < truth->workers; i++)
        pids[i] = worker_fork(i);
    while ((gp_now_ns() < end || atomic_load(&truth->xacts) < ENOUGH) &&
           atomic_load(&truth->failures) == 0) {
        pause_ms(1 + rand() % KILL_MS);
        limit_check();
        if (truth->rounds == 0 && rand() % 8 == 0)
            gp_pool_renew(seg, POOL);
        if (kills) {
            worker_kill(pids, (uint32_t)rand() % truth->workers);
            killed++;
        }
    }
    atomic_store(&truth->stop, 1);
    /* no poke here: it would wake one whose own was lost */
    for (uint32_t i = 0; i < truth->workers; i++) {
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK_EQ(atomic_load(&truth->failures), 0);
    sound_check();
    printf("%u kills: %lu transactions, %lu left, %lu bounced, %lu cancels, %lu parked, %lu stuck, "
           "%lu reaped, %lu stale, %lu failed logins\n",
           killed, truth->xacts, truth->left, truth->bounced, truth->cancels, truth->parked,
           truth->stuck, truth->reaped, truth->stale, truth->failed_logins);
}

static void stress_afresh(uint32_t workers, uint32_t size, bool kills, bool rounds)
{
    const struct gp_pool_settings settings = {.size = size, .max_creates = 2};
    const char *seconds = getenv("POOL_STRESS_SECONDS");
    uint32_t pool;

    truth = mmap(NULL, sizeof(*truth), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(truth != MAP_FAILED);
    truth->workers = workers;
    truth->rounds = rounds;
    seg = gp_segment_create(workers, 1, workers * CLIENTS);
    CHECK(seg != NULL);
    gp_segment_limits(seg, workers * CLIENTS, 3);
    CHECK_EQ(gp_pool_define(seg, "stress", "stress", &settings, &pool), GP_OK);
    CHECK_EQ(pool, POOL);
    stress(seconds != NULL ? atol(seconds) : 2, kills);
    gp_segment_destroy(seg);
    CHECK(munmap(truth, sizeof(*truth)) == 0);
}

static void test_pool_survives_kills(void)
{
    stress_afresh(WORKERS, SIZE, true, false);
}

static void test_pool_keeps_its_rules(void)
{
    stress_afresh(WORKERS, SIZE, false, false);
}

static void test_pool_loses_no_wakeup(void)
{
    stress_afresh(2, 1, false, true);
}

int main(void)
{
    RUN(test_pool_survives_kills);
    RUN(test_pool_keeps_its_rules);
    RUN(test_pool_loses_no_wakeup);
    return check_done();
}
