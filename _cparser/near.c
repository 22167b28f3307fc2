/* Connections that are near: while only few have traffic, a hot worker sleeps in poll(2) and reads
 * them by plain calls, as a pooler without io_uring does.
 *
 * Why: who writes to a socket tells whom it wakes there that it is about to sleep itself, and poll(2)
 * passes that on, so that the scheduler keeps a client, its worker and its server on one processor. The
 * ring does not: with one client, each message then costs an interrupt between two processors, which is
 * dearer than the system calls that the ring saves (on two virtual processors 39 us of CPU time for a
 * transaction, not 30 as on epoll). With many clients there is no such question, and the ring saves more.
 *
 *     far   --it has something, while these are few--> (its receive ends) --> near
 *     near  --it is not to be read, or the worker goes cold, or these are no longer few--> far
 *
 * All others stay with the ring, for which the bell rings meanwhile. The worker's eventfd rings no bell
 * (transport_uring.c) and is polled itself, as is libev's set. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "port.h"

/* Before the near ones. */
enum { BELL = 0, WAKE, LOOP, OTHERS };

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
}

bool gp_near_wants(const struct gp_uring *u)
{
    return u->few && u->loop_fd != -1 && u->near_count < GP_NEAR_MAX;
}

bool gp_near_take(struct gp_uring *u, struct gp_port *port)
{
    if (port->near || !gp_near_wants(u))
        return port->near;
    port->near = true;
    u->near[u->near_count++] = port;
    return true;
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
}

void gp_near_disperse(struct gp_uring *u)
{
    for (uint32_t i = 0; i < u->near_count; i++) {
        u->near[i]->near = false;
        gp_port_mark(u, u->near[i]);
    }
    u->near_count = 0;
    if (u->listening)
        gp_ring_mute(&u->ring);
    if (u->listening && gp_ports_door(u, EPOLL_CTL_ADD, u->ring.bell) != GP_OK)
        abort(); /* libev would never call again */
    u->listening = false;
}

/* Those that are not to be read now are far again: who resumes one has it looked at. */
static uint32_t gather(struct gp_uring *u, struct pollfd *fds)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < u->near_count; i++) {
        struct gp_port *port = u->near[i];
        if (!gp_port_wants_recv(port)) {
            port->near = false;
            continue;
        }
        u->near[count] = port;
        fds[count++] = (struct pollfd){.fd = port->fd, .events = POLLIN | POLLRDHUP};
    }
    u->near_count = count;
    return count;
}

/* The bell is for this wait now, not for libev. What came while it was silent is fetched. */
static void heed(struct gp_uring *u)
{
    bool silent = !u->listening;

    if (silent && gp_ports_door(u, EPOLL_CTL_DEL, u->ring.bell) != GP_OK)
        abort(); /* it would call libev, which would call us, and so on */
    if (silent)
        gp_ring_unmute(&u->ring);
    u->listening = true;
    gp_ports_submit(u, silent, 0);
}

uint32_t gp_near_sleep(struct gp_uring *u, struct gp_port *readable[GP_NEAR_MAX])
{
    struct pollfd fds[OTHERS + GP_NEAR_MAX] = {
        [BELL] = {.fd = u->ring.bell, .events = POLLIN},
        [WAKE] = {.fd = u->wake_fd, .events = POLLIN},
        [LOOP] = {.fd = u->loop_fd, .events = POLLIN},
    };
    uint32_t ready = 0;

    heed(u);
    if (u->first < u->count || u->base.again_head)
        return 0;
    uint32_t near = gather(u, fds + OTHERS);
    if (poll(fds, OTHERS + near, -1) == -1)
        return 0; /* a signal */
    u->loop_fired |= fds[LOOP].revents != 0;
    for (uint32_t i = 0; i < near; i++)
        if (fds[OTHERS + i].revents)
            readable[ready++] = u->near[i];
    if (fds[BELL].revents)
        gp_ring_hush(&u->ring);
    if (fds[BELL].revents || fds[WAKE].revents)
        gp_ports_submit(u, true, 0);
    return ready;
}
