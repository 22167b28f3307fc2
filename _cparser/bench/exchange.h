/* What a client says in one transaction, ready to be sent, and how it knows that it is answered.
 * Shared by the load generator and the gauge. Pure: no socket, no clock, no allocation.
 *
 * The exchanges, named and made as pgbench's -M makes them:
 *
 *   simple       Query
 *   extended     Parse, Bind, Describe, Execute, Sync
 *   prepared     Bind, Describe, Execute, Sync; Parse once before
 *   pipelined    PIPELINE_DEPTH times Bind, Describe, Execute; one Sync; Parse once before
 *   transaction  Query "begin", Query, Query "commit": three round trips
 *   nap          Query of ten milliseconds that use no processor */
#ifndef GP_BENCH_EXCHANGE_H
#define GP_BENCH_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIPELINE_DEPTH     10u
#define EXCHANGE_TURNS_MAX 3u
#define REQUEST_MAX        2048u

/* Bytes that are sent at once, and then answered up to one ReadyForQuery. */
struct request {
    size_t len;
    uint8_t bytes[REQUEST_MAX];
};

struct exchange {
    const char *name;
    struct request prologue; /* once after the login; empty: nothing */
    uint32_t turns_count;
    struct request turns[EXCHANGE_TURNS_MAX];
};

/* False: there is no exchange of that name. */
bool exchange_make(const char *name, struct exchange *out);

/* The StartupMessage (protocol 3.0) of a user; false: it does not fit. */
bool exchange_startup(const char *user, const char *database, struct request *out);

/* Reads what a server sends, in pieces of any size; zero is the beginning. */
struct replies {
    uint64_t errors; /* ErrorResponses seen */
    uint32_t skip;   /* bytes of the current message still to come */
    uint32_t have;   /* bytes of its header */
    uint8_t head[5];
};

/* Gives the number of ReadyForQuery that ended within these bytes; SIZE_MAX: these are no messages. */
size_t replies_feed(struct replies *r, const uint8_t *data, size_t len);

#endif
