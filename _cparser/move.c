#include "move.h"

#include <stdlib.h>
#include <unistd.h>

#include "obey.h"
#include "pump.h"
#include "record.h"

/* A client that was offered to another worker. */
struct gp_away {
    struct gp_away *next;
    uint64_t offer, since_ns;
    uint32_t client, pool;
    uint32_t slot, generation; /* GP_NO_SLOT: it has no server */
    uint32_t to, births;       /* whom it is offered to: which process of that place */
    bool canceled;             /* while WAITING */
    int32_t fd;                /* closed when it is gone; or its pump's */
    struct gp_pump *pump;      /* of one with TLS: at rest */
    struct gp_buffer *record;
};

static uint32_t births_of(struct gp_engine *e, uint32_t worker)
{
    return atomic_load_explicit(&gp_common_worker_at(e->seg, worker)->births, memory_order_acquire);
}

static struct gp_away *away_find(struct gp_engine *e, uint32_t client)
{
    struct gp_away *a = e->away;

    while (a && a->client != client)
        a = a->next;
    return a;
}

static void away_free(struct gp_engine *e, struct gp_away *a)
{
    struct gp_away **link = &e->away;

    while (*link != a)
        link = &(*link)->next;
    *link = a->next;
    gp_pump_free(a->pump);
    gp_buffer_free(&a->record);
    free(a);
}

void gp_moves_free(struct gp_engine *e)
{
    while (e->away)
        away_free(e, e->away);
}

/* ---- whether ---- */

static void set_target(struct gp_engine *e, struct gp_client *c, uint8_t target)
{
    e->movers += (target != 0) - (c->target != 0);
    c->target = target;
}

/* Whether it ever can be: one with TLS only for good, since its pump costs as much as it saves. */
static bool stays(const struct gp_engine *e, const struct gp_client *c)
{
    return (c->conn.tls && !e->targets) || c->state == GP_CLIENT_CLOSING ||
           c->state == GP_CLIENT_GONE || (c->base && c->base->look_length == 0);
}

static bool movable(const struct gp_engine *e, const struct gp_client *c)
{
    const struct gp_server *s = c->server;

    if (c->state == GP_CLIENT_LOGIN || stays(e, c) || c->conn.broken || c->conn.hung ||
        c->conn.starved)
        return false;
    return !s || (s->state == GP_SERVER_LINKED && !s->conn.tls && !s->conn.broken && !s->conn.hung);
}

/* ---- going ---- */

/* It stays for now: what was stopped for the attempt goes on. */
static void go_on(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = c->server;

    if (c->state == GP_CLIENT_CLOSING)
        return;
    if (s && !c->conn.out)
        gp_conn_resume(e->transport, &s->conn);
    gp_frontend_continue(e, c);
}

/* The record, once nothing of it is in the kernel's hands. NULL: it has become unmovable, or there is
 * no memory. */
static struct gp_buffer *pack(struct gp_engine *e, struct gp_client *c)
{
    struct gp_server *s = c->server;
    struct gp_luggage luggage = {.client = c, .server = s};
    struct gp_buffer *record = NULL;

    gp_conn_pause(&c->conn);
    if (s)
        gp_conn_pause(&s->conn);
    if (s)
        luggage.server_held = (struct gp_buffer *)gp_conn_halt(e->transport, &s->conn);
    const struct gp_buffer *held = gp_conn_halt(e->transport, &c->conn);
    if (!movable(e, c) || c->server != s)
        return NULL;
    if (!c->conn.tls) { /* else it is the session's */
        luggage.client_held = (struct gp_buffer *)held;
        luggage.client_out = c->conn.out;
    }
    luggage.server_out = s ? s->conn.out : NULL;
    if (!gp_record_write(&luggage, &record))
        gp_buffer_free(&record);
    return record;
}

/* It has been offered: forget it, but for the record. */
static void part(struct gp_engine *e, struct gp_client *c, struct gp_away *a)
{
    if (c->state == GP_CLIENT_WAITING)
        gp_queue_leave(e, c);
    if (a->pump)
        gp_pump_take(a->pump, &c->conn);
    gp_conn_detach(e->transport, &c->conn);
    if (c->server) {
        gp_conn_detach(e->transport, &c->server->conn);
        gp_link_part(e, c);
    }
    set_target(e, c, 0);
    gp_client_clear(e, c);
    e->clients[c->id - 1] = NULL;
    c->forgotten = 1;
    gp_todo(e, &c->conn); /* the batch may still name it */
    a->next = e->away;
    e->away = a;
}

static struct gp_away *make_away(struct gp_engine *e, const struct gp_client *c)
{
    const struct gp_server *s = c->server;
    struct gp_away *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    *a = (struct gp_away){.since_ns = e->now,
                          .client = c->id,
                          .pool = c->pool,
                          .slot = s ? s->slot : GP_NO_SLOT,
                          .generation = s ? s->generation : 0,
                          .to = c->target - 1u,
                          .births = births_of(e, c->target - 1u),
                          .fd = c->conn.fd};
    return a;
}

static void set_pumped(struct gp_engine *e, uint32_t client, bool pumped)
{
    atomic_store_explicit(&gp_client_at(e->seg, client)->pumped, pumped, memory_order_relaxed);
}

/* Offer it, with this descriptor. */
static enum gp_result offer(struct gp_engine *e, struct gp_client *c, struct gp_away *a, int32_t fd)
{
    a->offer = gp_client_offer(e->seg, c->id, e->worker, a->to);
    if (a->offer == 0)
        return GP_AGAIN;
    enum gp_result result = gp_inbox_move(e, a->to, c->id, a->offer, a->record, fd,
                                          c->server ? c->server->conn.fd : -1);
    if (result != GP_OK)
        (void)gp_client_withdraw(e->seg, c->id, a->offer); /* nobody else has heard of it */
    return result;
}

/* As `offer`, with one end of a pair: what comes through its socket stays to be decrypted here. */
static enum gp_result offer_pumped(struct gp_engine *e, struct gp_client *c, struct gp_away *a)
{
    int32_t far;

    a->pump = gp_pump_new(gp_conn_halt(e->transport, &c->conn), &far);
    if (!a->pump)
        return GP_EIO;
    set_pumped(e, c->id, true);
    enum gp_result result = offer(e, c, a, far);
    close(far);
    if (result == GP_OK)
        return GP_OK;
    set_pumped(e, c->id, false);
    gp_pump_free(a->pump);
    return result;
}

/* GP_OK: it is on its way, or nothing is to be done. GP_AGAIN: not now. GP_EFULL: no inbox takes more
 * now. */
static enum gp_result try_move(struct gp_engine *e, struct gp_client *c)
{
    if (!gp_worker_lives(e, c->target - 1u) || stays(e, c)) {
        set_target(e, c, 0);
        return GP_OK;
    }
    if (!movable(e, c))
        return GP_AGAIN;
    struct gp_away *a = make_away(e, c);
    if (!a)
        return GP_EFULL;
    enum gp_result result = GP_EFULL;
    a->record = pack(e, c);
    if (a->record)
        result = c->conn.tls ? offer_pumped(e, c, a) : offer(e, c, a, c->conn.fd);
    if (result == GP_OK) {
        part(e, c, a);
        return GP_OK;
    }
    gp_buffer_free(&a->record);
    free(a);
    go_on(e, c);
    return result == GP_EIO ? GP_AGAIN : GP_EFULL; /* who has no TLS needs no descriptors to go */
}

#define GP_RETRY_NS 1000000ull

void gp_moves_run(struct gp_engine *e)
{
    if (e->now < e->moves_at)
        return;
    enum gp_result result = GP_OK;
    for (uint32_t row = 0; row < e->seg->clients_max && e->movers && result != GP_EFULL; row++) {
        struct gp_client *c = e->clients[row];
        if (c && c->target)
            result = try_move(e, c);
    }
    e->moves_at = e->movers ? e->now + GP_RETRY_NS : 0;
}

enum gp_result gp_engine_move(struct gp_engine *e, uint32_t client, uint32_t target)
{
    struct gp_client *c =
        client != GP_NO_CLIENT && client <= e->seg->clients_max ? e->clients[client - 1] : NULL;

    if (!c || target >= e->seg->workers || target == e->worker || !gp_worker_lives(e, target))
        return GP_ENOENT;
    if (stays(e, c))
        return GP_EPROTO;
    set_target(e, c, (uint8_t)(target + 1));
    e->moves_at = 0;
    gp_worker_poke(e->seg, e->worker);
    return GP_OK;
}

/* ---- arriving ---- */

/* A server that we hold takes over what another process knew of it. */
static void take_over(struct gp_server *s, struct gp_luggage *luggage)
{
    struct gp_server *from = luggage->server;

    from->conn = s->conn;
    from->pool = s->pool;
    from->slot = s->slot;
    from->generation = s->generation;
    from->times = s->times;
    from->state = s->state; /* relay.c's to change */
    from->todo = s->todo;
    from->next_todo = s->next_todo;
    from->grave = s->grave;
    *s = *from;
    free(from);
    luggage->server = NULL;
}

/* As it was on the wire. */
static void send_rest(struct gp_engine *e, struct gp_conn *conn, const struct gp_buffer *out)
{
    if (out)
        gp_wire_send(e->transport, conn, gp_buffer_at(out), gp_buffer_len(out));
    if (conn->broken)
        gp_todo(e, conn);
}

static bool ended(const struct gp_client *c)
{
    return c->state == GP_CLIENT_CLOSING || c->state == GP_CLIENT_GONE;
}

/* What was under way goes on. */
static void settle_in(struct gp_engine *e, struct gp_client *c, struct gp_luggage *luggage)
{
    struct gp_server *s = c->server;
    const struct gp_buffer *of_server = luggage->server_held, *of_client = luggage->client_held;

    if (s && c->conn.out)
        gp_conn_pause(&s->conn);
    if (c->state == GP_CLIENT_WAITING)
        gp_queue_join(e, c);
    if (s && of_server)
        gp_backend_received(e, s, gp_buffer_at(of_server), gp_buffer_len(of_server));
    if (of_client && !ended(c))
        gp_on_received(e, &c->conn, gp_buffer_at(of_client), gp_buffer_len(of_client));
    if (!ended(c))
        gp_frontend_continue(e, c);
    if (c->server)
        gp_link_turn(e, c->server);
    gp_obey_client(e, c);
}

/* The row is ours: the client is in its place, and its socket is ours. */
static struct gp_client *seat(struct gp_engine *e, struct gp_luggage *luggage, int32_t fd)
{
    struct gp_client *c = luggage->client;

    luggage->client = NULL;
    c->conn.fd = fd;
    c->conn.kind = GP_CONN_CLIENT;
    e->clients[c->id - 1] = c;
    if (gp_conn_attach(e->transport, &c->conn) != GP_OK)
        c->conn.broken = 1;
    send_rest(e, &c->conn, luggage->client_out);
    return c;
}

/* s: its server, at rest in our hands; NULL: it has none. */
static void install(struct gp_engine *e, struct gp_luggage *luggage, struct gp_server *s,
                    int32_t fd)
{
    struct gp_client *c = seat(e, luggage, fd);

    if (s) {
        take_over(s, luggage);
        gp_link_restore(e, s, c);
        if (gp_conn_attach(e->transport, &s->conn) != GP_OK)
            s->conn.broken = 1;
        send_rest(e, &s->conn, luggage->server_out);
    }
    settle_in(e, c, luggage);
    gp_luggage_drop(e, luggage);
}

/* Its server is lost: as if that had died here. */
static void install_without(struct gp_engine *e, struct gp_luggage *luggage, int32_t fd)
{
    bool midway = luggage->server->msg_left > 0 && luggage->server->msg_forward;
    struct gp_client *c = seat(e, luggage, fd);

    gp_luggage_drop(e, luggage);
    c->state = GP_CLIENT_IDLE;
    if (midway)
        gp_client_finish(e, c, GP_REASON_REAPED);
    else
        gp_client_end(e, c, GP_REASON_REAPED);
}

/* The server that came with a client, at rest in our hands. NULL: it cannot be. */
static struct gp_server *receive_server(struct gp_engine *e, const struct gp_server *known,
                                        int32_t *fd)
{
    struct gp_server *s = gp_server_find(e, known->pool, known->slot);

    if (s && s->generation == known->generation)
        return s->state == GP_SERVER_REST ? s : NULL;
    if (*fd == -1 || (s && s->state != GP_SERVER_REST))
        return NULL;
    if (s)
        gp_server_drop(e, s); /* an earlier life */
    s = gp_server_hold(e, known->pool, known->slot, known->generation, *fd);
    if (!s)
        return NULL;
    *fd = -1; /* the server's now */
    if (gp_slot_hold(e->seg, s->pool, s->slot, s->generation, e->worker))
        return s;
    gp_server_drop(e, s);
    return NULL;
}

/* Whether this worker can go on with it; *server: NULL if it has none. */
static bool acceptable(struct gp_engine *e, const struct gp_arrival *arrival,
                       struct gp_luggage *luggage, struct gp_server **server, int32_t *server_fd)
{
    struct gp_client *c = luggage->client;

    *server = NULL;
    if (c->id != arrival->client || e->clients[c->id - 1] || !gp_queue_at(e, c->pool))
        return false;
    if (!luggage->server)
        return true;
    *server = receive_server(e, luggage->server, server_fd);
    return *server != NULL;
}

/* The luggage of one who can come; false: there is none. */
static bool unpack(struct gp_engine *e, const struct gp_arrival *arrival,
                   struct gp_luggage *luggage, struct gp_server **server, int32_t *server_fd)
{
    bool ending = e->draining || e->targets;

    if (!arrival->record || arrival->client_fd == -1 || ending ||
        gp_record_read(e, arrival->record, arrival->len, luggage) != GP_OK)
        return false;
    if (acceptable(e, arrival, luggage, server, server_fd))
        return true;
    gp_luggage_drop(e, luggage);
    return false;
}

static void adopted(struct gp_engine *e, const struct gp_arrival *arrival,
                    struct gp_luggage *luggage, struct gp_server *s)
{
    uint32_t from = (uint32_t)(arrival->offer & 0xffu) - 1, pool = luggage->client->pool;

    e->clients_live++;
    gp_count(&e->me->moved_in, 1);
    gp_event_push(e, GP_EVENT_ARRIVED, arrival->client, pool, 0, 0);
    if (s &&
        !gp_slot_convey(e->seg, s->pool, s->slot, s->generation, from, arrival->client, e->worker))
        install_without(e, luggage, arrival->client_fd); /* its worker died meanwhile */
    else
        install(e, luggage, s, arrival->client_fd);
}

void gp_move_arrived(struct gp_engine *e, const struct gp_arrival *arrival)
{
    uint32_t from = (uint32_t)(arrival->offer & 0xffu) - 1;
    int32_t server_fd = arrival->server_fd;
    struct gp_luggage luggage;
    struct gp_server *s = NULL;
    bool stays_here = false;

    if (arrival->client == GP_NO_CLIENT || arrival->client > e->seg->clients_max)
        return; /* not one of ours: no message of this house */
    if (gp_client_offered(e->seg, arrival->client, arrival->offer)) {
        gp_move_over(e, arrival->client); /* it went away from here, and comes back */
        bool fits = unpack(e, arrival, &luggage, &s, &server_fd);
        stays_here = fits && gp_client_adopt(e->seg, arrival->client, arrival->offer);
        if (stays_here)
            adopted(e, arrival, &luggage, s);
        else if (fits)
            gp_luggage_drop(e, &luggage);
        else
            (void)gp_client_withdraw(e->seg, arrival->client, arrival->offer);
    }
    if (!stays_here && arrival->client_fd != -1)
        close(arrival->client_fd);
    if (server_fd != -1)
        close(server_fd);
    if (from < e->seg->workers)
        gp_worker_poke(e->seg, from);
}

/* ---- what becomes of an offer ---- */

static bool target_lives(struct gp_engine *e, const struct gp_away *a)
{
    return gp_worker_lives(e, a->to) && births_of(e, a->to) == a->births;
}

/* Whether the slot is still ours, in the name of that client. */
static bool slot_is_ours(struct gp_engine *e, const struct gp_away *a)
{
    if (a->slot == GP_NO_SLOT)
        return false;
    struct gp_word word = gp_slot_word(e->seg, a->pool, a->slot);
    return word.state == GP_SLOT_ACTIVE && word.worker == e->worker && word.client == a->client &&
           word.generation == a->generation;
}

/* It is not here any more. */
static void gone(struct gp_engine *e, struct gp_away *a)
{
    struct gp_server *s = slot_is_ours(e, a) ? gp_server_find(e, a->pool, a->slot) : NULL;

    if (s) /* whoever took its client has died before it took it too */
        gp_server_retire(e, s, GP_REASON_REAPED);
    gp_count(&e->me->moved_out, 1);
    e->clients_live--;
    if (a->pump)
        gp_pump_start(e, a->pump); /* which closes it when it is over */
    else
        close(a->fd);
    a->pump = NULL;
    away_free(e, a);
}

/* Nobody took it: it goes on here. */
static void come_back(struct gp_engine *e, struct gp_away *a)
{
    struct gp_server *s = slot_is_ours(e, a) ? gp_server_find(e, a->pool, a->slot) : NULL;
    uint32_t client = a->client;
    bool canceled = a->canceled;
    struct gp_luggage luggage;

    if (gp_record_read(e, gp_buffer_at(a->record), gp_buffer_len(a->record), &luggage) != GP_OK)
        abort(); /* we wrote it: no memory, as elsewhere where a client's state would be lost */
    if (a->pump) {
        gp_pump_give_back(a->pump, &luggage);
        set_pumped(e, client, false);
    }
    a->pump = NULL;
    if (a->slot != GP_NO_SLOT && !s)
        install_without(e, &luggage, a->fd);
    else
        install(e, &luggage, s, a->fd);
    away_free(e, a);
    if (canceled)
        gp_move_cancel(e, client);
    if (e->draining)
        gp_client_drain(e, e->clients[client - 1]);
}

static void settle(struct gp_engine *e, struct gp_away *a)
{
    bool lives = target_lives(e, a);

    if (gp_client_offered(e->seg, a->client, a->offer)) {
        if (lives && e->now - a->since_ns < GP_OFFER_NS)
            return;
        if (gp_client_withdraw(e->seg, a->client, a->offer))
            come_back(e, a);
        return; /* or it has just been taken: the next look tells */
    }
    if (gp_client_worker(e->seg, a->client) == e->worker)
        come_back(e, a);                    /* declined */
    else if (!lives || !slot_is_ours(e, a)) /* else it takes the slot just now */
        gone(e, a);
}

void gp_moves_settle(struct gp_engine *e)
{
    struct gp_away *next;

    for (struct gp_away *a = e->away; a; a = next) {
        next = a->next;
        settle(e, a);
    }
    e->moves_at = 0; /* there may be room in an inbox */
}

void gp_move_over(struct gp_engine *e, uint32_t client)
{
    struct gp_away *a = e->away ? away_find(e, client) : NULL;

    if (a)
        gone(e, a);
}

void gp_move_cancel(struct gp_engine *e, uint32_t client)
{
    struct gp_client *c = client <= e->seg->clients_max ? e->clients[client - 1] : NULL;
    struct gp_away *a = c ? NULL : away_find(e, client);
    uint32_t owner = gp_client_worker(e->seg, client);

    if (a)
        a->canceled = true;
    if (c && c->state == GP_CLIENT_WAITING)
        gp_client_refuse(e, c, "57014", "canceling statement due to user request");
    else if (a)
        (void)gp_inbox_cancel(e, a->to, client); /* behind the client itself */
    else if (!c && owner != e->worker)
        (void)gp_inbox_cancel(e, owner, client); /* it went there */
}
