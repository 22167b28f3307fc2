/* The engine's public face: all that Python may call, and nothing else. greenpool/engine.py is
 * the one module that imports it. Between the marks stands what cffi reads.
 *
 * Three kinds of caller. The master makes the segment and the pools in it before it forks, and
 * reclaims what a dead worker left. A worker has one gp_engine, made after the fork; every
 * gp_engine_*, gp_client_*, gp_server_* call is about its own. The observer reads rows (gp_*_row), as
 * everyone may. (All of the interface in one place: therefore longer than 600 lines.)
 *
 * Names are indices: worker 0..workers-1, pool 0..pools_max-1, slot 0..1023 within a pool, client =
 * its row in the segment + 1 (0 = none). Times are CLOCK_MONOTONIC nanoseconds unless the name has
 * another unit. No call blocks, none calls back into Python, none raises: results are enum
 * gp_result or say so. */
#ifndef GP_ENGINE_H
#define GP_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GP_API       __attribute__((visibility("default")))
#define GP_NODISCARD __attribute__((warn_unused_result))

/* cdef:begin */
#define GP_ABI_VERSION        10
#define GP_PINS               8                  /* reasons that keep a client on its server */
#define GP_NOTE_UNREAD        0xffffffffffffffff /* no version of a note */
#define GP_TLS_SECRET_BYTES   32
#define GP_SALT_BYTES         256 /* of a SCRAM secret, at most; PostgreSQL makes 16 */
#define GP_BINDING_BYTES      64  /* of a certificate's hash, at most */
#define GP_FAULT_BYTES        192
#define GP_LOGIN_RANDOM_BYTES 18         /* that a login needs: for its nonce or its salt */
#define GP_LOGIN_OUT_BYTES    2048       /* of answers to one read, at most */
#define GP_TIME_BUCKETS       400        /* of a histogram of times */
#define GP_ALL                0xffffffff /* in place of a pool or a worker: all of them */

struct gp_segment;
struct gp_engine;
struct gp_plan;
struct gp_login;
struct gp_tls_context;
struct gp_tls;

enum gp_result {
    GP_OK = 0,
    GP_NEED_MORE, /* not enough bytes yet */
    GP_AGAIN,     /* not now; try later */
    GP_EOF,       /* the peer has hung up */
    GP_EPROTO,    /* the bytes break the protocol */
    GP_EIO,       /* a system call failed; errno tells */
    GP_EFULL,     /* a bound is reached */
    GP_ENOENT     /* no such thing (any more) */
};

/* What becomes of session state when a server changes hands: follows the client, is undone, is
 * left. */
enum gp_session_state { GP_SESSION_OFF = 0, GP_SESSION_RESET, GP_SESSION_TRACK };

/* What the administrator has said of a pool: bits. */
enum gp_hold {
    GP_HOLD_PAUSED = 1,  /* its servers are closed, no other is opened, clients wait */
    GP_HOLD_DISABLED = 2 /* no other client is let in */
};

enum gp_pool_mode { GP_MODE_TRANSACTION = 0, GP_MODE_SESSION, GP_MODE_STATEMENT };

enum gp_client_state {
    GP_CLIENT_FREE = 0,
    GP_CLIENT_LOGIN,   /* proves who it is: here, or in Python's hands */
    GP_CLIENT_IDLE,    /* no server, nothing asked */
    GP_CLIENT_WAITING, /* asked, no server yet */
    GP_CLIENT_ACTIVE,  /* linked to a server */
    GP_CLIENT_CLOSING, /* its last words are on the way out */
    GP_CLIENT_GONE,    /* handed back to Python by GP_EVENT_GOODBYE */
    GP_CLIENT_STATES
};

/* A server connection in the segment; pool.h tells who moves it from one to the next. */
enum gp_slot_state {
    GP_SLOT_FREE = 0,
    GP_SLOT_CONNECTING,
    GP_SLOT_IDLE,
    GP_SLOT_ACTIVE,
    GP_SLOT_HANDOFF,
    GP_SLOT_PARKED,
    GP_SLOT_CLOSING,
    GP_SLOT_REAP,
    GP_SLOT_STATES
};

/* What an engine waits for its sockets with. */
enum gp_io_backend { GP_IO_EPOLL = 0, GP_IO_URING, GP_IO_BACKENDS };

/* What workers tell each other about a pool: notes.h. */
enum gp_note_kind {
    GP_NOTE_WELCOME = 0, /* what fresh servers report; at most 4096 bytes */
    GP_NOTE_KEYS,        /* what logs in at PostgreSQL, as a client proved it; at most 112 bytes */
    GP_NOTE_SUSPECTS,    /* the engine's own: suspects.h; at most 8192 bytes */
    GP_NOTE_OUTAGE,      /* the engine's own: outage.h; 272 bytes */
    GP_NOTES
};

/* What peers make greenpool hold, by what it is kept as: memory.h. */
enum gp_memory_kind {
    GP_MEMORY_BUFFERS =
        0, /* unsent, incomplete or waiting bytes; small buffers kept for use again */
    GP_MEMORY_STATEMENTS, /* texts of prepared statements, and what clients call them */
    GP_MEMORY_STATES,     /* parameter states that sessions have come to */
    GP_MEMORY_KINDS
};

/* Times that are kept in histograms: histogram.h. */
enum gp_time_kind { GP_TIME_QUERY = 0, GP_TIME_TRANSACTION, GP_TIME_WAIT, GP_TIMES };

/* Why a client does not wait for a server to come back before one more is opened: growth.h. */
enum gp_haste { GP_HASTE_COLD = 0, GP_HASTE_CROWD, GP_HASTE_LASTING, GP_HASTE_SLOW, GP_HASTES };
/* What a failed login says about others: outage.h. */
enum gp_ailment {
    GP_AILS_NOTHING = 0,
    GP_AILS_POOL,  /* PostgreSQL refused it */
    GP_AILS_SERVER /* PostgreSQL cannot be reached, starts or stops */
};

/* What a step asks of Python. */
enum gp_event_kind {
    GP_EVENT_OPEN = 1, /* pool, slot: CONNECTING(this worker); log in, then gp_server_opened or
                          gp_server_failed */
    GP_EVENT_RETIRE,   /* pool, slot: CLOSING(this worker); say Terminate, wait for EOF, then
                          gp_server_freed. detail: enum gp_reason. The descriptor: gp_server_surrender
                        */
    GP_EVENT_CANCEL,   /* pool, slot: its client has vanished in a query; send a CancelRequest, then
                          gp_server_canceled */
    GP_EVENT_GOODBYE,  /* client, detail: enum gp_reason: log, gp_client_forget, close what that
                          gives */
    GP_EVENT_GUEST,    /* a client has come whose like is not known: gp_guest_take */
    GP_EVENT_DRAINED,  /* gp_engine_drain, or gp_engine_hand_over, is complete: no client is left */
    GP_EVENT_ARRIVED,  /* client, pool: another worker has moved it here, and the relay serves it
                         already */
    GP_EVENT_PROVED,   /* client, detail: the tag of its plan, which is open: has proved who it is;
                         gp_client_welcome or gp_client_dismiss must follow */
    GP_EVENT_SERVED,   /* client: has been let in, and its plan says to tell */
    GP_EVENT_SUSPECTS, /* pool: its list of suspects is void; ask for another */
    GP_EVENT_OVERDUE   /* pool, slot: its query has run for query_timeout; send a CancelRequest,
                          then gp_cancel_done with the generation in detail */
};

/* Why a connection ended: for logs and counters. gp_reason_text gives the words. */
enum gp_reason {
    GP_REASON_NONE = 0,
    GP_REASON_CLIENT_TERMINATE, /* Terminate message */
    GP_REASON_CLIENT_EOF,       /* closed without Terminate */
    GP_REASON_CLIENT_IO,        /* reset, broken pipe */
    GP_REASON_CLIENT_PROTOCOL,  /* broke the protocol */
    GP_REASON_SERVER_EOF,       /* PostgreSQL closed it */
    GP_REASON_SERVER_IO,
    GP_REASON_SERVER_PROTOCOL,
    GP_REASON_SERVER_FATAL,     /* PostgreSQL said FATAL */
    GP_REASON_WAIT_TIMEOUT,     /* query_wait_timeout */
    GP_REASON_CLIENT_IDLE,      /* client_idle_timeout */
    GP_REASON_IDLE_TRANSACTION, /* idle_transaction_timeout */
    GP_REASON_SHUTDOWN,         /* the administrator stops greenpool */
    GP_REASON_KILLED,           /* told to close by gp_client_kill */
    GP_REASON_LOGIN_FAILED,     /* no server could be logged in */
    GP_REASON_MODE,             /* transaction in statement mode */
    GP_REASON_UNCLEAN,          /* its client vanished and the server could not be made clean */
    GP_REASON_IDLE_TIMEOUT,     /* idle_timeout of a server */
    GP_REASON_LIFETIME,         /* server_lifetime */
    GP_REASON_STALE,            /* pool removed, resized, or its servers are to be replaced */
    GP_REASON_REAPED,           /* its worker died */
    GP_REASON_CANCEL_STUCK,     /* a cancel was not delivered in time */
    GP_REASON_MEMORY,
    GP_REASON_YIELDED,    /* its place goes to another worker, whose clients cannot use its TLS */
    GP_REASON_REFUSED,    /* not let in: gp_client_fault tells why, where the engine has said it */
    GP_REASON_LOGIN_LEFT, /* gone before it was let in */
    GP_REASON_TRANSACTION_TIMEOUT, /* transaction_timeout */
    GP_REASON_QUERY_TIMEOUT,       /* query_timeout, and the cancel was of no use */
    GP_REASON_COPY_TIMEOUT,        /* proxy_copy_data_timeout */
    GP_REASON_DATABASE_LIMIT,      /* max_db_connections: its place is another pool's, or no more */
    GP_REASON_WRITE_TIMEOUT,       /* client_write_timeout */
    GP_REASONS
};

/* Why a client was not let in. */
enum gp_refusal {
    GP_REFUSED_OTHER = 0,
    GP_REFUSED_IDENTITY, /* unknown, a wrong password, no rule for it */
    GP_REFUSED_LIMIT,    /* too many clients */
    GP_REFUSED_TLS,      /* the handshake failed */
    GP_REFUSED_TIMEOUT,  /* client_login_timeout */
    GP_REFUSED_ADDRESS,  /* its address has too many clients, or tries too often */
    GP_REFUSALS
};

/* What came of a connection: of those who are here now, nothing but that they came. */
enum gp_visit {
    GP_VISIT_ANY = 0, /* all of them */
    GP_VISIT_IN_VAIN, /* gone or refused before its login began */
    GP_VISIT_TLS,     /* began to log in, with TLS, ... */
    GP_VISIT_PLAIN,   /* ... without */
    GP_VISIT_CANCEL,  /* a CancelRequest */
    GP_VISITS
};

struct gp_event {
    uint32_t kind;
    uint32_t client;
    uint32_t pool;
    uint32_t slot;
    uint64_t detail;
};

/* ---- settings of a pool: copied into the segment ---- */
struct gp_pool_settings {
    uint32_t mode; /* enum gp_pool_mode */
    uint32_t size; /* pool_size, 1..1024 */
    uint32_t min_size;
    uint32_t max_creates; /* scaling_max_parallel_creates, 1..64 */
    uint32_t wait_timeout_ms;
    uint32_t idle_timeout_ms;
    uint32_t idle_transaction_timeout_ms;
    uint32_t client_idle_timeout_ms;
    uint32_t session_state;  /* enum gp_session_state */
    uint32_t deferred_begin; /* 1: a server is taken with the statement after BEGIN */
    uint32_t statements_max; /* prepared on a server, at most 8192; 0: statements pass untouched */
    uint32_t wait_notify_ms;
    uint32_t transaction_timeout_ms;
    uint32_t query_timeout_ms;
    uint32_t copy_timeout_ms;        /* proxy_copy_data_timeout */
    uint32_t cancel_wait_timeout_ms; /* no 0 */
    uint32_t round_robin;            /* server_round_robin: 1 = idle servers are used in turn */
    uint32_t idle_check_ms;          /* server_idle_check_timeout; 0: never */
    uint32_t connect_timeout_ms;     /* within which such a check must be answered; no 0 */
    uint32_t client_write_timeout_ms;
    uint32_t warm_ratio;     /* scaling_warm_pool_ratio, 0..100 */
    uint32_t fast_retries;   /* scaling_fast_retries */
    uint64_t server_tag;     /* hash of its server's address: outage.h */
    uint32_t retain_time_ms; /* in each such time at most ... */
    uint32_t retain_max;     /* ... so many idle servers are closed; 0 and 0: no limit */
    uint32_t database_place; /* of gp_database_define, + 1; 0: no limit but its own size */
    uint32_t reserve_size;   /* of the database's reserve, at most so many are this pool's */
};

/* What all pools of one database share. */
struct gp_database_settings {
    uint32_t max;     /* max_db_connections, at most 8192; 0: no limit, and no reserve */
    uint32_t reserve; /* reserve_pool_size, at most 8192 */
    uint32_t reserve_timeout_ms;
    uint32_t guarantee;       /* min_guaranteed_pool_size */
    uint32_t min_lifetime_ms; /* min_connection_lifetime */
};

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

/* ---- rows: copies of what is in the segment, for SHOW and metrics ---- */
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
    uint64_t login_ns; /* what a login takes lately; 0: not known yet */
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

/* Result of comparing all places of the segment with each other: what a sound segment has none of.
 */
struct gp_audit {
    uint32_t dead_owners;    /* places named after a worker that is not alive */
    uint32_t bad_idle_bits;  /* IDLE slots that are in no idle set */
    uint32_t lost_creates;   /* login places whose slot is not CONNECTING */
    uint32_t over_limit;     /* slots in use at or above pool_size */
    uint32_t orphan_clients; /* client rows without owner or owners without row */
    uint32_t slots_in_use, slots_idle, slots_active, clients;
    uint32_t places;      /* of databases, that are taken, and ... */
    uint32_t lost_places; /* ... by nobody that knows of it */
};

GP_API int32_t gp_abi_version(void);
GP_API uint64_t gp_now_ns(void);
GP_API const char *gp_reason_text(uint32_t reason);
GP_API const char *gp_result_text(uint32_t result);

/* ---- master, before the fork ---- */

/* Make a segment in memory with a descriptor, map it, and make every place's eventfd and inbox
 * (numbers stay valid in all children). workers: places for them, at most 64. NULL: errno. clients_max counts the rows kept for the admin too. Sparse: costs memory only where
 * it is used. */
GP_API struct gp_segment *gp_segment_create(uint32_t workers, uint32_t pools_max,
                                            uint32_t clients_max);
/* Map the segment that another program made; its descriptors have been inherited at the same
 * numbers. *fresh: that program lays out otherwise what is not common, so this one has made a part of
 * its own (and closed fd), in which no pool has settings: all of them are to be defined. NULL: errno;
 * EPROTO: the common part has another version, which is in *version. */
GP_API struct gp_segment *gp_segment_attach(int32_t fd, int32_t common_fd, uint32_t *version,
                                            bool *fresh);
struct gp_segment_size {
    uint32_t workers, pools_max, clients_max;
};
GP_API void gp_segment_size(struct gp_segment *seg, struct gp_segment_size *size);
#define GP_SEGMENT_FDS_MAX 194
/* The descriptors that whoever attaches must inherit, both arguments of that first. Gives their
 * number. */
GP_API uint32_t gp_segment_fds(struct gp_segment *seg, int32_t *fds);
/* Unmap and close the descriptors (in a child: its own copies only). */
GP_API void gp_segment_destroy(struct gp_segment *seg);
/* max_connections and max_concurrent_creates (1..64; 0 = 64). */
GP_API void gp_segment_limits(struct gp_segment *seg, uint32_t clients_limit, uint32_t max_creates);
/* max_memory_usage, in bytes; 0: none. */
GP_API void gp_segment_bound_memory(struct gp_segment *seg, uint64_t limit);

/* Find or make the pool of (database, user) and apply settings; also at reload, from the master.
 * Result in *pool. GP_EFULL: pools_max.
 * GP_EPROTO: a name of 64 bytes or more, or a setting out of its bounds; nothing is changed. */
GP_API enum gp_result gp_pool_define(struct gp_segment *seg, const char *database, const char *user,
                                     const struct gp_pool_settings *settings, uint32_t *pool);
/* Find or make the database of this name and apply its settings, before its pools are defined and at
 * each reload. Result in *database. Its entry goes with the last of its pools. GP_EFULL: pools_max.
 * GP_EPROTO: a name of 64 bytes or more or of none, or a setting out of its bounds; nothing is
 * changed. */
GP_API enum gp_result gp_database_define(struct gp_segment *seg, const char *name,
                                         const struct gp_database_settings *settings,
                                         uint32_t *database);
/* Take a pool out of use: nothing new is opened, idle servers are retired by the workers' sweeps.
 */
GP_API enum gp_result gp_pool_remove(struct gp_segment *seg, uint32_t pool);
/* Give the place of a removed pool to whichever is defined next: only when no worker will name it
 * any more. What it has counted is the heir's from now on. GP_AGAIN: it has servers still.
 * GP_ENOENT: it is in use, or there is no such heir. */
GP_API enum gp_result gp_pool_vacate(struct gp_segment *seg, uint32_t pool, uint32_t heir);
/* Have all servers of the pool replaced as they become idle. */
GP_API void gp_pool_renew(struct gp_segment *seg, uint32_t pool);
GP_API uint32_t gp_pools_high(struct gp_segment *seg); /* pools ever defined */
GP_API uint32_t gp_databases_high(struct gp_segment *seg);
/* GP_ENOENT: there has been none. One without pools is nobody's. */
GP_API enum gp_result gp_database_row(struct gp_segment *seg, uint32_t database,
                                      struct gp_database_row *row);
GP_API uint32_t gp_clients_max(struct gp_segment *seg);

/* Whether clients that others accept may be passed to a worker. The master lets all workers of a
 * generation have some before the first of them listens; a worker itself says when it wants no more,
 * and reclaiming it says so, too. */
GP_API void gp_segment_accept(struct gp_segment *seg, uint32_t worker, bool accept);

/* ---- master, after a worker's death ---- */

/* Undo all that the dead worker left (header of pool.h): its clients' rows, login places, tickets;
 * idle slots go to a survivor; slots in use become REAP(survivor), or REAP(worker) for its
 * successor if nobody else holds the descriptor. Call after waitpid, before the place is given to a
 * new process. */
GP_API void gp_segment_reclaim(struct gp_segment *seg, uint32_t worker);
GP_API void gp_segment_audit(struct gp_segment *seg, struct gp_audit *audit);

/* ---- anyone: what the administrator wants (controls.c); every worker obeys within 100 ms ---- */

/* Set, clear and read bits of enum gp_hold. A pool whose whole database, or every other pool, is held
 * when it is defined is held likewise; one that is removed is not any more. */
GP_API void gp_pool_hold(struct gp_segment *seg, uint32_t pool, uint32_t bits);
GP_API void gp_pool_unhold(struct gp_segment *seg, uint32_t pool, uint32_t bits);
GP_API uint32_t gp_pool_held(struct gp_segment *seg, uint32_t pool);
/* Have all servers of the pool replaced as they become idle; what was learned from them stays. */
GP_API void gp_pool_reconnect(struct gp_segment *seg, uint32_t pool);
/* Pause it, and drop its clients and servers at once. */
GP_API void gp_pool_kill(struct gp_segment *seg, uint32_t pool);
/* Have all workers read nothing more from clients that are let in, nor from servers; false: go on. */
GP_API void gp_segment_suspend(struct gp_segment *seg, bool suspended);
GP_API bool gp_segment_suspended(struct gp_segment *seg);
/* Drop a client that a pool serves, and its server, if it is the one that connected then. */
GP_API void gp_client_doom(struct gp_segment *seg, uint32_t client, uint64_t connected_ns);

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

/* ---- worker: guests: clients from accept to their startup packet; guests.h ---- */

struct gp_guest_settings {
    uint32_t guests_max;          /* more of them are Python's at once */
    uint32_t address_guests_max;  /* of one address; 0: no limit */
    uint32_t address_clients_max; /* more clients of one address are not let in; 0: no limit */
    uint32_t timeout_ms;          /* after so long they are Python's; 0: never */
    bool welcome;                 /* false: all are, before they say anything */
    bool knows;                   /* those whose like is known are let in without Python */
    bool offers_tls;              /* who asks for TLS on TCP is not refused */
    struct gp_tls_context *tls;   /* what they get; NULL: they are Python's */
};
GP_API void gp_engine_guests(struct gp_engine *engine, const struct gp_guest_settings *settings);
GP_API uint32_t gp_guests_here(struct gp_engine *engine);

/* What a guest was refused. */
enum gp_encryption { GP_ENCRYPTION_SSL = 1, GP_ENCRYPTION_GSS = 2 };

struct gp_guest_info {
    int32_t fd; /* Python's from here */
    int32_t family;
    char host[48]; /* empty: a UNIX socket */
    uint32_t port;
    uint32_t refused; /* enum gp_encryption, bits */
    uint32_t spent_ms;
    uint32_t neighbours; /* guests of its address that are left, where that is limited */
    uint32_t said_length;
    const uint8_t *said; /* and not answered; until the next call */
    struct gp_tls *tls;  /* its session, the caller's from here, shaking hands or done; or NULL */
    bool direct;         /* which began without a request: so it must have ALPN */
};
/* Take the oldest guest that is Python's; any: or one of the others. False: there is none. */
GP_API bool gp_guest_take(struct gp_engine *engine, bool any, struct gp_guest_info *info);

/* ---- worker: clients ---- */

/* Claim a row (max_connections; reserve: the admin may use the rows kept back). 0: full. */
GP_API uint32_t gp_client_enter(struct gp_engine *engine, bool reserve, const char *address);
/* Count its row as one of this address (bytes of any length) until it is given back. False: more
 * than `limit` rows (0: no limit), this one included, are of that address over all workers; give it
 * back. */
GP_API GP_NODISCARD bool gp_client_from(struct gp_segment *seg, uint32_t client,
                                        const uint8_t *address, uint32_t length, uint32_t limit);
/* The cancel key to announce in BackendKeyData: key_length bytes (4 for protocol 3.0, up to 32),
 * made here. The process id to announce is the client's number. */
GP_API enum gp_result gp_client_key(struct gp_engine *engine, uint32_t client, uint32_t key_length,
                                    uint8_t *key);
/* Names for SHOW CLIENTS; any may be NULL. */
GP_API void gp_client_names(struct gp_engine *engine, uint32_t client, const char *user,
                            const char *database, const char *application);
/* What it speaks after the handshake, for SHOW CLIENTS. */
GP_API void gp_client_encrypted(struct gp_engine *engine, uint32_t client, struct gp_tls *tls);
/* May this address (bytes of any length) try to log in? At most `rate` times a second, over all
 * workers; 0: always. Each call that says yes counts. */
GP_API GP_NODISCARD bool gp_login_allowed(struct gp_segment *seg, const uint8_t *address,
                                          uint32_t length, uint32_t rate);
/* How a client proves who it is. */
enum gp_login_method {
    GP_LOGIN_TRUST = 0, /* it need not, or has done so already: AuthenticationOk follows at once */
    GP_LOGIN_MD5,
    GP_LOGIN_SCRAM,
    GP_LOGIN_NONE /* a client of our own: nothing is said to it */
};

/* What verifies SCRAM. doomed: nothing fits, for there is no such user or no such secret. */
struct gp_scram_secret {
    uint32_t iterations, salt_length;
    bool doomed;
    uint8_t salt[GP_SALT_BYTES];
    uint8_t stored_key[32], server_key[32];
};

/* What a client is let in to. state_sql/state_hash: what makes a server fit this client's startup
 * parameters, run (unseen) when a server's last state differs; hash 0 and an empty text: the pool's
 * own defaults. look_sql: the question what a session that began so has become. statuses: the
 * ParameterStatus messages of its welcome. Limits: how many clients may be in under its user, its
 * user in its database, its database, itself included; 0: no limit. */
struct gp_terms {
    uint32_t pool;
    uint32_t key_length; /* of its cancel key: 4 for protocol 3.0, up to 32 */
    uint32_t user_limit, both_limit, database_limit;
    uint32_t state_length, look_length, statuses_length;
    uint64_t state_hash;
    const uint8_t *state_sql, *look_sql, *statuses;
};

struct gp_plan_settings {
    uint32_t method;                              /* enum gp_login_method */
    uint32_t timeout_ms;                          /* to prove it, and to be let in; 0: none */
    bool open;                                    /* the terms are not known yet: GP_EVENT_PROVED */
    bool tells;                                   /* GP_EVENT_SERVED, when it is let in */
    char user[64], database[64], application[64]; /* as SHOW CLIENTS shows them */
    char md5[36];                                 /* MD5: "md5" and 32 hexadecimal digits */
    struct gp_scram_secret scram;
    uint32_t binding_length;           /* 0: there is nothing to bind SCRAM to */
    uint8_t binding[GP_BINDING_BYTES]; /* the hash of our certificate: tls-server-end-point */
    uint64_t tag;                      /* Python's own name for it, not 0 */
    uint32_t greeting_length;
    const uint8_t *greeting; /* what precedes all else: NegotiateProtocolVersion */
    struct gp_terms terms;
};

/* Texts and secrets are copied. A plan may be freed while logins follow it. NULL: no memory. */
GP_API struct gp_plan *gp_plan_new(const struct gp_plan_settings *settings);
GP_API void gp_plan_free(struct gp_plan *plan);

/* Have clients that show this follow the plan from now on; plans.h tells what `who` is. as_of: the
 * version of the note GP_NOTE_WELCOME that its terms were made from; it is forgotten when that
 * changes. GP_EFULL: no memory. */
GP_API enum gp_result gp_plan_know(struct gp_engine *engine, const uint8_t *who,
                                   uint32_t who_length, const uint8_t *packet,
                                   uint32_t packet_length, struct gp_plan *plan, uint64_t as_of);
/* The tag of the plan that such a client would follow; 0: none is known. */
GP_API uint64_t gp_plan_tag(struct gp_engine *engine, const uint8_t *who, uint32_t who_length,
                            const uint8_t *packet, uint32_t packet_length);
/* Forget the plans with terms of this pool; GP_ALL: all plans there are. */
GP_API void gp_plans_forget(struct gp_engine *engine, uint32_t pool);

/* Let a client in as the plan says: it proves who it is, is welcomed and served until
 * GP_EVENT_GOODBYE, or refused as PostgreSQL refuses it, with GP_REASON_REFUSED in that event. early:
 * bytes already read from it. The descriptor is the engine's until gp_client_forget. tls: its session
 * after the handshake, read empty and with nothing left to take; the engine's to free from here,
 * whatever comes of it. NULL: plain. spent_ms: of the plan's timeout. GP_OK, also when the client is
 * refused at once; GP_EFULL: no memory, GP_EIO: errno, and the descriptor is Python's again. */
GP_API enum gp_result gp_client_login(struct gp_engine *engine, uint32_t client,
                                      struct gp_plan *plan, int32_t fd, struct gp_tls *tls,
                                      uint32_t spent_ms, const uint8_t *early,
                                      uint32_t early_length);
/* After GP_EVENT_PROVED: let it in on the terms of this plan. GP_ENOENT: it has gone meanwhile. */
GP_API enum gp_result gp_client_welcome(struct gp_engine *engine, uint32_t client,
                                        struct gp_plan *plan);
/* ... or end it, with these last words. */
GP_API enum gp_result gp_client_dismiss(struct gp_engine *engine, uint32_t client,
                                        const uint8_t *words, uint32_t length);
/* The ClientKey (32 bytes) that it has proved to have, between GP_EVENT_PROVED and the answer to it.
 * False: there is none. */
GP_API bool gp_client_proof(struct gp_engine *engine, uint32_t client, uint8_t *client_key);
/* Why a client is refused. */
struct gp_fault {
    char sqlstate[6];
    char message[GP_FAULT_BYTES];
    char detail[GP_FAULT_BYTES]; /* empty: none */
};
/* What it was told. After the goodbye, before gp_client_forget. False: nothing of the engine's. */
GP_API bool gp_client_fault(struct gp_engine *engine, uint32_t client, struct gp_fault *fault);
/* Count a client that Python does not let in; enum gp_refusal. Those that the engine refuses it
 * counts itself. */
GP_API void gp_login_refused(struct gp_engine *engine, uint32_t refusal);
/* Count what came of a connection that Python took; enum gp_visit. Those that log in the engine
 * counts itself. */
GP_API void gp_visit_count(struct gp_engine *engine, uint32_t visit);
/* Close it with this FATAL error (at once when linked: its server is cleaned up). */
GP_API enum gp_result gp_client_kill(struct gp_engine *engine, uint32_t client, uint32_t reason,
                                     const char *sqlstate, const char *message);
/* Give back the row: after the goodbye, or when the login failed. Gives the descriptor, Python's from
 * here; -1: the engine never had one. */
GP_API int32_t gp_client_forget(struct gp_engine *engine, uint32_t client);
/* The next client of this worker after that one (0: the first of all), whatever its state, until it is
 * forgotten. 0: there is none. */
GP_API uint32_t gp_client_here(struct gp_engine *engine, uint32_t after);
/* How many there are. */
GP_API uint32_t gp_clients_here(struct gp_engine *engine);
/* Whether greenpool itself is this client. */
GP_API bool gp_client_is_own(struct gp_engine *engine, uint32_t client);

/* ---- logins, while Python has the socket ---- */

/* The exchange that a plan asks for, without the rest of it. random: GP_LOGIN_RANDOM_BYTES. NULL: no
 * memory. */
GP_API struct gp_login *gp_login_new(struct gp_plan *plan, const uint8_t *random);
GP_API void gp_login_free(struct gp_login *login);
/* Both write at most GP_LOGIN_OUT_BYTES of answers. GP_OK: proved; AuthenticationOk is among them.
 * GP_AGAIN: feed more. GP_EPROTO: refused, gp_login_fault tells why. Bytes behind the message that
 * ends it are not taken. */
GP_API enum gp_result gp_login_start(struct gp_login *login, uint8_t *answers, uint32_t *length);
GP_API enum gp_result gp_login_feed(struct gp_login *login, const uint8_t *data,
                                    uint32_t data_length, uint32_t *taken, uint8_t *answers,
                                    uint32_t *length);
/* As gp_client_proof. */
GP_API bool gp_login_key(const struct gp_login *login, uint8_t *client_key);
GP_API void gp_login_fault(const struct gp_login *login, struct gp_fault *fault);

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

/* ---- worker: notes ---- */

/* Publish what this worker has learned, for all. GP_EFULL: too long. GP_AGAIN: another is writing,
 * or the note was wiped meanwhile. GP_ENOENT: no such pool in use. Only GP_OK changes anything. */
GP_API enum gp_result gp_note_write(struct gp_segment *seg, uint32_t pool, uint32_t kind,
                                    uint32_t worker, const uint8_t *data, uint32_t length);
/* Read a whole note; capacity must be that of its kind. Gives its length, 0 when it is empty; and
 * its version, GP_NOTE_UNREAD if there is none or it is being wiped. */
GP_API uint32_t gp_note_read(struct gp_segment *seg, uint32_t pool, uint32_t kind, uint8_t *data,
                             uint32_t capacity, uint64_t *version);
/* Grows with each change: who remembers it need not read again. */
GP_API uint64_t gp_note_version(struct gp_segment *seg, uint32_t pool, uint32_t kind);

/* ---- TLS: contexts; tls.h tells the rest ---- */

/* For many sessions, in several threads; TLS 1.2 or newer, protocol `postgresql` in ALPN. NULL: no
 * memory. What is refused below (GP_EPROTO) is told by gp_tls_context_why; the context is of no use
 * then. All of it is set before the first session. */
GP_API struct gp_tls_context *gp_tls_context_new(bool server);
/* Sessions that are there keep it. */
GP_API void gp_tls_context_free(struct gp_tls_context *context);
GP_API const char *gp_tls_context_why(const struct gp_tls_context *context);
/* What this side shows, the certificate first (with its chain behind it), then the key. */
GP_API enum gp_result gp_tls_context_certificate(struct gp_tls_context *context, const uint8_t *pem,
                                                 uint32_t length);
GP_API enum gp_result gp_tls_context_key(struct gp_tls_context *context, const uint8_t *pem,
                                         uint32_t length);
/* Whom the other side's certificate must come from: a server's is verified from here on, a client's
 * is asked for and verified if it has one. Revocation lists may stand among the certificates. */
GP_API enum gp_result gp_tls_context_authorities(struct gp_tls_context *context, const uint8_t *pem,
                                                 uint32_t length);
/* least_minor: 2 or 3, of TLS 1. Ciphers of 1.2 and suites of 1.3 as OpenSSL lists them; NULL:
 * leave them. */
GP_API enum gp_result gp_tls_context_versions(struct gp_tls_context *context, uint32_t least_minor,
                                              const char *ciphers, const char *suites);
/* Let clients resume sessions in every process that has the same secret. */
GP_API void gp_tls_context_tickets(struct gp_tls_context *context, const uint8_t *secret);
struct gp_tls_own {
    int64_t not_before_s, not_after_s; /* of the calendar */
    uint32_t key_bits;
    bool key_is_rsa;
};
/* The certificate that this side shows; false: it has none. */
GP_API bool gp_tls_context_own(struct gp_tls_context *context, struct gp_tls_own *own);

/* Take the turn of one more handshake, per_second (not 0) of them over all workers. Gives the ns to
 * wait for it; more than patience_ns: no turn was taken. */
GP_API uint64_t gp_handshake_turn(struct gp_segment *seg, uint32_t per_second,
                                  uint64_t patience_ns);

/* ---- TLS: sessions, while Python has the socket ---- */

/* host: whom a client expects, a name or an address; check_host: its certificate must say so. NULL:
 * no memory, or no such host. */
GP_API struct gp_tls *gp_tls_new(struct gp_tls_context *context, const char *host, bool check_host);
GP_API void gp_tls_free(struct gp_tls *tls);
/* Words for the last GP_EPROTO. */
GP_API const char *gp_tls_why(const struct gp_tls *tls);
/* Ciphertext: what came, and what is to be sent (0: nothing). Look for the latter after every call
 * below. GP_EFULL: no memory. */
GP_API enum gp_result gp_tls_feed(struct gp_tls *tls, const uint8_t *data, uint32_t length);
GP_API uint32_t gp_tls_take(struct gp_tls *tls, uint8_t *data, uint32_t capacity);
/* GP_OK: done. GP_AGAIN: feed more. GP_EPROTO: it has failed. May take a millisecond of CPU; runs in
 * any thread, nothing else touching the session meanwhile. */
GP_API enum gp_result gp_tls_handshake(struct gp_tls *tls);
/* Plaintext. GP_AGAIN: feed more. GP_EOF: the peer has ended it. GP_EPROTO. */
GP_API enum gp_result gp_tls_read(struct gp_tls *tls, uint8_t *data, uint32_t capacity,
                                  uint32_t *length);
GP_API enum gp_result gp_tls_write(struct gp_tls *tls, const uint8_t *data, uint32_t length);
/* Say that no more follows (close_notify). */
GP_API void gp_tls_end(struct gp_tls *tls);
struct gp_tls_facts {
    char version[16], cipher[48]; /* TLSv1.3, TLS_AES_256_GCM_SHA384 */
    bool has_alpn, resumed, has_peer;
    uint32_t binding_length; /* of tls-server-end-point; 0: the certificate has none */
    uint8_t binding[64];
    /* the peer's certificate: its common name, RFC 2253 names, decimal serial number */
    char peer_name[256], peer_subject[1024], peer_issuer[1024], peer_serial[64];
};
/* After the handshake. GP_EPROTO: the peer's names cannot be told apart from others. */
GP_API enum gp_result gp_tls_describe(struct gp_tls *tls, struct gp_tls_facts *facts);

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
/* How many servers of a pool hold a statement, over all workers. */
GP_API uint32_t gp_statement_holders(struct gp_segment *seg, uint32_t pool, uint64_t high,
                                     uint64_t low);
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
