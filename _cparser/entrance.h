/* A client between its startup packet and its first request: it proves who it is on the engine's
 * ordinary receive path, then it is welcomed and served, or refused.
 *
 *     a known guest, or gp_client_login
 *             \--> proving --proved--> [open plan: waits for Python] --> let in (IDLE)
 *                     |                      |                             |
 *                     +----------------------+-----------------------------+--> refused
 *
 * All of it is the client's state LOGIN; what came before it is told in guests.h. Law: the last word of the exchange, AuthenticationOk and the
 * whole welcome leave in one send; secrets are wiped before the client's first request is read.
 * Partners: login.c, which proves; greenpool/worker/planning.py, which makes the plans. */
#ifndef GP_ENTRANCE_H
#define GP_ENTRANCE_H

#include "guests.h"
#include "login.h"

/* Only while the client is FREE or in LOGIN, and after a refusal until it is forgotten. */
struct gp_entrance {
    struct gp_login login;
    uint64_t deadline_ns;  /* 0: none */
    struct gp_guest guest; /* while FREE */
};

/* A client that is FREE, with an entrance; it has this socket. NULL: no memory. */
struct gp_client *gp_entrance_client(int32_t fd);
/* It has a row, and follows a plan from here on. since_ns: when its time began. early: bytes that
 * have come already. */
void gp_entrance_begin(struct gp_engine *e, struct gp_client *c, uint32_t client,
                       struct gp_plan *plan, uint64_t since_ns, const uint8_t *early,
                       size_t early_len);

/* Bytes of a client in LOGIN. */
void gp_entrance_received(struct gp_engine *e, struct gp_client *c, const uint8_t *data,
                          size_t len);
/* See whether its time is over. */
void gp_entrance_sweep(struct gp_engine *e, struct gp_client *c);
void gp_entrance_free(struct gp_client *c);

#endif
