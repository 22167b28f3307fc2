/* Rows: copies of what is in the segment, for SHOW and metrics. Anyone may read them, at any time;
 * nothing is changed. Part of engine.h. Partners: rows.c, greenpool/rows.py. */
#ifndef GP_ENGINE_ROWS_H
#define GP_ENGINE_ROWS_H

#include "engine_names.h"
#include "engine_segment.h"

/* cdef:begin */
#define GP_PINS         8   /* reasons that keep a client on its server */
#define GP_TIME_BUCKETS 400 /* of a histogram of times */

struct gp_database_row {
    char name[64];
    uint32_t max, reserve;       /* as in the settings */
    uint32_t used, reserve_used; /* places, those of the reserve and of a limit that was lowered
                                    included; of those, the reserve's */
    uint32_t pools;              /* in use */
    uint64_t evictions;          /* servers closed for another pool, and ... */
    uint64_t cessions;           /* ... of those, servers of pools that were never idle */
    uint64_t reserve_grants;     /* places of the reserve that were taken */
    uint64_t promotions;         /* servers that moved from there to an ordinary place */
    uint64_t exhaustions;        /* clients whose query_wait_timeout ended for want of a place */
};

struct gp_pool_row {
    char database[64];
    char user[64];
    struct gp_pool_settings settings;
    uint32_t in_use;
    uint32_t ailing;                                   /* 1: its last login at PostgreSQL failed */
    uint32_t held;                                     /* enum gp_hold */
    uint32_t cl_active, cl_waiting, cl_idle, cl_login; /* summed over the client table */
    uint32_t cl_tls;                                   /* of those, how many speak TLS, and ... */
    uint32_t cl_pinned[GP_PINS];                       /* ... keep their servers, by reason */
    uint32_t cl_pumped;    /* ... have their TLS session in an earlier worker's process */
    uint64_t buffer_bytes; /* held for them and their servers, half a second ago at most */
    uint64_t prepared_named, prepared_unnamed; /* their statements, and ... */
    uint64_t prepared_bytes;                   /* ... what those are long, with their names */
    uint32_t sv_active, sv_idle, sv_login, sv_canceled, sv_closing; /* summed over the slots */
    uint32_t sv_tls;     /* of those, how many speak TLS */
    uint64_t maxwait_ns; /* age of the oldest waiter, 0 = none */
    /* counters, summed over the workers */
    uint64_t xact_count, query_count, bytes_received, bytes_sent, xact_ns, query_ns, wait_ns,
        wait_count;
    uint64_t errors, taken_own, taken_other, handed_away, bounced, timeouts, logins, login_failures;
    uint64_t looks, pins;
    uint64_t query_timeouts, wait_notices;
    uint64_t pins_of[GP_PINS]; /* by bit of gp_client_info.pins */
    uint64_t client_logins;
    uint64_t client_ends[GP_REASONS], server_ends[GP_REASONS];
    /* how it grows: stats.h */
    uint64_t creates, gate_waits, gate_overdue, patience_met, patience_lost, patience_opened;
    uint64_t fills_deferred, spared, waits_left;
    uint64_t hastes[GP_HASTES];
    uint64_t login_ns;                    /* what a login takes lately; 0: not known yet */
    uint64_t errors_of[GP_ERROR_CLASSES]; /* their sum is `errors` */
    /* prepared statements */
    uint64_t client_parses, server_parses, binds;
    uint64_t statement_hits, statement_misses, statement_evictions;
    uint64_t server_statements; /* that its servers hold now, each counted for every server */
};

struct gp_time_sums {
    uint64_t sum_ns;
    uint64_t counts[GP_TIME_BUCKETS]; /* by bucket: gp_time_bound_ns */
};

struct gp_slot_row {
    uint32_t state; /* enum gp_slot_state */
    uint32_t worker;
    uint32_t client; /* linked client, 0 = none */
    uint32_t generation;
    uint32_t cancels;
    uint32_t backend_pid;
    uint32_t stale; /* 1: it is closed as soon as it is at rest */
    uint64_t holders;
    uint64_t idle_since_ns, opened_ns, expires_ns, xacts;
    uint32_t prepared; /* statements that it holds */
    uint32_t key_length;
    uint8_t key[256];
    char address[60];
    char tls[64]; /* version/cipher; empty: plain */
};

struct gp_client_info {
    uint32_t state; /* enum gp_client_state */
    uint32_t worker;
    uint32_t pool;    /* pool + 1, 0 = none */
    uint32_t slot;    /* linked slot + 1, 0 = none */
    uint32_t cancels; /* of a client that no pool serves: CancelRequests for it, so far */
    uint64_t wait_since_ns, request_ns, connected_ns, xacts, queries;
    uint32_t pins;   /* bits: 1 prepare, 2 cursor, 4 temp table, 8 lock, 16 listen, 32 unknown, 64
                      setting, 128 sequence */
    uint32_t pumped; /* 1: its TLS session has stayed in the process of an earlier worker */
    uint64_t bytes_received, bytes_sent;
    uint32_t prepared;
    uint64_t prepared_bytes, buffer_bytes;
    char user[64];
    char database[64];
    char address[56];
    char application[64];
    char tls[64]; /* version/cipher; empty: plain */
};

struct gp_worker_row {
    uint32_t pid, alive, births, clients, busy_permille;
    uint32_t io_backend; /* enum gp_io_backend; of the last process that had this place */
    uint64_t beat_ns;
    uint64_t moved_in, moved_out;   /* clients that came from other workers, and went to them */
    uint64_t refusals[GP_REFUSALS]; /* clients that were not let in */
    uint64_t visits[GP_VISITS];     /* connections, by what came of them */
    uint64_t statements, idle_statements; /* texts kept, and those of them without a user */
    uint64_t memory_bytes[GP_MEMORY_KINDS];
    uint64_t memory_refusals; /* times that it had to do without: max_memory_usage */
    uint32_t still;           /* 1: it reads from nobody and has nothing unsent: SUSPEND */
};

/* ---- rows ---- */
GP_API enum gp_result gp_pool_row(struct gp_segment *seg, uint32_t pool, struct gp_pool_row *row);
/* The rows of pools 0..count-1, or of those ever defined if they are fewer; gives their number. One
 * pass over the client table, however many pools there are. */
GP_API uint32_t gp_pool_rows(struct gp_segment *seg, struct gp_pool_row *rows, uint32_t count);
GP_API enum gp_result gp_slot_row(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                                  struct gp_slot_row *row); /* GP_ENOENT: FREE */
GP_API uint32_t gp_slots_high(struct gp_segment *seg, uint32_t pool);
GP_API enum gp_result gp_client_info(struct gp_segment *seg, uint32_t client,
                                     struct gp_client_info *row); /* GP_ENOENT: free row */
/* The next row after this client's (0: the first of all) that is in use now. 0: there is none. */
GP_API uint32_t gp_client_next(struct gp_segment *seg, uint32_t client);
GP_API enum gp_result gp_worker_row(struct gp_segment *seg, uint32_t worker,
                                    struct gp_worker_row *row);

/* How many times of each length there were, in the queries, transactions or waits (enum gp_time_kind)
 * of a pool and a worker, either of which may be GP_ALL, and how long they were in all. Those of
 * pools that were removed stay. */
GP_API void gp_times_read(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t kind,
                          struct gp_time_sums *sums);
/* The longest time that has this bucket; UINT64_MAX: any that is longer than those before. */
GP_API uint64_t gp_time_bound_ns(uint32_t bucket);

/* The pids of processes that keep TLS sessions of clients who have moved (gp_engine_leave_pumps), of
 * all generations; dead ones may be among them, and their numbers another process's by now. Gives how
 * many there are. */
#define GP_PUMPS_MAX 64
GP_API uint32_t gp_pump_pids(struct gp_segment *seg, uint32_t pids[64]);

/* GP_ENOENT: there has been none. One without pools is nobody's. */
GP_API enum gp_result gp_database_row(struct gp_segment *seg, uint32_t database,
                                      struct gp_database_row *row);

/* How many servers of a pool hold a statement, over all workers. */
GP_API uint32_t gp_statement_holders(struct gp_segment *seg, uint32_t pool, uint64_t high,
                                     uint64_t low);

/* ---- anyone: the chronicle of the house (chronicle.h) ---- */

#define GP_CHRONICLE_KINDS 32
#define GP_CHRONICLE_KEPT  256
#define GP_CHRONICLE_BYTES 472
struct gp_chronicle_row {
    uint64_t number; /* from 1 on */
    uint64_t at_ns;
    uint32_t kind;
    uint32_t worker; /* GP_ALL: the master */
    uint32_t pid;
    uint32_t length;
    uint8_t text[472];
};
/* Add an event in the name of a worker or (GP_ALL) the master; a longer text is cut. Never fails. */
GP_API void gp_chronicle_add(struct gp_segment *seg, uint32_t kind, uint32_t worker,
                             const uint8_t *text, uint32_t length);
/* The number of the last event; 0: there was none. */
GP_API uint64_t gp_chronicle_end(struct gp_segment *seg);
/* GP_ENOENT: it is not there (any more), or whoever wrote it has not come to an end. */
GP_API enum gp_result gp_chronicle_row(struct gp_segment *seg, uint64_t number,
                                       struct gp_chronicle_row *row);
/* How many events of a kind there ever were. */
GP_API uint64_t gp_chronicle_count(struct gp_segment *seg, uint32_t kind);
/* cdef:end */

#endif
