#include "exchange.h"

#include <string.h>

#include "../protocol.h"

#define PROTOCOL_3_0 0x30000u
#define STATEMENT    "one"
#define QUERY_TEXT   "select 12345"
#define PARSED_TEXT  "select $1"
#define NAP_TEXT     "select pg_sleep(0.01)"
#define PARAMETER    "12345"

/* ---- writing ---- */

static void put(struct request *r, const void *data, size_t len)
{
    memcpy(r->bytes + r->len, data, len);
    r->len += len;
}

static void put_u32(struct request *r, uint32_t value)
{
    gp_put_u32be(r->bytes + r->len, value);
    r->len += 4;
}

static void put_string(struct request *r, const char *text)
{
    put(r, text, strlen(text) + 1);
}

static size_t begin(struct request *r, uint8_t type)
{
    put(r, &type, 1);
    r->len += 4;
    return r->len - 4;
}

static void end(struct request *r, size_t mark)
{
    gp_put_u32be(r->bytes + mark, (uint32_t)(r->len - mark));
}

static void query(struct request *r, const char *text)
{
    size_t mark = begin(r, GP_QUERY);

    put_string(r, text);
    end(r, mark);
}

static void parse(struct request *r, const char *name)
{
    size_t mark = begin(r, GP_PARSE);

    put_string(r, name);
    put_string(r, PARSED_TEXT);
    put(r, "\0\0", 2); /* types of parameters: PostgreSQL's choice */
    end(r, mark);
}

/* Bind, Describe, Execute: as libpq's PQexecParams and PQexecPrepared send them. */
static void run(struct request *r, const char *name)
{
    size_t mark = begin(r, GP_BIND);

    put_string(r, "");
    put_string(r, name);
    put(r, "\0\0\0\1", 4); /* formats: text; one parameter */
    put_u32(r, sizeof(PARAMETER) - 1);
    put(r, PARAMETER, sizeof(PARAMETER) - 1);
    put(r, "\0\1\0\0", 4); /* one format of results: text */
    end(r, mark);
    mark = begin(r, GP_DESCRIBE);
    put(r, "P", 1);
    put_string(r, "");
    end(r, mark);
    mark = begin(r, GP_EXECUTE);
    put_string(r, "");
    put_u32(r, 0); /* all rows */
    end(r, mark);
}

static void sync_up(struct request *r)
{
    end(r, begin(r, GP_SYNC));
}

/* ---- the exchanges ---- */

static void make_simple(struct exchange *x)
{
    query(&x->turns[x->turns_count++], QUERY_TEXT);
}

static void make_extended(struct exchange *x)
{
    struct request *r = &x->turns[x->turns_count++];

    parse(r, "");
    run(r, "");
    sync_up(r);
}

static void make_of_prepared(struct exchange *x, uint32_t depth)
{
    struct request *r = &x->turns[x->turns_count++];

    parse(&x->prologue, STATEMENT);
    sync_up(&x->prologue);
    for (uint32_t i = 0; i < depth; i++)
        run(r, STATEMENT);
    sync_up(r);
}

static void make_prepared(struct exchange *x)
{
    make_of_prepared(x, 1);
}

static void make_pipelined(struct exchange *x)
{
    make_of_prepared(x, PIPELINE_DEPTH);
}

static void make_transaction(struct exchange *x)
{
    query(&x->turns[x->turns_count++], "begin");
    query(&x->turns[x->turns_count++], QUERY_TEXT);
    query(&x->turns[x->turns_count++], "commit");
}

/* A transaction that takes a time and no processor. */
static void make_nap(struct exchange *x)
{
    query(&x->turns[x->turns_count++], NAP_TEXT);
}

static const struct {
    const char *name;
    void (*make)(struct exchange *x);
} exchanges[] = {
    {"simple", make_simple},       {"extended", make_extended},       {"prepared", make_prepared},
    {"pipelined", make_pipelined}, {"transaction", make_transaction}, {"nap", make_nap},
};

bool exchange_make(const char *name, struct exchange *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
        if (strcmp(exchanges[i].name, name) == 0) {
            out->name = exchanges[i].name;
            exchanges[i].make(out);
            return true;
        }
    }
    return false;
}

bool exchange_startup(const char *user, const char *database, struct request *out)
{
    out->len = 0;
    if (strlen(user) + strlen(database) > REQUEST_MAX / 2)
        return false;
    put_u32(out, 0);
    put_u32(out, PROTOCOL_3_0);
    put_string(out, "user");
    put_string(out, user);
    put_string(out, "database");
    put_string(out, database);
    put(out, "", 1);
    gp_put_u32be(out->bytes, (uint32_t)out->len);
    return true;
}

/* ---- reading ---- */

size_t replies_feed(struct replies *r, const uint8_t *data, size_t len)
{
    size_t readies = 0, at = 0;

    while (at < len) {
        if (r->have < sizeof(r->head)) {
            r->head[r->have++] = data[at++];
            if (r->have < sizeof(r->head))
                continue;
            uint32_t length = gp_get_u32be(r->head + 1);
            if (length < 4)
                return SIZE_MAX;
            r->skip = length - 4;
            r->errors += r->head[0] == GP_ERROR_RESPONSE;
        }
        size_t step = len - at < r->skip ? len - at : r->skip;
        at += step;
        r->skip -= (uint32_t)step;
        if (r->skip > 0)
            break;
        readies += r->head[0] == GP_READY_FOR_QUERY;
        r->have = 0;
    }
    return readies;
}
