/* The segment as its masters see it: made before the fork, filled with databases and pools, put right
 * after a worker's death; and what anyone may write to it: the administrator's wishes, notes.
 * Part of engine.h; layout.h tells what lies where. Partner: greenpool/segment.py. */
#ifndef GP_ENGINE_SEGMENT_H
#define GP_ENGINE_SEGMENT_H

#include "engine_names.h"

/* cdef:begin */
#define GP_NOTE_UNREAD 0xffffffffffffffff /* no version of a note */

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
    uint32_t log_parameters; /* 1: GP_EVENT_CHANGED tells of settings that its clients change */
};

/* What all pools of one database share. */
struct gp_database_settings {
    uint32_t max;     /* max_db_connections, at most 8192; 0: no limit, and no reserve */
    uint32_t reserve; /* reserve_pool_size, at most 8192 */
    uint32_t reserve_timeout_ms;
    uint32_t guarantee;       /* min_guaranteed_pool_size */
    uint32_t min_lifetime_ms; /* min_connection_lifetime */
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

/* ---- master, before the fork ---- */

/* Make a segment in memory with a descriptor, map it, and make every place's eventfd and inbox
 * (numbers stay valid in all children). workers: places for them, at most 64. clients_max counts the
 * rows kept for the admin too. Sparse: costs memory only where it is used. NULL: errno. */
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
/* cdef:end */

#endif
