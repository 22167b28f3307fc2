/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto */
/* When a client that finds no server is patient, and for how long. */
#include "check.h"

#include "growth.h"

enum { MS = 1000000 };

/* A pool of 8 servers, all in use by transactions of 4 ms: one comes back every 0.5 ms. */
static const struct gp_outlook busy = {.warm = 8,
                                       .retries = 10,
                                       .used = 8,
                                       .near = 8,
                                       .waiting = 1,
                                       .kept_ns = 4 * MS,
                                       .login_ns = 20 * MS};

static uint64_t patience(struct gp_outlook outlook)
{
    enum gp_haste haste;
    uint64_t ns = gp_growth_verdict(&outlook, &haste);

    CHECK(ns != 0);
    return ns;
}

static enum gp_haste haste(struct gp_outlook outlook)
{
    enum gp_haste reason;

    CHECK_EQ(gp_growth_verdict(&outlook, &reason), 0);
    return reason;
}

static void test_patience_lasts_until_so_many_have_come_back(void)
{
    struct gp_outlook o = busy;

    CHECK_EQ(patience(o), 5 * MS);
    o.retries = 4;
    CHECK_EQ(patience(o), 2 * MS);
    o.near = 1; /* the others are another worker's alone */
    CHECK_EQ(patience(o), 16 * MS);
}

static void test_patience_has_bounds(void)
{
    struct gp_outlook o = busy;

    o.kept_ns = 1;
    CHECK_EQ(patience(o), 1 * MS);
    o.kept_ns = 0; /* nothing has been measured */
    CHECK_EQ(patience(o), 20 * MS);
    o.kept_ns = 100 * MS;
    CHECK_EQ(patience(o), 20 * MS); /* no longer than a login takes */
    o.login_ns = 5000ull * MS;
    o.kept_ns = 500 * MS;
    CHECK_EQ(patience(o), 100 * MS);
}

static void test_cold_pool_opens_at_once(void)
{
    struct gp_outlook o = busy;

    o.used = 7;
    CHECK_EQ(haste(o), GP_HASTE_COLD);
    o.warm = 0;
    CHECK(patience(o) != 0);
}

static void test_crowd_is_in_haste(void)
{
    struct gp_outlook o = busy;

    o.waiting = 10;
    CHECK(patience(o) != 0);
    o.waiting = 11;
    CHECK_EQ(haste(o), GP_HASTE_CROWD);
    o.opening = 1; /* a login will serve one of them */
    CHECK(patience(o) != 0);
    o.retries = 0;
    o.waiting = o.opening = 0;
    CHECK_EQ(haste(o), GP_HASTE_CROWD);
}

static void test_lasting_queue_is_no_gap(void)
{
    struct gp_outlook o = busy;

    o.lasted_ns = 100 * MS - 1;
    CHECK(patience(o) != 0);
    o.lasted_ns = 100 * MS;
    CHECK_EQ(haste(o), GP_HASTE_LASTING);
}

static void test_slow_returns_are_not_waited_for(void)
{
    struct gp_outlook o = busy;

    o.kept_ns = 161 * MS; /* one comes back in 20.1 ms, a login takes 20 */
    CHECK_EQ(haste(o), GP_HASTE_SLOW);
    o.kept_ns = 80 * MS;
    o.waiting = 2;
    CHECK(patience(o) != 0);
    o.waiting = 3; /* the third in 30 */
    CHECK_EQ(haste(o), GP_HASTE_SLOW);
    o = busy;
    o.near = 0;
    CHECK_EQ(haste(o), GP_HASTE_SLOW);
    o = busy;
    o.by_session = true;
    CHECK_EQ(haste(o), GP_HASTE_SLOW);
}

int main(void)
{
    RUN(test_patience_lasts_until_so_many_have_come_back);
    RUN(test_patience_has_bounds);
    RUN(test_cold_pool_opens_at_once);
    RUN(test_crowd_is_in_haste);
    RUN(test_lasting_queue_is_no_gap);
    RUN(test_slow_returns_are_not_waited_for);
    return check_done();
}
