/* The two ends that an engine under measurement talks to: clients that repeat an exchange, and
 * servers with canned answers, all over socketpairs in the engine's own thread. Nobody waits: each
 * turn does what can be done now, so that one and the same run always takes the same course. */
#ifndef GP_BENCH_PEERS_H
#define GP_BENCH_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "canned.h"
#include "exchange.h"

#define PEERS_CLIENTS_MAX 512u
#define PEERS_SERVERS_MAX 128u

struct client_peer {
    int32_t fd;
    uint32_t turn; /* of the exchange; 0 and not asked: the next transaction begins */
    bool asked;
    bool begun; /* the prologue is done */
    struct replies replies;
};

struct server_peer {
    int32_t fd;
    struct canned canned;
    size_t len; /* received, not yet answered */
    uint8_t in[CANNED_MESSAGE_MAX];
};

struct peers {
    const struct exchange *exchange;
    uint32_t clients_count, servers_count;
    uint64_t wanted; /* transactions in all */
    uint64_t begun, done;
    uint64_t calls; /* of the system, by the ends themselves */
    struct client_peer clients[PEERS_CLIENTS_MAX];
    struct server_peer servers[PEERS_SERVERS_MAX];
};

/* Each gives the engine's end of a socketpair, nonblocking, or -1. */
int32_t peers_add_client(struct peers *p);
int32_t peers_add_server(struct peers *p);

/* Answer what has been asked, ask what is to be asked next. False: an end broke the protocol. */
bool peers_play(struct peers *p);
bool peers_are_done(const struct peers *p);

#endif
