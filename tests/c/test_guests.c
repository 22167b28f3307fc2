/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto */
/* Guests of one worker, under the sanitizers: they come, are let in, are taken by Python, leave, in
 * every order, on both back ends. What they see is told in tests/unit/test_guests.py. */
#include "check.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "guests.h"

enum { EVENTS = 64, STEPS = 8 };

#define PACKET        "\0\0\0\x20\0\3\0\0user\0ann\0database\0shop\0\0"
#define SSL           "\0\0\0\x08\x04\xd2\x16\x2f"
#define LEAVE         "X\0\0\0\4"
#define SAY(fd, text) CHECK_EQ(send((fd), (text), sizeof(text) - 1, 0), sizeof(text) - 1)

static struct gp_segment *seg;
static struct gp_engine *engine;
static struct sockaddr_un address;
static socklen_t address_size;
static uint32_t pool, served, strange;
static int door;

static void open_door(void)
{
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    address_size = sizeof(address);
    door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(door != -1);
    CHECK_EQ(bind(door, (struct sockaddr *)&address, sizeof(address.sun_family)), 0);
    CHECK_EQ(listen(door, 8), 0);
    CHECK_EQ(getsockname(door, (struct sockaddr *)&address, &address_size), 0);
    CHECK_EQ(gp_engine_listen(engine, door), GP_OK);
}

static void know(void)
{
    const struct gp_plan_settings settings = {
        .method = GP_LOGIN_TRUST,
        .tells = true,
        .tag = 7,
        .terms = {.pool = pool,
                  .key_length = 4,
                  .look_sql = (const uint8_t *)"l",
                  .look_length = 1},
    };
    struct gp_plan *plan = gp_plan_new(&settings);

    CHECK_EQ(gp_plan_know(engine, (const uint8_t *)"", 1, (const uint8_t *)PACKET,
                          sizeof(PACKET) - 1, plan, 0),
             GP_OK);
    gp_plan_free(plan);
}

static void setup(uint32_t backend)
{
    const struct gp_pool_settings pool_settings = {.size = 2, .max_creates = 2};
    const struct gp_guest_settings settings = {.guests_max = 8, .welcome = true, .knows = true};

    served = strange = 0;
    seg = gp_segment_create(1, 1, 16);
    CHECK(seg != NULL);
    gp_segment_limits(seg, 16, 4);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &pool_settings, &pool), GP_OK);
    engine = gp_engine_new(seg, 0, backend);
    CHECK(engine != NULL);
    gp_engine_guests(engine, &settings);
    gp_engine_farewells(engine, false);
    gp_segment_accept(seg, 0, true);
    open_door();
    know();
}

static void teardown(void)
{
    gp_engine_free(engine);
    close(door);
    gp_segment_destroy(seg);
}

static void step(void)
{
    struct gp_event events[EVENTS];

    for (int i = 0; i < STEPS; i++) {
        uint32_t count = gp_engine_step(engine, events, EVENTS);
        for (uint32_t at = 0; at < count; at++) {
            served += events[at].kind == GP_EVENT_SERVED;
            strange += events[at].kind == GP_EVENT_GUEST;
        }
    }
}

static int visit(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    CHECK_EQ(connect(fd, (struct sockaddr *)&address, address_size), 0);
    return fd;
}

/* What a taken guest has said must be this. */
static void take(bool any, const char *said, size_t len)
{
    struct gp_guest_info info;

    CHECK(gp_guest_take(engine, any, &info));
    CHECK_EQ(info.said_length, len);
    CHECK_MEM(info.said, said, len);
    CHECK_EQ(info.family, AF_UNIX);
    close(info.fd);
}

static void test_they_come_and_go(void)
{
    for (int i = 0; i < 3; i++) {
        int fd = visit();
        step();
        SAY(fd, SSL);
        step();
        SAY(fd, PACKET);
        step();
        CHECK_EQ(served, i + 1);
        CHECK_EQ(gp_clients_here(engine), 1);
        SAY(fd, LEAVE);
        step();
        CHECK_EQ(gp_clients_here(engine), 0);
        close(fd);
    }
    CHECK_EQ(strange, 0);
}

static void test_they_say_all_at_once_and_leave(void)
{
    int fd = visit();

    SAY(fd, PACKET LEAVE);
    close(fd);
    step();
    CHECK_EQ(gp_clients_here(engine), 0);
    CHECK_EQ(gp_guests_here(engine), 0);
}

static void test_python_takes_the_strange(void)
{
    int first = visit(), second = visit(), silent = visit();

    SAY(first, "\0");
    SAY(second, SSL PACKET);
    step();
    CHECK_EQ(strange, 2);
    SAY(second, "more"); /* which is left in the socket, or comes with the rest */
    step();
    struct gp_guest_info info;
    CHECK(gp_guest_take(engine, false, &info));
    close(info.fd);
    CHECK(gp_guest_take(engine, false, &info));
    CHECK(info.said_length >= sizeof(SSL PACKET) - 1);
    close(info.fd);
    CHECK(!gp_guest_take(engine, false, &info));
    take(true, "", 0);
    CHECK_EQ(gp_guests_here(engine), 0);
    close(first);
    close(second);
    close(silent);
    step();
}

static void test_they_leave_before_they_are_taken(void)
{
    int waits = visit(), asks = visit();

    step();
    SAY(asks, "\0\0");
    step();
    close(waits);
    close(asks);
    step();
    CHECK_EQ(gp_guests_here(engine), 1);
    take(false, "\0\0", 2);
}

static void test_the_engine_ends_with_guests(void)
{
    int waits = visit(), asks = visit();

    SAY(asks, "?");
    step();
    CHECK_EQ(gp_guests_here(engine), 2);
    close(waits);
    close(asks);
}

static void with_both(void (*test)(void), const char *name)
{
    setup(GP_IO_EPOLL);
    check_run(test, name);
    teardown();
    if (gp_io_uring_refusal() != 0)
        return;
    setup(GP_IO_URING);
    check_run(test, name);
    teardown();
}

#define BOTH(test) with_both((test), #test)

int main(void)
{
    BOTH(test_they_come_and_go);
    BOTH(test_they_say_all_at_once_and_leave);
    BOTH(test_python_takes_the_strange);
    BOTH(test_they_leave_before_they_are_taken);
    BOTH(test_the_engine_ends_with_guests);
    return check_done();
}
