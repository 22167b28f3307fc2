#include "exchange.h"

#include <string.h>

#include "messages.h"

#define PROTOCOL_3_0 0x30000u
#define STATEMENT    "one"
#define QUERY_TEXT   "select 12345"
#define PARSED_TEXT  "select $1"
#define NAP_TEXT     "select pg_sleep(0.01)"
#define PARAMETER    "12345"

/* ---- writing ---- */

static struct messages behind(struct request *r)
{
    return (struct messages){.at = r->bytes, .len = r->len, .cap = REQUEST_MAX};
}

static void query(struct request *r, const char *text)
{
    struct messages m = behind(r);
    size_t mark = begin_message(&m, GP_QUERY);

    put_string(&m, text);
    end_message(&m, mark);
    r->len = m.len;
}

static void parse(struct request *r, const char *name)
{
    struct messages m = behind(r);
    size_t mark = begin_message(&m, GP_PARSE);

    put_string(&m, name);
    put_string(&m, PARSED_TEXT);
    put(&m, "\0\0", 2); /* types of parameters: PostgreSQL's choice */
    end_message(&m, mark);
    r->len = m.len;
}

/* Bind, Describe, Execute: as libpq's PQexecParams and PQexecPrepared send them. */
static void run(struct request *r, const char *name)
{
    struct messages m = behind(r);
    size_t mark = begin_message(&m, GP_BIND);

    put_string(&m, "");
    put_string(&m, name);
    put(&m, "\0\0\0\1", 4); /* formats: text; one parameter */
    put_u32(&m, sizeof(PARAMETER) - 1);
    put(&m, PARAMETER, sizeof(PARAMETER) - 1);
    put(&m, "\0\1\0\0", 4); /* one format of results: text */
    end_message(&m, mark);
    mark = begin_message(&m, GP_DESCRIBE);
    put(&m, "P", 1);
    put_string(&m, "");
    end_message(&m, mark);
    mark = begin_message(&m, GP_EXECUTE);
    put_string(&m, "");
    put_u32(&m, 0); /* all rows */
    end_message(&m, mark);
    r->len = m.len;
}

static void sync_up(struct request *r)
{
    struct messages m = behind(r);

    put_empty(&m, GP_SYNC);
    r->len = m.len;
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
    struct messages m = {.at = out->bytes, .cap = REQUEST_MAX};

    if (strlen(user) + strlen(database) > REQUEST_MAX / 2)
        return false;
    put_u32(&m, 0);
    put_u32(&m, PROTOCOL_3_0);
    put_string(&m, "user");
    put_string(&m, user);
    put_string(&m, "database");
    put_string(&m, database);
    put(&m, "", 1);
    end_message(&m, 0);
    out->len = m.len;
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
