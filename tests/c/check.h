/*
 * check.h: the whole test harness of the C tests.
 *
 * A test program is a file with main(): it calls RUN(test_...) for each test and returns
 * check_done(). The first failed check prints where and what, then aborts, so that a debugger or
 * a sanitizer sees the stack. Inputs of parsers belong in a guarded copy: one byte read past the
 * end is a segmentation fault there, with or without a sanitizer. Include this file first: it
 * asks the C library for all of Linux.
 */
#ifndef GP_TESTS_CHECK_H
#define GP_TESTS_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long check_count;
static unsigned long check_tests;

static inline void check_true(bool ok, const char *file, int line, const char *text)
{
    check_count++;
    if (ok)
        return;
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, text);
    abort();
}

static inline void check_int(long long a, long long b, const char *file, int line, const char *text)
{
    check_count++;
    if (a == b)
        return;
    fprintf(stderr, "%s:%d: check failed: %s: %lld != %lld\n", file, line, text, a, b);
    abort();
}

static inline void check_mem(const void *a, const void *b, size_t len, const char *file, int line,
                             const char *text)
{
    check_count++;
    if (len == 0 || memcmp(a, b, len) == 0)
        return;
    fprintf(stderr, "%s:%d: check failed: %s: %zu bytes differ\n", file, line, text, len);
    abort();
}

#define CHECK(cond)          check_true((cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ(a, b)       check_int((long long)(a), (long long)(b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_MEM(a, b, len) check_mem((a), (b), (len), __FILE__, __LINE__, #a " == " #b)
#define RUN(test)            check_run((test), #test)

static inline void check_run(void (*test)(void), const char *name)
{
    check_tests++;
    if (getenv("CHECK_VERBOSE") != NULL)
        fprintf(stderr, "%s\n", name);
    test();
}

/* The exit status of main; a program that checked nothing has failed. */
static inline int check_done(void)
{
    printf("%lu tests, %lu checks\n", check_tests, check_count);
    return check_count > 0 ? 0 : 1;
}

/*
 * A copy of some bytes that ends where an inaccessible page begins:
 *
 *     | ............ at[0] ... at[len-1] | PROT_NONE |
 *
 * An empty copy has a valid `at` of which no byte may be touched.
 */
struct guard {
    uint8_t *at;
    size_t len;
    void *map;
    size_t map_len;
};

static inline struct guard guard_copy(const void *bytes, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (len / page + 1) * page;
    struct guard g = {.len = len, .map_len = body + page};

    g.map = mmap(NULL, g.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g.map != MAP_FAILED);
    CHECK(mprotect((uint8_t *)g.map + body, page, PROT_NONE) == 0);
    g.at = (uint8_t *)g.map + body - len;
    if (len > 0)
        memcpy(g.at, bytes, len);
    return g;
}

static inline void guard_free(struct guard *g)
{
    CHECK(munmap(g->map, g->map_len) == 0);
    g->at = NULL;
}

#endif
