/* A client goes to another worker, with its server if it is linked with one. Both belong to the same
 * segment: the row, the cancel key, the slot and what is prepared on it stay; what this process alone
 * knows goes as a record (record.h), with the descriptors, through the other's inbox.
 *
 *     source                                         target
 *     lets go of the sockets, writes the record
 *     row: owner -> offered                (offer)
 *     sends it, forgets all but the record
 *                                                    reads it; it cannot: -> owner       (decline)
 *                                                    row: offered -> target              (adopt)
 *                                                    slot: ACTIVE(source) -> ACTIVE(target)
 *                                                    goes on where the source stopped
 *     sees that the row is another's: closes its descriptor
 *
 * The row's word decides (pool.h). The source takes the offer back, and goes on itself by the record
 * that it kept, when the target has declined, has died, or lets it wait. When the source dies before
 * the adoption, its client dies with it, as all others of it; when either dies between the adoption
 * and the slot's step, the server is closed by whoever is left, and a client that is left is told so.
 * A message that was read too late fits nothing: its descriptors are closed.
 *
 * Movable is a client that is IDLE or WAITING, or linked with a server in state LINKED: in the middle
 * of a message, a COPY, a pipeline, a transaction. The other states pass within milliseconds. A TLS
 * session lives in its process: one whose server has TLS goes when its transaction is over, and a
 * client with TLS goes only when its worker hands over, with the end of a pair in place of its socket
 * (pump.h). The session cannot go: OpenSSL can neither write one down nor read it, and the kernel's own
 * TLS, to which keys could be given, is there neither for UNIX sockets nor in every kernel. While the
 * offer stands it rests, with what is on the way through the socket, beside the record. greenpool's own
 * clients stay, and are soon gone. */
#ifndef GP_MOVE_H
#define GP_MOVE_H

#include "relay.h"

/* A worker takes this many clients before the next one gets any, unless it is busy. */
#define GP_PACK_CLIENTS 24u
/* Longer than this nobody waits for a target. */
#define GP_OFFER_NS 500000000ull

/* What came through the inbox. */
struct gp_arrival {
    uint32_t client;
    uint64_t offer;
    const uint8_t *record; /* NULL: it could not be received */
    size_t len;
    int32_t client_fd, server_fd; /* ours now; -1: there is none, or it could not be received */
};

/* Try to move those who are to be moved. Not within a delivery. */
void gp_moves_run(struct gp_engine *e);
/* Look what has become of those who were offered. */
void gp_moves_settle(struct gp_engine *e);
/* Everything of a hand-over that goes by time. */
void gp_moves_sweep(struct gp_engine *e);
/* Give busy clients to a worker that has fewer, now and then. */
void gp_rebalance(struct gp_engine *e);
/* Forget those who were offered: the engine ends. */
void gp_moves_free(struct gp_engine *e);
void gp_move_arrived(struct gp_engine *e, const struct gp_arrival *arrival);
/* A WAITING client is to be answered with 57014, wherever it has gone. */
void gp_move_cancel(struct gp_engine *e, uint32_t client);
/* This row is somebody else's now: whoever was offered under it has been taken, and has left. */
void gp_move_over(struct gp_engine *e, uint32_t client);

/* inbox.c. GP_AGAIN: the inbox is full. */
enum gp_result gp_inbox_move(struct gp_engine *e, uint32_t worker, uint32_t client, uint64_t offer,
                             const struct gp_buffer *record, int32_t client_fd, int32_t server_fd);

#endif
