/* Latencies in log-linear buckets: three significant digits from 1 ns to 18 minutes, whatever the
 * number of values. Pure. The buckets are those of ../histogram.h. */
#ifndef GP_BENCH_HISTOGRAM_H
#define GP_BENCH_HISTOGRAM_H

#include <stdint.h>

#include "../histogram.h"

#define HISTOGRAM_HALF_BITS  10u
#define HISTOGRAM_VALUE_BITS 40u /* greater values count as the greatest */
#define HISTOGRAM_BUCKETS    GP_BUCKETS(HISTOGRAM_VALUE_BITS, HISTOGRAM_HALF_BITS)

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
