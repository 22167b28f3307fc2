/* sources: _cparser/protocol.c */
/*
 * Field readers: what each takes; that no truncation and no tail of it is taken; that a refusal
 * leaves the result as it was. All input ends at a guard page.
 */
#include "check.h"
#include "../../_cparser/protocol.h"

/* Room for any reader's result; refused() checks that nothing was written to it. */
union result {
    struct gp_span span;
    struct gp_parse parse;
    struct gp_bind bind;
    struct gp_named named;
    struct gp_execute execute;
    enum gp_txn_status status;
    struct gp_tag tag;
    struct gp_error error;
    struct gp_parameter parameter;
    uint8_t bytes[96];
};

typedef enum gp_result reader(const uint8_t *body, size_t len, union result *out);

static enum gp_result read_query(const uint8_t *body, size_t len, union result *out)
{
    return gp_query_fields(body, len, &out->span);
}

static enum gp_result read_parse(const uint8_t *body, size_t len, union result *out)
{
    return gp_parse_fields(body, len, &out->parse);
}

static enum gp_result read_bind(const uint8_t *body, size_t len, union result *out)
{
    return gp_bind_fields(body, len, len, &out->bind);
}

static enum gp_result read_describe(const uint8_t *body, size_t len, union result *out)
{
    return gp_describe_fields(body, len, &out->named);
}

static enum gp_result read_close(const uint8_t *body, size_t len, union result *out)
{
    return gp_close_fields(body, len, &out->named);
}

static enum gp_result read_execute(const uint8_t *body, size_t len, union result *out)
{
    return gp_execute_fields(body, len, &out->execute);
}

static enum gp_result read_ready(const uint8_t *body, size_t len, union result *out)
{
    return gp_ready_status(body, len, &out->status);
}

static enum gp_result read_tag(const uint8_t *body, size_t len, union result *out)
{
    return gp_command_tag(body, len, &out->tag);
}

static enum gp_result read_error(const uint8_t *body, size_t len, union result *out)
{
    return gp_error_fields(body, len, &out->error);
}

static enum gp_result read_parameter(const uint8_t *body, size_t len, union result *out)
{
    return gp_parameter_status(body, len, &out->parameter);
}

static void refused(reader *read, const void *body, size_t len)
{
    struct guard g = guard_copy(body, len);
    union result out, before;

    memset(&out, 0x5a, sizeof(out));
    memset(&before, 0x5a, sizeof(before));
    CHECK_EQ(read(g.at, len, &out), GP_EPROTO);
    CHECK_MEM(&out, &before, sizeof(out));
    guard_free(&g);
}

/* The body is taken, none of its prefixes is, nor is it with one byte more. */
static struct guard taken(reader *read, const char *body, size_t len, union result *out)
{
    struct guard g = guard_copy(body, len);
    uint8_t longer[256];

    CHECK(len < sizeof(longer));
    memcpy(longer, body, len);
    longer[len] = '\0';
    refused(read, longer, len + 1);
    for (size_t cut = 0; cut < len; cut++)
        refused(read, body, cut);
    CHECK_EQ(read(g.at, len, out), GP_OK);
    return g;
}

#define TAKEN(read, body, out) taken((read), (body), sizeof(body) - 1, (out))
#define REFUSED(read, body)    refused((read), (body), sizeof(body) - 1)

static void test_query(void)
{
    union result out;
    struct guard g = TAKEN(read_query, "select 1\0", &out);

    CHECK(gp_span_is(out.span, "select 1"));
    CHECK(out.span.at == g.at);
    guard_free(&g);
    g = TAKEN(read_query, "\0", &out);
    CHECK_EQ(out.span.len, 0);
    guard_free(&g);
    REFUSED(read_query, "select 1\0; drop table t\0");
}

static void test_parse(void)
{
    union result out;
    struct guard g = TAKEN(read_parse, "s1\0select $1, $2\0\0\2\0\0\0\x17\0\0\0\x19", &out);

    CHECK(gp_span_is(out.parse.statement, "s1"));
    CHECK(gp_span_is(out.parse.query, "select $1, $2"));
    CHECK_EQ(out.parse.nparams, 2);
    CHECK(out.parse.oids.at == g.at + 19);
    CHECK_EQ(out.parse.oids.len, 8);
    CHECK_EQ(gp_get_u32be(out.parse.oids.at + 4), 0x19);
    guard_free(&g);
    g = TAKEN(read_parse, "\0\0\0\0", &out);
    CHECK(out.parse.statement.len == 0 && out.parse.query.len == 0);
    CHECK(out.parse.nparams == 0 && out.parse.oids.len == 0);
    guard_free(&g);
    REFUSED(read_parse, "s1\0select 1\0\xff\xff\0\0\0\x17");
}

static void test_parse_takes_65535_parameters(void)
{
    size_t len = 4 + 4 * 65535;
    uint8_t *body = calloc(1, len);
    struct guard g;
    union result out;

    CHECK(body != NULL);
    body[2] = body[3] = 0xff;
    g = guard_copy(body, len);
    CHECK_EQ(read_parse(g.at, len, &out), GP_OK);
    CHECK_EQ(out.parse.nparams, 65535);
    CHECK_EQ(out.parse.oids.len, 4 * 65535);
    guard_free(&g);
    refused(read_parse, body, len - 1);
    free(body);
}

static void test_bind(void)
{
    static const char body[] = "p1\0s1\0\0\0\0\1\0\0\0\1\x37\0";
    const size_t names = 6;

    for (size_t have = 0; have <= sizeof(body); have++) {
        struct guard g = guard_copy(body, have);
        struct gp_bind bind;
        enum gp_result result = gp_bind_fields(g.at, have, sizeof(body), &bind);

        CHECK_EQ(result, have < names ? GP_NEED_MORE : GP_OK);
        if (result == GP_OK) {
            CHECK(gp_span_is(bind.portal, "p1") && bind.portal.at == g.at);
            CHECK(gp_span_is(bind.statement, "s1"));
        }
        guard_free(&g);
        if (have < names)
            refused(read_bind, body, have);
    }
    REFUSED(read_bind, "p1\0s1");
}

static void test_describe_and_close(void)
{
    reader *readers[] = {read_describe, read_close};

    for (size_t i = 0; i < 2; i++) {
        union result out;
        struct guard g = TAKEN(readers[i], "Ss1\0", &out);

        CHECK_EQ(out.named.kind, GP_TARGET_STATEMENT);
        CHECK(gp_span_is(out.named.name, "s1"));
        guard_free(&g);
        g = TAKEN(readers[i], "P\0", &out);
        CHECK_EQ(out.named.kind, GP_TARGET_PORTAL);
        CHECK(gp_span_is(out.named.name, ""));
        guard_free(&g);
        REFUSED(readers[i], "Xs1\0");
        REFUSED(readers[i], "\0\0");
    }
}

static void test_execute(void)
{
    union result out;
    struct guard g = TAKEN(read_execute, "c1\0\xff\0\0\x0a", &out);

    CHECK(gp_span_is(out.execute.portal, "c1"));
    CHECK_EQ(out.execute.max_rows, 0xff00000a);
    guard_free(&g);
}

static void test_ready_status(void)
{
    for (int status = 0; status < 256; status++) {
        uint8_t body = (uint8_t)status;
        union result out;

        if (strchr("ITE", status) == NULL || status == 0) {
            refused(read_ready, &body, 1);
            continue;
        }
        CHECK_EQ(read_ready(&body, 1, &out), GP_OK);
        CHECK_EQ(out.status, status);
    }
    REFUSED(read_ready, "");
    REFUSED(read_ready, "II");
}

static const struct {
    const char *text;
    enum gp_tag_kind kind;
} tags[] = {
    {"BEGIN", GP_TAG_BEGIN},
    {"START TRANSACTION", GP_TAG_BEGIN},
    {"COMMIT", GP_TAG_COMMIT},
    {"ROLLBACK", GP_TAG_ROLLBACK},
    {"SET", GP_TAG_SET},
    {"RESET", GP_TAG_RESET},
    {"PREPARE", GP_TAG_PREPARE},
    {"DEALLOCATE", GP_TAG_DEALLOCATE},
    {"DEALLOCATE ALL", GP_TAG_DEALLOCATE_ALL},
    {"DISCARD ALL", GP_TAG_DISCARD_ALL},
    {"DISCARD PLANS", GP_TAG_DISCARD},
    {"DISCARD SEQUENCES", GP_TAG_DISCARD},
    {"DISCARD TEMP", GP_TAG_DISCARD},
    {"LISTEN", GP_TAG_LISTEN},
    {"UNLISTEN", GP_TAG_UNLISTEN},
    {"DECLARE CURSOR", GP_TAG_DECLARE_CURSOR},
    {"CLOSE CURSOR", GP_TAG_CLOSE_CURSOR},
    {"CLOSE CURSOR ALL", GP_TAG_CLOSE_CURSOR},
    {"CREATE TABLE", GP_TAG_CREATE},
    {"CREATE TABLE AS", GP_TAG_CREATE},
    {"CREATE FUNCTION", GP_TAG_CREATE},
    {"LOAD", GP_TAG_LOAD},
    {"SELECT 1", GP_TAG_ROWS},
    {"INSERT 0 1", GP_TAG_ROWS},
    {"COPY 5", GP_TAG_ROWS},
    {"SET CONSTRAINTS", GP_TAG_OTHER},
    {"PREPARE TRANSACTION", GP_TAG_OTHER},
    {"COMMIT PREPARED", GP_TAG_OTHER},
    {"ROLLBACK PREPARED", GP_TAG_OTHER},
    {"SAVEPOINT", GP_TAG_OTHER},
    {"SE", GP_TAG_OTHER},
    {"CREATE ", GP_TAG_OTHER},
    {"set", GP_TAG_OTHER},
    {"", GP_TAG_OTHER},
};

static void test_command_tag(void)
{
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        union result out;
        struct guard g = taken(read_tag, tags[i].text, strlen(tags[i].text) + 1, &out);

        CHECK_EQ(out.tag.kind, tags[i].kind);
        CHECK(gp_span_is(out.tag.text, tags[i].text));
        guard_free(&g);
    }
}

static void test_error(void)
{
    union result out;
    struct guard g = TAKEN(
        read_error, "SFEHLER\0VERROR\0C22012\0MDivision durch Null\0Dmore\0F\0L1\0Rf\0\0", &out);

    CHECK(gp_span_is(out.error.severity, "ERROR"));
    CHECK(gp_span_is(out.error.sqlstate, "22012"));
    CHECK(gp_span_is(out.error.message, "Division durch Null"));
    guard_free(&g);

    g = TAKEN(read_error, "SFATAL\0C57P01\0\0", &out); /* a server before 9.6: no V */
    CHECK(gp_span_is(out.error.severity, "FATAL"));
    CHECK(gp_span_is(out.error.sqlstate, "57P01"));
    CHECK(gp_span_is(out.error.message, ""));
    guard_free(&g);

    g = TAKEN(read_error, "\0", &out);
    CHECK(out.error.severity.len == 0 && out.error.sqlstate.len == 0);
    guard_free(&g);
    REFUSED(read_error, "SERROR\0\0Mbehind the end\0\0");
}

static void test_parameter_status(void)
{
    union result out;
    struct guard g = TAKEN(read_parameter, "TimeZone\0Etc/UTC\0", &out);

    CHECK(gp_span_is(out.parameter.name, "TimeZone"));
    CHECK(gp_span_is(out.parameter.value, "Etc/UTC"));
    guard_free(&g);
    g = TAKEN(read_parameter, "application_name\0\0", &out);
    CHECK(gp_span_is(out.parameter.value, ""));
    guard_free(&g);
}

int main(void)
{
    RUN(test_query);
    RUN(test_parse);
    RUN(test_parse_takes_65535_parameters);
    RUN(test_bind);
    RUN(test_describe_and_close);
    RUN(test_execute);
    RUN(test_ready_status);
    RUN(test_command_tag);
    RUN(test_error);
    RUN(test_parameter_status);
    return check_done();
}
