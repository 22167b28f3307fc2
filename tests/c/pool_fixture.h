/* A segment with three workers, played in turn by one process, and one pool in it: what the tests
 * of the shared pool begin with. */
#ifndef GP_TESTS_POOL_FIXTURE_H
#define GP_TESTS_POOL_FIXTURE_H

#include "pool.h"

#include <poll.h>

#include "check.h"

enum { W = 3, ANN = 1, BOB = 2, SECOND_NS = 1000000000 };

static struct gp_segment *seg;
static uint32_t pool;

static const struct gp_pool_settings settings = {.mode = GP_MODE_TRANSACTION,
                                                 .size = 4,
                                                 .min_size = 1,
                                                 .max_creates = 2,
                                                 .wait_timeout_ms = 5000};

static inline void setup(void)
{
    seg = gp_segment_create(W, 3, 10);
    CHECK(seg != NULL);
    gp_segment_limits(seg, 8, 3);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &pool), GP_OK);
    for (uint32_t w = 0; w < W; w++) {
        gp_worker_born(seg, w, 100 + w);
        gp_worker_unpoke(seg, w);
    }
}

static inline void teardown(void)
{
    gp_segment_destroy(seg);
    seg = NULL;
}

static inline struct gp_word word_of(uint32_t slot)
{
    return gp_word_unpack(atomic_load(&gp_slot_at(seg, pool, slot)->word));
}

static inline bool slot_is(uint32_t slot, enum gp_slot_state state, uint32_t worker,
                           uint32_t client)
{
    struct gp_word w = word_of(slot);
    return w.state == state && w.worker == worker && w.client == client;
}

static inline bool handed_to(uint32_t slot, uint32_t worker)
{
    return slot_is(slot, GP_SLOT_HANDOFF, worker,
                   atomic_load(&gp_common_worker_at(seg, worker)->births));
}

static inline bool woken(uint32_t worker)
{
    struct pollfd p = {.fd = gp_common_worker_at(seg, worker)->wake_fd, .events = POLLIN};
    bool ready = poll(&p, 1, 0) == 1;
    gp_worker_unpoke(seg, worker);
    return ready;
}

/* A server of `worker`, whose descriptor the workers in `holders` have too: ACTIVE(worker, no
 * client). */
static inline uint32_t server_open(uint32_t worker, uint64_t holders)
{
    const uint8_t key[4] = {1, 2, 3, 4};
    uint32_t slot = gp_pool_claim(seg, pool, worker);
    CHECK(slot != GP_NO_SLOT);
    gp_slot_opened(seg, pool, slot, worker, 4711, key, sizeof(key), 50, 0);
    for (uint32_t w = 0; w < W; w++) {
        if (holders >> w & 1)
            CHECK(gp_slot_hold(seg, pool, slot, word_of(slot).generation, w));
    }
    return slot;
}

static inline uint32_t server_idle(uint32_t worker, uint64_t holders)
{
    uint32_t slot = server_open(worker, holders);
    CHECK_EQ(gp_pool_release(seg, pool, slot, worker, 100, 0, 0), GP_RELEASED_IDLE);
    return slot;
}

static inline struct gp_audit audit(void)
{
    struct gp_audit a;
    gp_segment_audit(seg, &a);
    return a;
}

static inline void check_sound(void)
{
    struct gp_audit a = audit();
    CHECK_EQ(a.dead_owners, 0);
    CHECK_EQ(a.bad_idle_bits, 0);
    CHECK_EQ(a.lost_creates, 0);
    CHECK_EQ(a.over_limit, 0);
    CHECK_EQ(a.orphan_clients, 0);
}

/* A client of worker 0 with the key "secret", linked with a fresh server. */
static inline uint32_t client_linked(uint32_t *slot)
{
    uint32_t client = gp_client_claim(seg, 0, false);
    struct gp_client_row *row = gp_client_at(seg, client);
    memcpy(row->key, "secret", 6);
    row->key_length = 6;
    atomic_store(&row->pool, pool + 1);
    *slot = server_open(0, 7);
    gp_slot_assign(seg, pool, *slot, 0, client);
    atomic_store(&row->slot, *slot + 1);
    atomic_store(&row->state, GP_CLIENT_ACTIVE);
    return client;
}

static inline enum gp_result cancel(uint32_t client, const char *key, uint32_t *slot,
                                    uint32_t *generation, bool *waiting)
{
    uint32_t p;
    return gp_cancel_begin(seg, client, (const uint8_t *)key, (uint32_t)strlen(key), &p, slot,
                           generation, waiting);
}

#endif
