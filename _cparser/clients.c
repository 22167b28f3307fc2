/* The public functions about clients: their rows in the segment, their life in this worker's relay,
 * and the parameter states that they share. Partner: greenpool/worker/session.py, which logs them
 * in. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "entrance.h"
#include "move.h"
#include "tls.h"

struct gp_client *gp_client_find(struct gp_engine *e, uint32_t client)
{
    return client != GP_NO_CLIENT && client <= e->seg->clients_max ? e->clients[client - 1] : NULL;
}

uint32_t gp_client_enter(struct gp_engine *e, bool reserve, const char *address)
{
    uint32_t client = gp_client_claim(e->seg, e->worker, reserve);

    if (client == GP_NO_CLIENT)
        return client;
    gp_move_over(e, client);
    struct gp_client_row *row = gp_client_at(e->seg, client);
    row->connected_ns = gp_now_ns();
    memset(row->address, 0, sizeof(row->address));
    strncpy(row->address, address, sizeof(row->address) - 1);
    atomic_store_explicit(&row->state, GP_CLIENT_LOGIN, memory_order_release);
    return client;
}

enum gp_result gp_client_key(struct gp_engine *e, uint32_t client, uint32_t key_length,
                             uint8_t *key)
{
    struct gp_client_row *row = gp_client_at(e->seg, client);

    if (key_length < 4 || key_length > GP_CLIENT_KEY_BYTES)
        return GP_EFULL;
    if (getrandom(row->key, key_length, 0) != (ssize_t)key_length)
        return GP_EIO;
    memcpy(key, row->key, key_length);
    row->key_length = key_length;
    return GP_OK;
}

static void copy_name(char *to, const char *name)
{
    if (!name)
        return;
    memset(to, 0, GP_NAME_BYTES);
    strncpy(to, name, GP_NAME_BYTES - 1);
}

void gp_client_names(struct gp_engine *e, uint32_t client, const char *user, const char *database,
                     const char *application)
{
    struct gp_client_row *row = gp_client_at(e->seg, client);

    copy_name(row->user, user);
    copy_name(row->database, database);
    copy_name(row->application, application);
}

void gp_client_encrypted(struct gp_engine *e, uint32_t client, struct gp_tls *tls)
{
    gp_tls_name(tls, gp_client_at(e->seg, client)->tls, GP_TLS_NAME_BYTES);
}

enum gp_result gp_client_kill(struct gp_engine *e, uint32_t client, uint32_t reason,
                              const char *sqlstate, const char *message)
{
    struct gp_client *c = gp_client_find(e, client);

    if (!c || c->state == GP_CLIENT_GONE)
        return GP_ENOENT;
    if (sqlstate)
        gp_client_fail(e, c, reason, sqlstate, message);
    else
        gp_client_end(e, c, reason);
    gp_worker_poke(e->seg, e->worker);
    return GP_OK;
}

void gp_client_end(struct gp_engine *e, struct gp_client *c, enum gp_reason reason)
{
    const char *words = gp_reason_words(reason);

    if (words)
        gp_client_fail(e, c, reason, gp_reason_sqlstate(reason), words);
    else
        gp_client_finish(e, c, reason);
}

static const struct {
    const char *sqlstate, *words;
} breaches[GP_BREACHES] = {
    [GP_BREACH_LENGTH] = {"08P01", "invalid message length"},
    [GP_BREACH_TYPE] = {"08P01", "invalid frontend message type"},
    [GP_BREACH_STATEMENT] = {"08P01", "statement is longer than 16 MB"},
    [GP_BREACH_MEMORY] = {"53200", "out of memory"},
};

void gp_client_depart(struct gp_engine *e, struct gp_client *c)
{
    if (c->breach)
        gp_client_fail(e, c, c->leaving, breaches[c->breach].sqlstate, breaches[c->breach].words);
    else
        gp_client_finish(e, c, c->leaving);
}

void gp_client_clear(struct gp_engine *e, struct gp_client *c)
{
    gp_buffer_free(&c->in);
    gp_entrance_free(c);
    gp_state_release(e, c->base);
    gp_state_release(e, c->params);
    gp_names_clear(&c->names, &e->interner);
}

uint32_t gp_client_here(struct gp_engine *e, uint32_t after)
{
    for (uint32_t row = after; row < e->seg->clients_max; row++)
        if (e->clients[row])
            return row + 1;
    return GP_NO_CLIENT;
}

uint32_t gp_clients_here(struct gp_engine *e)
{
    return e->clients_live;
}

bool gp_client_is_own(struct gp_engine *e, uint32_t client)
{
    struct gp_client *c = gp_client_find(e, client);

    return c && c->own;
}

int32_t gp_client_forget(struct gp_engine *e, uint32_t client)
{
    struct gp_client *c = gp_client_find(e, client);
    int32_t fd = c ? c->conn.fd : -1;

    if (c) {
        gp_conn_detach(e->transport, &c->conn);
        gp_tls_free(c->conn.tls);
        gp_client_clear(e, c);
        e->clients[client - 1] = NULL;
        e->clients_live--;
        e->movers -= c->target != 0;
        gp_place_vacated(e);
        if (c->todo)
            c->forgotten = 1;
        else
            free(c);
    }
    gp_client_release(e->seg, client, e->worker);
    return fd;
}

/* Whether nothing is left to do but to close its socket: it went by itself, and nobody waits for it. */
static bool goes_quietly(struct gp_engine *e, const struct gp_client *c)
{
    switch ((enum gp_reason)c->reason) {
    case GP_REASON_CLIENT_TERMINATE:
    case GP_REASON_CLIENT_EOF:
    case GP_REASON_CLIENT_IO:
    case GP_REASON_LOGIN_LEFT:
        return e->quiet && !c->own && !(c->entrance && c->entrance->login.plan->is.open);
    default:
        return false;
    }
}

bool gp_client_let_go(struct gp_engine *e, const struct gp_client *c)
{
    bool quietly = goes_quietly(e, c);

    if (quietly)
        close(gp_client_forget(e, c->id));
    return quietly;
}

/* ---- cancel ---- */

enum gp_result gp_cancel_start(struct gp_engine *e, uint32_t client, const uint8_t *key,
                               uint32_t key_length, uint32_t *pool, uint32_t *slot,
                               uint32_t *generation)
{
    bool waiting = false;
    enum gp_result result =
        gp_cancel_begin(e->seg, client, key, key_length, pool, slot, generation, &waiting);

    if (result == GP_AGAIN && waiting) {
        (void)gp_inbox_cancel(e, gp_client_worker(e->seg, client), client);
        gp_worker_poke(e->seg, e->worker);
    }
    return result;
}

void gp_cancel_done(struct gp_engine *e, uint32_t pool, uint32_t slot, uint32_t generation)
{
    gp_cancel_end(e->seg, pool, slot, generation);
}
