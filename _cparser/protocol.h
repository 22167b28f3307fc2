/*
 * protocol.h: message boundaries and fields of PostgreSQL's protocol 3, both directions.
 *
 * Law: pure functions over the caller's bytes. No I/O, no allocation, no globals but constant
 * tables. Nothing is cast from the wire and no length is added up before it is known to fit. A
 * reader writes its result only when it answers GP_OK.
 *
 * A message on the wire (the startup packets, which have no type byte, are not this file's):
 *
 *     | type 1 | length 4, big endian | body: length - 4 bytes |
 *     |<--------------------- total = 1 + length ------------->|
 *
 * Partner: relay.c, which calls gp_frame_peek once for every message that passes.
 * Source: PostgreSQL documentation, "Message Formats"; the bounds are those of its tcop/postgres.c
 * (SocketBackend), libpq/auth.c and of libpq's fe-protocol3.c.
 */
#ifndef GP_PROTOCOL_H
#define GP_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine.h"

#define GP_HEADER_SIZE  5 /* type and length: what gp_frame_peek needs */
#define GP_READY_TOTAL  6 /* a ReadyForQuery on the wire */
#define GP_SIMPLE_TOTAL 5 /* a message without a body on the wire */

/* Who sent the message. */
enum gp_side { GP_FRONTEND = 0, GP_BACKEND = 1 };

enum gp_frontend_type {
    GP_BIND = 'B',
    GP_CLOSE = 'C',
    GP_COPY_FAIL = 'f',
    GP_DESCRIBE = 'D',
    GP_EXECUTE = 'E',
    GP_FLUSH = 'H',
    GP_FUNCTION_CALL = 'F',
    GP_PARSE = 'P',
    GP_PASSWORD = 'p', /* PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse */
    GP_QUERY = 'Q',
    GP_SYNC = 'S',
    GP_TERMINATE = 'X',
};

enum gp_backend_type {
    GP_AUTHENTICATION = 'R',
    GP_BACKEND_KEY_DATA = 'K',
    GP_BIND_COMPLETE = '2',
    GP_CLOSE_COMPLETE = '3',
    GP_COMMAND_COMPLETE = 'C',
    GP_COPY_BOTH_RESPONSE = 'W',
    GP_COPY_IN_RESPONSE = 'G',
    GP_COPY_OUT_RESPONSE = 'H',
    GP_DATA_ROW = 'D',
    GP_EMPTY_QUERY_RESPONSE = 'I',
    GP_ERROR_RESPONSE = 'E',
    GP_FUNCTION_CALL_RESPONSE = 'V',
    GP_NEGOTIATE_PROTOCOL_VERSION = 'v',
    GP_NO_DATA = 'n',
    GP_NOTICE_RESPONSE = 'N',
    GP_NOTIFICATION_RESPONSE = 'A',
    GP_PARAMETER_DESCRIPTION = 't',
    GP_PARAMETER_STATUS = 'S',
    GP_PARSE_COMPLETE = '1',
    GP_PORTAL_SUSPENDED = 's',
    GP_READY_FOR_QUERY = 'Z',
    GP_ROW_DESCRIPTION = 'T',
};

/* Sent by both sides. */
enum gp_copy_type {
    GP_COPY_DATA = 'd',
    GP_COPY_DONE = 'c',
};

/* The transaction status of ReadyForQuery. */
enum gp_txn_status {
    GP_TXN_IDLE = 'I',
    GP_TXN_BLOCK = 'T',
    GP_TXN_FAILED = 'E',
};

/* What a type's table entry says beside its length class. Flags hold on the side they name. */
enum gp_type_flag {
    GP_STREAM = 0x04,   /* nothing decides on its body: may be forwarded in pieces */
    GP_READY = 0x08,    /* frontend: owes one ReadyForQuery (Query, FunctionCall, Sync) */
    GP_ASYNC = 0x08,    /* backend: may come at any time, belongs to no request */
    GP_EXTENDED = 0x10, /* frontend: an error in it makes the server skip to the next Sync */
    GP_COPY = 0x20,     /* frontend: ignored by a server that is not in COPY FROM */
    GP_LOGIN = 0x40,    /* lawful only before the first ReadyForQuery */
};

/* A table entry is a length class in the two low bits and flags above; 0 means "no such type". */
#define GP_CLASS_MASK 0x03

/* Hidden, also as declarations: a look at them is then one load, not two (no GOT). */
#pragma GCC visibility push(hidden)
extern const uint8_t gp_type_table[2][256];  /* [enum gp_side][type byte] */
extern const uint32_t gp_length_limit[2][4]; /* [enum gp_side][class]: greatest lawful length */
#pragma GCC visibility pop

/* A message's header, understood. The body is at buf + GP_HEADER_SIZE and is length - 4 long. */
struct gp_frame {
    uint8_t type;
    uint8_t flags;   /* enum gp_type_flag, or-ed */
    uint32_t length; /* the wire field: counts itself, not the type byte; >= 4 */
    size_t total;    /* bytes on the wire: 1 + length */
};

static inline uint16_t gp_get_u16be(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t gp_get_u32be(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void gp_put_u32be(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/*
 * Look at the header of the message that begins at buf; the body may be there or not.
 *   GP_OK         *out describes a lawful header; out->total may exceed len
 *   GP_NEED_MORE  fewer than GP_HEADER_SIZE bytes, nothing wrong with them so far
 *   GP_EPROTO     no type of that side (told from the first byte), or a length below 4 or above
 *                 the limit of the type's class
 * Reads at most GP_HEADER_SIZE bytes; len may be 0.
 */
GP_NODISCARD static inline enum gp_result gp_frame_peek(const uint8_t *buf, size_t len,
                                                        enum gp_side side, struct gp_frame *out)
{
    if (len < GP_HEADER_SIZE)
        return len > 0 && gp_type_table[side][buf[0]] == 0 ? GP_EPROTO : GP_NEED_MORE;

    uint8_t entry = gp_type_table[side][buf[0]];
    uint32_t length = gp_get_u32be(buf + 1);

    /* The limit of class 0 is 0: an unknown type fails here whatever its length. */
    if (length < 4 || length > gp_length_limit[side][entry & GP_CLASS_MASK])
        return GP_EPROTO;
    out->type = buf[0];
    out->flags = entry & (uint8_t)~GP_CLASS_MASK;
    out->length = length;
    out->total = (size_t)length + 1;
    return GP_OK;
}

/*
 * ---- Fields -----------------------------------------------------------------------------------
 * Readers take a body (buf + GP_HEADER_SIZE) of len bytes (frame.length - 4), whole unless said
 * otherwise, and answer GP_OK, or GP_EPROTO when it does not hold exactly what its type demands,
 * as PostgreSQL would ("invalid message format"). Spans point into the body and live as long as it.
 */

/* Some bytes of the caller's buffer. A span of a wire string has its NUL at at[len]. */
struct gp_span {
    const uint8_t *at;
    size_t len;
};

struct gp_parse {
    struct gp_span statement; /* empty: the unnamed statement */
    struct gp_span query;
    struct gp_span oids; /* 4 bytes each, big endian, 0 = unspecified; len = 4 * nparams */
    uint16_t nparams;
};

struct gp_bind {
    struct gp_span portal; /* empty: the unnamed portal */
    struct gp_span statement;
};

enum gp_target { GP_TARGET_STATEMENT = 'S', GP_TARGET_PORTAL = 'P' };

/* Describe and Close */
struct gp_named {
    enum gp_target kind;
    struct gp_span name;
};

struct gp_execute {
    struct gp_span portal;
    uint32_t max_rows; /* 0: no limit */
};

/*
 * Command tags that can mean a change of session state. COPY, SELECT, DO, CALL... are OTHER: what
 * a function did inside them no tag can tell. CREATE is every "CREATE ...", since any kind of
 * object can be made in pg_temp; but CREATE TABLE AS and SELECT INTO answer "SELECT n".
 */
enum gp_tag_kind {
    GP_TAG_OTHER = 0,
    GP_TAG_ROWS,     /* with a count behind it: SELECT 5, also of CREATE TABLE AS */
    GP_TAG_BEGIN,    /* and START TRANSACTION */
    GP_TAG_COMMIT,   /* not COMMIT PREPARED */
    GP_TAG_ROLLBACK, /* also of COMMIT in a failed block, and of ROLLBACK TO SAVEPOINT */
    GP_TAG_SET,      /* also SET LOCAL, SET ROLE, SET SESSION AUTHORIZATION, SET TRANSACTION */
    GP_TAG_RESET,
    GP_TAG_PREPARE, /* not PREPARE TRANSACTION */
    GP_TAG_DEALLOCATE,
    GP_TAG_DEALLOCATE_ALL,
    GP_TAG_DISCARD, /* PLANS, SEQUENCES or TEMP */
    GP_TAG_DISCARD_ALL,
    GP_TAG_LISTEN,
    GP_TAG_UNLISTEN,
    GP_TAG_DECLARE_CURSOR,
    GP_TAG_CLOSE_CURSOR, /* one or all */
    GP_TAG_CREATE,
    GP_TAG_LOAD,
};

struct gp_tag {
    enum gp_tag_kind kind;
    struct gp_span text; /* "INSERT 0 1" */
};

/* ErrorResponse and NoticeResponse. A field that the server left out is an empty span. */
struct gp_error {
    struct gp_span severity; /* V (never localized), or else S */
    struct gp_span sqlstate;
    struct gp_span message;
    struct gp_span routine; /* of PostgreSQL's source, never localized; may be missing */
};

struct gp_parameter {
    struct gp_span name;
    struct gp_span value; /* may be empty: that is a value */
};

GP_NODISCARD enum gp_result gp_query_fields(const uint8_t *body, size_t len, struct gp_span *sql);
GP_NODISCARD enum gp_result gp_parse_fields(const uint8_t *body, size_t len, struct gp_parse *out);
GP_NODISCARD enum gp_result gp_describe_fields(const uint8_t *body, size_t len,
                                               struct gp_named *out);
GP_NODISCARD enum gp_result gp_close_fields(const uint8_t *body, size_t len, struct gp_named *out);
GP_NODISCARD enum gp_result gp_execute_fields(const uint8_t *body, size_t len,
                                              struct gp_execute *out);

/*
 * The two names at the head of a Bind, of whose body the first have <= len bytes are there: a
 * large Bind need not be collected. GP_NEED_MORE: the names do not end within have bytes, yet.
 * What follows the names is not looked at; PostgreSQL will.
 */
GP_NODISCARD enum gp_result gp_bind_fields(const uint8_t *body, size_t have, size_t len,
                                           struct gp_bind *out);

GP_NODISCARD enum gp_result gp_ready_status(const uint8_t *body, size_t len,
                                            enum gp_txn_status *out);
GP_NODISCARD enum gp_result gp_command_tag(const uint8_t *body, size_t len, struct gp_tag *out);
GP_NODISCARD enum gp_result gp_error_fields(const uint8_t *body, size_t len, struct gp_error *out);
GP_NODISCARD enum gp_result gp_parameter_status(const uint8_t *body, size_t len,
                                                struct gp_parameter *out);

/* Whether a span holds exactly this text: gp_span_is(error.severity, "FATAL"). */
static inline bool gp_span_is(struct gp_span span, const char *text)
{
    size_t len = strlen(text);
    return span.len == len && (len == 0 || memcmp(span.at, text, len) == 0);
}

/*
 * ---- Builders ---------------------------------------------------------------------------------
 * Write one whole message at buf and return its size on the wire. The first two need no more than
 * the constant named; the others return 0, with buf untouched, when the message would not fit in
 * cap bytes or in the protocol. Text arguments are NUL-terminated.
 */
size_t gp_build_simple(uint8_t *buf, uint8_t type);             /* GP_SIMPLE_TOTAL */
size_t gp_build_ready(uint8_t *buf, enum gp_txn_status status); /* GP_READY_TOTAL */
GP_NODISCARD size_t gp_build_query(uint8_t *buf, size_t cap, const char *sql);
/* severity is ERROR, FATAL or PANIC: it is sent both as S and as V. sqlstate has 5 characters. An
 * empty detail is none. */
GP_NODISCARD size_t gp_build_error(uint8_t *buf, size_t cap, const char *severity,
                                   const char *sqlstate, const char *message, const char *detail);

#endif
