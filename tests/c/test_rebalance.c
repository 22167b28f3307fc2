/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto -Wl,--wrap=gp_now_ns,--wrap=timerfd_settime */
/* Clients that begin and cease to ask, in two workers: soon neither has a tenth more busy ones than the
 * other, unless it serves them all easily; and who has been levelled stays where it is. */
#include "engine_play.h"

#define SECOND (1000 * MS)
#define PATIENCE                                                                                   \
    (4 * SECOND) /* a client is busy for one after its last question; two looks; the way */

static bool is_busy[PLAY_CLIENTS]; /* it asks again and again */
static uint64_t uneven_since_ns;   /* 0: they are level */

static const struct gp_pool_settings settings = {
    .size = PLAY_SLOTS, .max_creates = 4, .wait_timeout_ms = 60000};

static void begin(void)
{
    play_setup(&settings, 2);
    for (uint32_t w = 0; w < 2; w++)
        gp_segment_accept(play.seg, w, true);
    for (int i = 0; i < PLAY_CLIENTS; i++) {
        (void)play_come(0);
        is_busy[i] = false;
    }
    uneven_since_ns = 0;
}

static uint32_t busy_of(uint32_t worker)
{
    uint32_t count = 0;

    for (int i = 0; i < PLAY_CLIENTS; i++)
        count += is_busy[i] && gp_client_worker(play.seg, play.clients[i].id) == worker;
    return count;
}

static bool are_level(void)
{
    uint32_t a = busy_of(0), b = busy_of(1), most = a > b ? a : b;
    uint32_t difference = a > b ? a - b : b - a;

    return most <= GP_PACK_CLIENTS || difference < 2 || difference * 10 <= most;
}

static uint64_t moves(void)
{
    return atomic_load(&gp_worker_at(play.seg, 0)->moved_in) +
           atomic_load(&gp_worker_at(play.seg, 1)->moved_in);
}

/* Let time go by, in which who is busy asks; they are never uneven for long. */
static void go_on(uint64_t ns)
{
    for (uint64_t end = play.now_ns + ns; play.now_ns < end;) {
        for (int i = 0; i < PLAY_CLIENTS; i++) {
            if (is_busy[i] && !play.clients[i].asks)
                play_ask(i, MS);
        }
        play.now_ns += 99 * MS; /* in which nothing happens */
        play_run(MS);
        if (are_level())
            uneven_since_ns = 0;
        else if (!uneven_since_ns)
            uneven_since_ns = play.now_ns;
        CHECK(!uneven_since_ns || play.now_ns - uneven_since_ns <= PATIENCE);
    }
}

static void test_many_are_levelled_and_stay(void)
{
    begin();
    for (int i = 0; i < PLAY_CLIENTS; i++)
        is_busy[i] = true;
    go_on(PATIENCE + SECOND);
    CHECK(are_level());
    uint64_t before = moves();
    CHECK(before > 0);
    go_on(10 * SECOND);
    CHECK_EQ(moves(), before);
    play_teardown();
}

static void test_few_stay_together(void)
{
    begin();
    for (uint32_t i = 0; i < GP_PACK_CLIENTS; i++)
        is_busy[i] = true;
    go_on(10 * SECOND);
    CHECK_EQ(moves(), 0);
    CHECK_EQ(busy_of(0), GP_PACK_CLIENTS);
    play_teardown();
}

/* Those of one worker cease to ask, more and more of them, then those of the other. */
static void test_load_that_shifts_is_followed(void)
{
    uint32_t seed = 1;

    begin();
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < PLAY_CLIENTS; i++) {
            uint32_t worker = gp_client_worker(play.seg, play.clients[i].id);
            seed = seed * 1664525 + 1013904223;
            is_busy[i] = worker == (uint32_t)round % 2 || seed >> 16 & 1;
        }
        go_on(PATIENCE + SECOND);
        CHECK(are_level());
    }
    CHECK(moves() > 0);
    play_teardown();
}

int main(void)
{
    test_many_are_levelled_and_stay();
    test_few_stay_together();
    test_load_that_shifts_is_followed();
    return 0;
}
