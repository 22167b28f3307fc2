#include "listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "guests.h"

#define ACCEPTS 64u /* of one socket, before all else has its turn */

struct gp_listener {
    struct gp_conn conn;
    struct gp_listener *next;
};

/* Serve it, or pass it on. Nobody else wants it: serve it. */
static void receive(struct gp_engine *e, int32_t fd, const struct sockaddr_storage *address,
                    uint64_t since_ns)
{
    uint32_t worker = gp_engine_place(e);

    if (worker != e->worker && gp_inbox_pass(e, worker, fd, since_ns) == GP_OK)
        close(fd);
    else
        gp_guest_greet(e, fd, address, since_ns);
}

static bool is_passing(int why)
{
    return why == EINTR || why == ECONNABORTED || why == EPROTO || why == EPERM;
}

/* Out of descriptors or memory: those outside wait for the next sweep, or the next who comes. */
static void accept_some(struct gp_engine *e, struct gp_listener *listener)
{
    for (uint32_t i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        int32_t fd = accept4(listener->conn.fd, (struct sockaddr *)&address, &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd != -1)
            receive(e, fd, &address, 0);
        else if (!is_passing(errno))
            return;
    }
    e->crowded = true; /* there are more, and nothing will say so again */
    gp_worker_poke(e->seg, e->worker);
}

void gp_listener_stirred(struct gp_engine *e, struct gp_conn *conn)
{
    accept_some(e, (struct gp_listener *)conn);
}

void gp_listeners_continue(struct gp_engine *e)
{
    if (!e->crowded)
        return;
    e->crowded = false;
    for (struct gp_listener *listener = e->listeners; listener; listener = listener->next)
        accept_some(e, listener);
}

/* Failing that, the sweeps look. */
static void attend(struct gp_engine *e, struct gp_listener *listener, bool wanted)
{
    if (wanted && listener->conn.mode == GP_CONN_OFF)
        (void)gp_conn_watch(e->transport, &listener->conn);
    else if (!wanted && listener->conn.mode != GP_CONN_OFF)
        gp_conn_detach(e->transport, &listener->conn);
}

void gp_listeners_sweep(struct gp_engine *e)
{
    bool wanted = gp_place_may_be_here(e);

    for (struct gp_listener *listener = e->listeners; listener; listener = listener->next) {
        attend(e, listener, wanted);
        accept_some(e, listener);
    }
}

void gp_listener_passed(struct gp_engine *e, int32_t fd, uint64_t since_ns)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);

    if (getpeername(fd, (struct sockaddr *)&address, &size) == -1)
        close(fd); /* it has gone already */
    else if (e->listeners)
        gp_guest_greet(e, fd, &address, since_ns);
    else
        receive(e, fd, &address,
                since_ns); /* it was on its way when this worker closed its listeners */
}

/* ---- the public functions ---- */

enum gp_result gp_engine_listen(struct gp_engine *e, int32_t fd)
{
    struct gp_listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return GP_EFULL;
    listener->conn.fd = fd;
    listener->conn.kind = GP_CONN_LISTENER;
    listener->next = e->listeners;
    e->listeners = listener;
    attend(e, listener, gp_place_may_be_here(e));
    return GP_OK;
}

void gp_engine_deafen(struct gp_engine *e)
{
    while (e->listeners) {
        struct gp_listener *listener = e->listeners;
        e->listeners = listener->next;
        attend(e, listener, false);
        free(listener);
    }
}
