/* The histograms of the segment, read. */
#include "histogram.h"

#include <string.h>

#include "pool_internal.h"

uint64_t gp_time_bound_ns(uint32_t bucket)
{
    if (bucket + 1 >= GP_TIME_BUCKETS)
        return UINT64_MAX;
    return ((gp_bucket_greatest(bucket, GP_TIME_HALF_BITS) + 1) << GP_TIME_UNIT_BITS) - 1;
}

static void add(struct gp_histogram *h, struct gp_time_sums *sums)
{
    if (h == NULL)
        return;
    sums->sum_ns += atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
    for (uint32_t i = 0; i < GP_TIME_BUCKETS; i++)
        sums->counts[i] += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
}

void gp_times_read(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t kind,
                   struct gp_time_sums *sums)
{
    uint32_t pools = gp_pools_high(seg);

    memset(sums, 0, sizeof(*sums));
    if (kind >= GP_TIMES)
        return;
    for (uint32_t p = pool == GP_ALL ? 0 : pool; p < pools && (pool == GP_ALL || p == pool); p++) {
        for (uint32_t w = 0; w < seg->workers; w++) {
            if (worker == GP_ALL || worker == w)
                add(times_measured(seg, p, w, kind), sums);
        }
    }
}
