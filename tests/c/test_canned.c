/* sources: _cparser/bench/canned.c _cparser/bench/exchange.c _cparser/protocol.c */
/*
 * The PostgreSQL without data and the exchanges that are played against it: what one asks, the other
 * answers, whole and in single bytes; nothing is read behind what has come.
 */
#include "check.h"
#include "bench/canned.h"
#include "bench/exchange.h"

enum { ROOM = 65536 };

static uint8_t answers[ROOM];

/* Feed bytes that end at a guard page; gives the answers' length. */
static size_t feed(struct canned *c, const void *bytes, size_t len)
{
    struct guard in = guard_copy(bytes, len);
    struct messages out = {.at = answers, .cap = ROOM};

    CHECK_EQ(canned_feed(c, in.at, in.len, &out), len);
    guard_free(&in);
    return out.len;
}

/* The same with a byte more at a time, until the message before is complete. */
static size_t feed_slowly(struct canned *c, const uint8_t *bytes, size_t len)
{
    struct messages out = {.at = answers, .cap = ROOM};
    size_t from = 0;

    for (size_t to = 1; to <= len; to++) {
        struct guard in = guard_copy(bytes + from, to - from);
        from += canned_feed(c, in.at, in.len, &out);
        guard_free(&in);
    }
    CHECK_EQ(from, len);
    return out.len;
}

static size_t readies_in(size_t len)
{
    struct replies whole = {0}, slow = {0};
    size_t count = replies_feed(&whole, answers, len), slowly = 0;

    for (size_t i = 0; i < len; i++)
        slowly += replies_feed(&slow, answers + i, 1);
    CHECK_EQ(slowly, count);
    CHECK_EQ(whole.errors, 0);
    CHECK_EQ(whole.have, 0);
    return count;
}

static struct canned serving(void)
{
    return (struct canned){.phase = CANNED_SERVING};
}

static size_t query(struct canned *c, const char *text)
{
    uint8_t message[256] = {'Q', 0, 0, 0, (uint8_t)(strlen(text) + 5)};

    memcpy(message + 5, text, strlen(text) + 1);
    return feed(c, message, strlen(text) + 6);
}

/* The transaction status of the ReadyForQuery that the answers end with. */
static char status(size_t len)
{
    CHECK(len >= 6);
    CHECK_MEM(answers + len - 6, "Z\0\0\0\5", 5);
    return (char)answers[len - 1];
}

static void test_everybody_is_let_in(void)
{
    struct request startup;
    struct canned c = {0}, slow = {0};

    CHECK(exchange_startup("ann", "shop", &startup));
    CHECK_EQ(feed(&c, "\0\0\0\x08\x04\xd2\x16\x2f", 8), 1); /* SSLRequest */
    CHECK_EQ(answers[0], 'N');
    size_t len = feed(&c, startup.bytes, startup.len);
    CHECK_EQ(status(len), 'I');
    CHECK_EQ(readies_in(len), 1);
    CHECK_EQ(feed_slowly(&slow, startup.bytes, startup.len), len);
}

static void test_newer_protocols_are_negotiated_down(void)
{
    struct request startup;
    struct canned c = {0};

    CHECK(exchange_startup("ann", "shop", &startup));
    startup.bytes[7] = 2;
    CHECK_EQ(status(feed(&c, startup.bytes, startup.len)), 'I');
    CHECK_MEM(answers, "v\0\0\0\x0c\0\3\0\0\0\0\0\0R", 14);
}

static void test_cancel_and_terminate_end_it(void)
{
    struct canned cancel = {0}, c = serving();

    CHECK_EQ(feed(&cancel, "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\1", 16), 0);
    CHECK_EQ(cancel.phase, CANNED_OVER);
    CHECK_EQ(feed(&c, "X\0\0\0\4", 5), 0);
    CHECK_EQ(c.phase, CANNED_OVER);
}

static void test_transaction_status_follows_the_first_word(void)
{
    struct canned c = serving();

    CHECK_EQ(status(query(&c, "select 1")), 'I');
    CHECK_EQ(status(query(&c, " BEGIN;")), 'T');
    CHECK_EQ(status(query(&c, "beginning")), 'T');
    CHECK_EQ(status(query(&c, "commit")), 'I');
    CHECK_EQ(status(query(&c, "start transaction")), 'T');
    CHECK_EQ(status(query(&c, "ROLLBACK")), 'I');
    CHECK_EQ(query(&c, ";"), 5 + 6);
    CHECK_EQ(answers[0], 'I');
}

static void test_prepared_begin_is_remembered_by_its_name(void)
{
    static const uint8_t parse[] = "P\0\0\0\x0e"
                                   "b\0begin\0\0";
    static const uint8_t run[] = "B\0\0\0\x0d\0b\0\0\0\0\0\0\0"
                                 "D\0\0\0\6P\0"
                                 "E\0\0\0\x09\0\0\0\0\0"
                                 "S\0\0\0\4";
    struct canned c = serving();

    CHECK_EQ(feed(&c, parse, sizeof(parse)), 5);
    size_t len = feed(&c, run, sizeof(run) - 1);
    CHECK_MEM(answers,
              "2\0\0\0\4n\0\0\0\4C\0\0\0\x0a"
              "BEGIN",
              20);
    CHECK_EQ(status(len), 'T');
}

static void test_names_are_bounded(void)
{
    struct canned c = serving();
    uint8_t parse[] = "P\0\0\0\x0e?\0begin\0\0";

    for (uint32_t i = 0; i < CANNED_NAMES_MAX; i++) {
        parse[5] = (uint8_t)('a' + i);
        CHECK_EQ(feed(&c, parse, sizeof(parse)), 5);
    }
    CHECK_EQ(feed(&c, parse, sizeof(parse)), 5); /* known already */
    CHECK_EQ(c.phase, CANNED_SERVING);
    parse[5] = 'Z';
    CHECK(feed(&c, parse, sizeof(parse)) > 5);
    CHECK_EQ(answers[0], 'E');
    CHECK_EQ(c.phase, CANNED_OVER);
}

static void test_questions_of_poolers_are_answered(void)
{
    struct canned c = serving();

    CHECK_EQ(status(query(&c, "SELECT name FROM x('server_version_num')")), 'I');
    CHECK(memmem(answers, 200, "SELECT 0", 8) != NULL);
    CHECK_EQ(
        status(query(&c, "WITH x SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements)")),
        'I');
    CHECK(memmem(answers, 300, "D\0\0\0\x15\0\3\0\0\0\1", 11) != NULL);
    CHECK_EQ(status(query(&c, "RESET ALL; SELECT 1")), 'I');
    CHECK_EQ(status(query(&c, "DISCARD ALL")), 'I');
}

static void test_every_exchange_is_answered(void)
{
    static const char *const names[] = {"simple", "extended", "prepared", "pipelined",
                                        "transaction"};
    static struct exchange x;

    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct canned c = serving(), slow = serving();

        CHECK(exchange_make(names[n], &x));
        if (x.prologue.len > 0)
            CHECK_EQ(readies_in(feed(&c, x.prologue.bytes, x.prologue.len)), 1);
        for (uint32_t turn = 0; turn < x.turns_count; turn++) {
            size_t len = feed(&c, x.turns[turn].bytes, x.turns[turn].len);
            CHECK_EQ(readies_in(len), 1);
            CHECK_EQ(feed_slowly(&slow, x.turns[turn].bytes, x.turns[turn].len), len);
            CHECK_EQ(status(len), turn + 1 == x.turns_count ? 'I' : 'T');
        }
    }
    CHECK(!exchange_make("complicated", &x));
}

static void test_rubbish_ends_it(void)
{
    struct canned c = serving(), startup = {0};

    CHECK(feed(&c, "Q\0\0\0\3", 5) > 0);
    CHECK_EQ(answers[0], 'E');
    CHECK_EQ(c.phase, CANNED_OVER);
    CHECK(feed(&startup, "\0\0\0\7\0\3\0\0", 8) > 0);
    CHECK_EQ(startup.phase, CANNED_OVER);
    CHECK_EQ(replies_feed(&(struct replies){0}, (const uint8_t *)"Z\0\0\0\3", 5), SIZE_MAX);
}

static void test_copy_out_of_place_is_ignored(void)
{
    struct canned c = serving();

    CHECK_EQ(feed(&c, "f\0\0\0\5\0c\0\0\0\4d\0\0\0\5xS\0\0\0\4", 22), 6);
    CHECK_EQ(status(6), 'I');
}

static void test_errors_are_counted(void)
{
    struct replies r = {0};

    CHECK_EQ(replies_feed(&r, (const uint8_t *)"E\0\0\0\5\0Z\0\0\0\5E", 12), 1);
    CHECK_EQ(r.errors, 1);
}

/* More answers than there is room: what was not answered is not consumed. */
static void test_full_room_stops_it(void)
{
    struct canned c = serving();
    struct messages out = {.at = answers, .cap = CANNED_ANSWER_MAX + 6};
    static const uint8_t syncs[] = "S\0\0\0\4S\0\0\0\4S\0\0\0\4";

    CHECK_EQ(canned_feed(&c, syncs, 15, &out), 10);
    CHECK_EQ(out.len, 12);
}

int main(void)
{
    RUN(test_everybody_is_let_in);
    RUN(test_newer_protocols_are_negotiated_down);
    RUN(test_cancel_and_terminate_end_it);
    RUN(test_transaction_status_follows_the_first_word);
    RUN(test_prepared_begin_is_remembered_by_its_name);
    RUN(test_names_are_bounded);
    RUN(test_questions_of_poolers_are_answered);
    RUN(test_every_exchange_is_answered);
    RUN(test_rubbish_ends_it);
    RUN(test_copy_out_of_place_is_ignored);
    RUN(test_errors_are_counted);
    RUN(test_full_room_stops_it);
    return check_done();
}
