/*
 * fuzz_fields: every field reader, on every body.
 *
 * An input is | reader | body |. Whatever a reader takes, its spans lie within the body and its
 * strings end in their NUL; a body that is taken is refused when its last byte is missing; and
 * what the builders make of the fields reads back the same. The body is a copy of exactly its
 * size, so that AddressSanitizer sees one byte too many.
 */
#include <stdlib.h>

#include "../protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* seeds.py knows this order */
enum reader { QUERY, PARSE, BIND, DESCRIBE, CLOSE, EXECUTE, READY, TAG, ERROR, PARAMETER, READERS };

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void within(struct gp_span span, const uint8_t *body, size_t len)
{
    require(span.at >= body && span.at <= body + len);
    require(span.len <= (size_t)(body + len - span.at));
}

static void string(struct gp_span span, const uint8_t *body, size_t len)
{
    within(span, body, len);
    require(span.len < (size_t)(body + len - span.at));
    require(strlen((const char *)span.at) == span.len);
}

static bool same(struct gp_span a, struct gp_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static enum gp_result read_query(const uint8_t *body, size_t len)
{
    struct gp_span sql;
    enum gp_result result = gp_query_fields(body, len, &sql);
    uint8_t *built;

    if (result != GP_OK)
        return result;
    string(sql, body, len);
    built = malloc(GP_HEADER_SIZE + len);
    require(built != NULL);
    require(gp_build_query(built, GP_HEADER_SIZE + len, (const char *)sql.at) ==
            GP_HEADER_SIZE + len);
    require(memcmp(built + GP_HEADER_SIZE, body, len) == 0);
    free(built);
    return result;
}

static enum gp_result read_parse(const uint8_t *body, size_t len)
{
    struct gp_parse parse;
    enum gp_result result = gp_parse_fields(body, len, &parse);

    if (result != GP_OK)
        return result;
    string(parse.statement, body, len);
    string(parse.query, body, len);
    within(parse.oids, body, len);
    require(parse.oids.len == 4 * (size_t)parse.nparams);
    require(parse.oids.at + parse.oids.len == body + len);
    return result;
}

/* As more of a Bind arrives, the answer goes from GP_NEED_MORE to the final one, once. */
static enum gp_result read_bind(const uint8_t *body, size_t len)
{
    struct gp_bind whole, part;
    enum gp_result result = gp_bind_fields(body, len, len, &whole);
    bool known = false;

    require(result == GP_OK || result == GP_EPROTO);
    for (size_t have = 0; have < len; have++) {
        enum gp_result now = gp_bind_fields(body, have, len, &part);

        require(now == GP_OK || (now == GP_NEED_MORE && !known));
        if (now != GP_OK)
            continue;
        known = true;
        string(part.portal, body, have);
        string(part.statement, body, have);
        require(result == GP_OK && same(part.portal, whole.portal) &&
                same(part.statement, whole.statement));
    }
    return result;
}

static enum gp_result read_named(const uint8_t *body, size_t len, bool describe)
{
    struct gp_named named;
    enum gp_result result =
        describe ? gp_describe_fields(body, len, &named) : gp_close_fields(body, len, &named);

    if (result != GP_OK)
        return result;
    require(named.kind == GP_TARGET_STATEMENT || named.kind == GP_TARGET_PORTAL);
    string(named.name, body, len);
    return result;
}

static enum gp_result read_execute(const uint8_t *body, size_t len)
{
    struct gp_execute execute;
    enum gp_result result = gp_execute_fields(body, len, &execute);

    if (result == GP_OK)
        string(execute.portal, body, len);
    return result;
}

static enum gp_result read_ready(const uint8_t *body, size_t len)
{
    enum gp_txn_status status;
    enum gp_result result = gp_ready_status(body, len, &status);

    if (result == GP_OK)
        require(len == 1 && status == body[0]);
    return result;
}

static enum gp_result read_tag(const uint8_t *body, size_t len)
{
    struct gp_tag tag;
    enum gp_result result = gp_command_tag(body, len, &tag);

    if (result != GP_OK)
        return result;
    string(tag.text, body, len);
    require(tag.kind >= GP_TAG_OTHER && tag.kind <= GP_TAG_LOAD);
    return result;
}

static const char *text_of(struct gp_span span, const uint8_t *body, size_t len)
{
    if (span.at == NULL)
        return "";
    string(span, body, len);
    return (const char *)span.at;
}

static enum gp_result read_error(const uint8_t *body, size_t len)
{
    struct gp_error error, again;
    enum gp_result result = gp_error_fields(body, len, &error);
    size_t cap = 2 * len + 32; /* the severity may be there twice; header, codes and NULs */
    uint8_t *built;
    size_t total;

    if (result != GP_OK)
        return result;
    built = malloc(cap);
    require(built != NULL);
    total =
        gp_build_error(built, cap, text_of(error.severity, body, len),
                       text_of(error.sqlstate, body, len), text_of(error.message, body, len), "");
    require(total > 0 && total <= cap);
    require(gp_error_fields(built + GP_HEADER_SIZE, total - GP_HEADER_SIZE, &again) == GP_OK);
    require(same(error.severity, again.severity) && same(error.sqlstate, again.sqlstate) &&
            same(error.message, again.message));
    free(built);
    return result;
}

static enum gp_result read_parameter(const uint8_t *body, size_t len)
{
    struct gp_parameter parameter;
    enum gp_result result = gp_parameter_status(body, len, &parameter);

    if (result != GP_OK)
        return result;
    string(parameter.name, body, len);
    string(parameter.value, body, len);
    return result;
}

static enum gp_result read_fields(enum reader reader, const uint8_t *body, size_t len)
{
    switch (reader) {
    case QUERY:
        return read_query(body, len);
    case PARSE:
        return read_parse(body, len);
    case BIND:
        return read_bind(body, len);
    case DESCRIBE:
    case CLOSE:
        return read_named(body, len, reader == DESCRIBE);
    case EXECUTE:
        return read_execute(body, len);
    case READY:
        return read_ready(body, len);
    case TAG:
        return read_tag(body, len);
    case ERROR:
        return read_error(body, len);
    case PARAMETER:
        return read_parameter(body, len);
    case READERS:
        break;
    }
    abort();
}

/* Read a copy that is exactly as long as the body. */
static enum gp_result read_copy(enum reader reader, const uint8_t *body, size_t len)
{
    uint8_t *copy = malloc(len);
    enum gp_result result;

    require(copy != NULL);
    memcpy(copy, body, len);
    result = read_fields(reader, copy, len);
    free(copy);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum reader reader;
    enum gp_result result;

    if (size < 1)
        return 0;
    reader = data[0] % READERS;
    result = read_copy(reader, data + 1, size - 1);
    require(result == GP_OK || result == GP_EPROTO);
    if (result == GP_OK && reader != BIND)
        require(read_copy(reader, data + 1, size - 2) == GP_EPROTO);
    return 0;
}
