/* sources: @segment _cparser/controls.c _cparser/chronicle.c */
/* The segment around the slots: its layout, its pools, the rows of clients, the copies for SHOW. */
#include <errno.h>
#include <sys/mman.h>

#include "chronicle.h"
#include "database.h"
#include "memory.h"
#include "outage.h"
#include "pool_fixture.h"

/* ---- the word, the segment, the pools ---- */

static void test_word_packs_every_field(void)
{
    struct gp_word w = {GP_SLOT_PARKED, 63, 15, GP_CLIENTS_LIMIT + 1, 0xffffff};
    struct gp_word back = gp_word_unpack(gp_word_pack(w));
    CHECK_EQ(back.state, w.state);
    CHECK_EQ(back.worker, w.worker);
    CHECK_EQ(back.cancels, w.cancels);
    CHECK_EQ(back.client, w.client);
    CHECK_EQ(back.generation, w.generation);
    CHECK_EQ(gp_word_pack((struct gp_word){.state = GP_SLOT_FREE}), 0);
}

static void test_segment_refuses_sizes_out_of_bounds(void)
{
    CHECK(gp_segment_create(0, 1, 1) == NULL && errno == EINVAL);
    CHECK(gp_segment_create(GP_WORKERS_MAX + 1, 1, 1) == NULL && errno == EINVAL);
    CHECK(gp_segment_create(1, 0, 1) == NULL && errno == EINVAL);
    CHECK(gp_segment_create(1, 1, 0) == NULL && errno == EINVAL);
    CHECK(gp_segment_create(1, 1, GP_CLIENTS_LIMIT + 1) == NULL && errno == EINVAL);
}

static void test_segment_is_found_by_its_descriptor(void)
{
    int32_t fds[GP_SEGMENT_FDS_MAX];
    struct gp_segment_size size;
    struct gp_segment *again;
    uint32_t version, found;
    bool fresh;
    setup();
    CHECK_EQ(gp_segment_fds(seg, fds), 2 + 3 * W);
    CHECK_EQ(fds[2 + 3 * 2], gp_common_worker_at(seg, 2)->wake_fd);
    again = gp_segment_attach(fds[0], fds[1], &version, &fresh);
    CHECK(again != NULL && again != seg && !fresh);
    gp_segment_size(again, &size);
    CHECK_EQ(size.workers, W);
    CHECK_EQ(size.pools_max, 3);
    CHECK_EQ(size.clients_max, 10);
    CHECK_EQ(gp_pool_define(again, "shop", "bob", &settings, &found), GP_OK);
    CHECK_EQ(gp_pools_high(seg), 2); /* it is the same memory */
    CHECK_EQ(munmap(again, again->total_size), 0);
    CHECK(ftruncate(fds[0], 4096) == -1 && errno == EPERM);
    CHECK(ftruncate(fds[1], 4096) == -1 && errno == EPERM);
    teardown();
}

/* Attach with a duplicate of the own part's descriptor, which is closed if it is not used. */
static struct gp_segment *attach_beside(bool *fresh)
{
    int32_t fds[GP_SEGMENT_FDS_MAX];
    uint32_t version;
    int32_t own;

    (void)gp_segment_fds(seg, fds);
    own = dup(fds[0]);
    return gp_segment_attach(own, fds[1], &version, fresh);
}

/* What two layouts share is one: names, slots, clients, who waits; settings and counters are not. */
static void test_segment_of_another_layout_shares_what_is_common(void)
{
    struct gp_pool_settings other = settings;
    struct gp_segment *beside;
    uint32_t client, found, slot;
    bool fresh;
    setup();
    gp_pool_hold(seg, pool, GP_HOLD_DISABLED);
    seg->layout_version++;
    beside = attach_beside(&fresh);
    CHECK(beside != NULL && fresh);
    CHECK_EQ(beside->layout_version, GP_LAYOUT_VERSION);
    CHECK_EQ(memcmp(gp_common_of(beside)->hash_key, gp_common_of(seg)->hash_key, GP_HASH_KEY_BYTES),
             0);

    other.size = settings.size + 1;
    CHECK_EQ(gp_pool_define(beside, "shop", "ann", &other, &found), GP_OK);
    CHECK_EQ(found, pool);
    CHECK_EQ(gp_pool_held(beside, pool), GP_HOLD_DISABLED);
    CHECK_EQ(atomic_load(&gp_pool_at(seg, pool)->size), settings.size);
    CHECK_EQ(atomic_load(&gp_pool_at(beside, pool)->size), settings.size + 1);

    slot = gp_pool_claim(seg, pool, 0);
    CHECK_EQ(gp_pool_claim(beside, pool, 1), slot + 1);
    client = gp_client_claim(seg, 0, false);
    CHECK_EQ(gp_client_worker(beside, client), 0);
    CHECK_EQ(gp_client_claim(beside, 1, false), client + 1);

    gp_segment_reclaim(beside, 0); /* by whoever is left */
    CHECK_EQ(gp_client_worker(seg, client), UINT32_MAX);
    CHECK_EQ(gp_pool_claim(beside, pool, 1), slot);
    CHECK_EQ(close(beside->fd), 0);
    CHECK_EQ(munmap(beside, beside->total_size), 0);
    seg->layout_version--;
    teardown();
}

/* So it is with what is said of the house: an outage, a limit, SUSPEND, an event. */
static void test_limits_and_outages_hold_over_two_layouts(void)
{
    struct gp_database_settings one_server = {.max = 1};
    struct gp_pool_settings limited = settings;
    struct gp_chronicle_row row;
    struct gp_segment *beside;
    uint32_t database;
    bool fresh;
    setup();
    CHECK_EQ(gp_database_define(seg, "shop", &one_server, &database), GP_OK);
    limited.database_place = database + 1;
    limited.server_tag = 7;
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &limited, &pool), GP_OK);
    gp_segment_bound_memory(seg, 1 << 20);
    seg->layout_version++;
    beside = attach_beside(&fresh);
    CHECK(beside != NULL && fresh);

    gp_outage_failed(seg, pool, GP_AILS_SERVER);
    CHECK_EQ(gp_pool_define(beside, "shop", "ann", &limited, &pool), GP_OK);
    CHECK(gp_pool_ailing(beside, pool) && gp_outage_bars(beside, pool));
    gp_outage_ended(beside, pool);
    CHECK(!gp_pool_ailing(seg, pool));
    CHECK(gp_pool_claim(seg, pool, 0) != GP_NO_SLOT);
    CHECK_EQ(gp_pool_claim(beside, pool, 1), GP_NO_SLOT);

    gp_memory_join(seg, 0);
    CHECK(gp_memory_take(GP_MEMORY_BUFFERS, 4096, GP_ASK));
    CHECK_EQ(gp_memory_held(beside), 4096);
    gp_memory_join(beside, 1); /* takes along what it holds; the worker before keeps its words */
    CHECK_EQ(gp_memory_held(seg), 8192);
    CHECK(!gp_memory_take(GP_MEMORY_BUFFERS, 1 << 20, GP_ASK));
    gp_memory_give(GP_MEMORY_BUFFERS, 4096);
    gp_memory_part();

    gp_segment_suspend(beside, true);
    CHECK(gp_segment_suspended(seg));
    gp_chronicle_add(seg, 3, 0, (const uint8_t *)"told", 4);
    CHECK_EQ(gp_chronicle_row(beside, gp_chronicle_end(beside), &row), GP_OK);
    CHECK_EQ(row.kind, 3);
    CHECK_EQ(close(beside->fd), 0);
    CHECK_EQ(munmap(beside, beside->total_size), 0);
    seg->layout_version--;
    teardown();
}

static void test_segment_of_another_size_of_settings_shares_what_is_common(void)
{
    struct gp_segment *beside;
    bool fresh;
    setup();
    seg->pool_stride += 64; /* the same version, and yet not the same */
    beside = attach_beside(&fresh);
    CHECK(beside != NULL && fresh);
    CHECK_EQ(close(beside->fd), 0);
    CHECK_EQ(munmap(beside, beside->total_size), 0);
    seg->pool_stride -= 64;
    teardown();
}

static void test_segment_with_another_common_part_is_refused(void)
{
    int32_t fds[GP_SEGMENT_FDS_MAX];
    struct gp_common *common;
    uint32_t version;
    int other;
    bool fresh;
    setup();
    common = gp_common_of(seg);
    (void)gp_segment_fds(seg, fds);
    common->version++;
    CHECK(gp_segment_attach(fds[0], fds[1], &version, &fresh) == NULL && errno == EPROTO);
    CHECK_EQ(version, GP_COMMON_VERSION + 1);
    common->version--;
    common->pools_max++; /* the same version, and yet not the same */
    CHECK(gp_segment_attach(fds[0], fds[1], &version, &fresh) == NULL && errno == EPROTO);
    common->pools_max--;
    common->magic++;
    CHECK(gp_segment_attach(fds[0], fds[1], &version, &fresh) == NULL && errno == EINVAL);
    common->magic--;
    other = dup(fds[1]); /* the numbers inside would be wrong, too */
    CHECK(gp_segment_attach(fds[0], other, &version, &fresh) == NULL && errno == EPROTO);
    CHECK_EQ(close(other), 0);
    CHECK(gp_segment_attach(fds[0], other, &version, &fresh) == NULL && errno == EBADF);
    CHECK(gp_segment_attach(0, 0, &version, &fresh) == NULL);
    teardown();
}

static void test_segment_parts_do_not_overlap(void)
{
    setup();
    CHECK_EQ(seg->magic, GP_SEGMENT_MAGIC);
    CHECK((char *)gp_worker_at(seg, 0) >= (char *)(seg + 1));
    CHECK((char *)gp_pool_at(seg, 0) >= (char *)(gp_worker_at(seg, W)));
    CHECK((char *)gp_meter_at(seg, 1, 0) >= (char *)(gp_pool_at(seg, 1) + 1));
    CHECK((char *)gp_times_at(seg, 1, 0) >= (char *)(gp_meter_at(seg, 1, W)));
    CHECK((char *)gp_pool_at(seg, 2) >= (char *)gp_times_at(seg, 1, W));
    CHECK((char *)gp_common_of(seg) >= (char *)gp_pool_at(seg, 3));
    CHECK((char *)gp_client_at(seg, 1) >= (char *)(gp_common_worker_at(seg, W)));
    CHECK((char *)gp_common_pool_at(seg, 0) >= (char *)(gp_client_at(seg, 10) + 1));
    CHECK((char *)gp_lane_at(seg, 1, 0) >= (char *)(gp_common_pool_at(seg, 1) + 1));
    CHECK((char *)gp_slot_at(seg, 1, 0) >= (char *)(gp_lane_at(seg, 1, W)));
    CHECK((char *)gp_slot_cold_at(seg, 1, 0) >= (char *)gp_slot_at(seg, 1, GP_SLOTS_MAX));
    CHECK((char *)gp_common_pool_at(seg, 2) >= (char *)gp_slot_cold_at(seg, 1, GP_SLOTS_MAX));
    CHECK((char *)gp_database_at(seg, 0) >= (char *)gp_common_pool_at(seg, 3));
    CHECK((char *)gp_database_at(seg, 1) >=
          (char *)gp_database_at(seg, 0) + gp_database_bytes(seg->pools_max));
    CHECK((char *)gp_segment_at(seg, seg->servers_off) >= (char *)gp_database_at(seg, 3));
    CHECK(seg->chronicle_off >= seg->servers_off + 3 * sizeof(struct gp_outage));
    CHECK(seg->keys_off >= seg->chronicle_off + sizeof(struct gp_chronicle));
    CHECK_EQ((uintptr_t)gp_slot_at(seg, 2, 1) % 64, 0);
    CHECK_EQ((uintptr_t)gp_client_at(seg, 3) % 64, 0);
    teardown();
}

static void test_pools_are_found_by_name(void)
{
    uint32_t other, again;
    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &other), GP_OK);
    CHECK(other != pool);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &again), GP_OK);
    CHECK_EQ(again, pool);
    CHECK_EQ(gp_pool_define(seg, "shopann", "", &settings, &again), GP_OK);
    CHECK_EQ(gp_pool_define(seg, "fourth", "ann", &settings, &again), GP_EFULL);
    CHECK_EQ(gp_pools_high(seg), 3);
    CHECK_EQ(gp_pool_remove(seg, 3), GP_ENOENT);
    CHECK_EQ(gp_pool_remove(seg, other), GP_OK);
    CHECK_EQ(gp_pool_remove(seg, other), GP_ENOENT);
    CHECK_EQ(gp_pool_claim(seg, other, 0), GP_NO_SLOT);
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &again), GP_OK);
    CHECK_EQ(again, other);
    CHECK_EQ(gp_pool_claim(seg, other, 0), 0);
    teardown();
}

static void test_place_of_a_vacated_pool_is_used_again(void)
{
    uint32_t third, again;
    struct gp_pool_row row;
    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &again), GP_OK);
    CHECK_EQ(gp_pool_define(seg, "shop", "cyd", &settings, &third), GP_OK);
    CHECK_EQ(gp_pool_vacate(seg, pool, third), GP_ENOENT); /* in use */
    CHECK_EQ(gp_pool_vacate(seg, pool, 3), GP_ENOENT);
    CHECK_EQ(gp_pool_vacate(seg, 3, third), GP_ENOENT);
    uint32_t slot = gp_pool_claim(seg, pool, 1);
    gp_count(&gp_meter_at(seg, pool, 1)->counters.query_count, 7);
    CHECK(gp_lane_publish(seg, pool, 2, 5));
    CHECK_EQ(gp_pool_remove(seg, pool), GP_OK);
    CHECK_EQ(gp_pool_vacate(seg, pool, third), GP_AGAIN); /* a login is in flight */
    gp_slot_free(seg, pool, slot, 1);
    CHECK_EQ(gp_pool_define(seg, "shop", "dan", &settings, &again), GP_EFULL);
    CHECK_EQ(gp_pool_vacate(seg, pool, third), GP_OK);
    CHECK_EQ(gp_pool_define(seg, "shop", "dan", &settings, &again), GP_OK);
    CHECK_EQ(again, pool);
    CHECK_EQ(gp_pools_high(seg), 3);
    CHECK_EQ(gp_pool_row(seg, pool, &row), GP_OK);
    CHECK_MEM(row.user, "dan", 4);
    CHECK_EQ(row.query_count, 0);
    CHECK_EQ(gp_pool_row(seg, third, &row), GP_OK);
    CHECK_EQ(row.query_count, 7);
    CHECK_EQ(gp_lane_outstanding(seg, pool, 2), 0);
    CHECK_EQ(gp_pool_claim(seg, pool, 0), 0);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &again), GP_EFULL);
    teardown();
}

static void test_define_refuses_what_is_out_of_bounds(void)
{
    char long_name[GP_NAME_BYTES + 1] = {0};
    struct gp_pool_settings bad[] = {settings, settings, settings, settings, settings};
    struct gp_pool_row row;
    uint32_t out = 77;
    setup();
    memset(long_name, 'x', GP_NAME_BYTES);
    CHECK_EQ(gp_pool_define(seg, long_name, "ann", &settings, &out), GP_EPROTO);
    CHECK_EQ(gp_pool_define(seg, "shop", long_name, &settings, &out), GP_EPROTO);
    bad[0].size = 0;
    bad[1].size = GP_SLOTS_MAX + 1;
    bad[2].max_creates = 0;
    bad[3].max_creates = GP_CREATES_MAX + 1;
    bad[4].mode = 3;
    for (size_t i = 0; i < 5; i++)
        CHECK_EQ(gp_pool_define(seg, "shop", "ann", &bad[i], &out), GP_EPROTO);
    CHECK_EQ(out, 77);
    CHECK_EQ(gp_pools_high(seg), 1);
    CHECK_EQ(gp_pool_row(seg, pool, &row), GP_OK);
    CHECK_EQ(row.settings.size, 4);
    long_name[GP_NAME_BYTES - 1] = '\0';
    CHECK_EQ(gp_pool_define(seg, long_name, "ann", &settings, &out), GP_OK);
    teardown();
}

static void test_pokes_coalesce_and_none_is_lost(void)
{
    uint64_t count;
    setup();
    gp_worker_poke(seg, 1);
    gp_worker_poke(seg, 1);
    CHECK_EQ(read(gp_common_worker_at(seg, 1)->wake_fd, &count, sizeof(count)), sizeof(count));
    CHECK_EQ(count, 1);
    gp_worker_poke(seg, 1); /* marked as poked until it says otherwise */
    CHECK_EQ(read(gp_common_worker_at(seg, 1)->wake_fd, &count, sizeof(count)), -1);
    gp_worker_unpoke(seg, 1);
    gp_worker_poke(seg, 1);
    CHECK(woken(1));
    CHECK(!woken(1));
    CHECK(!woken(0));
    teardown();
}

/* ---- clients ---- */

static void test_client_rows_have_a_limit_and_a_reserve(void)
{
    uint32_t rows[10];
    struct gp_client_info info;
    setup();
    for (int i = 0; i < 8; i++)
        CHECK((rows[i] = gp_client_claim(seg, (uint32_t)i % W, false)) != GP_NO_CLIENT);
    CHECK_EQ(gp_client_claim(seg, 0, false), GP_NO_CLIENT);
    CHECK((rows[8] = gp_client_claim(seg, 0, true)) > 8);
    CHECK((rows[9] = gp_client_claim(seg, 0, true)) > 8);
    CHECK_EQ(gp_client_claim(seg, 0, true), GP_NO_CLIENT);
    CHECK_EQ(audit().clients, 10);
    check_sound();
    gp_client_release(seg, rows[4], 0); /* worker 1's: refused */
    CHECK_EQ(audit().clients, 10);
    gp_client_release(seg, 0, 0);
    gp_client_release(seg, 11, 0);
    memcpy(gp_client_at(seg, rows[4])->user, "ann", 4);
    CHECK_EQ(gp_client_info(seg, rows[4], &info), GP_OK);
    CHECK_EQ(info.state, GP_CLIENT_LOGIN);
    CHECK_EQ(info.worker, 1);
    CHECK_MEM(info.user, "ann", 4);
    gp_client_release(seg, rows[4], 1);
    CHECK_EQ(gp_client_info(seg, rows[4], &info), GP_ENOENT);
    CHECK_EQ(gp_client_claim(seg, 2, true), rows[4]); /* the reserve is a last resort */
    CHECK_EQ(gp_client_info(seg, rows[4], &info), GP_OK);
    CHECK_EQ(info.user[0], '\0');
    CHECK_EQ(gp_client_info(seg, 0, &info), GP_ENOENT);
    CHECK_EQ(gp_client_info(seg, 11, &info), GP_ENOENT);
    gp_segment_limits(seg, 2,
                      3); /* max_connections was lowered: nobody is thrown out, nobody gets in */
    gp_client_release(seg, rows[7], 1);
    CHECK_EQ(gp_client_claim(seg, 1, false), GP_NO_CLIENT);
    teardown();
}

/* ---- rows and names ---- */

static void test_rows_tell_what_is(void)
{
    struct gp_slot_row slot_row;
    struct gp_pool_row row;
    struct gp_worker_row worker_row;
    uint32_t slot;
    setup();
    uint32_t client = client_linked(&slot);
    server_idle(1, 5);
    CHECK_EQ(gp_pool_claim(seg, pool, 2), 2);
    atomic_store(&gp_lane_at(seg, pool, 1)->oldest_ns, gp_now_ns() - SECOND_NS);
    gp_client_at(seg, client)->tls[0] = gp_slot_cold_at(seg, pool, slot)->tls[0] = 'T';
    atomic_store(&gp_client_at(seg, client)->pins, 1u << 2 | 1u << 6);
    gp_count(&gp_meter_at(seg, pool, 0)->counters.client_ends[GP_REASON_CLIENT_EOF], 2);
    gp_count(&gp_meter_at(seg, pool, 2)->counters.server_ends[GP_REASON_LIFETIME], 3);
    gp_count(&gp_worker_at(seg, 2)->refusals[GP_REFUSED_LIMIT], 4);
    gp_outage_failed(seg, pool, GP_AILS_POOL);
    CHECK_EQ(gp_pool_row(seg, pool, &row), GP_OK);
    CHECK_EQ(row.cl_tls, 1);
    CHECK_EQ(row.sv_tls, 1);
    CHECK_EQ(row.cl_pinned[2] + row.cl_pinned[6], 2);
    CHECK_EQ(row.cl_pinned[0], 0);
    CHECK_EQ(row.client_ends[GP_REASON_CLIENT_EOF], 2);
    CHECK_EQ(row.server_ends[GP_REASON_LIFETIME], 3);
    CHECK_EQ(row.ailing, 1);
    CHECK_MEM(row.database, "shop", 5);
    CHECK_MEM(row.user, "ann", 4);
    CHECK_EQ(row.sv_active, 1);
    CHECK_EQ(row.sv_idle, 1);
    CHECK_EQ(row.sv_login, 1);
    CHECK_EQ(row.cl_active, 1);
    CHECK_EQ(row.logins, 2);
    CHECK(row.maxwait_ns >= SECOND_NS && row.maxwait_ns < 60ull * SECOND_NS);
    CHECK_EQ(gp_pool_row(seg, 1, &row), GP_ENOENT);
    CHECK_EQ(gp_slots_high(seg, pool), 3);
    CHECK_EQ(gp_slots_high(seg, 1), 0);
    CHECK_EQ(gp_slot_row(seg, pool, slot, &slot_row), GP_OK);
    CHECK_EQ(slot_row.state, GP_SLOT_ACTIVE);
    CHECK_EQ(slot_row.client, client);
    CHECK_EQ(slot_row.backend_pid, 4711);
    CHECK_EQ(slot_row.key_length, 4);
    CHECK_EQ(slot_row.key[3], 4);
    CHECK_EQ(gp_slot_row(seg, pool, 2, &slot_row), GP_OK);
    CHECK_EQ(slot_row.state, GP_SLOT_CONNECTING);
    CHECK_EQ(slot_row.backend_pid, 0);
    CHECK_EQ(gp_slot_row(seg, pool, 3, &slot_row), GP_ENOENT);
    CHECK_EQ(gp_worker_row(seg, 2, &worker_row), GP_OK);
    CHECK_EQ(worker_row.pid, 102);
    CHECK_EQ(worker_row.births, 1);
    CHECK_EQ(worker_row.refusals[GP_REFUSED_LIMIT], 4);
    CHECK_EQ(gp_worker_row(seg, W, &worker_row), GP_ENOENT);
    CHECK_EQ(gp_clients_max(seg), 10);
    teardown();
}

static void test_rows_of_all_pools_equal_each_pools_own(void)
{
    struct gp_pool_row rows[4], row;
    uint32_t other, slot, idle;
    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &other), GP_OK);
    client_linked(&slot);
    idle = gp_client_claim(seg, 2, false);
    atomic_store(&gp_client_at(seg, idle)->pool, other + 1);
    atomic_store(&gp_client_at(seg, idle)->state, GP_CLIENT_IDLE);
    gp_client_claim(seg, 1, false); /* in login: of no pool yet */
    memset(rows, 0xff, sizeof(rows));
    CHECK_EQ(gp_pool_rows(seg, rows, 4), 2);
    CHECK_EQ(rows[pool].cl_active, 1);
    CHECK_EQ(rows[pool].cl_idle, 0);
    CHECK_EQ(rows[other].cl_idle, 1);
    CHECK_EQ(rows[other].cl_login, 0);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(gp_pool_row(seg, i, &row), GP_OK);
        CHECK_MEM(&rows[i], &row, sizeof(row));
    }
    CHECK_EQ(rows[2].in_use, UINT32_MAX); /* not touched */
    CHECK_EQ(gp_pool_rows(seg, rows, 1), 1);
    CHECK_EQ(gp_pool_rows(seg, NULL, 0), 0);
    teardown();
}

static void test_next_client_passes_over_free_rows(void)
{
    uint32_t first, second, third;
    setup();
    CHECK_EQ(gp_client_next(seg, 0), 0);
    first = gp_client_claim(seg, 0, false);
    second = gp_client_claim(seg, 1, false);
    third = gp_client_claim(seg, 2, true);
    gp_client_release(seg, second, 1);
    CHECK_EQ(gp_client_next(seg, 0), first);
    CHECK_EQ(gp_client_next(seg, first), third);
    CHECK_EQ(gp_client_next(seg, second), third);
    CHECK_EQ(gp_client_next(seg, third), 0);
    CHECK_EQ(gp_client_next(seg, 10), 0); /* the last row */
    CHECK_EQ(gp_client_next(seg, UINT32_MAX), 0);
    teardown();
}

static void test_every_number_has_words(void)
{
    for (uint32_t i = 0; i < GP_REASONS; i++)
        CHECK(gp_reason_text(i) != NULL && strcmp(gp_reason_text(i), "unknown reason") != 0);
    CHECK(strcmp(gp_reason_text(GP_REASONS), "unknown reason") == 0);
    for (uint32_t i = 0; i <= GP_ENOENT; i++)
        CHECK(gp_result_text(i) != NULL && strcmp(gp_result_text(i), "unknown result") != 0);
    CHECK(strcmp(gp_result_text(UINT32_MAX), "unknown result") == 0);
    CHECK_EQ(gp_abi_version(), GP_ABI_VERSION);
    CHECK(gp_now_ns() != 0);
}

int main(void)
{
    RUN(test_word_packs_every_field);
    RUN(test_segment_refuses_sizes_out_of_bounds);
    RUN(test_segment_is_found_by_its_descriptor);
    RUN(test_segment_of_another_layout_shares_what_is_common);
    RUN(test_limits_and_outages_hold_over_two_layouts);
    RUN(test_segment_of_another_size_of_settings_shares_what_is_common);
    RUN(test_segment_with_another_common_part_is_refused);
    RUN(test_segment_parts_do_not_overlap);
    RUN(test_pools_are_found_by_name);
    RUN(test_place_of_a_vacated_pool_is_used_again);
    RUN(test_define_refuses_what_is_out_of_bounds);
    RUN(test_pokes_coalesce_and_none_is_lost);
    RUN(test_client_rows_have_a_limit_and_a_reserve);
    RUN(test_rows_tell_what_is);
    RUN(test_rows_of_all_pools_equal_each_pools_own);
    RUN(test_next_client_passes_over_free_rows);
    RUN(test_every_number_has_words);
    return check_done();
}
