/* sources: _cparser/[a-z]*.c */
/* libraries: -lssl -lcrypto */
/* A client with TLS whose worker changes: what it says goes through a pump, on both back ends. The
 * client is played by a session of its own on the other end of a socketpair. */
#include "check.h"
#include "tls_certificates.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "move.h"
#include "pump.h"
#include "tls.h"

enum { EVENTS = 64, BULK = 4 << 20, PATIENCE_MS = 10000 };

struct client {
    struct gp_tls *tls;
    int32_t fd;
    uint32_t number; /* of whom an engine serves */
    bool has_ended;  /* the other side has said so, within TLS */
};

static uint32_t backend;
static struct credential own;
static struct gp_tls_context *contexts[2]; /* a client's, a server's */
static struct gp_segment *seg;
static struct gp_engine *engines[2];
static uint32_t pool, arrived;

/* ---- both sides ---- */

static void pair(int32_t ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
}

static void step(uint32_t worker)
{
    struct gp_event events[EVENTS];
    uint32_t count = gp_engine_step(engines[worker], events, EVENTS);

    for (uint32_t i = 0; i < count; i++)
        arrived += events[i].kind == GP_EVENT_ARRIVED;
}

static void step_both(void)
{
    for (int i = 0; i < 6; i++) {
        step(0);
        step(1);
    }
}

static void setup(void)
{
    const struct gp_pool_settings settings = {
        .size = 1, .max_creates = 1, .wait_timeout_ms = 60000, .deferred_begin = 1};

    seg = gp_segment_create(2, 1, 16);
    CHECK(seg != NULL);
    gp_segment_limits(seg, 16, 4);
    CHECK_EQ(gp_pool_define(seg, "shop", "ann", &settings, &pool), GP_OK);
    for (uint32_t w = 0; w < 2; w++) {
        engines[w] = gp_engine_new(seg, w, backend);
        CHECK(engines[w] != NULL);
    }
    arrived = 0;
}

static void teardown(void)
{
    for (uint32_t w = 0; w < 2; w++) {
        for (uint32_t row = 0; row < 16; row++) {
            int32_t fd = gp_client_forget(engines[w], row + 1);
            if (fd != -1)
                close(fd);
        }
        step(w);
        gp_engine_free(engines[w]);
    }
    gp_segment_destroy(seg);
}

static struct gp_tls *shake(struct gp_tls *client)
{
    struct gp_tls *server = gp_tls_new(contexts[1], NULL, false);
    uint8_t wire[8192];
    uint32_t len;

    CHECK(server != NULL && client != NULL);
    for (int turn = 0; turn < 6; turn++) {
        (void)gp_tls_handshake(turn & 1 ? server : client);
        while ((len = gp_tls_take(turn & 1 ? server : client, wire, sizeof(wire))) > 0)
            CHECK_EQ(gp_tls_feed(turn & 1 ? client : server, wire, len), GP_OK);
    }
    CHECK_EQ(gp_tls_handshake(client), GP_OK);
    CHECK_EQ(gp_tls_handshake(server), GP_OK);
    return server;
}

/* ---- the client ---- */

static void client_flush(struct client *c)
{
    uint8_t wire[8192];
    uint32_t len;

    while ((len = gp_tls_take(c->tls, wire, sizeof(wire))) > 0)
        CHECK_EQ(send(c->fd, wire, len, 0), (ssize_t)len);
}

static void client_says(struct client *c, const char *text, size_t len)
{
    CHECK_EQ(gp_tls_write(c->tls, (const uint8_t *)text, (uint32_t)len), GP_OK);
    client_flush(c);
}

/* What has come; 0: nothing, or has_ended. */
static size_t client_hears(struct client *c, uint8_t *data, uint32_t cap)
{
    uint8_t wire[16384];
    uint32_t len = 0;

    for (;;) {
        enum gp_result result = gp_tls_read(c->tls, data, cap, &len);
        if (result == GP_OK)
            return len;
        if (result == GP_EOF)
            c->has_ended = true;
        ssize_t n = result == GP_EOF ? 0 : recv(c->fd, wire, sizeof(wire), 0);
        if (n <= 0)
            return 0;
        CHECK_EQ(gp_tls_feed(c->tls, wire, (uint32_t)n), GP_OK);
    }
}

static void client_must_hear(struct client *c, const char *text, size_t len)
{
    uint8_t data[256];

    CHECK_EQ(client_hears(c, data, sizeof(data)), len);
    CHECK_MEM(data, text, len);
}

static void client_free(struct client *c)
{
    gp_tls_free(c->tls);
    close(c->fd);
}

#define LITERAL(text) (text), sizeof(text) - 1
#define BEGIN                                                                                      \
    "Q\0\0\0\x0a"                                                                                  \
    "begin\0"
#define BEGUN                                                                                      \
    "C\0\0\0\x0a"                                                                                  \
    "BEGIN\0"                                                                                      \
    "Z\0\0\0\x05T"

/* ---- the pump alone ---- */

/* A pump of worker 0; *far: the end that its client's worker would have. held: of the client's bytes,
 * these have been received already. */
static struct client pumped(int32_t *far, const char *held, size_t len)
{
    struct client c = {.tls = gp_tls_new(contexts[0], NULL, false)};
    int32_t ends[2];
    uint8_t wire[1024];
    struct gp_buffer *received = NULL;

    pair(ends);
    c.fd = ends[0];
    struct gp_conn conn = {.fd = ends[1], .tls = shake(c.tls)};
    if (len) { /* the session has the first half of a record, the wire held the second */
        CHECK_EQ(gp_tls_write(c.tls, (const uint8_t *)held, (uint32_t)len), GP_OK);
        uint32_t size = gp_tls_take(c.tls, wire, sizeof(wire));
        CHECK_EQ(gp_tls_feed(conn.tls, wire, size / 2), GP_OK);
        CHECK(gp_buffer_append(&received, wire + size / 2, size - size / 2));
    }
    struct gp_pump *p = gp_pump_new(received, far);
    CHECK(p != NULL);
    gp_buffer_free(&received);
    gp_pump_take(p, &conn);
    gp_pump_start(engines[0], p);
    CHECK_EQ(gp_engine_pumps(engines[0]), 1);
    return c;
}

static void must_hear(int32_t fd, const char *text, size_t len)
{
    char data[256];

    CHECK_EQ(recv(fd, data, sizeof(data), 0), (ssize_t)len);
    CHECK_MEM(data, text, len);
}

static void test_bytes_go_both_ways(void)
{
    int32_t far;
    setup();
    struct client c = pumped(&far, LITERAL("half a record"));
    step(0);
    must_hear(far, LITERAL("half a record"));
    client_says(&c, LITERAL("more"));
    step(0);
    must_hear(far, LITERAL("more"));
    CHECK_EQ(send(far, "answer", 6, 0), 6);
    step(0);
    client_must_hear(&c, LITERAL("answer"));
    client_free(&c);
    close(far);
    step(0);
    CHECK_EQ(gp_engine_pumps(engines[0]), 0);
    teardown();
}

static void test_last_words_arrive_before_the_end(void)
{
    int32_t far;
    setup();
    struct client c = pumped(&far, NULL, 0);
    CHECK_EQ(send(far, "farewell", 8, 0), 8);
    close(far);
    step(0);
    step(0);
    client_must_hear(&c, LITERAL("farewell"));
    uint8_t byte;
    CHECK_EQ(client_hears(&c, &byte, 1), 0);
    CHECK(c.has_ended);
    CHECK_EQ(gp_engine_pumps(engines[0]), 1); /* the client has not closed: nothing may reset it */
    client_says(&c, LITERAL("nobody hears this"));
    step(0);
    client_free(&c);
    step(0);
    CHECK_EQ(gp_engine_pumps(engines[0]), 0);
    teardown();
}

static void test_a_half_close_is_answered(void)
{
    int32_t far;
    char byte;
    setup();
    struct client c = pumped(&far, NULL, 0);
    client_says(&c, LITERAL("last"));
    gp_tls_end(c.tls);
    client_flush(&c);
    step(0);
    must_hear(far, LITERAL("last"));
    CHECK_EQ(recv(far, &byte, 1, 0), 0);
    CHECK_EQ(send(far, "reply", 5, 0), 5);
    step(0);
    client_must_hear(&c, LITERAL("reply"));
    close(far);
    step(0);
    step(0);
    CHECK_EQ(gp_engine_pumps(engines[0]), 0);
    client_free(&c);
    teardown();
}

static void test_who_does_not_read_holds_up_the_other(void)
{
    int32_t far;
    uint8_t *bulk = malloc(BULK), data[16384];
    size_t sent = 0, heard = 0;
    setup();
    struct client c = pumped(&far, NULL, 0);
    CHECK(bulk != NULL);
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (uint8_t)(i * 31 + i / 251);
    for (int idle = 0; idle < 4; idle++) {
        ssize_t n = send(far, bulk + sent, BULK - sent, 0);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle;
        step(0);
    }
    CHECK(sent < BULK / 2); /* two sockets' and one read's worth */
    while (heard < BULK) {
        ssize_t n = send(far, bulk + sent, BULK - sent, 0);
        sent += n > 0 ? (size_t)n : 0;
        step(0);
        for (size_t len; (len = client_hears(&c, data, sizeof(data))) > 0; heard += len)
            CHECK_MEM(data, bulk + heard, len);
    }
    free(bulk);
    client_free(&c);
    close(far);
    step(0);
    CHECK_EQ(gp_engine_pumps(engines[0]), 0);
    teardown();
}

static void wait_readable(int32_t fd)
{
    struct pollfd of = {.fd = fd, .events = POLLIN};

    CHECK_EQ(poll(&of, 1, PATIENCE_MS), 1);
}

static void test_a_process_of_its_own_goes_on(void)
{
    int32_t far;
    int status;
    setup();
    struct client c = pumped(&far, NULL, 0);
    client_says(&c, LITERAL("before"));
    CHECK_EQ(send(far, "too", 3, 0), 3);
    CHECK_EQ(gp_engine_leave_pumps(engines[0]), GP_OK);
    CHECK_EQ(gp_engine_pumps(engines[0]), 0);
    wait_readable(far);
    must_hear(far, LITERAL("before"));
    wait_readable(c.fd);
    client_must_hear(&c, LITERAL("too"));
    client_says(&c, LITERAL("after"));
    wait_readable(far);
    must_hear(far, LITERAL("after"));
    close(far);
    wait_readable(c.fd);
    client_free(&c);
    CHECK(wait(&status) > 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    teardown();
}

/* ---- on the way from worker to worker ---- */

static struct client logged_in(void)
{
    struct client c = {.tls = gp_tls_new(contexts[0], NULL, false)};
    int32_t ends[2];

    pair(ends);
    c.fd = ends[0];
    struct gp_tls *session = shake(c.tls);
    c.number = gp_client_enter(engines[0], false, "here");
    const struct gp_plan_settings settings = {
        .method = GP_LOGIN_NONE,
        .terms = {.pool = pool, .look_sql = (const uint8_t *)"look", .look_length = 4},
    };
    struct gp_plan *plan = gp_plan_new(&settings);
    CHECK_EQ(gp_client_login(engines[0], c.number, plan, ends[1], session, 0, NULL, 0), GP_OK);
    gp_plan_free(plan);
    return c;
}

static void hand_over(void)
{
    gp_engine_hand_over(engines[0], (const uint32_t[]){1}, 1);
    step(0);
}

static uint32_t is_pumped(const struct client *c)
{
    struct gp_client_info row;

    CHECK_EQ(gp_client_info(seg, c->number, &row), GP_OK);
    return row.pumped;
}

static void test_a_client_with_tls_moves_when_its_worker_ends(void)
{
    setup();
    struct client c = logged_in();
    CHECK_EQ(gp_engine_move(engines[0], c.number, 1), GP_EPROTO);
    client_says(&c, LITERAL("Q\0\0\0\x0a"
                            "be"));
    step(0);
    hand_over();
    client_says(&c, LITERAL("gin\0")); /* while it is nobody's */
    step_both();
    CHECK_EQ(engines[0]->me->moved_out, 1);
    CHECK_EQ(arrived, 1);
    CHECK_EQ(gp_client_worker(seg, c.number), 1);
    CHECK_EQ(is_pumped(&c), 1);
    step_both();
    client_must_hear(&c, LITERAL(BEGUN));
    CHECK_EQ(gp_engine_pumps(engines[0]), 1);
    client_free(&c);
    step_both();
    CHECK_EQ(gp_engine_pumps(engines[0]), 0);
    teardown();
}

static void test_it_stays_when_nobody_takes_it(void)
{
    setup();
    struct client c = logged_in();
    hand_over();
    CHECK(engines[0]->away != NULL);
    client_says(&c, LITERAL(BEGIN));
    gp_segment_reclaim(seg, 1); /* it has died */
    step(0);
    CHECK(engines[0]->away == NULL);
    CHECK_EQ(gp_client_worker(seg, c.number), 0);
    CHECK_EQ(is_pumped(&c), 0);
    step(0);
    client_must_hear(&c, LITERAL(BEGUN));
    CHECK_EQ(gp_engine_pumps(engines[0]), 0);
    CHECK_EQ(engines[0]->me->moved_out, 0);
    client_free(&c);
    teardown();
}

static void run_all(uint32_t with)
{
    backend = with;
    RUN(test_bytes_go_both_ways);
    RUN(test_last_words_arrive_before_the_end);
    RUN(test_a_half_close_is_answered);
    RUN(test_who_does_not_read_holds_up_the_other);
    RUN(test_a_process_of_its_own_goes_on);
    RUN(test_a_client_with_tls_moves_when_its_worker_ends);
    RUN(test_it_stays_when_nobody_takes_it);
}

int main(void)
{
    own = make_credential(&(struct wish){"pool", NULL, NULL});
    contexts[0] = gp_tls_context_new(false);
    contexts[1] = gp_tls_context_new(true);
    CHECK_EQ(gp_tls_context_certificate(contexts[1], own.cert, own.cert_len), GP_OK);
    CHECK_EQ(gp_tls_context_key(contexts[1], own.key, own.key_len), GP_OK);
    run_all(GP_IO_EPOLL);
    if (gp_io_uring_refusal() == 0)
        run_all(GP_IO_URING);
    gp_tls_context_free(contexts[0]);
    gp_tls_context_free(contexts[1]);
    free_credential(&own);
    return check_done();
}
