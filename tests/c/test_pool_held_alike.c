/* sources: _cparser/pool.c _cparser/slot.c _cparser/controls.c _cparser/client_rows.c */
/* sources: _cparser/reclaim.c _cparser/rows.c _cparser/names.c _cparser/statements.c */
/* sources: _cparser/session.c _cparser/memory.c _cparser/mapping.c _cparser/outage.c */
/* sources: _cparser/database.c _cparser/coordinator.c _cparser/histogram.c _cparser/notes.c */
/* The administrator pauses, or resumes, all pools while the master defines one more: whoever is first,
 * all are held alike afterwards. Two real processes, which begin each round together. */
#include "check.h"

#include "jitter.h"
#include "segment.c" /* with its races made likely */

#include "pool_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ROUNDS 4000u

static struct {
    _Atomic uint32_t begun[2], ended[2]; /* rounds of either */
} * rounds;

/* Both are in this round; then both are over with it. */
static void meet(_Atomic uint32_t counts[2], uint32_t me, uint32_t round)
{
    atomic_store(&counts[me], round);
    while (atomic_load(&counts[!me]) < round)
        (void)sched_yield();
}

/* As greenpool/admin/commands.py says something of all pools. */
static void say(void (*act)(struct gp_segment *, uint32_t, uint32_t))
{
    uint64_t said = 0, new;

    do {
        new = 0;
        for (uint32_t i = 0, high = gp_pools_high(seg); i < high; i++)
            if (atomic_load(&gp_common_pool_at(seg, i)->in_use) && !(said >> i & 1))
                new |= 1ull << i;
        for (uint64_t left = new; left; left &= left - 1)
            act(seg, (uint32_t)__builtin_ctzll(left), GP_HOLD_PAUSED);
        said |= new;
    } while (new);
}

static void administer(void)
{
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        meet(rounds->begun, 1, round);
        say(round % 2 ? gp_pool_hold : gp_pool_unhold);
        meet(rounds->ended, 1, round);
    }
}

static void define_and_compare(void)
{
    uint32_t bob = 0;

    for (uint32_t round = 1; round <= ROUNDS; round++) {
        meet(rounds->begun, 0, round);
        CHECK_EQ(gp_pool_define(seg, round & 2 ? "shop" : "till", "bob", &settings, &bob), GP_OK);
        meet(rounds->ended, 0, round);
        CHECK_EQ(gp_pool_held(seg, pool), round % 2 ? GP_HOLD_PAUSED : 0);
        CHECK_EQ(gp_pool_held(seg, bob), gp_pool_held(seg, pool));
        CHECK_EQ(gp_pool_remove(seg, bob), GP_OK);
    }
}

int main(void)
{
    int status;

    setup();
    rounds = mmap(NULL, sizeof(*rounds), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(rounds != MAP_FAILED);
    pid_t pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail */
        administer();
        _exit(0);
    }
    define_and_compare();
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    teardown();
    return 0;
}
