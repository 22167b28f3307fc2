#include "protocol.h"

/* ---- Types -------------------------------------------------------------------------------- */

enum gp_class {
    SMALL = 1, /* PQ_SMALL_MESSAGE_LIMIT; of a server, what libpq takes for a short message */
    LARGE = 2, /* PQ_LARGE_MESSAGE_LIMIT; of a server, the longest body a StringInfo can hold */
    TOKEN = 3, /* PG_MAX_AUTH_TOKEN_LENGTH */
};

_Static_assert(TOKEN <= GP_CLASS_MASK, "a class fits in its bits");
_Static_assert(SIZE_MAX > UINT32_MAX || SIZE_MAX - 1 >= 0x40000003u, "a total fits in size_t");

const uint32_t gp_length_limit[2][4] = {
    [GP_FRONTEND] = {[SMALL] = 10000, [LARGE] = 0x3ffffffe, [TOKEN] = 65535},
    [GP_BACKEND] = {[SMALL] = 30000, [LARGE] = 0x3fffffff + 4},
};

const uint8_t gp_type_table[2][256] = {
    [GP_FRONTEND] =
        {
            [GP_BIND] = LARGE | GP_EXTENDED,
            [GP_CLOSE] = SMALL | GP_EXTENDED,
            [GP_COPY_DATA] = LARGE | GP_COPY | GP_STREAM,
            [GP_COPY_DONE] = SMALL | GP_COPY,
            [GP_COPY_FAIL] = SMALL | GP_COPY,
            [GP_DESCRIBE] = SMALL | GP_EXTENDED,
            [GP_EXECUTE] = SMALL | GP_EXTENDED,
            [GP_FLUSH] = SMALL | GP_EXTENDED,
            [GP_FUNCTION_CALL] = LARGE | GP_READY | GP_STREAM,
            [GP_PARSE] = LARGE | GP_EXTENDED,
            [GP_PASSWORD] = TOKEN | GP_LOGIN,
            [GP_QUERY] = LARGE | GP_READY,
            [GP_SYNC] = SMALL | GP_READY,
            [GP_TERMINATE] = SMALL,
        },
    [GP_BACKEND] =
        {
            [GP_AUTHENTICATION] = SMALL | GP_LOGIN,
            [GP_BACKEND_KEY_DATA] = SMALL | GP_LOGIN,
            [GP_BIND_COMPLETE] = SMALL,
            [GP_CLOSE_COMPLETE] = SMALL,
            [GP_COMMAND_COMPLETE] = SMALL,
            [GP_COPY_BOTH_RESPONSE] = SMALL,
            [GP_COPY_DATA] = LARGE | GP_STREAM,
            [GP_COPY_DONE] = SMALL,
            [GP_COPY_IN_RESPONSE] = SMALL,
            [GP_COPY_OUT_RESPONSE] = SMALL,
            [GP_DATA_ROW] = LARGE | GP_STREAM,
            [GP_EMPTY_QUERY_RESPONSE] = SMALL,
            [GP_ERROR_RESPONSE] = LARGE,
            [GP_FUNCTION_CALL_RESPONSE] = LARGE | GP_STREAM,
            [GP_NEGOTIATE_PROTOCOL_VERSION] = SMALL | GP_LOGIN,
            [GP_NO_DATA] = SMALL,
            [GP_NOTICE_RESPONSE] = LARGE | GP_ASYNC | GP_STREAM,
            [GP_NOTIFICATION_RESPONSE] = LARGE | GP_ASYNC | GP_STREAM,
            [GP_PARAMETER_DESCRIPTION] = LARGE | GP_STREAM,
            [GP_PARAMETER_STATUS] = LARGE | GP_ASYNC,
            [GP_PARSE_COMPLETE] = SMALL,
            [GP_PORTAL_SUSPENDED] = SMALL,
            [GP_READY_FOR_QUERY] = SMALL,
            [GP_ROW_DESCRIPTION] = LARGE | GP_STREAM,
        },
};

/* ---- Fields ------------------------------------------------------------------------------- */

/* What of a body is still unread: 0 <= left <= len of the body. */
struct cursor {
    const uint8_t *at;
    size_t left;
};

static bool take_u8(struct cursor *in, uint8_t *out)
{
    if (in->left < 1)
        return false;
    *out = *in->at;
    in->at += 1;
    in->left -= 1;
    return true;
}

static bool take_u16(struct cursor *in, uint16_t *out)
{
    if (in->left < 2)
        return false;
    *out = gp_get_u16be(in->at);
    in->at += 2;
    in->left -= 2;
    return true;
}

static bool take_u32(struct cursor *in, uint32_t *out)
{
    if (in->left < 4)
        return false;
    *out = gp_get_u32be(in->at);
    in->at += 4;
    in->left -= 4;
    return true;
}

static bool take_bytes(struct cursor *in, size_t len, struct gp_span *out)
{
    if (in->left < len)
        return false;
    *out = (struct gp_span){.at = in->at, .len = len};
    in->at += len;
    in->left -= len;
    return true;
}

/* A string and its NUL; the span leaves the NUL out. */
static bool take_string(struct cursor *in, struct gp_span *out)
{
    const uint8_t *nul = in->left > 0 ? memchr(in->at, '\0', in->left) : NULL;

    if (nul == NULL)
        return false;
    *out = (struct gp_span){.at = in->at, .len = (size_t)(nul - in->at)};
    in->left -= out->len + 1;
    in->at = nul + 1;
    return true;
}

/* A body that is one string and nothing else. */
static bool take_only_string(const uint8_t *body, size_t len, struct gp_span *out)
{
    struct cursor in = {.at = body, .left = len};

    return take_string(&in, out) && in.left == 0;
}

enum gp_result gp_query_fields(const uint8_t *body, size_t len, struct gp_span *sql)
{
    struct gp_span text;

    if (!take_only_string(body, len, &text))
        return GP_EPROTO;
    *sql = text;
    return GP_OK;
}

enum gp_result gp_parse_fields(const uint8_t *body, size_t len, struct gp_parse *out)
{
    struct cursor in = {.at = body, .left = len};
    struct gp_parse parse = {0};

    if (!take_string(&in, &parse.statement) || !take_string(&in, &parse.query) ||
        !take_u16(&in, &parse.nparams) || !take_bytes(&in, 4 * (size_t)parse.nparams, &parse.oids))
        return GP_EPROTO;
    if (in.left != 0)
        return GP_EPROTO;
    *out = parse;
    return GP_OK;
}

enum gp_result gp_bind_fields(const uint8_t *body, size_t have, size_t len, struct gp_bind *out)
{
    struct cursor in = {.at = body, .left = have};
    struct gp_bind bind = {0};

    if (!take_string(&in, &bind.portal) || !take_string(&in, &bind.statement))
        return have < len ? GP_NEED_MORE : GP_EPROTO;
    *out = bind;
    return GP_OK;
}

static enum gp_result named_fields(const uint8_t *body, size_t len, struct gp_named *out)
{
    struct cursor in = {.at = body, .left = len};
    struct gp_span name;
    uint8_t kind;

    if (!take_u8(&in, &kind) || !take_string(&in, &name) || in.left != 0)
        return GP_EPROTO;
    if (kind != GP_TARGET_STATEMENT && kind != GP_TARGET_PORTAL)
        return GP_EPROTO;
    *out = (struct gp_named){.kind = kind, .name = name};
    return GP_OK;
}

enum gp_result gp_describe_fields(const uint8_t *body, size_t len, struct gp_named *out)
{
    return named_fields(body, len, out);
}

enum gp_result gp_close_fields(const uint8_t *body, size_t len, struct gp_named *out)
{
    return named_fields(body, len, out);
}

enum gp_result gp_execute_fields(const uint8_t *body, size_t len, struct gp_execute *out)
{
    struct cursor in = {.at = body, .left = len};
    struct gp_execute execute = {0};

    if (!take_string(&in, &execute.portal) || !take_u32(&in, &execute.max_rows) || in.left != 0)
        return GP_EPROTO;
    *out = execute;
    return GP_OK;
}

enum gp_result gp_ready_status(const uint8_t *body, size_t len, enum gp_txn_status *out)
{
    if (len != 1)
        return GP_EPROTO;
    switch (body[0]) {
    case GP_TXN_IDLE:
    case GP_TXN_BLOCK:
    case GP_TXN_FAILED:
        *out = body[0];
        return GP_OK;
    default:
        return GP_EPROTO;
    }
}

/* Whole tags, by PostgreSQL's spelling (tcop/cmdtaglist.h); CREATE is matched by its first word. */
static const struct known_tag {
    const char *text;
    uint8_t len;
    uint8_t kind;
} known_tags[] = {
#define TAG(text, kind)                                                                            \
    {                                                                                              \
        (text), sizeof(text) - 1, (kind)                                                           \
    }
    TAG("BEGIN", GP_TAG_BEGIN),
    TAG("COMMIT", GP_TAG_COMMIT),
    TAG("ROLLBACK", GP_TAG_ROLLBACK),
    TAG("START TRANSACTION", GP_TAG_BEGIN),
    TAG("SET", GP_TAG_SET),
    TAG("RESET", GP_TAG_RESET),
    TAG("PREPARE", GP_TAG_PREPARE),
    TAG("DEALLOCATE", GP_TAG_DEALLOCATE),
    TAG("DEALLOCATE ALL", GP_TAG_DEALLOCATE_ALL),
    TAG("DISCARD ALL", GP_TAG_DISCARD_ALL),
    TAG("DISCARD PLANS", GP_TAG_DISCARD),
    TAG("DISCARD SEQUENCES", GP_TAG_DISCARD),
    TAG("DISCARD TEMP", GP_TAG_DISCARD),
    TAG("LISTEN", GP_TAG_LISTEN),
    TAG("UNLISTEN", GP_TAG_UNLISTEN),
    TAG("DECLARE CURSOR", GP_TAG_DECLARE_CURSOR),
    TAG("CLOSE CURSOR", GP_TAG_CLOSE_CURSOR),
    TAG("CLOSE CURSOR ALL", GP_TAG_CLOSE_CURSOR),
    TAG("LOAD", GP_TAG_LOAD),
#undef TAG
};

static enum gp_tag_kind tag_kind(struct gp_span tag)
{
    static const char create[] = "CREATE ", commonest[] = "SELECT";
    const size_t create_len = sizeof(create) - 1;
    uint8_t last = tag.len ? tag.at[tag.len - 1] : 0;

    if (last >= '0' && last <= '9')
        return GP_TAG_ROWS;

    if (tag.len >= sizeof(commonest) - 1 && memcmp(tag.at, commonest, sizeof(commonest) - 1) == 0)
        return GP_TAG_OTHER;
    for (size_t i = 0; i < sizeof(known_tags) / sizeof(known_tags[0]); i++) {
        const struct known_tag *known = &known_tags[i];

        if (tag.len == known->len && memcmp(tag.at, known->text, tag.len) == 0)
            return known->kind;
    }
    if (tag.len > create_len && memcmp(tag.at, create, create_len) == 0)
        return GP_TAG_CREATE;
    return GP_TAG_OTHER;
}

enum gp_result gp_command_tag(const uint8_t *body, size_t len, struct gp_tag *out)
{
    struct gp_span text;

    if (!take_only_string(body, len, &text))
        return GP_EPROTO;
    *out = (struct gp_tag){.kind = tag_kind(text), .text = text};
    return GP_OK;
}

enum gp_result gp_error_fields(const uint8_t *body, size_t len, struct gp_error *out)
{
    struct cursor in = {.at = body, .left = len};
    struct gp_span localized = {0};
    struct gp_error error = {0};
    uint8_t code = 'S'; /* any but the end, which an empty body lacks */

    while (take_u8(&in, &code) && code != '\0') {
        struct gp_span value;

        if (!take_string(&in, &value))
            return GP_EPROTO;
        switch (code) {
        case 'S':
            localized = value;
            break;
        case 'V':
            error.severity = value;
            break;
        case 'C':
            error.sqlstate = value;
            break;
        case 'M':
            error.message = value;
            break;
        case 'R':
            error.routine = value;
            break;
        default: /* detail, hint, position...: nothing here depends on them */
            break;
        }
    }
    if (in.left != 0 || code != '\0')
        return GP_EPROTO;
    if (error.severity.at == NULL)
        error.severity = localized;
    *out = error;
    return GP_OK;
}

enum gp_result gp_parameter_status(const uint8_t *body, size_t len, struct gp_parameter *out)
{
    struct cursor in = {.at = body, .left = len};
    struct gp_parameter parameter = {0};

    if (!take_string(&in, &parameter.name) || !take_string(&in, &parameter.value) || in.left != 0)
        return GP_EPROTO;
    *out = parameter;
    return GP_OK;
}

/* ---- Builders ----------------------------------------------------------------------------- */

/* Write the header of a message of `total` bytes; returns where its body goes. */
static uint8_t *put_header(uint8_t *buf, uint8_t type, size_t total)
{
    buf[0] = type;
    gp_put_u32be(buf + 1, (uint32_t)(total - 1));
    return buf + GP_HEADER_SIZE;
}

/* Write `len` bytes and a NUL; returns what follows. */
static uint8_t *put_string(uint8_t *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    at[len] = '\0';
    return at + len + 1;
}

static uint8_t *put_field(uint8_t *at, char code, const char *text)
{
    *at = (uint8_t)code;
    return put_string(at + 1, text, strlen(text));
}

/* Add len to *total unless the sum would exceed room. Invariant: *total <= room. */
static bool grow(size_t *total, size_t len, size_t room)
{
    if (len > room - *total)
        return false;
    *total += len;
    return true;
}

/* The largest message of this class that fits in cap bytes. */
static size_t room_for(enum gp_side side, size_t cap)
{
    size_t largest = (size_t)gp_length_limit[side][LARGE] + 1;

    return cap < largest ? cap : largest;
}

size_t gp_build_simple(uint8_t *buf, uint8_t type)
{
    put_header(buf, type, GP_SIMPLE_TOTAL);
    return GP_SIMPLE_TOTAL;
}

size_t gp_build_ready(uint8_t *buf, enum gp_txn_status status)
{
    *put_header(buf, GP_READY_FOR_QUERY, GP_READY_TOTAL) = (uint8_t)status;
    return GP_READY_TOTAL;
}

size_t gp_build_query(uint8_t *buf, size_t cap, const char *sql)
{
    size_t room = room_for(GP_FRONTEND, cap);
    size_t len = strlen(sql);
    size_t total = 0;

    if (!grow(&total, GP_HEADER_SIZE + 1, room) || !grow(&total, len, room))
        return 0;
    put_string(put_header(buf, GP_QUERY, total), sql, len);
    return total;
}

size_t gp_build_error(uint8_t *buf, size_t cap, const char *severity, const char *sqlstate,
                      const char *message, const char *detail)
{
    const size_t fixed = GP_HEADER_SIZE + 4 * 2 + 1; /* four codes and NULs, the end */
    size_t room = room_for(GP_BACKEND, cap);
    size_t total = 0;
    uint8_t *at;

    if (!grow(&total, fixed, room) || !grow(&total, strlen(severity), room) ||
        !grow(&total, strlen(severity), room) || !grow(&total, strlen(sqlstate), room) ||
        !grow(&total, strlen(message), room) ||
        !grow(&total, *detail ? 2 + strlen(detail) : 0, room))
        return 0;
    at = put_header(buf, GP_ERROR_RESPONSE, total);
    at = put_field(at, 'S', severity);
    at = put_field(at, 'V', severity);
    at = put_field(at, 'C', sqlstate);
    at = put_field(at, 'M', message);
    if (*detail)
        at = put_field(at, 'D', detail);
    *at = '\0';
    return total;
}
