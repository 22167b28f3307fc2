#include "guests.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "entrance.h"
#include "handshakes.h"
#include "plans.h"
#include "tls.h"

#define REQUEST_BYTES 8u
#define PACKET_MIN    8u
#define SSL_CODE      80877103u
#define GSSENC_CODE   80877104u
#define WHO_BYTES     (GP_HOST_BYTES + 1u + GP_BINDING_BYTES)

static struct gp_guest *guest_of(struct gp_client *c)
{
    return &c->entrance->guest;
}

/* ---- lists ---- */

static struct gp_guest_list *list_of(struct gp_engine *e, struct gp_client *c)
{
    return guest_of(c)->strange ? &e->guests.strange : &e->guests.waiting;
}

static void enlist(struct gp_engine *e, struct gp_client *c)
{
    struct gp_guest_list *list = list_of(e, c);

    c->before = list->last;
    c->behind = NULL;
    *(list->last ? &list->last->behind : &list->first) = c;
    list->last = c;
    e->guests.count++;
}

static void delist(struct gp_engine *e, struct gp_client *c)
{
    struct gp_guest_list *list = list_of(e, c);

    *(c->before ? &c->before->behind : &list->first) = c->behind;
    *(c->behind ? &c->behind->before : &list->last) = c->before;
    c->before = c->behind = NULL;
    e->guests.count--;
}

/* It is no guest any more, and not a client: all but its descriptor goes. */
static void vanish(struct gp_engine *e, struct gp_client *c)
{
    delist(e, c);
    gp_conn_detach(e->transport, &c->conn);
    gp_client_clear(e, c);
    c->forgotten = 1;
    gp_todo(e, &c->conn); /* the batch may still name it */
}

/* Its session, finished or not, whose owner is the caller from here on; NULL: it has none. */
static struct gp_tls *take_tls(struct gp_client *c)
{
    struct gp_tls *tls = guest_of(c)->tls ? guest_of(c)->tls : c->conn.tls;

    guest_of(c)->tls = c->conn.tls = NULL;
    return tls;
}

static void close_guest(struct gp_engine *e, struct gp_client *c)
{
    int32_t fd = c->conn.fd;

    gp_tls_free(take_tls(c));
    vanish(e, c);
    close(fd);
    gp_visit_count(e, GP_VISIT_IN_VAIN);
    gp_place_vacated(e);
}

void gp_guest_estrange(struct gp_engine *e, struct gp_client *c)
{
    delist(e, c);
    guest_of(c)->strange = true;
    enlist(e, c);
    gp_conn_pause(&c->conn);
    gp_event_push(e, GP_EVENT_GUEST, 0, 0, 0, 0);
}

/* ---- arriving ---- */

static void note_address(struct gp_guest *guest, const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    guest->family = address->ss_family;
    if (guest->family == AF_INET) {
        (void)inet_ntop(AF_INET, &v4->sin_addr, guest->host, sizeof(guest->host));
        guest->port = ntohs(v4->sin_port);
    } else if (guest->family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, guest->host, sizeof(guest->host));
        guest->port = ntohs(v6->sin6_port);
    }
}

/* As network_of in greenpool/worker/limits.py: of IPv6 the /64, IPv4 in IPv6 as IPv4. */
static void note_network(struct gp_guest *guest, const struct sockaddr_storage *address)
{
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    const void *network = v6;

    if (guest->family == AF_INET) {
        network = &((const struct sockaddr_in *)address)->sin_addr;
        guest->network_length = sizeof(struct in_addr);
    } else if (guest->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) {
        network = v6->s6_addr + sizeof(*v6) - sizeof(struct in_addr);
        guest->network_length = sizeof(struct in_addr);
    } else if (guest->family == AF_INET6) {
        guest->network_length = GP_NETWORK_BYTES;
    }
    memcpy(guest->network, network, guest->network_length);
}

static uint32_t count_in(const struct gp_guest_list *list, const struct gp_guest *guest)
{
    uint32_t count = 0;

    for (struct gp_client *c = list->first; c; c = c->behind)
        count += guest_of(c) != guest && guest_of(c)->network_length == guest->network_length &&
                 memcmp(guest_of(c)->network, guest->network, guest->network_length) == 0;
    return count;
}

/* How many others of its address are here; 0 where nobody limits that. */
static uint32_t neighbours(struct gp_engine *e, const struct gp_guest *guest)
{
    if (!e->guests.is.address_guests_max || !guest->network_length)
        return 0;
    return count_in(&e->guests.waiting, guest) + count_in(&e->guests.strange, guest);
}

static bool is_one_too_many(struct gp_engine *e, const struct gp_guest *guest)
{
    uint32_t limit = e->guests.is.address_guests_max;

    return e->guests.count > e->guests.is.guests_max || (limit && neighbours(e, guest) >= limit);
}

void gp_guest_greet(struct gp_engine *e, int32_t fd, const struct sockaddr_storage *address,
                    uint64_t since_ns)
{
    struct gp_client *c = gp_entrance_client(fd);

    if (!since_ns)
        gp_visit_count(e, GP_VISIT_ANY);
    if (!c) {
        close(fd);
        gp_visit_count(e, GP_VISIT_IN_VAIN);
        return;
    }
    guest_of(c)->since_ns = since_ns ? since_ns : e->now;
    note_address(guest_of(c), address);
    note_network(guest_of(c), address);
    enlist(e, c);
    if (gp_conn_attach(e->transport, &c->conn) != GP_OK)
        close_guest(e, c);
    else if (!e->guests.is.welcome || is_one_too_many(e, guest_of(c)))
        gp_guest_estrange(e, c);
}

/* ---- leaving ---- */

static bool has_said_something(struct gp_client *c)
{
    return guest_of(c)->tls || c->conn.tls || guest_of(c)->refused || c->in || c->conn.out;
}

/* Who cannot be passed on just now stays for the next attempt. */
static void pass(struct gp_engine *e, struct gp_client *c)
{
    uint32_t worker = gp_engine_place(e);
    int32_t fd = c->conn.fd;

    gp_conn_pause(&c->conn);
    if (gp_buffer_len(gp_conn_halt(e->transport, &c->conn))) {
        gp_guest_estrange(e, c); /* it has just begun */
    } else if (c->conn.broken || c->conn.hung || worker == e->worker ||
               gp_inbox_pass(e, worker, fd, guest_of(c)->since_ns) != GP_OK) {
        gp_conn_resume(e->transport, &c->conn);
    } else {
        vanish(e, c);
        close(fd);
    }
}

void gp_guests_pass(struct gp_engine *e)
{
    struct gp_client *next;

    for (struct gp_client *c = e->guests.waiting.first; c; c = next) {
        next = c->behind;
        if (!has_said_something(c))
            pass(e, c);
    }
}

/* ---- what it says ---- */

/* Which encryption it asks for that it cannot have; 0: it does not. */
static uint8_t to_refuse(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len)
{
    const struct gp_guest *guest = guest_of(c);

    if (c->conn.tls || len != REQUEST_BYTES || gp_get_u32be(data) != REQUEST_BYTES)
        return 0;
    uint32_t code = gp_get_u32be(data + 4);
    uint8_t kind = code == GSSENC_CODE ? GP_ENCRYPTION_GSS
                   : code == SSL_CODE  ? GP_ENCRYPTION_SSL
                                       : 0;
    bool has_tls = e->guests.is.offers_tls && guest->family != AF_UNIX;
    return guest->refused & kind || (kind == GP_ENCRYPTION_SSL && has_tls) ? 0 : kind;
}

/* What it shows: see plans.h. Gives the length. */
static size_t write_who(uint8_t who[WHO_BYTES], const struct gp_guest *guest, bool is_secure)
{
    size_t len = strlen(guest->host) + 1;

    memcpy(who, guest->host, len);
    if (!is_secure)
        return len;
    who[len++] = 'T';
    memcpy(who + len, guest->binding, guest->binding_length);
    return len + guest->binding_length;
}

/* The plan for it, if `data` begins with a whole packet of its like. */
static struct gp_plan *find_plan(struct gp_engine *e, struct gp_client *c, const uint8_t *data,
                                 size_t len, size_t *packet_len)
{
    const struct gp_guest *guest = guest_of(c);
    uint8_t who[WHO_BYTES];

    *packet_len = len >= PACKET_MIN ? gp_get_u32be(data) : 0;
    if (!e->guests.is.knows || guest->certified || *packet_len < PACKET_MIN || *packet_len > len)
        return NULL;
    size_t who_len = write_who(who, guest, c->conn.tls != NULL);
    return gp_plans_find(e, (struct gp_span){who, who_len}, (struct gp_span){data, *packet_len});
}

/* The address as logs and SHOW CLIENTS write it: name_of in greenpool/worker/sockets.py. */
static void write_address(const struct gp_guest *guest, char *text, size_t cap)
{
    if (guest->family == AF_UNIX)
        snprintf(text, cap, "unix");
    else
        snprintf(text, cap, guest->family == AF_INET6 ? "[%s]:%u" : "%s:%u", guest->host,
                 guest->port);
}

/* A row for it. GP_NO_CLIENT: there is none, or too many are its address's. */
static uint32_t claim(struct gp_engine *e, const struct gp_guest *guest)
{
    char address[64];

    write_address(guest, address, sizeof(address));
    uint32_t client = gp_client_enter(e, false, address);
    if (client == GP_NO_CLIENT || !guest->network_length ||
        gp_client_from(e->seg, client, guest->network, guest->network_length,
                       e->guests.is.address_clients_max))
        return client;
    gp_client_release(e->seg, client, e->worker);
    return GP_NO_CLIENT;
}

/* False: it is to be told by Python that there is no room. */
static bool enter(struct gp_engine *e, struct gp_client *c, struct gp_plan *plan,
                  const uint8_t *early, size_t early_len)
{
    uint32_t client = claim(e, guest_of(c));

    if (client == GP_NO_CLIENT)
        return false;
    delist(e, c);
    gp_entrance_begin(e, c, client, plan, guest_of(c)->since_ns, early, early_len);
    return true;
}

void gp_guest_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data, size_t len)
{
    size_t packet_len;

    if (guest_of(c)->tls) {
        gp_handshake_received(e, c, data, len);
        return;
    }
    if (gp_handshake_begin(e, c, data, len))
        return;
    uint8_t kind = to_refuse(e, c, data, len);
    if (kind) {
        guest_of(c)->refused |= kind;
        gp_conn_send(e->transport, &c->conn, (const uint8_t *)"N", 1);
        return;
    }
    struct gp_plan *plan = guest_of(c)->strange ? NULL : find_plan(e, c, data, len, &packet_len);
    if (plan && enter(e, c, plan, data + packet_len, len - packet_len))
        return;
    if (!gp_buffer_append(&c->in, data, len))
        close_guest(e, c);
    else if (!guest_of(c)->strange)
        gp_guest_estrange(e, c);
}

void gp_guest_closed(struct gp_engine *e, struct gp_client *c)
{
    if (!guest_of(c)->strange) /* else Python will see it */
        close_guest(e, c);
}

/* ---- what goes by time ---- */

void gp_guests_sweep(struct gp_engine *e)
{
    uint64_t patience_ns = (uint64_t)e->guests.is.timeout_ms * 1000000u;
    struct gp_client *c;

    while ((c = e->guests.waiting.first) && patience_ns &&
           e->now - guest_of(c)->since_ns >= patience_ns)
        gp_guest_estrange(e, c);
}

void gp_guests_free(struct gp_engine *e)
{
    struct gp_client *c;

    while ((c = e->guests.strange.first) || (c = e->guests.waiting.first))
        close_guest(e, c);
    gp_buffer_free(&e->guests.said);
    gp_tls_context_free(e->guests.is.tls);
}

/* ---- the public functions ---- */

void gp_engine_guests(struct gp_engine *e, const struct gp_guest_settings *settings)
{
    struct gp_tls_context *before = e->guests.is.tls;

    e->guests.is = *settings;
    if (settings->tls)
        (void)gp_tls_context_share(settings->tls);
    gp_tls_context_free(before);
}

uint32_t gp_guests_here(struct gp_engine *e)
{
    return e->guests.count;
}

/* What was received and not delivered. False: no memory. */
static bool keep_held(struct gp_client *c, const struct gp_buffer *held)
{
    struct gp_tls *tls = guest_of(c)->tls ? guest_of(c)->tls : c->conn.tls;
    uint32_t len = (uint32_t)gp_buffer_len(held);

    if (!len)
        return true;
    return tls ? gp_tls_feed(tls, gp_buffer_at(held), len) == GP_OK
               : gp_buffer_append(&c->in, gp_buffer_at(held), len);
}

/* All that was read and not answered. False: no memory. */
static bool gather(struct gp_engine *e, struct gp_client *c)
{
    gp_conn_pause(&c->conn);
    bool whole = keep_held(c, gp_conn_halt(e->transport, &c->conn));

    gp_buffer_free(&e->guests.said);
    e->guests.said = c->in;
    c->in = NULL;
    return whole && !c->conn.out && !c->conn.broken;
}

static void describe(struct gp_engine *e, const struct gp_guest *guest, int32_t fd,
                     struct gp_guest_info *info)
{
    uint64_t now = gp_now_ns();

    *info = (struct gp_guest_info){
        .fd = fd,
        .family = guest->family,
        .port = guest->port,
        .refused = guest->refused,
        .spent_ms = (uint32_t)((now - guest->since_ns) / 1000000u),
        .neighbours = neighbours(e, guest),
        .said = e->guests.said ? gp_buffer_at(e->guests.said) : NULL,
        .said_length = e->guests.said ? (uint32_t)gp_buffer_len(e->guests.said) : 0,
        .direct = guest->direct,
    };
    snprintf(info->host, sizeof(info->host), "%s", guest->host);
}

bool gp_guest_take(struct gp_engine *e, bool any, struct gp_guest_info *info)
{
    for (;;) {
        struct gp_client *c = e->guests.strange.first;
        if (!c && any)
            c = e->guests.waiting.first;
        if (!c)
            return false;
        if (!guest_of(c)->strange)
            gp_guest_estrange(e, c); /* the event will find nobody */
        if (!gather(e, c)) {
            close_guest(e, c); /* it did not take the one byte that it was told */
            continue;
        }
        describe(e, guest_of(c), c->conn.fd, info);
        info->tls = take_tls(c);
        vanish(e, c);
        return true;
    }
}
