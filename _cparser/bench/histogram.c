#include "histogram.h"

#include <math.h>

#define VALUE_MAX ((1ull << HISTOGRAM_VALUE_BITS) - 1)

static uint32_t bucket_of(uint64_t value)
{
    if (value < 2 * HISTOGRAM_HALF)
        return (uint32_t)value;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_HALF_BITS;
    return shift * HISTOGRAM_HALF + (uint32_t)(value >> shift);
}

static uint64_t greatest_in(uint32_t bucket)
{
    if (bucket < 2 * HISTOGRAM_HALF)
        return bucket;
    uint32_t shift = bucket / HISTOGRAM_HALF - 1;
    return ((uint64_t)(bucket - shift * HISTOGRAM_HALF) + 1) * (1ull << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    h->buckets[bucket_of(value < VALUE_MAX ? value : VALUE_MAX)]++;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t rank = (uint64_t)ceil((double)h->count * share), seen = 0;

    if (rank == 0)
        rank = 1;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank && seen > 0)
            return greatest_in(i) < h->max ? greatest_in(i) : h->max;
    }
    return h->max;
}
