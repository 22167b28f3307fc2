/* The engine's public face: all that Python may call, and nothing else. It is spread over this header
 * and those that it includes; in each, what stands between the marks is what cffi reads (build.py).
 * Here: a worker's engine, its step, its servers. engine_names.h: enums. engine_segment.h: what all
 * processes share. engine_rows.h: copies of it to look at. engine_clients.h: clients and logins.
 * engine_tls.h: TLS.
 *
 * Three kinds of caller. The master makes the segment and the pools in it before it forks, and
 * reclaims what a dead worker left. A worker has one gp_engine, made after the fork; every
 * gp_engine_*, gp_client_*, gp_server_* call is about its own. The observer reads rows (gp_*_row), as
 * everyone may.
 *
 * Names are indices: worker 0..workers-1, pool 0..pools_max-1, slot 0..1023 within a pool, client =
 * its row in the segment + 1 (0 = none). Times are CLOCK_MONOTONIC nanoseconds unless the name has
 * another unit. No call blocks, none calls back into Python, none raises: results are enum
 * gp_result or say so. */
#ifndef GP_ENGINE_H
#define GP_ENGINE_H

#include "engine_clients.h"
#include "engine_names.h"
#include "engine_rows.h"
#include "engine_segment.h"
#include "engine_tls.h"

/* cdef:begin */
#define GP_ABI_VERSION 11

struct gp_event {
    uint32_t kind;
    uint32_t client;
    uint32_t pool;
    uint32_t slot;
    uint64_t detail;
};

/* ---- worker: the engine ---- */

/* Whether this process may use io_uring: 0, or the errno of what is missing or forbidden (ENOSYS or
 * EINVAL: the kernel is older than 6.1; EPERM: forbidden). */
GP_API int32_t gp_io_uring_refusal(void);
/* Runs after the fork: marks the worker alive and asks the others for their descriptors. backend:
 * enum gp_io_backend. NULL: errno. */
GP_API struct gp_engine *gp_engine_new(struct gp_segment *seg, uint32_t worker, uint32_t backend);
GP_API void gp_engine_free(struct gp_engine *engine);
/* The descriptor that becomes readable when a step has work to do. */
GP_API int32_t gp_engine_fd(struct gp_engine *engine);
/* libev's own descriptor: while traffic is hot the step sleeps on it (it contains gp_engine_fd).
 * -1: never sleep. */
GP_API void gp_engine_hot(struct gp_engine *engine, int32_t loop_fd);
/* Relay until nothing is left to do, the bound is reached or Python is needed. Gives the number of
 * events written. */
GP_API uint32_t gp_engine_step(struct gp_engine *engine, struct gp_event *events,
                               uint32_t capacity);
/* Everything that goes by time: call about every 100 ms. Events come with the next step. */
GP_API void gp_engine_sweep(struct gp_engine *engine);
/* Close clients as they become idle, with 57P01; GP_EVENT_DRAINED when none is left. */
GP_API void gp_engine_drain(struct gp_engine *engine);
/* Move a client, with its server, to another worker as soon as it can be: GP_EVENT_ARRIVED there.
 * If the other worker does not take it, it stays. Nobody is told here.
 * GP_ENOENT: no such client here, or no such worker alive. GP_EPROTO: it cannot be moved: it is
 * greenpool itself, or about to end, or has TLS and this worker does not hand over. */
GP_API enum gp_result gp_engine_move(struct gp_engine *engine, uint32_t client, uint32_t target);
/* Move all clients to these workers, the least loaded first, now and whoever comes later, and leave
 * them the idle servers that they hold; open no more than clients wait for. GP_EVENT_DRAINED when no
 * client and no server is left; TLS sessions stay, with a pump for each. Called again, these are the
 * targets; none: all goes on as before. */
GP_API void gp_engine_hand_over(struct gp_engine *engine, const uint32_t *targets, uint32_t count);
/* How many clients of other workers have their TLS session here. */
GP_API uint32_t gp_engine_pumps(struct gp_engine *engine);
/* Leave these sessions to a process of their own, which is forked here and lasts as long as they do:
 * before this worker exits. No other thread may be at work: the child would wait for its locks.
 * GP_EIO: errno, and they go on here. */
GP_API enum gp_result gp_engine_leave_pumps(struct gp_engine *engine);
GP_API void gp_engine_busy(struct gp_engine *engine, uint32_t busy_permille, uint32_t clients);
/* Whether Python is told of clients that end by themselves (GP_EVENT_GOODBYE), as it is at first.
 * Otherwise the engine forgets and closes them, but for those of whom Python was told before they
 * were let in, and greenpool's own. */
GP_API void gp_engine_farewells(struct gp_engine *engine, bool told);
/* Accept clients from this nonblocking socket, which stays the caller's; it closes it after
 * gp_engine_deafen. GP_EFULL: no memory. */
GP_API enum gp_result gp_engine_listen(struct gp_engine *engine, int32_t fd);
/* Accept no more, from none of them. */
GP_API void gp_engine_deafen(struct gp_engine *engine);
/* Counters of this process: wakes, steps, events, recv and send calls, hot sleeps (for
 * measurements). */
struct gp_engine_counts {
    uint64_t steps, waits, sleeps, ready, recvs, sends, sent_partial, peeks;
};
GP_API void gp_engine_counts(struct gp_engine *engine, struct gp_engine_counts *counts);

/* ---- worker: servers ---- */

/* Ask for servers where clients wait and there is room, and for min_pool_size (events
 * GP_EVENT_OPEN). */
GP_API void gp_pool_grow(struct gp_engine *engine, uint32_t pool);
/* Logged in and ReadyForQuery seen: the engine owns the descriptor from here (nonblocking), shares
 * it and gives it to the oldest waiter. tls: as for gp_client_login; a server with TLS is not
 * shared. */
GP_API enum gp_result gp_server_opened(struct gp_engine *engine, uint32_t pool, uint32_t slot,
                                       int32_t fd, struct gp_tls *tls, uint32_t backend_pid,
                                       const uint8_t *key, uint32_t key_length,
                                       uint64_t lifetime_ns, const char *address);
/* The login failed: frees the place at once. ailment: enum gp_ailment; outage.h tells what follows.
 * sqlstate: those who wait in the pool, in all workers, are told this FATAL error; empty: it may
 * pass, and who waits in vain is told why. Cut to 255 bytes. */
GP_API void gp_server_failed(struct gp_engine *engine, uint32_t pool, uint32_t slot,
                             uint32_t ailment, const char *sqlstate, const char *why);
/* Whether the login of a slot, not begun yet, is of no use any more, since nobody waits and the pool
 * has what it shall always have. Yes: its place is free. */
GP_API bool gp_server_spare(struct gp_engine *engine, uint32_t pool, uint32_t slot);
/* Answer a simple Query that is this whole message with this reply, and take no server, when a
 * client of this worker sends it while it is at rest. One a pool: the last wins. query_length 0:
 * answer none. GP_EFULL: no memory, nothing is changed. */
GP_API enum gp_result gp_pool_answer(struct gp_engine *engine, uint32_t pool, const uint8_t *query,
                                     uint32_t query_length, const uint8_t *reply,
                                     uint32_t reply_length);
/* After GP_EVENT_RETIRE: the descriptor, now Python's (-1: this worker never had it), and so is its
 * TLS session, if it has one. */
GP_API int32_t gp_server_surrender(struct gp_engine *engine, uint32_t pool, uint32_t slot,
                                   struct gp_tls **tls);
/* PostgreSQL has hung up (or was given up on): frees the place. */
GP_API void gp_server_freed(struct gp_engine *engine, uint32_t pool, uint32_t slot);
/* Retire every idle server of the pool that this worker can take (reload, stop). Gives their
 * number. */
GP_API uint32_t gp_pool_retire_idle(struct gp_engine *engine, uint32_t pool, uint32_t reason);

/* ---- worker: functions that change sessions in secret; suspects.h tells the rest ---- */

/* A text is suspect that has one of these words in it, or ... */
enum gp_suspects_flags {
    GP_SUSPECTS_ANY = 1,     /* whatever it says */
    GP_SUSPECTS_HIDE = 2,    /* and then settings may have been made that no question finds */
    GP_SUSPECTS_FOREIGN = 4, /* that has words of other letters than a to z */
};
/* Whether the pool has a list. *as_of: to be told with what PostgreSQL answers from now on. */
GP_API bool gp_suspects_known(struct gp_engine *engine, uint32_t pool, uint32_t *as_of);
/* Whether this worker is to ask for the pool's list: at most one in interval_ns, and only if it has
 * had transactions there since it last did. Yes is said once. */
GP_API bool gp_suspects_due(struct gp_engine *engine, uint32_t pool, uint64_t interval_ns);
/* Publish the list for all workers. words: names as they stand in the catalog, each behind the other
 * with a zero between. names: of dotted settings, ",app.x,app.y". Results of gp_note_write. */
GP_API enum gp_result gp_suspects_tell(struct gp_engine *engine, uint32_t pool, uint32_t as_of,
                                       uint32_t flags, const uint8_t *words, uint32_t words_length,
                                       const uint8_t *names, uint32_t names_length);

/* ---- worker: what clients set, where it is logged (changes.c) ---- */

/* A setting that a client has changed, as PostgreSQL has reported it; long values are cut. */
struct gp_change {
    uint32_t client;
    char user[64];
    char database[64];
    char address[56];
    char name[64];
    char value[256];
};
/* After GP_EVENT_CHANGED: the next, until GP_ENOENT. */
GP_API enum gp_result gp_change_take(struct gp_engine *engine, struct gp_change *change);

/* ---- worker: its inventory (inventory.c) ---- */

struct gp_statement_row {
    uint64_t high, low;   /* its identity */
    uint32_t refs;        /* who needs it: names of clients, and requests under way */
    uint32_t length;      /* of its Parse message */
    uint32_t uses;        /* times that a client has prepared it */
    char name[24];        /* on servers */
    const uint8_t *query; /* ends in a zero; until the next step */
};
/* The next statement that this worker keeps, after the one that gave `place` (0: the first). Gives
 * its place; 0: there is none. */
GP_API uint64_t gp_statement_next(struct gp_engine *engine, uint64_t place,
                                  struct gp_statement_row *row);

/* The descriptors of this worker's clients and of the servers that it holds; -1: not here. */
GP_API int32_t gp_client_fd(struct gp_engine *engine, uint32_t client);
GP_API int32_t gp_server_fd(struct gp_engine *engine, uint32_t pool, uint32_t slot);

/* ---- worker: cancel ---- */

/* A CancelRequest arrived: pins the server of that client and tells whom to cancel (gp_slot_row has
 * the key). Then send it and call gp_cancel_done. GP_ENOENT: unknown key; GP_AGAIN: nothing runs (a
 * waiting client has been answered with 57014); GP_EFULL: too many at once. */
GP_API enum gp_result gp_cancel_start(struct gp_engine *engine, uint32_t client, const uint8_t *key,
                                      uint32_t key_length, uint32_t *pool, uint32_t *slot,
                                      uint32_t *generation);
GP_API void gp_cancel_done(struct gp_engine *engine, uint32_t pool, uint32_t slot,
                           uint32_t generation);
/* After GP_EVENT_CANCEL. */
GP_API void gp_server_canceled(struct gp_engine *engine, uint32_t pool, uint32_t slot);
/* cdef:end */

#endif
