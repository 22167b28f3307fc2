/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto -Wl,--wrap=gp_now_ns,--wrap=timerfd_settime */
/* Random schedules of a pool under pressure: clients come, ask, wait, are cancelled by their time-out,
 * move and vanish; PostgreSQL takes its time, refuses logins for a while, and comes back. Time is the
 * play's own, so a schedule is its seed. What must hold after each step of time is in engine_play.h
 * (limits, order) and below (nobody is forgotten); in the end everyone has been answered, and nothing
 * is left.
 *
 * SCHEDULES (500) says how many, SEED (1) with which to begin. */
#include "engine_play.h"

static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % sides;
}

static struct gp_pool_settings any_settings(void)
{
    static const uint32_t ratios[] = {0, 20, 50, 100}, retries[] = {0, 2, 10};
    static const uint32_t timeouts[] = {0, 80, 400};
    uint32_t size = 1 + dice(8);

    return (struct gp_pool_settings){.size = size,
                                     .min_size = dice(2) ? 0 : dice(size + 1),
                                     .max_creates = 1 + dice(3),
                                     .warm_ratio = ratios[dice(4)],
                                     .fast_retries = retries[dice(3)],
                                     .wait_timeout_ms = timeouts[dice(3)],
                                     .round_robin = dice(2)};
}

/* Whoever could have a server of its own has one on the way before the longest patience is over. */
static void check_nobody_is_forgotten(void)
{
    struct gp_pool_row row = play_row();
    uint32_t servers =
        row.sv_active + row.sv_idle + row.sv_login + row.sv_canceled + row.sv_closing;

    if (servers < play.size && row.sv_login == 0 && !row.ailing)
        CHECK(row.maxwait_ns <= 121 * MS);
}

static int any_client(void)
{
    int client = (int)dice(PLAY_CLIENTS);

    return play.clients[client].far == -1 ? -1 : client;
}

static uint64_t any_work(void)
{
    return dice(4) ? (1 + dice(30)) * MS / 10 : (1 + dice(60)) * MS;
}

static void act(uint32_t crowd)
{
    int client = any_client();
    uint32_t what = dice(100);

    if (client == -1) {
        if (what < 40 && play_row().cl_idle + play_row().cl_active + play_row().cl_waiting < crowd)
            play_ask(play_come(dice(play.workers)), any_work());
    } else if (what < 80) {
        if (!play.clients[client].asks)
            play_ask(client, any_work());
    } else if (what < 84) {
        play_leave(client);
    } else if (what < 90) {
        uint32_t from = gp_client_worker(play.seg, play.clients[client].id);
        (void)gp_engine_move(play.engines[from], play.clients[client].id, dice(play.workers));
    } else if (what == 99) {
        play.refuses = dice(4) == 0;
    }
}

static bool all_answered(void)
{
    for (int i = 0; i < PLAY_CLIENTS; i++) {
        if (play.clients[i].far != -1 && play.clients[i].asks)
            return false;
    }
    return true;
}

static void run_schedule(uint64_t number)
{
    seed = number * 0x9e3779b97f4a7c15u + 1;
    struct gp_pool_settings settings = any_settings();
    uint32_t crowd = 4 + dice(28), steps = 40 + dice(80);

    play_setup(&settings, 1 + dice(PLAY_WORKERS));
    play.login_ns = (1 + dice(40)) * MS;
    for (uint32_t i = 0; i < steps; i++) {
        for (uint32_t n = dice(6); n > 0; n--)
            act(crowd);
        play.now_ns += dice(30) * MS / 10;
        play_settle();
        check_nobody_is_forgotten();
    }
    play.refuses = false;
    for (uint64_t end = play.now_ns + 5000 * MS; !all_answered();) {
        CHECK(play.now_ns < end);
        play_run(5 * MS);
    }
    play_run(200 * MS);
    play_check_empty();
    play_teardown();
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_schedules(void)
{
    uint64_t first = number_of("SEED", 1), count = number_of("SCHEDULES", 500);

    for (uint64_t number = first; number < first + count; number++) {
        if (getenv("CHECK_VERBOSE") != NULL)
            fprintf(stderr, "schedule %llu\n", (unsigned long long)number);
        run_schedule(number);
    }
}

int main(void)
{
    RUN(test_schedules);
    return check_done();
}
