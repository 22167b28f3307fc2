/* sources: _cparser/transport.c _cparser/transport_epoll.c _cparser/transport_uring.c _cparser/port.c _cparser/near.c */
/* sources: _cparser/uring.c _cparser/gather.c _cparser/buffer.c _cparser/secure.c */
/* sources: _cparser/tls.c _cparser/tls_context.c _cparser/memory.c */
/* libraries: -lssl -lcrypto */
/* What a transport sends, how it leaves servers at rest alone, and who sleeps where. */
#include "transport_lines.h"

/* ---- sending ---- */

static uint8_t *make_stream(size_t len)
{
    uint8_t *bytes = malloc(len);

    CHECK(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(i);
    return bytes;
}

/* Sizes below and above what is sent at once, one step and none between them. */
static void send_all(struct line *line, const uint8_t *bytes, size_t len, bool in_step)
{
    static const size_t sizes[] = {1, 7, 100, 4000, 8192, 8193, 20000, 3, 70000};
    size_t at = 0;

    if (in_step)
        (void)gp_transport_wait(t, false);
    for (size_t i = 0; at < len; i++) {
        size_t size = sizes[i % 9] < len - at ? sizes[i % 9] : len - at;
        struct gp_gather out;
        gp_gather_begin(&out, t, &line->conn);
        gp_gather_add(&out, bytes + at, size / 2);
        gp_gather_copy(&out, bytes + at + size / 2, size - size / 2);
        gp_gather_flush(&out);
        at += size;
    }
    if (in_step)
        gp_transport_cool(t);
}

static void test_sends_keep_their_order_when_the_socket_is_full(void)
{
    const size_t len = 3u << 20;
    uint8_t *bytes = make_stream(len);

    for (int in_step = 0; in_step < 2; in_step++) {
        for (int tcp = 0; tcp < 2; tcp++) {
            struct line line;
            size_t read = 0;
            (tcp ? open_tcp_line : open_line)(&line, GP_CONN_CLIENT);
            attach(&line);
            send_all(&line, bytes, len, in_step);
            CHECK(line.conn.out && !line.conn.broken);
            CHECK(!gp_conn_sent(t, &line.conn) && !gp_conn_settle(t, &line.conn));
            while (read < len) {
                size_t n = read_far(&line, read);
                read += n;
                if (n == 0) {
                    CHECK(announced(DEADLINE_MS));
                    step();
                }
            }
            STEP_UNTIL(line.drains > 0);
            CHECK(gp_conn_sent(t, &line.conn) && !line.conn.out);
            close_line(&line);
        }
    }
    free(bytes);
}

/* The whole of what is given within a step has left when it ends. */
static void test_small_sends_leave_with_the_step(void)
{
    struct line line;
    open_line(&line, GP_CONN_CLIENT);
    attach(&line);
    (void)gp_transport_wait(t, false);
    gp_conn_send(t, &line.conn, (const uint8_t *)"ab", 2);
    gp_conn_send(t, &line.conn, (const uint8_t *)"cd", 2);
    gp_transport_cool(t);
    check_unread(line.far, "abcd");
    (void)gp_transport_wait(t, false);
    gp_conn_send(t, &line.conn, (const uint8_t *)"ef", 2);
    CHECK(gp_conn_sent(t, &line.conn));
    check_unread(line.far, "ef");
    gp_transport_cool(t);
    CHECK_EQ(line.drains, 0);
    close_line(&line);
}

static void test_detach_drops_what_is_unsent(void)
{
    uint8_t *bytes = make_stream(3u << 20);
    struct line line;
    open_line(&line, GP_CONN_CLIENT);
    attach(&line);
    send_all(&line, bytes, 3u << 20, true);
    CHECK(line.conn.out);
    gp_conn_detach(t, &line.conn);
    CHECK(!line.conn.out);
    settle_down();
    CHECK_EQ(line.drains, 0);
    close_line(&line);
    free(bytes);
}

static void test_failed_send_is_told(void)
{
    for (int in_step = 0; in_step < 2; in_step++) {
        struct line line;
        open_line(&line, GP_CONN_SERVER);
        close(line.far);
        line.far = -1;
        if (in_step)
            (void)gp_transport_wait(t, false);
        attach(&line);
        gp_conn_send(t, &line.conn, (const uint8_t *)"x", 1);
        if (in_step)
            gp_transport_cool(t);
        STEP_UNTIL(line.conn.broken && (line.drains || line.closed != -1 || !in_step));
        close_line(&line);
    }
}

/* ---- servers at rest ---- */

static void test_settled_server_is_not_read(void)
{
    struct line line;
    open_line(&line, GP_CONN_SERVER);
    attach(&line);
    settle_down();
    line.rests = true;
    if (gp_conn_settle(t, &line.conn)) /* nothing is in flight between waits: epoll */
        gp_on_drained(&engine, &line.conn);
    STEP_UNTIL(line.conn.mode == GP_CONN_WATCH);
    say(&line, "another worker's");
    settle_down();
    check_unread(line.conn.fd, "another worker's");
    CHECK_EQ(line.got_len, 0);
    close_line(&line);
}

/* What came before the receive was asked back is not lost. */
static void test_unsettled_server_delivers_first(void)
{
    struct line line;
    open_line(&line, GP_CONN_SERVER);
    attach(&line);
    settle_down();
    say(&line, "early");
    (void)gp_conn_settle(t, &line.conn);
    STEP_UNTIL(heard(&line, "early"));
    close_line(&line);
}

static void watch(struct line *line)
{
    CHECK_EQ(gp_conn_watch(t, &line->conn), GP_OK);
    for (int i = 0; i < 3; i++)
        gp_transport_sweep(t);
}

static void test_server_at_rest_stirs_and_is_not_read(void)
{
    struct line line;
    open_line(&line, GP_CONN_SERVER);
    watch(&line);
    settle_down();
    CHECK_EQ(line.stirs, 0);
    say(&line, "FATAL");
    STEP_UNTIL(line.stirs > 0);
    uint8_t bytes[16];
    size_t len;
    CHECK_EQ(gp_conn_read(t, &line.conn, bytes, sizeof(bytes), &len), GP_OK);
    CHECK(len == 5 && memcmp(bytes, "FATAL", 5) == 0);
    settle_down();
    for (int i = 0; i < 3; i++) /* and again: it is still watched */
        gp_transport_sweep(t);
    int stirs = line.stirs;
    close(line.far);
    line.far = -1;
    STEP_UNTIL(line.stirs > stirs);
    close_line(&line);
}

static void test_server_is_taken_from_rest(void)
{
    for (int sweeps = 0; sweeps < 2; sweeps++) {
        struct line line;
        open_line(&line, GP_CONN_SERVER);
        CHECK_EQ(gp_conn_watch(t, &line.conn), GP_OK);
        if (sweeps)
            watch(&line);
        attach(&line);
        say(&line, "answer");
        STEP_UNTIL(heard(&line, "answer"));
        say(&line, "s");
        STEP_UNTIL(heard(&line, "answers"));
        CHECK_EQ(line.stirs, 0);
        close_line(&line);
    }
}

static void test_wake_up_is_told_each_time(void)
{
    struct line line = {.conn = {.fd = eventfd(0, EFD_NONBLOCK), .kind = GP_CONN_WAKE}, .far = -1};
    CHECK_EQ(gp_conn_watch(t, &line.conn), GP_OK);
    for (int i = 1; i <= 5; i++) {
        uint64_t count;
        CHECK(eventfd_write(line.conn.fd, 1) == 0);
        STEP_UNTIL(line.stirs >= i);
        CHECK(eventfd_read(line.conn.fd, &count) == 0);
        settle_down();
        CHECK_EQ(line.stirs, i);
    }
    close_line(&line);
}

/* ---- */

static void run_all(make_transport *make)
{
    ON(make, test_sends_keep_their_order_when_the_socket_is_full);
    ON(make, test_small_sends_leave_with_the_step);
    ON(make, test_detach_drops_what_is_unsent);
    ON(make, test_failed_send_is_told);
    ON(make, test_settled_server_is_not_read);
    ON(make, test_unsettled_server_delivers_first);
    ON(make, test_server_at_rest_stirs_and_is_not_read);
    ON(make, test_server_is_taken_from_rest);
    ON(make, test_wake_up_is_told_each_time);
}

int main(void)
{
    return run_everywhere();
}
