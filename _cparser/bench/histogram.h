/* Latencies in log-linear buckets: three significant digits from 1 ns to 18 minutes, whatever the
 * number of values. Pure. Values below 2 * HALF have a bucket each; of every further power of two
 * there are HALF, so that a bucket is never wider than a thousandth of what is in it. */
#ifndef GP_BENCH_HISTOGRAM_H
#define GP_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_HALF_BITS  10u
#define HISTOGRAM_HALF       (1u << HISTOGRAM_HALF_BITS)
#define HISTOGRAM_VALUE_BITS 40u /* greater values count as the greatest */
#define HISTOGRAM_BUCKETS    ((HISTOGRAM_VALUE_BITS - HISTOGRAM_HALF_BITS + 1u) * HISTOGRAM_HALF)

/* Zero is empty. */
struct histogram {
    uint64_t count, sum, max; /* max and sum are exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
/* The greatest value of the bucket that holds the value which `share` (0..1) of all do not exceed
 * (nearest rank), but not above max; 0 when empty. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
