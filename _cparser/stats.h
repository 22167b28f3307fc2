/* Counters of one lane (one worker in one pool). They live in the shared segment, are written by
 * their worker alone (plain adds to relaxed atomics: no locked instruction), and are summed by
 * whoever reads. They only grow; a respawned worker goes on with its predecessor's. What took time
 * is counted in histogram.h. */
#ifndef GP_STATS_H
#define GP_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine.h"

struct gp_counters {
    _Atomic uint64_t xact_count;     /* transactions (PgBouncer: total_xact_count) */
    _Atomic uint64_t query_count;    /* Query, Execute and FunctionCall requests answered */
    _Atomic uint64_t bytes_received; /* from clients */
    _Atomic uint64_t bytes_sent;     /* to clients */
    _Atomic uint64_t wait_count;     /* clients that had to wait */
    _Atomic uint64_t taken_own;      /* slots taken from the worker's own idle set */
    _Atomic uint64_t taken_other;    /* ... from another worker's */
    _Atomic uint64_t handed_away;    /* slots handed to a waiter of another worker */
    _Atomic uint64_t bounced;        /* slots handed here with nobody waiting any more */
    _Atomic uint64_t timeouts;       /* query_wait_timeout */
    _Atomic uint64_t logins;         /* server logins done */
    _Atomic uint64_t login_failures;
    _Atomic uint64_t looks;                   /* questions what a session has become */
    _Atomic uint64_t pins;                    /* clients that came to keep their servers */
    _Atomic uint64_t pins_of[GP_PINS];        /* ... by reason: bit of enum gp_pin */
    _Atomic uint64_t client_logins;           /* clients that were let in */
    _Atomic uint64_t client_ends[GP_REASONS]; /* ... that have ended, by enum gp_reason */
    _Atomic uint64_t server_ends[GP_REASONS]; /* servers that were retired */
    _Atomic uint64_t query_timeouts;          /* queries that were cancelled for their length */
    _Atomic uint64_t wait_notices;            /* clients told that they wait: query_wait_notify */
    _Atomic uint64_t waits_left;              /* waits that ended without a server */
    /* growth.h */
    _Atomic uint64_t creates;           /* server logins granted a place */
    _Atomic uint64_t spared;            /* ... and given up before they began: nobody waited */
    _Atomic uint64_t fills_deferred;    /* of min_pool_size, for too many logins in flight */
    _Atomic uint64_t hastes[GP_HASTES]; /* clients in haste from the start, by enum gp_haste */
    _Atomic uint64_t gate_waits;        /* ... whose login had to wait for another to end */
    _Atomic uint64_t patience_met;      /* patient clients that got a server in time */
    _Atomic uint64_t patience_lost;     /* ... that came to be in haste */
    _Atomic uint64_t patience_opened;   /* logins begun at once for these */
    _Atomic uint64_t gate_overdue;      /* times that such a login had to wait for another to end */
    _Atomic uint64_t errors_of[GP_ERROR_CLASSES]; /* ErrorResponse seen from servers, by class */
    /* prepare.h */
    _Atomic uint64_t client_parses;    /* Parse messages of clients */
    _Atomic uint64_t server_parses;    /* ... that servers got, for whatever reason */
    _Atomic uint64_t binds;            /* Bind messages for statements that greenpool knows */
    _Atomic uint64_t statement_hits;   /* uses (Bind, Describe) of one that the server held ... */
    _Atomic uint64_t statement_misses; /* ... and of one that it had to be sent first */
    _Atomic uint64_t statement_evictions; /* statements closed on a server for want of room */
};

/* What a word says that is true by itself: a counter, a setting, a time. */
static inline uint32_t gp_load32(_Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline uint64_t gp_load64(_Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Add to a counter that only this process writes. */
static inline void gp_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

#endif
