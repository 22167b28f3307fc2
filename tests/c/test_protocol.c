/* sources: _cparser/protocol.c */
/*
 * Message boundaries: real conversations whole, split at every byte and with a tail behind them;
 * every type of both sides with its length limit and flags. All input ends at a guard page.
 */
#include "check.h"
#include "../../_cparser/protocol.h"

/* ---- Transcripts -------------------------------------------------------------------------- */

struct message {
    char type;
    const char *body;
    size_t len;
};

#define MSG(type, body)                                                                            \
    {                                                                                              \
        (type), (body), sizeof(body) - 1                                                           \
    }

static const struct message psql[] = {
    MSG('Q', "begin\0"), MSG('Q', "select 1; select 2\0"), MSG('Q', "\0"), MSG('Q', "commit\0"),
    MSG('X', ""),
};

static const struct message psql_replies[] = {
    MSG('C', "BEGIN\0"),
    MSG('Z', "T"),
    MSG('T', "\0\1?column?\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"),
    MSG('D', "\0\1\0\0\0\1\61"),
    MSG('C', "SELECT 1\0"),
    MSG('N', "SWARNING\0VWARNING\0C25001\0Mthere is already a transaction in progress\0\0"),
    MSG('I', ""),
    MSG('Z', "T"),
    MSG('S', "application_name\0\0"),
    MSG('C', "COMMIT\0"),
    MSG('Z', "I"),
};

static const struct message extended[] = {
    MSG('P', "s1\0select $1::int4\0\0\1\0\0\0\x17"),
    MSG('D', "Ss1\0"),
    MSG('H', ""),
    MSG('B', "\0s1\0\0\0\0\1\0\0\0\1\x37\0\0"),
    MSG('E', "\0\0\0\0\0"),
    MSG('C', "P\0"),
    MSG('S', ""),
    MSG('F', "\0\0\5\xdc\0\1\0\1\0\1\0\0\0\4\0\0\0\x07\0\1"),
};

static const struct message extended_replies[] = {
    MSG('1', ""),
    MSG('t', "\0\1\0\0\0\x17"),
    MSG('T', "\0\1int4\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"),
    MSG('2', ""),
    MSG('D', "\0\1\xff\xff\xff\xff"),
    MSG('s', ""),
    MSG('n', ""),
    MSG('3', ""),
    MSG('E', "SERROR\0VERROR\0C22012\0Mdivision by zero\0Fint.c\0L846\0Rint4div\0\0"),
    MSG('Z', "E"),
    MSG('V', "\0\0\0\4\0\0\0\x07"),
    MSG('A', "\0\0\x12\x34jobs\0payload\0"),
};

static const struct message copy[] = {
    MSG('Q', "copy t from stdin\0"), MSG('d', "1\tone\n"),  MSG('d', ""), MSG('c', ""),
    MSG('Q', "copy t from stdin\0"), MSG('f', "no more\0"),
};

static const struct message copy_replies[] = {
    MSG('G', "\0\0\2\0\0\0\0"), MSG('C', "COPY 1\0"), MSG('Z', "I"),      MSG('H', "\0\0\1\0\0"),
    MSG('d', "1\tone\n"),       MSG('c', ""),         MSG('W', "\0\0\0"),
};

static const struct message login[] = {
    MSG('p', "SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=fyko+d2lbbFgONRv9qkxdawL"),
};

static const struct message login_replies[] = {
    MSG('v', "\0\3\0\2\0\0\0\1_pq_.grease\0"),
    MSG('R', "\0\0\0\0"),
    MSG('S', "server_version\00018.6\0"),
    MSG('K', "\0\0\x12\x34\1\2\3\4"),
    MSG('Z', "I"),
};

static const struct transcript {
    enum gp_side side;
    const struct message *messages;
    size_t count;
} transcripts[] = {
#define TRANSCRIPT(side, messages)                                                                 \
    {                                                                                              \
        (side), (messages), sizeof(messages) / sizeof((messages)[0])                               \
    }
    TRANSCRIPT(GP_FRONTEND, psql),     TRANSCRIPT(GP_BACKEND, psql_replies),
    TRANSCRIPT(GP_FRONTEND, extended), TRANSCRIPT(GP_BACKEND, extended_replies),
    TRANSCRIPT(GP_FRONTEND, copy),     TRANSCRIPT(GP_BACKEND, copy_replies),
    TRANSCRIPT(GP_FRONTEND, login),    TRANSCRIPT(GP_BACKEND, login_replies),
};

enum { STREAM_MAX = 1024, TRANSCRIPTS = sizeof(transcripts) / sizeof(transcripts[0]) };

/* The transcript's bytes; ends[i] is the offset behind its message i. */
static size_t write_stream(const struct transcript *t, uint8_t *out, size_t *ends)
{
    size_t at = 0;

    for (size_t i = 0; i < t->count; i++) {
        const struct message *m = &t->messages[i];

        CHECK(at + GP_HEADER_SIZE + m->len <= STREAM_MAX && m->len + 4 < 256);
        memcpy(out + at, (uint8_t[]){(uint8_t)m->type, 0, 0, 0, (uint8_t)(m->len + 4)}, 5);
        memcpy(out + at + 5, m->body, m->len);
        ends[i] = at += GP_HEADER_SIZE + m->len;
    }
    return at;
}

/* Walk the whole messages of stream[0..len); gives how many there are and what stopped the walk. */
static size_t walk(const uint8_t *stream, size_t len, enum gp_side side, const size_t *ends,
                   enum gp_result *why)
{
    size_t at = 0;
    size_t count = 0;
    struct gp_frame frame;

    while ((*why = gp_frame_peek(stream + at, len - at, side, &frame)) == GP_OK) {
        CHECK_EQ(frame.type, stream[at]);
        CHECK_EQ(frame.total, (size_t)frame.length + 1);
        CHECK_EQ(at + frame.total, ends[count]);
        if (frame.total > len - at) {
            *why = GP_NEED_MORE;
            break;
        }
        at += frame.total;
        count++;
    }
    return count;
}

static void test_transcript_split_at_every_byte(void)
{
    for (size_t i = 0; i < TRANSCRIPTS; i++) {
        const struct transcript *t = &transcripts[i];
        uint8_t stream[STREAM_MAX];
        size_t ends[32];
        size_t len = write_stream(t, stream, ends);

        for (size_t cut = 0; cut <= len; cut++) {
            struct guard head = guard_copy(stream, cut);
            enum gp_result why;
            size_t whole = 0;

            while (whole < t->count && ends[whole] <= cut)
                whole++;
            CHECK_EQ(walk(head.at, cut, t->side, ends, &why), whole);
            CHECK_EQ(why, GP_NEED_MORE);
            guard_free(&head);
        }
    }
}

static void test_transcript_with_a_bad_tail(void)
{
    for (size_t i = 0; i < TRANSCRIPTS; i++) {
        const struct transcript *t = &transcripts[i];
        uint8_t stream[STREAM_MAX + 8];
        size_t ends[32];
        size_t len = write_stream(t, stream, ends);

        memcpy(stream + len, "\xff\0\0\0\4", 5);
        for (size_t tail = 1; tail <= 5; tail++) {
            struct guard all = guard_copy(stream, len + tail);
            enum gp_result why;

            CHECK_EQ(walk(all.at, all.len, t->side, ends, &why), t->count);
            CHECK_EQ(why, GP_EPROTO);
            guard_free(&all);
        }
    }
}

/* ---- Types and limits --------------------------------------------------------------------- */

/* The law, told a second time: each side's types by length limit and by flag. */
static const struct {
    uint32_t limit;
    const char *types;
} limits[2][3] = {
    [GP_FRONTEND] = {{10000, "CDEHSXcf"}, {0x3ffffffe, "BFPQd"}, {65535, "p"}},
    [GP_BACKEND] = {{30000, "RK23CWcGHIvn1sZ"}, {0x40000003, "dDEVNAtST"}, {0, ""}},
};

static const struct {
    uint8_t flag;
    const char *types[2];
} flags[] = {
    {GP_STREAM, {"Fd", "dDVNAtT"}}, {GP_READY, {"FQS", "NAS"}}, {GP_ASYNC, {"FQS", "NAS"}},
    {GP_EXTENDED, {"BCDEHP", ""}},  {GP_COPY, {"dcf", ""}},     {GP_LOGIN, {"p", "RKv"}},
};

static bool contains(const char *types, uint8_t type)
{
    return type != 0 && strchr(types, type) != NULL;
}

static uint32_t limit_of(enum gp_side side, uint8_t type)
{
    for (size_t i = 0; i < 3; i++)
        if (contains(limits[side][i].types, type))
            return limits[side][i].limit;
    return 0;
}

static enum gp_result peek_header(enum gp_side side, uint8_t type, uint32_t length,
                                  struct gp_frame *frame)
{
    uint8_t header[] = {type, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                        (uint8_t)(length >> 8), (uint8_t)length};
    struct guard g = guard_copy(header, sizeof(header));
    enum gp_result result = gp_frame_peek(g.at, g.len, side, frame);

    guard_free(&g);
    return result;
}

static void check_refused(enum gp_side side, uint8_t type, uint32_t length)
{
    struct gp_frame frame = {.type = 1, .flags = 2, .length = 3, .total = 4};

    CHECK_EQ(peek_header(side, type, length, &frame), GP_EPROTO);
    CHECK(frame.type == 1 && frame.flags == 2 && frame.length == 3 && frame.total == 4);
}

static void check_taken(enum gp_side side, uint8_t type, uint32_t length)
{
    struct gp_frame frame = {0};
    uint8_t expected = 0;

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (contains(flags[i].types[side], type))
            expected |= flags[i].flag;
    CHECK_EQ(peek_header(side, type, length, &frame), GP_OK);
    CHECK_EQ(frame.type, type);
    CHECK_EQ(frame.flags, expected);
    CHECK_EQ(frame.length, length);
    CHECK_EQ(frame.total, (uint64_t)length + 1);
}

static void test_every_type_and_its_limit(void)
{
    for (int side = GP_FRONTEND; side <= GP_BACKEND; side++) {
        for (int type = 0; type < 256; type++) {
            uint32_t limit = limit_of(side, (uint8_t)type);

            check_refused(side, (uint8_t)type, 0);
            check_refused(side, (uint8_t)type, 3);
            check_refused(side, (uint8_t)type, limit + 1);
            check_refused(side, (uint8_t)type, 0x7fffffff);
            check_refused(side, (uint8_t)type, 0xffffffff);
            if (limit == 0) {
                check_refused(side, (uint8_t)type, 4);
                continue;
            }
            check_taken(side, (uint8_t)type, 4);
            check_taken(side, (uint8_t)type, limit - 1);
            check_taken(side, (uint8_t)type, limit);
        }
    }
}

static void test_unknown_type_is_refused_from_its_first_byte(void)
{
    for (int side = GP_FRONTEND; side <= GP_BACKEND; side++) {
        for (int type = 0; type < 256; type++) {
            struct guard g = guard_copy((uint8_t[]){(uint8_t)type}, 1);
            struct gp_frame frame;
            enum gp_result result = gp_frame_peek(g.at, 1, side, &frame);

            CHECK_EQ(result, limit_of(side, (uint8_t)type) == 0 ? GP_EPROTO : GP_NEED_MORE);
            guard_free(&g);
        }
    }
}

static void test_integers_are_big_endian(void)
{
    uint8_t bytes[4];

    gp_put_u32be(bytes, 0x81020384);
    CHECK_MEM(bytes, "\x81\x02\x03\x84", 4);
    CHECK_EQ(gp_get_u32be(bytes), 0x81020384);
    CHECK_EQ(gp_get_u16be(bytes), 0x8102);
    CHECK_EQ(gp_get_u32be((const uint8_t *)"\xff\xff\xff\xff"), 0xffffffff);
}

int main(void)
{
    RUN(test_transcript_split_at_every_byte);
    RUN(test_transcript_with_a_bad_tail);
    RUN(test_every_type_and_its_limit);
    RUN(test_unknown_type_is_refused_from_its_first_byte);
    RUN(test_integers_are_big_endian);
    return check_done();
}
