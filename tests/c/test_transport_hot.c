/* sources: _cparser/transport.c _cparser/transport_epoll.c _cparser/transport_uring.c _cparser/port.c _cparser/near.c */
/* sources: _cparser/uring.c _cparser/gather.c _cparser/buffer.c _cparser/secure.c */
/* sources: _cparser/tls.c _cparser/tls_context.c _cparser/memory.c */
/* libraries: -lssl -lcrypto */
/* A transport that sleeps itself: with few connections, with many, and in between. */
#include "transport_lines.h"

/* libev's set, which contains what the transport announces. */
static void test_hot_sleep_is_ended_by_bytes_and_by_the_loop(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int loop = epoll_create1(0), timer = eventfd(0, EFD_NONBLOCK);
    struct line line;
    open_line(&line, GP_CONN_CLIENT);
    CHECK(epoll_ctl(loop, EPOLL_CTL_ADD, gp_transport_fd(t), &event) == 0);
    CHECK(epoll_ctl(loop, EPOLL_CTL_ADD, timer, &event) == 0);
    attach(&line);
    for (int round = 0; round < 3; round++) {
        eventfd_t count;
        (void)gp_transport_wait(t, false);
        CHECK_EQ(gp_transport_heat(t, loop), GP_OK);
        say(&line, "x");
        size_t got = line.got_len;
        while (line.got_len == got) {
            (void)gp_transport_wait(t, true); /* else the time of the whole program ends it */
            CHECK(!t->called);
        }
        CHECK(eventfd_write(timer, 1) == 0);
        while (!t->called)
            (void)gp_transport_wait(t, true);
        gp_transport_cool(t);
        CHECK(eventfd_read(timer, &count) == 0);
        CHECK_EQ(epoll_wait(loop, &event, 1, 0), 0); /* nothing is left that would call again */
        say(&line, "y");
        CHECK_EQ(epoll_wait(loop, &event, 1, DEADLINE_MS), 1);
        step();
        CHECK_EQ(line.got_len, got + 2);
    }
    close_line(&line);
    close(timer);
    close(loop);
}

/* Step until the condition holds, which it will: no wait sleeps in vain. */
#define WAIT_UNTIL(condition)                                                                      \
    while (!(condition))                                                                           \
    gp_transport_wait(t, !gp_transport_pending(t))

/* With no traffic since the last sweep; loop_fd stands for libev's set. */
static void heat_up(int loop_fd)
{
    settle_down();
    gp_transport_sweep(t);
    CHECK_EQ(gp_transport_heat(t, loop_fd), GP_OK);
}

static void cool_down(int loop_fd)
{
    eventfd_t calls;

    CHECK_EQ(eventfd_write(loop_fd, 1), 0);
    WAIT_UNTIL(t->called);
    CHECK_EQ(eventfd_read(loop_fd, &calls), 0);
    gp_transport_cool(t);
}

static void talk(struct line *lines, uint32_t count, int rounds)
{
    size_t before[MANY];

    for (int round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < count; i++) {
            before[i] = lines[i].got_len;
            say(&lines[i], "hello");
        }
        for (uint32_t i = 0; i < count; i++) {
            WAIT_UNTIL(lines[i].got_len > before[i]);
            CHECK_EQ(lines[i].got_len, before[i] + 5);
        }
    }
}

/* Few may be waited for in another way than many: they become many, and few again. */
static void test_a_hot_crowd_grows_and_shrinks(void)
{
    const uint32_t few = 4, many = 40;
    int loop_fd = eventfd(0, EFD_CLOEXEC);
    struct line *lines = calloc(many, sizeof(*lines));

    for (uint32_t i = 0; i < many; i++) {
        open_tcp_line(&lines[i], i % 2 ? GP_CONN_CLIENT : GP_CONN_SERVER);
        attach(&lines[i]);
    }
    for (int turn = 0; turn < 3; turn++) {
        heat_up(loop_fd);
        talk(lines, few, 20);
        talk(lines, turn == 1 ? few : many, 5);
        cool_down(loop_fd);
        say(&lines[many - 1], "hello");
        say(&lines[0], "hello");
        settle_down();
    }
    CHECK_EQ(lines[0].got_len, 5u * (3 * 25 + 3));
    CHECK_EQ(lines[many - 1].got_len, 5u * (2 * 5 + 3));
    for (uint32_t i = 0; i < many; i++)
        close_line(&lines[i]);
    free(lines);
    close(loop_fd);
}

static void test_pause_and_end_while_hot(void)
{
    for (int kind = GP_CONN_CLIENT; kind <= GP_CONN_SERVER; kind++) {
        int loop_fd = eventfd(0, EFD_CLOEXEC);
        struct line lines[2];
        for (int i = 0; i < 2; i++) {
            open_line(&lines[i], (enum gp_conn_kind)kind);
            attach(&lines[i]);
        }
        heat_up(loop_fd);
        talk(lines, 2, 20);
        gp_conn_pause(&lines[1].conn);
        say(&lines[1], "later");
        talk(lines, 1, 20);
        CHECK_EQ(lines[1].got_len, 5u * 20);
        gp_conn_resume(t, &lines[1].conn);
        WAIT_UNTIL(lines[1].got_len == 5u * 21);
        close(lines[1].far);
        lines[1].far = -1;
        WAIT_UNTIL(lines[1].closings);
        gp_conn_detach(t, &lines[1].conn);
        talk(lines, 1, 3);
        cool_down(loop_fd);
        settle_down();
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(lines[i].closings, i);
            close_line(&lines[i]);
        }
        close(loop_fd);
    }
}

/* Somebody else reads a server at rest: it is left to them, and is heard again when it is ours. */
static void test_a_server_that_others_use_while_hot(void)
{
    int loop_fd = eventfd(0, EFD_CLOEXEC);
    struct line lines[2];
    open_tcp_line(&lines[0], GP_CONN_CLIENT);
    open_tcp_line(&lines[1], GP_CONN_SERVER);
    attach(&lines[0]);
    heat_up(loop_fd);
    for (int turn = 0; turn < 3; turn++) {
        lines[1].rests = false;
        attach(&lines[1]);
        talk(lines, 2, 10);
        lines[1].rests = true;
        if (gp_conn_settle(t, &lines[1].conn))
            gp_on_drained(&engine, &lines[1].conn);
        while (lines[1].conn.mode != GP_CONN_WATCH)
            talk(lines, 1, 1);
        if (turn > 0)
            gp_conn_lend(t, &lines[1].conn);
        for (int answer = 0; answer < 3; answer++) {
            say(&lines[1], "theirs");
            talk(lines, 1, 5);
            check_unread(lines[1].conn.fd, "theirs");
        }
    }
    CHECK_EQ(lines[1].got_len, 5u * 30);
    cool_down(loop_fd);
    for (int i = 0; i < 2; i++)
        close_line(&lines[i]);
    close(loop_fd);
}

/* Alone and together, little and more than a socket takes. */
static void test_sends_while_hot(void)
{
    const size_t much = 2u << 20;
    uint8_t *bytes = malloc(much);
    int loop_fd = eventfd(0, EFD_CLOEXEC);
    struct line lines[2];
    for (int i = 0; i < 2; i++) {
        open_tcp_line(&lines[i], i ? GP_CONN_SERVER : GP_CONN_CLIENT);
        attach(&lines[i]);
    }
    CHECK(bytes);
    for (size_t i = 0; i < much; i++)
        bytes[i] = byte_at(i);
    heat_up(loop_fd);
    talk(lines, 2, 20);
    for (uint32_t who = 1; who <= 3; who++) {
        for (uint32_t i = 0; i < 2; i++)
            if (who & 1u << i)
                gp_conn_send(t, &lines[i].conn, (const uint8_t *)"hello", 5);
        talk(lines, 1, 1);
        for (uint32_t i = 0; i < 2; i++)
            if (who & 1u << i)
                check_unread(lines[i].far, "hello");
    }
    for (size_t sent = 0, size; sent < much; sent += size) {
        size = much - sent < 8000 ? much - sent : 8000;
        gp_conn_send(t, &lines[0].conn, bytes + sent, size);
        talk(lines + 1, 1, 1);
    }
    CHECK(lines[0].conn.out);
    for (size_t read = 0; read < much;) {
        read += read_far(&lines[0], read);
        talk(lines + 1, 1, 1);
    }
    WAIT_UNTIL(lines[0].drains > 0);
    cool_down(loop_fd);
    for (int i = 0; i < 2; i++)
        close_line(&lines[i]);
    close(loop_fd);
    free(bytes);
}

static void test_a_send_that_fails_while_hot(void)
{
    int loop_fd = eventfd(0, EFD_CLOEXEC);
    struct line lines[2];
    for (int i = 0; i < 2; i++) {
        open_tcp_line(&lines[i], GP_CONN_SERVER);
        attach(&lines[i]);
    }
    heat_up(loop_fd);
    talk(lines, 2, 20);
    gp_conn_pause(&lines[0].conn);
    close(lines[0].far);
    lines[0].far = -1;
    for (int i = 0; i < 3; i++) { /* the first is answered by a reset */
        gp_conn_send(t, &lines[0].conn, (const uint8_t *)"hello", 5);
        talk(lines + 1, 1, 1);
    }
    gp_conn_resume(t, &lines[0].conn);
    WAIT_UNTIL(lines[0].drains > 0 || lines[0].closings > 0);
    CHECK(lines[0].conn.broken || lines[0].closed == GP_EIO || lines[0].closed == GP_EOF);
    cool_down(loop_fd);
    for (int i = 0; i < 2; i++)
        close_line(&lines[i]);
    close(loop_fd);
}

/* ---- */

static void run_all(make_transport *make)
{
    ON(make, test_hot_sleep_is_ended_by_bytes_and_by_the_loop);
    ON(make, test_a_hot_crowd_grows_and_shrinks);
    ON(make, test_pause_and_end_while_hot);
    ON(make, test_a_server_that_others_use_while_hot);
    ON(make, test_sends_while_hot);
    ON(make, test_a_send_that_fails_while_hot);
}

int main(void)
{
    return run_everywhere();
}
