/* The histograms of the segment, read. */
#include "histogram.h"

#include <string.h>

#include "pool.h"

uint64_t gp_time_bound_ns(uint32_t bucket)
{
    if (bucket + 1 >= GP_TIME_BUCKETS)
        return UINT64_MAX;
    return ((gp_bucket_greatest(bucket, GP_TIME_HALF_BITS) + 1) << GP_TIME_UNIT_BITS) - 1;
}

static void add(struct gp_histogram *h, uint64_t *counts)
{
    for (uint32_t i = 0; i < GP_TIME_BUCKETS; i++)
        counts[i] += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
}

void gp_times_read(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t kind,
                   uint64_t *counts)
{
    uint32_t pools = gp_pools_high(seg);

    memset(counts, 0, GP_TIME_BUCKETS * sizeof(*counts));
    if (kind >= GP_TIMES)
        return;
    for (uint32_t p = pool == GP_ALL ? 0 : pool; p < pools && (pool == GP_ALL || p == pool); p++) {
        for (uint32_t w = 0; w < seg->workers; w++) {
            if (worker == GP_ALL || worker == w)
                add(&gp_times_at(seg, p, w)->of[kind], counts);
        }
    }
}
