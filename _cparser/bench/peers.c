#include "peers.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWERS_BYTES 65536u

static int32_t make_pair(int32_t *mine)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == -1)
        return -1;
    *mine = ends[0];
    return ends[1];
}

int32_t peers_add_client(struct peers *p)
{
    if (p->clients_count == PEERS_CLIENTS_MAX)
        return -1;
    return make_pair(&p->clients[p->clients_count++].fd);
}

int32_t peers_add_server(struct peers *p)
{
    if (p->servers_count == PEERS_SERVERS_MAX)
        return -1;
    struct server_peer *s = &p->servers[p->servers_count++];
    s->canned.phase = CANNED_SERVING; /* nobody logs in here */
    return make_pair(&s->fd);
}

bool peers_are_done(const struct peers *p)
{
    return p->done == p->wanted;
}

/* Sockets hold more than is ever unanswered here, so that a send that is cut short is an error. */
static bool send_all(struct peers *p, int32_t fd, const uint8_t *data, size_t len)
{
    if (len == 0)
        return true;
    p->calls++;
    return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* False: it is closed, or broken. *len is 0 when nothing has come. */
static bool receive(struct peers *p, int32_t fd, uint8_t *at, size_t cap, size_t *len)
{
    ssize_t n = recv(fd, at, cap, 0);

    p->calls++;
    *len = n > 0 ? (size_t)n : 0;
    return n > 0 || (n == -1 && errno == EAGAIN);
}

static bool play_server(struct peers *p, struct server_peer *s)
{
    uint8_t answers[ANSWERS_BYTES];
    struct messages out = {.at = answers, .cap = sizeof(answers)};
    size_t got;

    if (!receive(p, s->fd, s->in + s->len, sizeof(s->in) - s->len, &got))
        return false;
    s->len += got;
    size_t used = canned_feed(&s->canned, s->in, s->len, &out);
    memmove(s->in, s->in + used, s->len - used);
    s->len -= used;
    return s->canned.phase == CANNED_SERVING && send_all(p, s->fd, out.at, out.len);
}

/* Ask the next thing, if there is one. */
static bool ask(struct peers *p, struct client_peer *c)
{
    const struct request *r = &p->exchange->turns[c->turn];

    if (!c->begun && p->exchange->prologue.len > 0) {
        r = &p->exchange->prologue;
    } else if (c->turn == 0) {
        if (p->begun == p->wanted)
            return true;
        p->begun++;
    }
    c->asked = true;
    return send_all(p, c->fd, r->bytes, r->len);
}

static void take_answer(struct peers *p, struct client_peer *c)
{
    c->asked = false;
    if (!c->begun && p->exchange->prologue.len > 0) {
        c->begun = true;
    } else if (++c->turn == p->exchange->turns_count) {
        c->turn = 0;
        p->done++;
    }
}

static bool play_client(struct peers *p, struct client_peer *c)
{
    uint8_t answers[ANSWERS_BYTES];
    size_t got;

    if (c->asked) {
        if (!receive(p, c->fd, answers, sizeof(answers), &got))
            return false;
        size_t readies = replies_feed(&c->replies, answers, got);
        if (readies > 1 || c->replies.errors > 0)
            return false;
        if (readies == 1)
            take_answer(p, c);
    }
    return c->asked || ask(p, c);
}

bool peers_play(struct peers *p)
{
    for (uint32_t i = 0; i < p->servers_count; i++)
        if (!play_server(p, &p->servers[i]))
            return false;
    for (uint32_t i = 0; i < p->clients_count; i++)
        if (!play_client(p, &p->clients[i]))
            return false;
    return true;
}
