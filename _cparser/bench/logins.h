/* Clients that log in by SCRAM one after the other, are welcomed, and leave: what a reconnect costs the
 * engine, without a transaction. One thread plays both sides; what it does as a client happens
 * outside of the engine's functions. Partner: gauge.c. */
#ifndef GP_BENCH_LOGINS_H
#define GP_BENCH_LOGINS_H

#include "../engine.h"

/* False: a login went another way than it must. *others: system calls that the clients made. */
bool logins_run(struct gp_engine *engine, uint32_t pool, uint64_t wanted, uint64_t *others);

#endif
