#include "entrance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "admission.h"
#include "digest.h"
#include "obey.h"
#include "tls.h"

#define TAIL_BYTES  (GP_HEADER_SIZE + 4u + GP_CLIENT_KEY_BYTES + GP_READY_TOTAL)
#define ERROR_BYTES (2 * GP_FAULT_BYTES + 64u)

/* ---- what it is told ---- */

static void say(struct gp_engine *e, struct gp_client *c, const struct gp_login_out *out)
{
    if (out->len)
        gp_conn_send(e->transport, &c->conn, out->bytes, out->len);
}

static enum gp_refusal refusal_of(const char *sqlstate)
{
    if (memcmp(sqlstate, "28", 2) == 0) /* invalid authorization */
        return GP_REFUSED_IDENTITY;
    if (memcmp(sqlstate, "53", 2) == 0) /* insufficient resources */
        return GP_REFUSED_LIMIT;
    return strcmp(sqlstate, "57014") == 0 ? GP_REFUSED_TIMEOUT : GP_REFUSED_OTHER;
}

/* With the words of its fault. */
static void refuse(struct gp_engine *e, struct gp_client *c)
{
    const struct gp_fault *fault = &c->entrance->login.fault;
    uint8_t error[ERROR_BYTES];
    size_t len = gp_build_error(error, sizeof(error), "FATAL", fault->sqlstate, fault->message,
                                fault->detail);

    gp_login_refused(e, refusal_of(fault->sqlstate));
    gp_conn_send(e->transport, &c->conn, error, len);
    gp_client_finish(e, c, GP_REASON_REFUSED);
}

/* BackendKeyData, with a key that is made here, and ReadyForQuery. Gives the length; 0: the kernel
 * has no random bytes. */
static size_t build_tail(struct gp_engine *e, struct gp_client *c, uint32_t key_length,
                         uint8_t tail[TAIL_BYTES])
{
    if (gp_client_key(e, c->id, key_length, tail + GP_HEADER_SIZE + 4) != GP_OK)
        return 0;
    tail[0] = GP_BACKEND_KEY_DATA;
    gp_put_u32be(tail + 1, 8 + key_length);
    gp_put_u32be(tail + GP_HEADER_SIZE, c->id);
    size_t len = GP_HEADER_SIZE + 4 + key_length;
    return len + gp_build_ready(tail + len, GP_TXN_IDLE);
}

/* ---- letting in ---- */

/* Set why it is refused. Gives false, for whoever lets it in. */
static bool may_not(struct gp_client *c, const char *sqlstate, const char *message)
{
    gp_fault_set(&c->entrance->login.fault, sqlstate, message, NULL);
    return false;
}

/* Count it, and see that it is not one too many. */
static bool may_be_one_more(struct gp_engine *e, struct gp_client *c, const struct gp_terms *terms)
{
    struct gp_client_row *row = gp_client_at(e->seg, c->id);
    struct gp_client_counts counts;
    char message[GP_FAULT_BYTES];

    gp_client_admit(e->seg, c->id);
    if (!terms->user_limit && !terms->both_limit && !terms->database_limit)
        return true;
    gp_client_counts(e->seg, c->id, &counts);
    if ((terms->user_limit && counts.user > terms->user_limit) ||
        (terms->both_limit && counts.both > terms->both_limit))
        snprintf(message, sizeof(message), "too many connections for role \"%s\"", row->user);
    else if (terms->database_limit && counts.database > terms->database_limit)
        snprintf(message, sizeof(message), "too many connections for database \"%s\"",
                 row->database);
    else
        return true;
    return may_not(c, "53300", message);
}

static bool may_enter(struct gp_engine *e, struct gp_client *c, const struct gp_terms *terms)
{
    char message[GP_FAULT_BYTES];

    if (!(gp_pool_held(e->seg, terms->pool) & GP_HOLD_DISABLED))
        return may_be_one_more(e, c, terms);
    snprintf(message, sizeof(message), "database does not allow connections: %s",
             gp_client_at(e->seg, c->id)->database);
    return may_not(c, "55000", message);
}

/* What its session is to be. */
static bool set_terms(struct gp_engine *e, struct gp_client *c, const struct gp_terms *terms)
{
    struct gp_span sql = {terms->state_sql, terms->state_length};
    struct gp_span look = {terms->look_sql, terms->look_length};

    if (!gp_queue_at(e, terms->pool) ||
        !(c->base = gp_state_intern(e, terms->state_hash, sql, look, GP_ASK)))
        return may_not(c, "53200", "out of memory");
    c->params = gp_state_share(c->base);
    c->pool = terms->pool;
    atomic_store_explicit(&gp_client_at(e->seg, c->id)->pool, c->pool + 1, memory_order_relaxed);
    return true;
}

/* All that it is told, in one send: `out` and the welcome. */
static bool welcome(struct gp_engine *e, struct gp_client *c, const struct gp_terms *terms,
                    const struct gp_login_out *out)
{
    uint8_t tail[TAIL_BYTES];
    size_t len = build_tail(e, c, terms->key_length, tail);
    const struct iovec pieces[] = {
        {.iov_base = (void *)out->bytes, .iov_len = out->len},
        {.iov_base = (void *)terms->statuses, .iov_len = terms->statuses_length},
        {.iov_base = tail, .iov_len = len},
    };

    if (!len)
        return may_not(c, "58000", "could not generate random cancel key");
    gp_conn_sendv(e->transport, &c->conn, pieces, sizeof(pieces) / sizeof(pieces[0]));
    return true;
}

/* It has proved who it is, and `out` says so. From here on it is served. */
static void let_in(struct gp_engine *e, struct gp_client *c, const struct gp_plan *plan,
                   const struct gp_login_out *out)
{
    const struct gp_terms *terms = &plan->is.terms;
    bool own = plan->is.method == GP_LOGIN_NONE, tells = plan->is.tells;

    if (!(own || may_enter(e, c, terms)) || !set_terms(e, c, terms) ||
        !(own || welcome(e, c, terms, out))) {
        say(e, c, out);
        refuse(e, c);
        return;
    }
    gp_entrance_free(c); /* and perhaps the plan */
    c->own = own;
    if (!own)
        gp_count(&gp_counters_of(e, c->pool)->client_logins, 1);
    gp_client_begin(e, c);
    if (tells)
        gp_event_push(e, GP_EVENT_SERVED, c->id, c->pool, 0, 0);
    if (e->draining)
        gp_client_end(e, c, GP_REASON_SHUTDOWN);
    gp_obey_client(e, c);
}

/* ---- proving ---- */

static void keep(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len)
{
    if (!len || gp_buffer_append(&c->in, data, len))
        return;
    (void)may_not(c, "53200", "out of memory");
    refuse(e, c);
}

/* Do what the exchange's step has led to. rest: bytes behind it. */
static void conclude(struct gp_engine *e, struct gp_client *c, enum gp_result result,
                     struct gp_login_out *out, const uint8_t *rest, size_t rest_len)
{
    const struct gp_plan *plan = c->entrance->login.plan;

    if (result == GP_OK && !plan->is.open) {
        let_in(e, c, plan, out);
        if (rest_len && c->state == GP_CLIENT_IDLE)
            gp_frontend_received(e, c, rest, rest_len);
        return;
    }
    say(e, c, out);
    if (result == GP_OK) {
        gp_conn_pause(&c->conn);
        gp_event_push(e, GP_EVENT_PROVED, c->id, 0, 0, plan->is.tag);
        keep(e, c, rest, rest_len);
    } else if (result != GP_AGAIN) {
        refuse(e, c);
    }
    if (c->conn.broken)
        gp_todo(e, &c->conn);
}

void gp_entrance_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len)
{
    struct gp_login_out out;
    size_t taken;

    if (c->state == GP_CLIENT_FREE) {
        gp_guest_received(e, c, data, len);
        return;
    }
    if (c->state != GP_CLIENT_LOGIN)
        return; /* refused: what else it says does not matter */
    if (c->entrance->login.state == GP_LOGIN_PROVED) {
        keep(e, c, data, len);
        return;
    }
    enum gp_result result = gp_login_next(&c->entrance->login, data, len, &taken, &out);
    conclude(e, c, result, &out, data + taken, len - taken);
}

void gp_entrance_sweep(struct gp_engine *e, struct gp_client *c)
{
    if (!c->entrance->deadline_ns || e->now < c->entrance->deadline_ns)
        return;
    (void)may_not(c, "57014", "canceling authentication due to timeout");
    refuse(e, c);
}

void gp_entrance_free(struct gp_client *c)
{
    if (c->entrance)
        gp_login_end(&c->entrance->login);
    free(c->entrance);
    c->entrance = NULL;
}

/* ---- beginning ---- */

/* Its row, as others see it from now on. */
static void describe(struct gp_engine *e, struct gp_client *c)
{
    const struct gp_plan_settings *is = &c->entrance->login.plan->is;
    struct gp_client_row *row = gp_client_at(e->seg, c->id);

    gp_client_names(e, c->id, is->user, is->database, is->application);
    if (c->conn.tls)
        gp_client_encrypted(e, c->id, c->conn.tls);
    /* whose pool goes away meanwhile is ended with it */
    if (!is->open)
        atomic_store_explicit(&row->pool, is->terms.pool + 1, memory_order_relaxed);
}

static void begin(struct gp_engine *e, struct gp_client *c, const uint8_t *early, size_t early_len)
{
    const struct gp_plan_settings *is = &c->entrance->login.plan->is;
    struct gp_login_out out;
    enum gp_result result = gp_login_first(&c->entrance->login, &out);
    size_t taken = 0;

    if (is->greeting_length)
        gp_conn_send(e->transport, &c->conn, is->greeting, is->greeting_length);
    if (result == GP_AGAIN && early_len) {
        say(e, c, &out);
        result = gp_login_next(&c->entrance->login, early, early_len, &taken, &out);
    }
    conclude(e, c, result, &out, early ? early + taken : NULL, early_len - taken);
}

struct gp_client *gp_entrance_client(int32_t fd)
{
    struct gp_client *c = calloc(1, sizeof(*c));

    if (!c || !(c->entrance = calloc(1, sizeof(*c->entrance)))) {
        free(c);
        return NULL;
    }
    c->conn.kind = GP_CONN_CLIENT;
    c->conn.fd = fd;
    return c;
}

void gp_entrance_begin(struct gp_engine *e, struct gp_client *c, uint32_t client,
                       struct gp_plan *plan, uint64_t since_ns, const uint8_t *early,
                       size_t early_len)
{
    uint8_t random[GP_LOGIN_RANDOM_BYTES];
    bool lucky = getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random);

    gp_client_seat(e, c, client);
    if (plan->is.method != GP_LOGIN_NONE)
        gp_visit_count(e, c->conn.tls ? GP_VISIT_TLS : GP_VISIT_PLAIN);
    gp_login_begin(&c->entrance->login, plan, random);
    if (plan->is.timeout_ms)
        c->entrance->deadline_ns = since_ns + (uint64_t)plan->is.timeout_ms * 1000000u;
    describe(e, c);
    if (lucky) {
        begin(e, c, early, early_len);
        return;
    }
    (void)may_not(c, "58000", "could not generate random nonce");
    refuse(e, c);
}

/* ---- the public functions ---- */

enum gp_result gp_client_login(struct gp_engine *e, uint32_t client, struct gp_plan *plan,
                               int32_t fd, struct gp_tls *tls, uint32_t spent_ms,
                               const uint8_t *early, uint32_t early_length)
{
    struct gp_client *c = gp_entrance_client(fd);

    e->now = gp_now_ns();
    if (!c) {
        gp_tls_free(tls);
        return GP_EFULL;
    }
    c->conn.tls = tls;
    if (gp_conn_attach(e->transport, &c->conn) != GP_OK) {
        gp_tls_free(tls);
        gp_client_clear(e, c);
        free(c);
        return GP_EIO;
    }
    gp_entrance_begin(e, c, client, plan, e->now - (uint64_t)spent_ms * 1000000u, early,
                      early_length);
    if (e->todo_first || e->events_count)
        gp_worker_poke(e->seg, e->worker);
    return GP_OK;
}

/* The client, if it waits for Python's word. */
static struct gp_client *proved(struct gp_engine *e, uint32_t client)
{
    struct gp_client *c = gp_client_find(e, client);
    bool waits = c && c->state == GP_CLIENT_LOGIN && c->entrance->login.state == GP_LOGIN_PROVED;

    return waits ? c : NULL;
}

enum gp_result gp_client_welcome(struct gp_engine *e, uint32_t client, struct gp_plan *plan)
{
    struct gp_client *c = proved(e, client);
    struct gp_login_out none = {.len = 0};

    if (!c)
        return GP_ENOENT;
    e->now = gp_now_ns();
    let_in(e, c, plan, &none);
    gp_todo(e, &c->conn); /* it may have asked already */
    gp_worker_poke(e->seg, e->worker);
    return GP_OK;
}

enum gp_result gp_client_dismiss(struct gp_engine *e, uint32_t client, const uint8_t *words,
                                 uint32_t length)
{
    struct gp_client *c = proved(e, client);

    if (!c)
        return GP_ENOENT;
    gp_conn_send(e->transport, &c->conn, words, length);
    gp_client_finish(e, c, GP_REASON_REFUSED);
    gp_worker_poke(e->seg, e->worker);
    return GP_OK;
}

bool gp_client_proof(struct gp_engine *e, uint32_t client, uint8_t *client_key)
{
    struct gp_client *c = proved(e, client);

    return c && gp_login_key(&c->entrance->login, client_key);
}

void gp_login_refused(struct gp_engine *e, uint32_t refusal)
{
    if (refusal < GP_REFUSALS)
        gp_count(&e->me->refusals[refusal], 1);
}

void gp_visit_count(struct gp_engine *e, uint32_t visit)
{
    if (visit < GP_VISITS)
        gp_count(&e->me->visits[visit], 1);
}

bool gp_client_fault(struct gp_engine *e, uint32_t client, struct gp_fault *fault)
{
    struct gp_client *c = gp_client_find(e, client);

    if (!c || !c->entrance)
        return false;
    *fault = c->entrance->login.fault;
    return fault->message[0] != '\0';
}
