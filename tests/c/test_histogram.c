/* sources: _cparser/bench/histogram.c */
/* libraries: -lm */
/*
 * Latencies in buckets: small ones exactly, large ones to a thousandth, the greatest exactly.
 */
#include "check.h"
#include "bench/histogram.h"

static struct histogram h;

static void setup(void)
{
    memset(&h, 0, sizeof(h));
}

static void test_nothing_is_zero(void)
{
    setup();
    CHECK_EQ(histogram_at(&h, 0.5), 0);
    CHECK_EQ(histogram_at(&h, 1), 0);
}

static void test_small_values_are_exact(void)
{
    setup();
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_add(&h, value);
    CHECK_EQ(histogram_at(&h, 0), 1);
    CHECK_EQ(histogram_at(&h, 0.5), 500);
    CHECK_EQ(histogram_at(&h, 0.99), 990);
    CHECK_EQ(histogram_at(&h, 0.999), 999);
    CHECK_EQ(histogram_at(&h, 1), 1000);
    CHECK_EQ(h.sum, 500500);
}

/* One below, at, and one above each power of two: never less than the value, and by a thousandth at
 * most more. */
static void test_large_values_are_exact_to_a_thousandth(void)
{
    for (uint32_t bits = 1; bits < HISTOGRAM_VALUE_BITS; bits++) {
        for (int64_t off = -1; off <= 1; off++) {
            uint64_t value = (uint64_t)((int64_t)(1ull << bits) + off);
            setup();
            histogram_add(&h, value);
            histogram_add(&h, UINT64_C(1) << HISTOGRAM_VALUE_BITS);
            CHECK(histogram_at(&h, 0.5) >= value);
            CHECK(histogram_at(&h, 0.5) - value <= value / 1000);
        }
    }
}

static void test_order_is_kept(void)
{
    uint64_t before = 0;

    for (uint64_t value = 1; value < 1ull << HISTOGRAM_VALUE_BITS; value += value / 700 + 1) {
        setup();
        histogram_add(&h, value);
        histogram_add(&h, UINT64_MAX >> 1);
        CHECK(histogram_at(&h, 0.5) >= before);
        before = histogram_at(&h, 0.5);
    }
}

static void test_values_out_of_range_are_the_greatest(void)
{
    setup();
    histogram_add(&h, 5);
    histogram_add(&h, UINT64_MAX / 2);
    CHECK_EQ(h.max, UINT64_MAX / 2);
    CHECK_EQ(histogram_at(&h, 0.5), 5);
    CHECK_EQ(histogram_at(&h, 1), (1ull << HISTOGRAM_VALUE_BITS) - 1);
}

int main(void)
{
    RUN(test_nothing_is_zero);
    RUN(test_small_values_are_exact);
    RUN(test_large_values_are_exact_to_a_thousandth);
    RUN(test_order_is_kept);
    RUN(test_values_out_of_range_are_the_greatest);
    return check_done();
}
