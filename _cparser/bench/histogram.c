#include "histogram.h"

#include <math.h>

#define VALUE_MAX ((1ull << HISTOGRAM_VALUE_BITS) - 1)

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    h->buckets[gp_bucket_of(value < VALUE_MAX ? value : VALUE_MAX, HISTOGRAM_HALF_BITS)]++;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t rank = (uint64_t)ceil((double)h->count * share), seen = 0;

    if (rank == 0)
        rank = 1;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        uint64_t greatest = gp_bucket_greatest(i, HISTOGRAM_HALF_BITS);
        if (seen >= rank && seen > 0)
            return greatest < h->max ? greatest : h->max;
    }
    return h->max;
}
