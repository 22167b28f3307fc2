/* sources: @segment */
/* Histograms of times in the segment: where a time is counted, how they are added up. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool_fixture.h"

static struct gp_time_sums sums;

static uint32_t bucket_of_ns(uint64_t ns)
{
    static struct gp_histogram h;
    uint32_t found = GP_TIME_BUCKETS;

    memset(&h, 0, sizeof(h));
    gp_time_note(&h, ns);
    for (uint32_t i = 0; i < GP_TIME_BUCKETS; i++) {
        if (atomic_load(&h.buckets[i]))
            found = i;
    }
    return found;
}

/* As the relay does it: a time, and the count of what took it. */
static void measure(uint32_t of_pool, uint32_t worker, enum gp_time_kind kind, uint64_t ns)
{
    struct gp_counters *c = &gp_meter_at(seg, of_pool, worker)->counters;

    gp_time_note(&gp_times_at(seg, of_pool, worker)->of[kind], ns);
    gp_count(kind == GP_TIME_QUERY ? &c->query_count : &c->wait_count, 1);
}

static uint64_t read_sum(uint32_t of_pool, uint32_t worker, uint32_t kind)
{
    uint64_t sum = 0;

    gp_times_read(seg, of_pool, worker, kind, &sums);
    for (uint32_t i = 0; i < GP_TIME_BUCKETS; i++)
        sum += sums.counts[i];
    return sum;
}

/* From one bound to the next there is no gap, no overlap, and from 8 us on no more than a sixteenth. */
static void test_buckets_follow_each_other(void)
{
    uint64_t before = 0;

    for (uint32_t i = 0; i < GP_TIME_BUCKETS - 1; i++) {
        uint64_t bound = gp_time_bound_ns(i);
        CHECK_EQ(bucket_of_ns(before), i);
        CHECK_EQ(bucket_of_ns(bound), i);
        CHECK_EQ(bucket_of_ns(bound + 1), i + 1);
        CHECK(before < 8192 || bound + 1 - before <= before / 16);
        before = bound + 1;
    }
    CHECK_EQ(gp_time_bound_ns(GP_TIME_BUCKETS - 1), UINT64_MAX);
    CHECK_EQ(bucket_of_ns(UINT64_MAX), GP_TIME_BUCKETS - 1);
}

static void test_sets_are_apart_and_aligned(void)
{
    setup();
    for (uint32_t w = 0; w < W; w++) {
        CHECK_EQ((uintptr_t)gp_times_at(seg, pool, w) % 64, 0);
        CHECK((char *)gp_times_at(seg, pool, w) >= (char *)gp_meter_at(seg, pool, W));
    }
    CHECK((char *)gp_times_at(seg, pool, W) <= (char *)gp_pool_at(seg, pool + 1));
    teardown();
}

static void test_times_add_up_over_pools_and_workers(void)
{
    uint32_t other;

    setup();
    CHECK_EQ(gp_pool_define(seg, "shop", "bob", &settings, &other), GP_OK);
    for (uint32_t w = 0; w < W; w++) {
        measure(pool, w, GP_TIME_QUERY, 1000);
        measure(other, w, GP_TIME_QUERY, SECOND_NS);
    }
    measure(pool, 1, GP_TIME_WAIT, SECOND_NS);
    CHECK_EQ(read_sum(pool, 1, GP_TIME_QUERY), 1);
    CHECK_EQ(read_sum(pool, GP_ALL, GP_TIME_QUERY), W);
    CHECK_EQ(sums.counts[bucket_of_ns(1000)], W);
    CHECK_EQ(sums.sum_ns, 1000 * W);
    CHECK_EQ(read_sum(GP_ALL, 2, GP_TIME_QUERY), 2);
    CHECK_EQ(sums.counts[bucket_of_ns(SECOND_NS)], 1);
    CHECK_EQ(sums.sum_ns, 1000 + (uint64_t)SECOND_NS);
    CHECK_EQ(read_sum(GP_ALL, GP_ALL, GP_TIME_QUERY), 2 * W);
    CHECK_EQ(read_sum(GP_ALL, GP_ALL, GP_TIME_WAIT), 1);
    CHECK_EQ(read_sum(GP_ALL, GP_ALL, GP_TIME_TRANSACTION), 0);
    teardown();
}

static void test_names_of_nothing_count_nothing(void)
{
    setup();
    measure(pool, 0, GP_TIME_QUERY, 1000);
    CHECK_EQ(read_sum(1, GP_ALL, GP_TIME_QUERY), 0);
    CHECK_EQ(read_sum(pool, W, GP_TIME_QUERY), 0);
    CHECK_EQ(read_sum(pool, 0, GP_TIMES), 0);
    teardown();
}

/* Bytes of the segment that are there: `resident` of its pages. */
static size_t resident(void *at, size_t length)
{
    static unsigned char there[1 << 16];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 0;
    uintptr_t first = (uintptr_t)at & ~(page - 1), last = (uintptr_t)at + length;

    CHECK((last - first) / page < sizeof(there));
    CHECK_EQ(mincore((void *)first, last - first, there), 0);
    for (size_t i = 0; i < (last - first + page - 1) / page; i++)
        pages += there[i] & 1u;
    return pages;
}

/* To look at what nobody has measured claims no memory. */
static void test_reading_nothing_costs_nothing(void)
{
    struct gp_pool_row row;

    setup();
    measure(pool, 1, GP_TIME_QUERY, 1000);
    size_t before = resident(gp_times_at(seg, pool, 0), W * sizeof(struct gp_times));
    CHECK_EQ(gp_pool_row(seg, pool, &row), GP_OK);
    CHECK_EQ(row.query_ns, 1000);
    CHECK_EQ(read_sum(GP_ALL, GP_ALL, GP_TIME_QUERY), 1);
    CHECK_EQ(read_sum(GP_ALL, GP_ALL, GP_TIME_WAIT), 0);
    size_t after = resident(gp_times_at(seg, pool, 0), W * sizeof(struct gp_times));
    /* the histogram that was measured may reach into a second page, the counters into the first */
    CHECK(after <= before + 2);
    teardown();
}

int main(void)
{
    RUN(test_buckets_follow_each_other);
    RUN(test_sets_are_apart_and_aligned);
    RUN(test_times_add_up_over_pools_and_workers);
    RUN(test_names_of_nothing_count_nothing);
    RUN(test_reading_nothing_costs_nothing);
    return check_done();
}
