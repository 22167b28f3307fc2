/* Include this before a source file whose races are to be met: each of its atomic operations is
 * then preceded, now and then, by a pause. Windows of a few nanoseconds, which real processes hit
 * once in weeks, are hit every second. */
#ifndef GP_TESTS_JITTER_H
#define GP_TESTS_JITTER_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

static inline void jitter(void)
{
    static uint32_t seed; /* each process its own */

    if (seed == 0)
        seed = (uint32_t)getpid() * 2654435761u | 1;
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    if (seed % 64 == 0)
        (void)sched_yield(); /* it always succeeds */
    else if (seed % 32 == 0) {
        for (volatile uint32_t spin = seed >> 8 & 0x3ff; spin != 0; spin--)
            ;
    }
}

#ifdef __clang__
#define JITTER_LOAD(p, o)            __c11_atomic_load(p, o)
#define JITTER_STORE(p, v, o)        __c11_atomic_store(p, v, o)
#define JITTER_EXCHANGE(p, v, o)     __c11_atomic_exchange(p, v, o)
#define JITTER_ADD(p, v, o)          __c11_atomic_fetch_add(p, v, o)
#define JITTER_OR(p, v, o)           __c11_atomic_fetch_or(p, v, o)
#define JITTER_AND(p, v, o)          __c11_atomic_fetch_and(p, v, o)
#define JITTER_SWAP(p, e, v, so, fo) __c11_atomic_compare_exchange_strong(p, e, v, so, fo)
#else
#define JITTER_LOAD(p, o)            __atomic_load_n(p, o)
#define JITTER_STORE(p, v, o)        __atomic_store_n(p, v, o)
#define JITTER_EXCHANGE(p, v, o)     __atomic_exchange_n(p, v, o)
#define JITTER_ADD(p, v, o)          __atomic_fetch_add(p, v, o)
#define JITTER_OR(p, v, o)           __atomic_fetch_or(p, v, o)
#define JITTER_AND(p, v, o)          __atomic_fetch_and(p, v, o)
#define JITTER_SWAP(p, e, v, so, fo) __atomic_compare_exchange_n(p, e, v, 0, so, fo)
#endif

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(p, o)         (jitter(), JITTER_LOAD(p, o))
#define atomic_store_explicit(p, v, o)     (jitter(), JITTER_STORE(p, v, o))
#define atomic_exchange_explicit(p, v, o)  (jitter(), JITTER_EXCHANGE(p, v, o))
#define atomic_fetch_add_explicit(p, v, o) (jitter(), JITTER_ADD(p, v, o))
#define atomic_fetch_or_explicit(p, v, o)  (jitter(), JITTER_OR(p, v, o))
#define atomic_fetch_and_explicit(p, v, o) (jitter(), JITTER_AND(p, v, o))
#define atomic_compare_exchange_strong_explicit(p, e, v, so, fo)                                   \
    (jitter(), JITTER_SWAP(p, e, v, so, fo))

#endif
