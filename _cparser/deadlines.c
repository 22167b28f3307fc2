#include "deadlines.h"

#include "entrance.h"
#include "shares.h"

#define GP_SWEEP_NS 500000000ull

struct deadline {
    /* When what it bounds began; 0: the client does no such thing now. */
    uint64_t (*since)(struct gp_engine *e, struct gp_client *c);
    void (*act)(struct gp_engine *e, struct gp_client *c, const struct deadline *d);
    size_t limit; /* offset in gp_pool: milliseconds, 0 = none */
    enum gp_reason reason;
};

static struct gp_server *linked(const struct gp_client *c)
{
    return c->server && c->server->state == GP_SERVER_LINKED ? c->server : NULL;
}

/* ---- what they bound ---- */

/* With a server, too, where it keeps one. */
static uint64_t at_rest(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = linked(c);

    (void)e;
    if (s)
        return s->status == GP_TXN_IDLE && c->msg_left == 0 ? s->since_ns : 0;
    return c->state == GP_CLIENT_IDLE && !c->begun ? c->since_ns : 0;
}

/* A BEGIN that was answered here counts, although no server knows of it. */
static uint64_t in_transaction(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = linked(c);

    (void)e;
    if (c->state == GP_CLIENT_IDLE && c->begun)
        return c->since_ns;
    return s && s->status != GP_TXN_IDLE ? s->since_ns : 0;
}

/* In a transaction, and it is the client's turn; also in a pipeline whose Sync it has not sent. */
static uint64_t idle_in_transaction(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = linked(c);
    bool open;

    if (!s || s->status == GP_TXN_IDLE)
        return s ? 0 : in_transaction(e, c);
    open = s->status != 0 || (c->msg_left == 0 && gp_replies_empty(&s->replies));
    return open && !gp_client_blocked(c) ? s->query_ns : 0;
}

static uint64_t in_query(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = linked(c);

    (void)e;
    return s && s->status == 0 && !gp_replies_empty(&s->replies) ? s->query_ns : 0;
}

/* A COPY that waits for its client, to send or to read: since when nothing has moved. What it reads
 * of a full buffer, or sends of a message's header, is only seen by looking at it again. */
static uint64_t in_stalled_copy(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = linked(c);

    if (!s || (!s->copies_out && !(s->in_copy && s->client_copies)))
        return 0;
    uint32_t lies = (uint32_t)gp_buffer_len(s->copies_out ? c->conn.out : c->in);
    if (lies != s->lay)
        s->moved_ns = e->now;
    s->lay = lies;
    bool waits = s->copies_out ? lies > 0 : s->conn.out == NULL;
    return waits ? s->moved_ns : 0;
}

/* It does not read what it is sent, with a server or after it: since when nothing has moved. */
static uint64_t not_reading(struct gp_engine *e, struct gp_client *c)
{
    uint32_t lies = (uint32_t)gp_buffer_len(c->conn.out);

    if (lies != c->lay)
        c->moved_ns = e->now;
    c->lay = lies;
    return lies ? c->moved_ns : 0;
}

/* ---- what they do ---- */

static void end(struct gp_engine *e, struct gp_client *c, const struct deadline *d)
{
    gp_client_end(e, c, d->reason);
}

/* PostgreSQL is asked to cancel it, and its error is the answer; a server that does not obey is
 * closed. The slot is pinned, so that the cancel can hit nobody else. */
static void cancel(struct gp_engine *e, struct gp_client *c, const struct deadline *d)
{
    struct gp_server *s = c->server;
    struct gp_pool *pool = gp_pool_at(e->seg, s->pool);
    uint64_t patience =
        1000000ull * atomic_load_explicit(&pool->cancel_wait_timeout_ms, memory_order_relaxed);
    uint32_t generation;

    if (s->overdue_ns > s->query_ns) { /* this query has been cancelled already */
        if (e->now - s->overdue_ns >= patience)
            gp_link_break(e, s, d->reason);
        return;
    }
    if (gp_cancel_pin(e->seg, s->pool, s->slot, c->id, &generation) != GP_OK)
        return; /* too many are under way: the next sweep tries again */
    s->overdue_ns = e->now;
    gp_count(&gp_counters_of(e, s->pool)->query_timeouts, 1);
    gp_event_push(e, GP_EVENT_OVERDUE, c->id, s->pool, s->slot, generation);
}

/* ---- the table: the first that is over acts ---- */

#define LIMIT(setting) offsetof(struct gp_pool, setting)

static const struct deadline deadlines[] = {
    {at_rest, end, LIMIT(client_idle_timeout_ms), GP_REASON_CLIENT_IDLE},
    {idle_in_transaction, end, LIMIT(idle_transaction_timeout_ms), GP_REASON_IDLE_TRANSACTION},
    {in_transaction, end, LIMIT(transaction_timeout_ms), GP_REASON_TRANSACTION_TIMEOUT},
    {not_reading, end, LIMIT(client_write_timeout_ms), GP_REASON_WRITE_TIMEOUT},
    {in_stalled_copy, end, LIMIT(copy_timeout_ms), GP_REASON_COPY_TIMEOUT},
    {in_query, cancel, LIMIT(query_timeout_ms), GP_REASON_QUERY_TIMEOUT},
};

static void look(struct gp_engine *e, struct gp_client *c)
{
    uint8_t *pool = (uint8_t *)gp_pool_at(e->seg, c->pool);

    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        const struct deadline *d = &deadlines[i];
        _Atomic uint32_t *limit_ms = (_Atomic uint32_t *)(pool + d->limit);
        uint64_t limit = 1000000ull * atomic_load_explicit(limit_ms, memory_order_relaxed);
        uint64_t since = limit ? d->since(e, c) : 0;
        uint64_t from = since < e->resumed_ns ? e->resumed_ns : since;
        if (since && e->now - from >= limit) {
            d->act(e, c, d);
            return;
        }
    }
}

/* A client on its way in or out, whatever the settings of its pool: a login, last words that nobody
 * reads, a half-close. */
static bool passes(struct gp_engine *e, struct gp_client *c)
{
    bool late = e->now - c->since_ns >= GP_CLOSING_NS;

    if (c->state == GP_CLIENT_LOGIN) {
        gp_entrance_sweep(e, c);
        return true;
    }
    if (c->state == GP_CLIENT_CLOSING) {
        c->conn.broken |= late;
        if (late)
            gp_todo(e, &c->conn);
        return true;
    }
    if (!c->parted || c->leaving != GP_REASON_CLIENT_EOF || !late)
        return c->state == GP_CLIENT_GONE;
    gp_client_finish(e, c, c->leaving);
    return true;
}

void gp_deadlines_sweep(struct gp_engine *e)
{
    if (e->now < e->sweep_at)
        return;
    e->sweep_at = e->now + GP_SWEEP_NS;
    for (uint32_t row = 0; row < e->seg->clients_max && e->clients_live; row++) {
        struct gp_client *c = e->clients[row];
        if (!c)
            continue;
        gp_share_tell(e, c);
        if (!passes(e, c) && !e->suspended)
            look(e, c);
    }
}
