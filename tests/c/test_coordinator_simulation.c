/* sources: _cparser/pool.c _cparser/slot.c _cparser/client_rows.c _cparser/outage.c */
/* sources: _cparser/reclaim.c _cparser/notes.c _cparser/rows.c _cparser/names.c */
/* sources: _cparser/statements.c _cparser/session.c _cparser/memory.c _cparser/mapping.c */
/* sources: _cparser/database.c _cparser/coordinator.c _cparser/histogram.c */
/* Thousands of random schedules of three users of one database, on a clock of our own: clients come
 * and work, logins and closings take their time, limits change, workers die. The workers do what
 * evict.c and queue.c do, with clients and servers that are numbers. After each step:
 *
 *   limit        no more servers than places; while a lowered limit is not reached, no new ones
 *   no leak      every place has a server that knows of it, and every server a place
 *   guarantees   no idle server of a pool is closed that it is guaranteed, and no young one
 *   order        of two clients of a worker and pool the one who came first is served first
 * and at the end, when nobody comes any more:
 *   no starvation  everybody is served, nobody waited longer than PATIENCE_NS
 *
 * COORDINATOR_SCHEDULES (default 300) is their number. A failure names the seed. */
#define gp_now_ns segment_now_ns /* the clock is ours */
#include "segment.c"
#undef gp_now_ns

#include <signal.h>
#include <stdlib.h>

#include "coordinator.h"

#include "check.h"

enum { W = 2, POOLS = 3, SIZE = 6, QUEUE = 64, STEPS = 2000 };

static const uint64_t STEP_NS = 3000000, SWEEP_NS = 100000000, CENSUS_NS = 1000000000,
                      AGE_NS = 300000000, PATIENCE_NS = 10000000000ull;

static struct gp_segment *seg;
static uint64_t now_ns;
static uint32_t seed, current;

uint64_t gp_now_ns(void);

uint64_t gp_now_ns(void)
{
    return now_ns;
}

struct server { /* of one slot; times are when something ends, 0: not so */
    uint64_t login_ns, work_ns, closing_ns;
};

struct worker {
    uint64_t queue[POOLS][QUEUE]; /* arrivals, oldest first */
    uint32_t length[POOLS], published[POOLS], opening[POOLS];
    uint64_t sweep_ns, census_ns;
};

static struct worker workers[W];
static struct server servers[POOLS][SIZE];
static struct gp_database_settings limit;
static uint32_t
    allowed; /* servers there may be: the limit, or more of them from a time before it */
static uint64_t longest_ns;
static uint64_t served, evicted, ceded, reserved, promoted, died;

static uint32_t dice(uint32_t sides)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % sides;
}

static struct gp_word word_at(uint32_t pool, uint32_t slot)
{
    return gp_word_unpack(atomic_load(&gp_slot_at(seg, pool, slot)->word));
}

static uint32_t servers_now(void)
{
    uint32_t count = 0;

    for (uint32_t pool = 0; pool < POOLS; pool++)
        for (uint32_t slot = 0; slot < SIZE; slot++)
            count += word_at(pool, slot).state != GP_SLOT_FREE;
    return count;
}

static uint32_t live_of(uint32_t pool)
{
    uint32_t live = 0;

    for (uint32_t slot = 0; slot < SIZE; slot++) {
        enum gp_slot_state state = word_at(pool, slot).state;
        live += state != GP_SLOT_FREE && state != GP_SLOT_CLOSING && state != GP_SLOT_REAP;
    }
    return live;
}

/* ---- servers ---- */

static void retire(uint32_t me, uint32_t pool, uint32_t slot)
{
    CHECK(gp_slot_closing(seg, pool, slot, me));
    servers[pool][slot] = (struct server){.closing_ns = now_ns + 1 + dice(5) * STEP_NS};
}

/* For another pool: it must be old enough, and more than its own pool is guaranteed. */
static void retire_for_others(uint32_t me, uint32_t pool, uint32_t slot)
{
    CHECK(now_ns - atomic_load(&gp_slot_at(seg, pool, slot)->opened_ns) >= AGE_NS);
    CHECK(live_of(pool) > limit.guarantee);
    retire(me, pool, slot);
}

static void queue_publish(uint32_t me, uint32_t pool)
{
    struct worker *w = &workers[me];
    struct gp_lane *lane = gp_lane_at(seg, pool, me);

    while (w->published[pool] < w->length[pool] &&
           gp_lane_publish(seg, pool, me, w->queue[pool][w->published[pool]]))
        w->published[pool]++;
    atomic_store(&lane->waiting, w->length[pool]);
    atomic_store(&lane->oldest_ns, w->length[pool] ? w->queue[pool][0] : 0);
    if (w->length[pool] == 0) {
        gp_lane_quiet(seg, pool, me);
        w->published[pool] = 0;
    }
}

static void work_begin(uint32_t pool, uint32_t slot)
{
    servers[pool][slot].work_ns = now_ns + 1 + dice(8) * STEP_NS;
    served++;
}

/* A ticket of this worker was claimed: its first client has the server. False: nobody waits. */
static bool queue_serve(uint32_t me, uint32_t pool, uint32_t slot)
{
    struct worker *w = &workers[me];

    if (w->length[pool] == 0)
        return false;
    if (now_ns - w->queue[pool][0] > longest_ns)
        longest_ns = now_ns - w->queue[pool][0];
    w->length[pool]--;
    w->published[pool] -= w->published[pool] != 0;
    memmove(w->queue[pool], w->queue[pool] + 1, w->length[pool] * sizeof(uint64_t));
    work_begin(pool, slot);
    queue_publish(me, pool);
    return true;
}

/* As gp_place_forbids. */
static bool forbidden(uint32_t me, uint32_t pool, uint32_t slot)
{
    enum gp_standing standing = gp_database_standing(seg, pool, slot);
    struct gp_database *d = gp_database_at(seg, 0);

    if (!gp_pool_limited(seg, pool))
        return false;
    if (standing == GP_STANDING_ORDINARY) {
        if (!gp_coordinator_cedes(seg, pool, slot, now_ns))
            return false;
        ceded++;
        retire_for_others(me, pool, slot);
        return true;
    }
    if (standing == GP_STANDING_RESERVE && gp_coordinator_contested(seg, d, now_ns))
        return false;
    if (gp_database_settle(seg, pool, slot)) {
        promoted++;
        return false;
    }
    if (standing == GP_STANDING_RESERVE)
        return false;
    retire(me, pool, slot);
    return true;
}

static void release(uint32_t me, uint32_t pool, uint32_t slot)
{
    for (;;) {
        if (forbidden(me, pool, slot))
            return;
        switch (gp_pool_release(seg, pool, slot, me, now_ns, STEP_NS, 0)) {
        case GP_RELEASED_SELF:
            if (queue_serve(me, pool, slot))
                return;
            continue;
        case GP_RELEASED_STALE:
            retire(me, pool, slot);
            return;
        case GP_RELEASED_IDLE:
        case GP_RELEASED_AWAY:
        case GP_RELEASED_PARKED:
            return;
        }
    }
}

static void handoffs(uint32_t me)
{
    uint32_t pool, slot;

    while (gp_pool_next_handoff(seg, me, &pool, &slot)) {
        if (!queue_serve(me, pool, slot))
            release(me, pool, slot);
    }
}

/* ---- growth: as gp_pool_grow and evict.c ---- */

static uint32_t press(uint32_t me, uint32_t pool)
{
    struct gp_victim v;

    gp_coordinator_want(seg, gp_database_at(seg, 0), now_ns);
    for (;;) {
        switch (gp_coordinator_relief(seg, pool, now_ns, &v)) {
        case GP_RELIEF_EVICT:
            CHECK(gp_slot_seize(seg, v.pool, v.slot, me)); /* nobody else moves meanwhile */
            evicted++;
            retire_for_others(me, v.pool, v.slot);
            break;
        case GP_RELIEF_CLAIM:
            return gp_pool_claim(seg, pool, me);
        case GP_RELIEF_RESERVE:
            reserved++;
            return gp_pool_claim_reserve(seg, pool, me);
        case GP_RELIEF_DENIED:
        case GP_RELIEF_WAIT:
            return GP_NO_SLOT;
        }
    }
}

static void grow(uint32_t me, uint32_t pool)
{
    struct worker *w = &workers[me];

    while (w->length[pool] > w->opening[pool]) {
        uint32_t before = servers_now(), slot = gp_pool_claim(seg, pool, me);
        if (slot == GP_NO_SLOT && gp_pool_limited(seg, pool))
            slot = press(me, pool);
        if (slot == GP_NO_SLOT)
            return;
        CHECK(slot < SIZE);
        CHECK(limit.max == 0 || before < limit.max + limit.reserve);
        servers[pool][slot] = (struct server){.login_ns = now_ns + 1 + dice(6) * STEP_NS};
        w->opening[pool]++;
    }
}

static void login_end(uint32_t me, uint32_t pool, uint32_t slot)
{
    workers[me].opening[pool]--;
    servers[pool][slot] = (struct server){0};
    if (dice(12) == 0) {
        gp_slot_free(seg, pool, slot, me);
        return;
    }
    gp_slot_opened(seg, pool, slot, me, 1, NULL, 0, now_ns, 0);
    for (uint32_t i = 0; i < W; i++)
        CHECK(gp_slot_hold(seg, pool, slot, word_at(pool, slot).generation, i));
    release(me, pool, slot);
}

/* ---- what happens ---- */

static void arrive(uint32_t me, uint32_t pool)
{
    struct worker *w = &workers[me];
    uint32_t slot = w->length[pool] == 0 ? gp_pool_take(seg, pool, me, 1) : GP_NO_SLOT;

    if (slot != GP_NO_SLOT) {
        work_begin(pool, slot);
        return;
    }
    if (w->length[pool] == QUEUE)
        return;
    w->queue[pool][w->length[pool]++] = now_ns;
    queue_publish(me, pool);
    gp_pool_settle(seg, pool, me, now_ns);
    handoffs(me);
    grow(me, pool);
}

/* Whatever has come to its end. */
static void servers_run(void)
{
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        for (uint32_t slot = 0; slot < SIZE; slot++) {
            struct server *s = &servers[pool][slot];
            uint32_t me = word_at(pool, slot).worker;
            if (s->login_ns != 0 && s->login_ns <= now_ns) {
                login_end(me, pool, slot);
            } else if (s->work_ns != 0 && s->work_ns <= now_ns) {
                s->work_ns = 0;
                release(me, pool, slot);
            } else if (s->closing_ns != 0 && s->closing_ns <= now_ns) {
                s->closing_ns = 0;
                gp_slot_free(seg, pool, slot, me);
                grow(me, pool);
            }
        }
    }
}

static void census(uint32_t me)
{
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        for (uint32_t slot = 0; slot < SIZE; slot++) {
            struct gp_word w = word_at(pool, slot);
            if (w.worker != me)
                continue;
            if (w.state == GP_SLOT_REAP)
                retire(me, pool, slot);
            if (w.state == GP_SLOT_IDLE &&
                gp_database_standing(seg, pool, slot) != GP_STANDING_ORDINARY &&
                gp_slot_seize(seg, pool, slot, me))
                release(me, pool, slot);
        }
    }
}

static void look(uint32_t me)
{
    gp_worker_unpoke(seg, me);
    handoffs(me);
    for (uint32_t pool = 0; pool < POOLS; pool++)
        grow(me, pool);
}

static void sweep(uint32_t me)
{
    struct worker *w = &workers[me];

    w->sweep_ns = now_ns + SWEEP_NS;
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        if (w->length[pool] == 0)
            continue;
        if (gp_lane_outstanding(seg, pool, me) == 0)
            w->published[pool] = 0;
        queue_publish(me, pool);
        gp_pool_settle(seg, pool, me, now_ns);
        handoffs(me);
        grow(me, pool);
    }
    if (w->census_ns > now_ns)
        return;
    w->census_ns = now_ns + CENSUS_NS;
    census(me);
}

static void settle_limit(void)
{
    uint32_t index, most = limit.max + limit.reserve, now = servers_now();

    CHECK_EQ(gp_database_define(seg, "sim", &limit, &index), GP_OK);
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        struct gp_pool_settings settings = {
            .size = SIZE, .max_creates = 2, .database_place = 1, .reserve_size = 8};
        char name[2] = {(char)('a' + pool), 0};
        CHECK_EQ(gp_pool_define(seg, "sim", name, &settings, &index), GP_OK);
        CHECK_EQ(index, pool);
    }
    allowed = limit.max == 0 ? POOLS * SIZE : now > most ? now : most;
}

static void reload(void)
{
    limit.max = dice(8) == 0 ? 0 : 2 + dice(8);
    limit.reserve = dice(3);
    limit.guarantee = dice(1 + limit.max / POOLS); /* those that do not fit starve others */
    settle_limit();
}

/* Its clients are gone, and so is what it was doing. */
static void die(uint32_t me)
{
    died++;
    gp_segment_reclaim(seg, me);
    workers[me] = (struct worker){0};
    for (uint32_t pool = 0; pool < POOLS; pool++) {
        for (uint32_t slot = 0; slot < SIZE; slot++) {
            enum gp_slot_state state = word_at(pool, slot).state;
            if (state == GP_SLOT_FREE || state == GP_SLOT_REAP || state == GP_SLOT_IDLE)
                servers[pool][slot] = (struct server){0};
        }
    }
    gp_worker_born(seg, me, 1);
    for (uint32_t pool = 0; pool < POOLS; pool++) /* the others share their descriptors with it */
        for (uint32_t slot = 0; slot < SIZE; slot++)
            (void)gp_slot_hold(seg, pool, slot, word_at(pool, slot).generation, me); /* FREE ones */
}

static void check_all(void)
{
    uint32_t now = servers_now(), most = limit.max + limit.reserve;
    struct gp_audit audit;

    CHECK(now <= allowed);
    if (limit.max != 0 && allowed > most) /* a lowered limit is reached from above, and kept then */
        allowed = now > most ? now : most;
    gp_segment_audit(seg, &audit);
    CHECK_EQ(audit.lost_places, 0);
    CHECK_EQ(audit.lost_creates, 0);
    CHECK_EQ(audit.bad_idle_bits, 0);
    CHECK_EQ(audit.places, now);
}

static void step(bool busy)
{
    now_ns += 1 + dice(2) * STEP_NS;
    if (busy) {
        if (dice(400) == 0)
            reload();
        if (dice(500) == 0)
            die(dice(W));
        /* user a hoards, b comes in bursts, c seldom */
        if (dice(2) == 0)
            arrive(dice(W), 0);
        for (uint32_t n = dice(60) == 0 ? 12 : 0; n != 0; n--)
            arrive(dice(W), 1);
        if (dice(40) == 0)
            arrive(dice(W), 2);
    }
    servers_run();
    for (uint32_t me = 0; me < W; me++) {
        if (atomic_load(&gp_common_worker_at(seg, me)->poked))
            look(me);
        if (workers[me].sweep_ns <= now_ns)
            sweep(me);
    }
    check_all();
}

static bool somebody_waits(void)
{
    for (uint32_t me = 0; me < W; me++)
        for (uint32_t pool = 0; pool < POOLS; pool++)
            if (workers[me].length[pool] != 0)
                return true;
    return false;
}

/* On SIGABRT, that is, when a check has failed. */
static void tell(int number)
{
    (void)number;
    fprintf(stderr, "in schedule %u\n", current);
}

static void schedule(uint32_t number)
{
    uint64_t end;

    current = number;
    seed = number * 2654435761u | 1;
    now_ns = 1000000000;
    memset(workers, 0, sizeof(workers));
    memset(servers, 0, sizeof(servers));
    seg = gp_segment_create(W, POOLS, 1);
    CHECK(seg != NULL);
    limit = (struct gp_database_settings){
        .max = 4, .reserve = 1, .reserve_timeout_ms = 200, .min_lifetime_ms = 300};
    settle_limit();
    for (uint32_t me = 0; me < W; me++)
        gp_worker_born(seg, me, 1);
    for (uint32_t i = 0; i < STEPS; i++)
        step(true);
    for (end = now_ns + PATIENCE_NS; somebody_waits() && now_ns < end;)
        step(false);
    CHECK(!somebody_waits());
    CHECK(longest_ns < PATIENCE_NS);
    gp_segment_destroy(seg);
}

static void test_random_schedules_keep_the_rules(void)
{
    const char *count = getenv("COORDINATOR_SCHEDULES");
    uint32_t schedules = count != NULL ? (uint32_t)atol(count) : 300;

    for (uint32_t i = 1; i <= schedules; i++)
        schedule(i);
    printf("%lu served, %lu evicted, %lu ceded, %lu reserved, %lu promoted, %lu died; the longest "
           "wait was %.2f s\n",
           served, evicted, ceded, reserved, promoted, died, (double)longest_ns / 1e9);
}

int main(void)
{
    (void)signal(SIGABRT, tell);
    RUN(test_random_schedules_keep_the_rules);
    return check_done();
}
