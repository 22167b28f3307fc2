#include "pump.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pump_internal.h"
#include "record.h"
#include "tls.h"

/* ---- at rest ---- */

struct gp_pump *gp_pump_new(const struct gp_buffer *held, int32_t *far)
{
    struct gp_pump *p = calloc(1, sizeof(*p));
    int ends[2];

    if (!p)
        return NULL;
    if ((held && !gp_buffer_insist(&p->client.held, gp_buffer_at(held), gp_buffer_len(held))) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == -1) {
        gp_buffer_free(&p->client.held);
        free(p);
        return NULL;
    }
    p->client.conn = (struct gp_conn){.fd = -1, .kind = GP_CONN_PUMP_CLIENT};
    p->worker.conn = (struct gp_conn){.fd = ends[0], .kind = GP_CONN_PUMP_WORKER};
    *far = ends[1];
    return p;
}

void gp_pump_take(struct gp_pump *p, struct gp_conn *conn)
{
    p->client.conn.fd = conn->fd;
    p->client.conn.tls = conn->tls;
    p->client.unsent = conn->out;
    conn->tls = NULL;
    conn->out = NULL;
}

void gp_pump_give_back(struct gp_pump *p, struct gp_luggage *luggage)
{
    luggage->client->conn.tls = p->client.conn.tls;
    luggage->client_out = p->client.unsent;
    luggage->client_held = p->client.held;
    close(p->worker.conn.fd);
    free(p);
}

static void end_free(struct gp_pump_end *end)
{
    if (end->conn.fd != -1)
        close(end->conn.fd);
    gp_tls_free(end->conn.tls);
    gp_buffer_free(&end->conn.out);
    gp_buffer_free(&end->unsent);
    gp_buffer_free(&end->held);
}

void gp_pump_free(struct gp_pump *p)
{
    if (!p)
        return;
    end_free(&p->client);
    end_free(&p->worker);
    free(p);
}

static struct gp_pump *pump_of(struct gp_conn *conn)
{
    size_t offset = conn->kind == GP_CONN_PUMP_CLIENT ? offsetof(struct gp_pump, client.conn)
                                                      : offsetof(struct gp_pump, worker.conn);

    return (struct gp_pump *)((uint8_t *)conn - offset);
}

static struct gp_pump_end *end_of(struct gp_pump *p, const struct gp_conn *conn)
{
    return conn == &p->client.conn ? &p->client : &p->worker;
}

static struct gp_pump_end *other_of(struct gp_pump *p, const struct gp_pump_end *end)
{
    return end == &p->client ? &p->worker : &p->client;
}

/* ---- the list ---- */

static void enlist(struct gp_engine *e, struct gp_pump *p)
{
    p->before = NULL;
    p->behind = e->pumps;
    if (p->behind)
        p->behind->before = p;
    e->pumps = p;
    e->pumps_count++;
}

static void delist(struct gp_engine *e, struct gp_pump *p)
{
    if (p->behind)
        p->behind->before = p->before;
    if (p->before)
        p->before->behind = p->behind;
    else
        e->pumps = p->behind;
    e->pumps_count--;
}

/* ---- at work ---- */

static void finish(struct gp_engine *e, struct gp_pump *p)
{
    gp_conn_detach(e->transport, &p->client.conn);
    gp_conn_detach(e->transport, &p->worker.conn);
    delist(e, p);
    p->is_over = true;
    p->behind = e->pumps_over;
    e->pumps_over = p;
}

/* Read from one end as long as the other takes it; whoever cannot be told anything is told nothing,
 * but what was said to it goes, so that the other can end. */
static void pace(struct gp_engine *e, struct gp_pump *p, struct gp_pump_end *from)
{
    struct gp_pump_end *to = other_of(p, from);

    if (from->has_ended)
        return;
    if (to->conn.out && !to->is_dead)
        gp_conn_pause(&from->conn);
    else
        gp_conn_resume(e->transport, &from->conn);
}

/* Pass on that no more comes. */
static void pass_end(struct gp_engine *e, struct gp_pump *p, struct gp_pump_end *to)
{
    if (!other_of(p, to)->has_ended || to->is_dead || to->is_shut)
        return;
    if (!to->is_told)
        gp_conn_end(e->transport, &to->conn);
    to->is_told = true;
    if (!gp_conn_sent(e->transport, &to->conn))
        return;
    (void)shutdown(to->conn.fd, SHUT_WR); /* fails when the peer has gone, which will be read */
    to->is_shut = true;
}

/* What has become of it. */
static void look(struct gp_engine *e, struct gp_pump *p)
{
    struct gp_pump_end *client = &p->client, *worker = &p->worker;

    pass_end(e, p, client);
    pass_end(e, p, worker);
    client->is_dead |= client->conn.broken;
    worker->is_dead |= worker->conn.broken;
    if (client->is_dead || (client->has_ended && worker->has_ended && client->is_shut)) {
        finish(e, p);
        return;
    }
    if ((worker->has_ended || worker->is_dead) && !p->since_ns)
        p->since_ns = e->now;
    pace(e, p, client);
    pace(e, p, worker);
}

void gp_pump_received(struct gp_engine *e, struct gp_conn *conn, const uint8_t *data, size_t len)
{
    struct gp_pump *p = pump_of(conn);
    struct gp_pump_end *to = other_of(p, end_of(p, conn));

    if (p->is_over)
        return;
    if (!to->is_dead)
        gp_conn_send(e->transport, &to->conn, data, len);
    look(e, p);
}

void gp_pump_closed(struct gp_engine *e, struct gp_conn *conn, enum gp_result how)
{
    struct gp_pump *p = pump_of(conn);
    struct gp_pump_end *end = end_of(p, conn);

    if (p->is_over)
        return;
    end->has_ended = true;
    end->is_dead |= how != GP_EOF;
    look(e, p);
}

void gp_pump_drained(struct gp_engine *e, struct gp_conn *conn)
{
    struct gp_pump *p = pump_of(conn);

    if (!p->is_over)
        look(e, p);
}

static void put_to_work(struct gp_engine *e, struct gp_pump_end *end)
{
    if (gp_conn_attach(e->transport, &end->conn) != GP_OK)
        end->conn.broken = 1;
    if (end->unsent)
        gp_wire_send(e->transport, &end->conn, gp_buffer_at(end->unsent),
                     gp_buffer_len(end->unsent));
    gp_buffer_free(&end->unsent);
}

/* What was received before it rested. */
static void hear(struct gp_engine *e, struct gp_pump_end *end)
{
    struct gp_buffer *held = end->held;

    end->held = NULL;
    if (held)
        gp_on_received(e, &end->conn, gp_buffer_at(held), gp_buffer_len(held));
    gp_buffer_free(&held);
}

void gp_pump_start(struct gp_engine *e, struct gp_pump *p)
{
    enlist(e, p);
    put_to_work(e, &p->client);
    put_to_work(e, &p->worker);
    hear(e, &p->client);
    if (!p->is_over)
        hear(e, &p->worker);
    if (!p->is_over)
        look(e, p);
}

/* ---- back to rest ---- */

static bool halt(struct gp_engine *e, struct gp_pump_end *end)
{
    gp_conn_pause(&end->conn);
    const struct gp_buffer *held = gp_conn_halt(e->transport, &end->conn);

    return !held || gp_buffer_insist(&end->held, gp_buffer_at(held), gp_buffer_len(held));
}

static void let_go(struct gp_engine *e, struct gp_pump_end *end)
{
    end->unsent = end->conn.out;
    end->conn.out = NULL;
    gp_conn_detach(e->transport, &end->conn);
}

bool gp_pump_rest(struct gp_engine *e, struct gp_pump *p)
{
    if (!halt(e, &p->client) || !halt(e, &p->worker))
        abort(); /* no memory, as elsewhere where a client's state would be lost */
    if (p->is_over)
        return false;
    let_go(e, &p->client);
    let_go(e, &p->worker);
    delist(e, p);
    return true;
}

/* ---- the time ---- */

void gp_pumps_sweep(struct gp_engine *e)
{
    struct gp_pump *behind;

    for (struct gp_pump *p = e->pumps; p; p = behind) {
        behind = p->behind;
        if (p->since_ns && e->now - p->since_ns >= GP_CLOSING_NS)
            finish(e, p);
    }
}

void gp_pumps_bury(struct gp_engine *e)
{
    while (e->pumps_over) {
        struct gp_pump *p = e->pumps_over;
        e->pumps_over = p->behind;
        gp_pump_free(p);
    }
}

void gp_pumps_free(struct gp_engine *e)
{
    gp_pumps_bury(e);
    while (e->pumps) {
        struct gp_pump *p = e->pumps;
        delist(e, p);
        gp_pump_free(p);
    }
}

uint32_t gp_engine_pumps(struct gp_engine *e)
{
    return e->pumps_count;
}
