/* Times in log-linear buckets: how many there were of each length, within a sixteenth.
 *
 * Values below 2 * half have a bucket each; of every further power of two there are half, so that a
 * bucket is never wider than the half-th part of what is in it:
 *
 *     half = 4      0 1 2 3 4 5 6 7 | 8- 10- 12- 14- | 16- 20- 24- 28- | 32- ...
 *     bucket        0             7   8           11   12          15    16
 *
 * Histograms of the same kind are added bucket by bucket. The arithmetic is that of the engine and of
 * the load generator (bench/histogram.h), which keeps three digits.
 *
 * Those of the engine lie in the shared segment, one set for each pool and worker, written by that
 * worker alone (plain adds to relaxed atomics, as in stats.h) and added up by whoever reads. They
 * only grow; a respawned worker goes on with its predecessor's. */
#ifndef GP_HISTOGRAM_H
#define GP_HISTOGRAM_H

#include "engine.h"
#include "stats.h"

/* How many buckets values below 1 << value_bits have. */
#define GP_BUCKETS(value_bits, half_bits) (((value_bits) - (half_bits) + 1u) << (half_bits))

static inline uint32_t gp_bucket_of(uint64_t value, uint32_t half_bits)
{
    if (value < 2ull << half_bits)
        return (uint32_t)value;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - half_bits;
    return (shift << half_bits) + (uint32_t)(value >> shift);
}

/* The greatest value that has this bucket. */
static inline uint64_t gp_bucket_greatest(uint32_t bucket, uint32_t half_bits)
{
    if (bucket < 2u << half_bits)
        return bucket;
    uint32_t shift = (bucket >> half_bits) - 1;
    return (((uint64_t)(bucket - (shift << half_bits)) + 1) << shift) - 1;
}

/* Of times: half a microsecond is the unit, so that from 8 us on the width of a bucket is what
 * counts; 137 s and more are in the last one. */
#define GP_TIME_UNIT_BITS  9u
#define GP_TIME_VALUE_BITS 28u
#define GP_TIME_HALF_BITS  4u
_Static_assert(GP_TIME_BUCKETS == GP_BUCKETS(GP_TIME_VALUE_BITS, GP_TIME_HALF_BITS),
               "engine_rows.h tells how many there are");

struct gp_histogram {
    _Alignas(64) _Atomic uint64_t sum_ns; /* exact */
    _Atomic uint64_t buckets[GP_TIME_BUCKETS];
};

/* What one worker has measured in one pool; by enum gp_time_kind. */
struct gp_times {
    struct gp_histogram of[GP_TIMES];
};

/* From `since` until now: 0 if another process has noted it after this one last looked at the clock. */
static inline uint64_t gp_elapsed(uint64_t now, uint64_t since)
{
    return now > since ? now - since : 0;
}

/* Count one time; only the worker whose they are. */
static inline void gp_time_note(struct gp_histogram *h, uint64_t ns)
{
    uint32_t bucket = gp_bucket_of(ns >> GP_TIME_UNIT_BITS, GP_TIME_HALF_BITS);

    gp_count(&h->sum_ns, ns);
    gp_count(&h->buckets[bucket < GP_TIME_BUCKETS ? bucket : GP_TIME_BUCKETS - 1], 1);
}

#endif
