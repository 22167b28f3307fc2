/* Connections that are near: while only few have traffic, a hot worker sleeps in a set of its own (epoll)
 * and reads them by plain calls, as a pooler without io_uring does.
 *
 * Why: who writes to a socket tells whom it wakes there that it is about to sleep itself, and epoll
 * passes that on (Linux 6.13 and newer), so that the scheduler keeps a client, its worker and its server
 * on one processor. The ring does not: with one client, each message then costs an interrupt between two
 * processors, which is dearer than the system calls that the ring saves. With many clients there is no
 * such question, and the ring saves more.
 *
 *     far   --it has something, while these are few--> (its receive ends) --> near
 *     near  --it has something while it is not to be read, or nothing for a sweep; the worker goes cold,
 *             or these are no longer few--> far
 *
 * A near one that is not to be read stays in the set, since it mostly will be before it has anything:
 * a server at rest costs two calls only when another worker has used it.
 *
 *     near set > the near, the bell, the worker's eventfd, libev's set       while the worker sleeps here
 *
 * All others stay with the ring, for which the bell rings meanwhile. The eventfd rings no bell
 * (transport_uring.c) and is looked at itself, as is libev's set. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "port.h"

/* They stand among the events for what is not a port. */
static struct gp_port bell_marker, wake_marker, loop_marker;
#define OTHERS 3

void gp_near_lively(struct gp_uring *u, struct gp_port *port)
{
    if (port->lively_at == u->sweeps)
        return;
    port->lively_at = u->sweeps;
    if (++u->lively > GP_FEW && u->few) {
        gp_near_disperse(u);
        u->few = false;
    }
}

void gp_near_sweep(struct gp_uring *u)
{
    u->few = u->lively <= GP_FEW;
    u->lively = 0;
    for (uint32_t i = u->near_count; i-- > 0;) {
        if (u->sweeps - u->near[i]->lively_at >= 2)
            gp_near_leave(u, u->near[i]);
    }
}

bool gp_near_wants(const struct gp_uring *u)
{
    return u->few && u->loop_fd != -1 && u->near_count < GP_NEAR_MAX;
}

bool gp_near_take(struct gp_uring *u, struct gp_port *port)
{
    if (port->near || !gp_near_wants(u))
        return port->near;
    port->near =
        gp_set_in(u->near_set, EPOLL_CTL_ADD, port->fd, EPOLLIN | EPOLLRDHUP, port) == GP_OK;
    if (port->near)
        u->near[u->near_count++] = port;
    return port->near;
}

void gp_near_leave(struct gp_uring *u, struct gp_port *port)
{
    uint32_t at = 0;

    if (!port->near)
        return;
    while (u->near[at] != port)
        at++;
    u->near[at] = u->near[--u->near_count];
    port->near = false;
    (void)gp_set_in(u->near_set, EPOLL_CTL_DEL, port->fd, 0, NULL);
    gp_port_mark(u, port);
}

/* Whether the set has, besides the near, what else can end a sleep. */
static void listen_to(struct gp_uring *u, bool all)
{
    int op = all ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;

    if (gp_set_in(u->near_set, op, u->ring.bell, EPOLLIN, &bell_marker) != GP_OK ||
        gp_set_in(u->near_set, op, u->wake_fd, EPOLLIN, &wake_marker) != GP_OK ||
        gp_set_in(u->near_set, op, u->loop_fd, EPOLLIN, &loop_marker) != GP_OK)
        abort(); /* nothing would end a sleep */
    u->listening = all;
}

void gp_near_disperse(struct gp_uring *u)
{
    while (u->near_count)
        gp_near_leave(u, u->near[u->near_count - 1]);
    if (!u->listening)
        return;
    gp_ring_mute(&u->ring);
    listen_to(u, false);
    if (gp_ports_door(u, EPOLL_CTL_ADD, u->ring.bell) != GP_OK)
        abort(); /* libev would never call again */
}

/* The bell is for this wait now, not for libev. What came while it was silent is fetched. */
static void heed(struct gp_uring *u)
{
    bool silent = !u->listening;

    if (silent) {
        if (gp_ports_door(u, EPOLL_CTL_DEL, u->ring.bell) != GP_OK)
            abort(); /* it would call libev, which would call us, and so on */
        listen_to(u, true);
        gp_ring_unmute(&u->ring);
    }
    gp_ports_submit(u, silent, 0);
}

uint32_t gp_near_sleep(struct gp_uring *u, struct gp_port *readable[GP_NEAR_MAX])
{
    struct epoll_event events[OTHERS + GP_NEAR_MAX];
    uint32_t ready = 0;
    bool rung = false, woken = false;

    heed(u);
    if (u->first < u->count || u->base.again_head)
        return 0;
    int count = epoll_wait(u->near_set, events, OTHERS + GP_NEAR_MAX, -1); /* -1: a signal */
    for (int i = 0; i < count; i++) {
        struct gp_port *port = events[i].data.ptr;
        if (port == &loop_marker)
            u->loop_fired = true;
        else if (port == &bell_marker)
            rung = true;
        else if (port == &wake_marker)
            woken = true;
        else if (gp_port_wants_recv(port))
            readable[ready++] = port;
        else
            gp_near_leave(u, port);
    }
    if (rung)
        gp_ring_hush(&u->ring);
    if (rung || woken)
        gp_ports_submit(u, true, 0);
    return ready;
}
