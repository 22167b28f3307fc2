#include "canned.h"

#include <string.h>
#include <strings.h>

#include "../protocol.h"

#define STARTUP_HEAD   8u
#define PROTOCOL_MAJOR 3u
#define REQUEST_CODE   1234u /* major "version" of CancelRequest and its like */
#define CANCEL_REQUEST 5678u
#define INT4_OID       23u

struct text {
    const char *at;
    size_t len;
};

/* What a PostgreSQL 15 reports at login; session_authorization is not known here, and no matter. */
static const char *const parameters[][2] = {
    {"application_name", ""},
    {"client_encoding", "UTF8"},
    {"DateStyle", "ISO, MDY"},
    {"default_transaction_read_only", "off"},
    {"in_hot_standby", "off"},
    {"integer_datetimes", "on"},
    {"IntervalStyle", "postgres"},
    {"is_superuser", "on"},
    {"server_encoding", "UTF8"},
    {"server_version", "15.0"},
    {"session_authorization", "bench"},
    {"standard_conforming_strings", "on"},
    {"TimeZone", "Etc/UTC"},
};

static const struct {
    const char *word;
    enum canned_verb verb;
} words[] = {
    {"begin", CANNED_BEGIN},    {"start", CANNED_BEGIN},       {"commit", CANNED_COMMIT},
    {"end", CANNED_COMMIT},     {"rollback", CANNED_ROLLBACK}, {"abort", CANNED_ROLLBACK},
    {"set", CANNED_SET},        {"reset", CANNED_SET},         {"discard", CANNED_SET},
    {"deallocate", CANNED_SET},
};

static const char *const tags[] = {
    [CANNED_SELECT] = "SELECT 1",   [CANNED_BEGIN] = "BEGIN",   [CANNED_COMMIT] = "COMMIT",
    [CANNED_ROLLBACK] = "ROLLBACK", [CANNED_SET] = "SET",       [CANNED_EMPTY] = "",
    [CANNED_REPORT] = "SELECT 0",   [CANNED_LOOK] = "SELECT 1",
};

/* ---- writing ---- */

static void put_ready(const struct canned *c, struct messages *out)
{
    size_t mark = begin_message(out, GP_READY_FOR_QUERY);

    put(out, c->in_block ? "T" : "I", 1);
    end_message(out, mark);
}

static void put_error(struct canned *c, struct messages *out, const char *message)
{
    size_t mark = begin_message(out, GP_ERROR_RESPONSE);

    put_string(out, "SFATAL");
    put_string(out, "VFATAL");
    put_string(out, "C08P01");
    put(out, "M", 1);
    put_string(out, message);
    put(out, "", 1);
    end_message(out, mark);
    c->phase = CANNED_OVER;
}

static uint32_t columns_of(enum canned_verb verb)
{
    switch (verb) {
    case CANNED_SELECT:
        return 1;
    case CANNED_REPORT:
        return 2;
    case CANNED_LOOK:
        return 3;
    default:
        return 0;
    }
}

static void put_description(struct messages *out, enum canned_verb verb)
{
    uint32_t columns = columns_of(verb);

    if (columns == 0) {
        put_empty(out, GP_NO_DATA);
        return;
    }
    size_t mark = begin_message(out, GP_ROW_DESCRIPTION);
    put_u16(out, columns);
    for (uint32_t i = 0; i < columns; i++) {
        put_string(out, "?column?");
        put_u32(out, 0); /* of no table */
        put_u16(out, 0);
        put_u32(out, INT4_OID);
        put_u16(out, 4);
        put_u32(out, UINT32_MAX); /* no modifier */
        put_u16(out, 0);          /* text */
    }
    end_message(out, mark);
}

static void put_row(struct messages *out, enum canned_verb verb)
{
    uint32_t columns = verb == CANNED_REPORT ? 0 : columns_of(verb);

    if (columns == 0)
        return;
    size_t mark = begin_message(out, GP_DATA_ROW);
    put_u16(out, columns);
    for (uint32_t i = 0; i < columns; i++) {
        put_u32(out, 1);
        put(out, verb == CANNED_LOOK ? "0" : "1", 1);
    }
    end_message(out, mark);
}

/* ---- what a text is ---- */

static bool contains(struct text text, const char *word)
{
    return memmem(text.at, text.len, word, strlen(word)) != NULL;
}

/* The verb of a text, by its first word; only texts as long as greenpool's are searched further. */
static enum canned_verb verb_of(struct text text)
{
    size_t len = 0;

    while (text.len > 0 && memchr(" \t\r\n;", text.at[0], 5) != NULL) {
        text.at++;
        text.len--;
    }
    if (text.len == 0)
        return CANNED_EMPTY;
    while (len < text.len && memchr(" \t\r\n;", text.at[len], 5) == NULL)
        len++;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i].word) == len && strncasecmp(text.at, words[i].word, len) == 0)
            return words[i].verb;
    if (contains(text, "pg_catalog.pg_prepared_statements"))
        return CANNED_LOOK;
    return contains(text, "server_version_num") ? CANNED_REPORT : CANNED_SELECT;
}

/* ---- statements: only those are remembered that are no plain queries ---- */

static uint64_t hash_of(struct text name)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.at[i]) * 1099511628211u;
    return hash;
}

static enum canned_verb recall(const struct canned *c, struct text name)
{
    uint64_t hash = hash_of(name);

    for (uint32_t i = 0; i < CANNED_NAMES_MAX; i++)
        if (c->verbs[i] != CANNED_SELECT && c->names[i] == hash)
            return c->verbs[i];
    return CANNED_SELECT;
}

/* False: too many. */
static bool remember(struct canned *c, struct text name, enum canned_verb verb)
{
    uint64_t hash = hash_of(name);
    uint32_t place = CANNED_NAMES_MAX;

    for (uint32_t i = CANNED_NAMES_MAX; i-- > 0;) {
        if (c->verbs[i] != CANNED_SELECT && c->names[i] == hash)
            c->verbs[i] = CANNED_SELECT;
        if (c->verbs[i] == CANNED_SELECT)
            place = i;
    }
    if (verb == CANNED_SELECT)
        return true;
    if (place == CANNED_NAMES_MAX)
        return false;
    c->names[place] = hash;
    c->verbs[place] = (uint8_t)verb;
    return true;
}

/* ---- reading ---- */

/* Take a string off the front of the body; without its NUL an empty one, and nothing is left. */
static struct text take_string(struct text *body)
{
    const char *stop = body->len ? memchr(body->at, 0, body->len) : NULL;
    struct text string = {body->at, stop ? (size_t)(stop - body->at) : 0};
    size_t used = stop ? string.len + 1 : body->len;

    body->at += used;
    body->len -= used;
    return string;
}

static void execute(struct canned *c, struct messages *out, enum canned_verb verb)
{
    if (verb == CANNED_EMPTY) {
        put_empty(out, GP_EMPTY_QUERY_RESPONSE);
        return;
    }
    if (verb == CANNED_BEGIN)
        c->in_block = true;
    else if (verb == CANNED_COMMIT || verb == CANNED_ROLLBACK)
        c->in_block = false;
    put_row(out, verb);
    size_t mark = begin_message(out, GP_COMMAND_COMPLETE);
    put_string(out, tags[verb]);
    end_message(out, mark);
}

static void answer_query(struct canned *c, struct messages *out, struct text body)
{
    enum canned_verb verb = verb_of(take_string(&body));

    if (columns_of(verb) > 0)
        put_description(out, verb);
    execute(c, out, verb);
    put_ready(c, out);
}

static void answer_parse(struct canned *c, struct messages *out, struct text body)
{
    struct text name = take_string(&body);

    if (remember(c, name, verb_of(take_string(&body))))
        put_empty(out, GP_PARSE_COMPLETE);
    else
        put_error(c, out, "too many prepared statements that are no queries");
}

static void answer_bind(struct canned *c, struct messages *out, struct text body)
{
    take_string(&body); /* the portal: there is one at a time */
    c->portal = (uint8_t)recall(c, take_string(&body));
    put_empty(out, GP_BIND_COMPLETE);
}

static void answer_describe(struct canned *c, struct messages *out, struct text body)
{
    bool statement = body.len > 0 && body.at[0] == 'S';
    enum canned_verb verb = c->portal;

    if (statement) {
        struct text name = {body.at + 1, body.len - 1};
        verb = recall(c, take_string(&name));
        size_t mark = begin_message(out, GP_PARAMETER_DESCRIPTION);
        put_u16(out, 0);
        end_message(out, mark);
    }
    put_description(out, verb);
}

static void answer(struct canned *c, struct messages *out, uint8_t type, struct text body)
{
    switch (type) {
    case GP_QUERY:
        answer_query(c, out, body);
        break;
    case GP_PARSE:
        answer_parse(c, out, body);
        break;
    case GP_BIND:
        answer_bind(c, out, body);
        break;
    case GP_DESCRIBE:
        answer_describe(c, out, body);
        break;
    case GP_EXECUTE:
        execute(c, out, c->portal);
        break;
    case GP_CLOSE:
        put_empty(out, GP_CLOSE_COMPLETE);
        break;
    case GP_SYNC:
        put_ready(c, out);
        break;
    case GP_FLUSH:
    case GP_COPY_DATA: /* a pooler may end a COPY that there is not: ignored, as by PostgreSQL */
    case GP_COPY_DONE:
    case GP_COPY_FAIL:
        break;
    case GP_TERMINATE:
        c->phase = CANNED_OVER;
        break;
    default:
        put_error(c, out, "this server knows queries only");
    }
}

static void welcome(struct canned *c, struct messages *out, uint32_t minor)
{
    size_t mark;

    if (minor > 0) {
        mark = begin_message(out, GP_NEGOTIATE_PROTOCOL_VERSION);
        put_u32(out, PROTOCOL_MAJOR << 16);
        put_u32(out, 0); /* all options are known: there are none to know */
        end_message(out, mark);
    }
    mark = begin_message(out, GP_AUTHENTICATION);
    put_u32(out, 0);
    end_message(out, mark);
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        mark = begin_message(out, GP_PARAMETER_STATUS);
        put_string(out, parameters[i][0]);
        put_string(out, parameters[i][1]);
        end_message(out, mark);
    }
    mark = begin_message(out, GP_BACKEND_KEY_DATA);
    put_u32(out, c->pid);
    put_u32(out, c->pid);
    end_message(out, mark);
    put_ready(c, out);
    c->phase = CANNED_SERVING;
}

/* Gives the bytes of the packet, 0 while it is incomplete. */
static size_t answer_startup(struct canned *c, const uint8_t *in, size_t len, struct messages *out)
{
    if (len < STARTUP_HEAD)
        return 0;
    uint32_t total = gp_get_u32be(in), code = gp_get_u32be(in + 4);
    if (total < STARTUP_HEAD || total > CANNED_MESSAGE_MAX) {
        put_error(c, out, "invalid length of startup packet");
        return len;
    }
    if (len < total)
        return 0;
    if (code >> 16 == PROTOCOL_MAJOR)
        welcome(c, out, code & 0xffff);
    else if (code >> 16 != REQUEST_CODE)
        put_error(c, out, "unsupported frontend protocol");
    else if ((code & 0xffff) == CANCEL_REQUEST)
        c->phase = CANNED_OVER;
    else
        put(out, "N", 1); /* SSLRequest, GSSENCRequest */
    return total;
}

/* The same for a message. */
static size_t answer_message(struct canned *c, const uint8_t *in, size_t len, struct messages *out)
{
    struct gp_frame frame;
    enum gp_result result = gp_frame_peek(in, len, GP_FRONTEND, &frame);

    if (result == GP_NEED_MORE)
        return 0;
    if (result != GP_OK || frame.total > CANNED_MESSAGE_MAX) {
        put_error(c, out, "invalid message");
        return len;
    }
    if (frame.total > len)
        return 0;
    struct text body = {(const char *)in + GP_HEADER_SIZE, frame.total - GP_HEADER_SIZE};
    answer(c, out, frame.type, body);
    return frame.total;
}

size_t canned_feed(struct canned *c, const uint8_t *in, size_t len, struct messages *out)
{
    size_t used = 0;

    while (used < len && c->phase != CANNED_OVER && out->cap - out->len >= CANNED_ANSWER_MAX) {
        size_t step = c->phase == CANNED_STARTUP ? answer_startup(c, in + used, len - used, out)
                                                 : answer_message(c, in + used, len - used, out);
        if (step == 0)
            break;
        used += step;
    }
    return used;
}
