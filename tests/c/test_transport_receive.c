/* sources: _cparser/transport.c _cparser/transport_epoll.c _cparser/transport_uring.c _cparser/port.c _cparser/near.c */
/* sources: _cparser/uring.c _cparser/gather.c _cparser/buffer.c _cparser/secure.c */
/* sources: _cparser/tls.c _cparser/tls_context.c _cparser/memory.c */
/* libraries: -lssl -lcrypto */
/* What a transport receives, and how it tells of ends. */
#include "transport_lines.h"

/* ---- receiving ---- */

static void test_what_comes_is_delivered_in_order(void)
{
    struct line line;
    open_line(&line, GP_CONN_CLIENT);
    say(&line, "before, ");
    attach(&line);
    STEP_UNTIL(heard(&line, "before, "));
    say(&line, "after");
    STEP_UNTIL(heard(&line, "before, after"));
    settle_down();
    CHECK_EQ(line.closed, -1);
    close_line(&line);
}

static void test_pause_keeps_what_comes(void)
{
    for (int kind = GP_CONN_CLIENT; kind <= GP_CONN_SERVER; kind++) {
        struct line line;
        open_line(&line, (enum gp_conn_kind)kind);
        attach(&line);
        settle_down();
        gp_conn_pause(&line.conn);
        say(&line, "one ");
        settle_down();
        say(&line, "two ");
        settle_down();
        CHECK_EQ(line.got_len, 0);
        gp_conn_resume(t, &line.conn);
        say(&line, "three");
        STEP_UNTIL(heard(&line, "one two three"));
        close_line(&line);
    }
}

static void test_a_stream_survives_a_pause_at_every_delivery(void)
{
    const size_t end = 20u << 20; /* several times what all buffers hold */
    size_t written = 0;
    struct line line;
    open_line(&line, GP_CONN_CLIENT);
    line.pauses = true;
    attach(&line);
    while (line.got_len < end) {
        written += write_far(&line, written, end);
        if (announced(0))
            step();
        gp_conn_resume(t, &line.conn);
    }
    for (size_t i = 0; i < end; i += 997)
        CHECK_EQ(line.got[i], byte_at(i));
    CHECK_EQ(line.got_len, end);
    close_line(&line);
}

/* Within a delivery the kernel may be entered, and whatever is asked of it then begins at once. */
static void test_a_stream_keeps_its_order_while_others_are_sent_to(void)
{
    size_t relayed = 0;

    for (int kind = GP_CONN_CLIENT; kind <= GP_CONN_SERVER; kind++) {
        const size_t end = 4u << 20;
        size_t written = 0;
        struct line line, other;
        open_line(&line, (enum gp_conn_kind)kind);
        open_line(&other, GP_CONN_CLIENT);
        line.relay = &other;
        attach(&line);
        attach(&other);
        while (line.got_len < end) {
            for (size_t n; (n = write_far(&line, written, end)) > 0;)
                written += n;
            if (announced(0))
                step();
            relayed += drain_far(&other);
            (void)drain_far(&line);
        }
        for (size_t i = 0; i < end; i++)
            CHECK_EQ(line.got[i], byte_at(i));
        close_line(&line);
        close_line(&other);
    }
    CHECK(relayed > 0);
}

static void test_all_of_a_crowd_are_heard(void)
{
    struct line *lines = calloc(MANY, sizeof(*lines));
    size_t heard_all = 0;

    for (uint32_t i = 0; i < MANY; i++) {
        open_line(&lines[i], i % 2 ? GP_CONN_CLIENT : GP_CONN_SERVER);
        attach(&lines[i]);
    }
    settle_down();
    for (int round = 1; round <= 3; round++) {
        for (uint32_t i = 0; i < MANY; i++)
            say(&lines[i], "hello");
        do {
            CHECK(announced(DEADLINE_MS));
            step();
            heard_all = 0;
            for (uint32_t i = 0; i < MANY; i++)
                heard_all += lines[i].got_len;
        } while (heard_all < 5u * MANY * (unsigned)round);
    }
    CHECK_EQ(heard_all, 15u * MANY);
    for (uint32_t i = 0; i < MANY; i++)
        close_line(&lines[i]);
    free(lines);
}

/* ---- for another process ---- */

/* What was held and what is unread are all that has come, each byte once. */
static void check_halted(struct line *line, const char *all)
{
    const struct gp_buffer *held = gp_conn_halt(t, &line->conn);
    size_t len = gp_buffer_len(held);

    CHECK(len <= strlen(all));
    if (len)
        CHECK_MEM(gp_buffer_at(held), all, len);
    if (len < strlen(all))
        check_unread(line->conn.fd, all + len);
}

static void test_halt_leaves_the_socket_to_others(void)
{
    for (int kind = GP_CONN_CLIENT; kind <= GP_CONN_SERVER; kind++) {
        struct line line;
        open_line(&line, (enum gp_conn_kind)kind);
        attach(&line);
        settle_down();
        gp_conn_pause(&line.conn);
        say(&line, "one ");
        settle_down();
        say(&line, "two ");
        (void)gp_conn_halt(t, &line.conn);
        settle_down();
        say(&line, "three");
        settle_down();
        check_halted(&line, "one two three");
        CHECK_EQ(line.got_len, 0);
        close_line(&line);
    }
}

static void test_halt_within_a_batch_takes_what_is_on_its_way(void)
{
    struct line line;
    open_line(&line, GP_CONN_CLIENT);
    attach(&line);
    settle_down();
    say(&line, "one");
    gp_conn_pause(&line.conn);
    check_halted(&line, "one");
    close_line(&line);
}

static void test_a_halted_connection_goes_on(void)
{
    for (int kind = GP_CONN_CLIENT; kind <= GP_CONN_SERVER; kind++) {
        struct line line, other;
        open_line(&line, (enum gp_conn_kind)kind);
        open_line(&other, GP_CONN_CLIENT);
        attach(&line);
        attach(&other);
        settle_down();
        gp_conn_pause(&line.conn);
        say(&line, "one ");
        say(&other, "unharmed");
        (void)gp_conn_halt(t, &line.conn);
        say(&line, "two ");
        gp_conn_resume(t, &line.conn);
        STEP_UNTIL(heard(&line, "one two ") && heard(&other, "unharmed"));
        say(&line, "three");
        STEP_UNTIL(heard(&line, "one two three"));
        close_line(&line);
        close_line(&other);
    }
}

/* ---- ends ---- */

static void test_end_follows_the_last_bytes(void)
{
    struct line line;
    open_tcp_line(&line, GP_CONN_CLIENT);
    attach(&line);
    say(&line, "last words");
    CHECK(shutdown(line.far, SHUT_WR) == 0);
    STEP_UNTIL(line.closed != -1);
    CHECK(heard(&line, "last words"));
    CHECK_EQ(line.closed, GP_EOF);
    gp_conn_send(t, &line.conn, (const uint8_t *)"reply", 5);
    check_unread(line.far, "reply"); /* it was a half-close */
    settle_down();
    CHECK_EQ(line.closings, 1);
    close_line(&line);
}

static void test_end_during_a_pause_is_told_after_it(void)
{
    struct line line;
    open_tcp_line(&line, GP_CONN_SERVER);
    attach(&line);
    settle_down();
    gp_conn_pause(&line.conn);
    say(&line, "last words");
    close(line.far);
    line.far = -1;
    settle_down();
    CHECK_EQ(line.closed, -1);
    gp_conn_resume(t, &line.conn);
    STEP_UNTIL(line.closed != -1);
    CHECK(heard(&line, "last words"));
    settle_down();
    CHECK_EQ(line.closings, 1);
    close_line(&line);
}

static void reset_far(struct line *line)
{
    struct linger at_once = {.l_onoff = 1};

    CHECK(setsockopt(line->far, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
    close(line->far);
    line->far = -1;
}

static void test_reset_is_an_error(void)
{
    struct line line;
    open_tcp_line(&line, GP_CONN_CLIENT);
    attach(&line);
    reset_far(&line);
    STEP_UNTIL(line.closed != -1);
    CHECK_EQ(line.closed, GP_EIO);
    close_line(&line);
}

/* Somebody waits for a server: that it is gone is told, whatever it has said before. */
static void test_death_of_a_paused_client_is_told(void)
{
    for (int talks = 0; talks < 2; talks++) {
        for (int tcp = 0; tcp < 2; tcp++) {
            struct line line;
            (tcp ? open_tcp_line : open_line)(&line, GP_CONN_CLIENT);
            attach(&line);
            settle_down();
            gp_conn_pause(&line.conn);
            if (talks)
                say(&line, "request");
            settle_down();
            reset_far(&line);
            STEP_UNTIL(line.closed != -1);
            CHECK_EQ(line.closed, GP_EIO);
            CHECK_EQ(line.got_len, 0);
            close_line(&line);
        }
    }
}

static void test_detached_connection_is_left_alone(void)
{
    for (int kind = GP_CONN_CLIENT; kind <= GP_CONN_SERVER; kind++) {
        struct line *line = malloc(sizeof(*line));
        open_line(line, (enum gp_conn_kind)kind);
        attach(line);
        settle_down();
        int near = line->conn.fd, far = line->far;
        gp_conn_detach(t, &line->conn);
        memset(line, 0xff, sizeof(*line)); /* nothing may be found through it any more */
        free(line);
        settle_down();
        CHECK_EQ(send(far, "mine", 4, 0), 4);
        settle_down();
        check_unread(near, "mine");
        close(near);
        CHECK_EQ(recv(far, &near, sizeof(near), 0), 0); /* nobody else keeps it open */
        close(far);
    }
}

/* ---- */

static void run_all(make_transport *make)
{
    ON(make, test_what_comes_is_delivered_in_order);
    ON(make, test_pause_keeps_what_comes);
    ON(make, test_a_stream_survives_a_pause_at_every_delivery);
    ON(make, test_a_stream_keeps_its_order_while_others_are_sent_to);
    ON(make, test_all_of_a_crowd_are_heard);
    ON(make, test_halt_leaves_the_socket_to_others);
    ON(make, test_halt_within_a_batch_takes_what_is_on_its_way);
    ON(make, test_a_halted_connection_goes_on);
    ON(make, test_end_follows_the_last_bytes);
    ON(make, test_end_during_a_pause_is_told_after_it);
    ON(make, test_reset_is_an_error);
    ON(make, test_death_of_a_paused_client_is_told);
    ON(make, test_detached_connection_is_left_alone);
}

int main(void)
{
    return run_everywhere();
}
