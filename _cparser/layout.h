/* What lies where in the segment of shared memory: its two parts, their structs, and the way to each
 * place. pool.h tells what is done with it; mapping.c makes it.
 *
 * The segment has two parts, each with a memory of its own, mapped one behind the other. Workers of
 * one layout share both. Those of a version with another GP_LAYOUT_VERSION, which an upgrade brings
 * together with them, share the *common* part alone: everything by which servers, clients and limits
 * are shared is there, so nothing of that knows how many versions are at work. Each layout has an
 * *own* part beside it: settings, what was counted and measured, how busy workers are. Every part
 * starts on a 64-byte boundary; strides are fixed at creation.
 *
 *   the own part                               the common part
 *   +--------------------+ 0                   +--------------------+ common_off, a page
 *   | gp_segment         |  magic, offsets     | gp_common          |  magic, sizes, who lives,
 *   |                    |                     |                    |  places of logins in flight
 *   +--------------------+ workers_off         +--------------------+ common_workers_off
 *   | gp_worker   x W    |  load               | gp_common_worker   |  per place of a worker process:
 *   |                    |                     |             x W    |  pid, wake-up, inbox, memory
 *   +--------------------+ pools_off           +--------------------+ owners_off
 *   | pool 0             |                     | u64         x C    |  who owns client row i (0 =
 *   |   gp_pool          |  settings           |                    |  free): max_connections
 *   |   gp_meter x W     |  counters           +--------------------+ clients_off
 *   |   gp_times x W     |  how long things    | gp_client_row x C  |
 *   |                    |  took (histogram.h) +--------------------+ common_pools_off
 *   | pool 1: ...        |                     | pool 0             |
 *   +--------------------+ rates_off           |   gp_common_pool   |  names, who waits, what ails
 *   | gp_rate_line x 2048|  admission.h        |   gp_lane x W      |  what each worker has in this
 *   +--------------------+ own_size            |                    |  pool: idle, handed, tickets
 *                                              |   gp_slot x S      |  the servers
 *                                              |   gp_slot_cold x S |
 *                                              |   gp_holding x S   |  what is prepared on each
 *                                              |                    |  (statements.h)
 *                                              |   gp_welcome_note  |  what its servers report
 *                                              |   gp_suspects_note |  suspects.h
 *                                              |   gp_outage_note   |  why its last login failed
 *                                              | pool 1: ...        |
 *                                              +--------------------+ databases_off
 *                                              | gp_database x P    |  what the pools of one database
 *                                              |                    |  share: database.h
 *                                              +--------------------+ servers_off
 *                                              | gp_outage x P      |  servers that pools log in to,
 *                                              |                    |  and whether that goes: outage.h
 *                                              +--------------------+ chronicle_off
 *                                              | gp_chronicle       |  what has happened to the house
 *                                              +--------------------+ keys_off, a page
 *                                              | gp_keys_note x P   |  notes.h: in no core dump
 *                                              +--------------------+ total_size
 *
 * A slot's index is also its place: a pool has at most pool_size servers because only indices below
 * that are ever claimed. Pages of holdings are touched as these grow.
 *
 * To whoever adds a field: it goes to the own part, into arrays of its own if it belongs to rows or
 * slots, and GP_LAYOUT_VERSION rises; zero must mean "as before", for so it is of those who were there
 * before an upgrade. What is common grows into its `reserve` only, which is zero where a version has
 * written that does not know of it; what the rest means, states, flags and the bytes of notes included,
 * never changes. Otherwise GP_COMMON_VERSION rises, and no upgrade leads from before to after.
 * tests/c/test_common.c knows where everything common lies.
 *
 * A slot's state word (64 bits, changed by compare-and-swap only):
 *
 *    63      60 59        52 51     48 47                 24 23                  0
 *   | state:4  | worker:8   | cancels:4 | client row + 1: 24 | generation: 24      |
 *
 * (in HANDOFF the client field has gp_common_worker.births instead: which process of that place is
 * meant) */
#ifndef GP_LAYOUT_H
#define GP_LAYOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "histogram.h"
#include "statements.h"
#include "stats.h"

#define GP_SEGMENT_MAGIC    0x67726e706f6f6c31ull /* "grnpool1" */
#define GP_COMMON_MAGIC     0x67726e706f6f6c43ull /* "grnpoolC" */
#define GP_LAYOUT_VERSION   8u
#define GP_COMMON_VERSION   1u
#define GP_WORKERS_MAX      64u
#define GP_SLOTS_MAX        1024u /* bound of pool_size; PostgreSQL itself rarely has more */
#define GP_SLOT_WORDS       (GP_SLOTS_MAX / 64u)
#define GP_TICKETS          16u /* published waiters a lane; more wait unseen until one is claimed */
#define GP_CREATES_MAX      64u
#define GP_MEMORY_WORDS     7u
#define GP_STATEMENTS_MAX   8192u /* bound of server_prepared_statements_cache_size */
#define GP_NAME_BYTES       64u   /* NAMEDATALEN: 63 bytes and a zero */
#define GP_KEY_BYTES        256u  /* the longest cancel key of protocol 3.2 */
#define GP_CLIENT_KEY_BYTES 32u
#define GP_TLS_NAME_BYTES   64u /* version/cipher */
#define GP_NO_SLOT          UINT32_MAX
#define GP_NO_CLIENT        0u /* client rows are named by index + 1, so that 0 means none */
#define GP_CLIENTS_LIMIT    ((1u << 24) - 2u)

/* A layout that differs from the true one by so many words here and there: for tests, which upgrade
 * from one to the other (scripts/build --shifted). */
#ifdef GP_LAYOUT_SHIFT
#define GP_LAYOUT  (GP_LAYOUT_VERSION + 1000u)
#define GP_SHIFTED uint64_t shifted[GP_LAYOUT_SHIFT];
#else
#define GP_LAYOUT GP_LAYOUT_VERSION
#define GP_SHIFTED
#endif

#define GP_WORD_GENERATION_BITS 24u
#define GP_WORD_CLIENT_BITS     24u
#define GP_WORD_CANCELS_BITS    4u
#define GP_WORD_WORKER_BITS     8u
#define GP_WORD_STATE_BITS      4u
_Static_assert(GP_WORD_GENERATION_BITS + GP_WORD_CLIENT_BITS + GP_WORD_CANCELS_BITS +
                       GP_WORD_WORKER_BITS + GP_WORD_STATE_BITS ==
                   64,
               "a slot's state is one word");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "lock-free atomics");

struct gp_word { /* a state word, unpacked: private memory only */
    enum gp_slot_state state;
    uint32_t worker;
    uint32_t cancels;
    uint32_t client; /* row + 1, or GP_NO_CLIENT; in HANDOFF: the worker's births */
    uint32_t generation;
};

/* A server connection. holders: bit w = worker w has the descriptor; set by w, cleared by w, at its
 * reclaim, or at FREE. The other fields are written by the CONNECTING or ACTIVE owner and travel
 * with the word: its compare-and-swaps release and acquire them. */
struct gp_slot {
    _Alignas(64) _Atomic uint64_t word; /* drawn above */
    _Atomic uint64_t holders;
    _Atomic uint64_t state_hash;    /* parameter state that the server has */
    _Atomic uint64_t idle_since_ns; /* CLOCK_MONOTONIC, like all times here */
    _Atomic uint64_t opened_ns;
    _Atomic uint64_t
        expires_ns;         /* end of its lifetime (with jitter), 0 = never; also by whoever has
                                    opened another in its place */
    _Atomic uint32_t epoch; /* the pool's when the login began; an older one makes it stale */
    uint32_t backend_pid;
    _Atomic uint64_t xacts; /* transactions served */
};
_Static_assert(sizeof(struct gp_slot) == 64, "a slot is one cache line");

/* What only cancel and SHOW read. Written by the CONNECTING owner before gp_slot_opened. */
struct gp_slot_cold {
    _Alignas(64) uint32_t key_length;
    uint8_t key[GP_KEY_BYTES];
    char address[56];
    _Atomic uint32_t place; /* in its database's row, + 1, 0 = none; by the slot's owner */
    char tls[GP_TLS_NAME_BYTES];
};

/* What worker w has in one pool; written by w, except for idle (set by w, cleared by the taker),
 * handed (set by the giver, cleared by w) and head (compare-and-swap by anyone). */
struct gp_lane {
    _Alignas(64) _Atomic uint64_t idle[GP_SLOT_WORDS]; /* hint: slots IDLE(w) */
    _Atomic uint64_t handed[GP_SLOT_WORDS];            /* hint: slots HANDOFF(w) */
    _Alignas(64) _Atomic uint32_t head;                /* tickets claimed so far */
    _Atomic uint32_t tail;                             /* tickets published so far */
    _Alignas(64) _Atomic uint64_t ticket[GP_TICKETS];  /* arrival, ns, at index n % GP_TICKETS */
    _Alignas(64) _Atomic uint32_t waiting;             /* length of w's private queue */
    _Atomic uint64_t oldest_ns;                        /* arrival of its oldest, or 0 */
    _Atomic uint64_t reserve[6];
};

/* A server, or a pool at it, whose logins fail: outage.h. By whoever logs in. */
struct gp_outage {
    _Alignas(64) _Atomic uint64_t retry_ns; /* AILING: when the next login is due */
    _Atomic uint32_t failures;              /* in a row; 0 = WELL */
    _Atomic uint32_t slow;                  /* of a server: logins at a time; 0 = as limits allow */
    _Atomic uint32_t told_by;               /* of a server: pool + 1 whose note says why, or 0 */
};

/* What worker w has counted in one pool; by w. */
struct gp_meter {
    GP_SHIFTED
    _Alignas(64) struct gp_counters counters; /* see stats.h */
};

/* frees grows, from 1, when a slot becomes FREE or pool_size changes; by whoever does that. */
struct gp_common_pool {
    _Alignas(64) _Atomic uint64_t waiters; /* bit w: lane w may have tickets; by w */
    _Atomic uint32_t size_high;            /* slots ever claimed: scans stop here; only grows */
    _Atomic uint32_t in_use;               /* 0 = this entry is unused or removed */
    _Atomic uint32_t frees;
    _Atomic uint32_t turn;   /* round_robin: behind the slot that was taken last; by who takes */
    _Atomic uint32_t epoch;  /* grows when servers must be replaced */
    _Atomic uint32_t server; /* which of servers_off it logs in to; this and its tag: the master */
    _Atomic uint64_t suspects;        /* which list of them is true: suspects.h; by any worker */
    _Atomic uint64_t suspects_due_ns; /* when it is asked for again; by who asks */
    _Atomic uint32_t sequences;       /* 1: its clients use currval (sequences.h); by any worker */
    _Atomic uint32_t database_place;  /* its database + 1; 0: none; this and the next: database.h */
    _Atomic uint32_t limited;         /* 1: max_db_connections bounds it */
    _Alignas(64) _Atomic uint32_t hold; /* enum gp_hold; this and the times: controls.c */
    _Atomic uint64_t resumed_ns, killed_ns;
    uint64_t server_tag;       /* hash of its server's address */
    _Atomic uint64_t retained; /* lifetimes.c; by who closes one */
    _Alignas(
        64) _Atomic uint32_t creates[GP_CREATES_MAX]; /* logins: 0 or worker + 1 << 16 | slot */
    struct gp_outage outage;
    char database[GP_NAME_BYTES];
    char user[GP_NAME_BYTES];
    _Atomic uint64_t reserve[32];
};

/* full_at is the value of `frees` when somebody last found no FREE slot: until that grows nobody need
 * search again (gp_pool_claim); by whoever searched. The settings are the master's, written at
 * define. */
struct gp_pool {
    _Alignas(64) _Atomic uint32_t full_at;
    _Atomic uint32_t size; /* pool_size: slots with an index below it are claimed */
    GP_SHIFTED
    _Atomic uint32_t min_size;        /* min_pool_size */
    _Atomic uint32_t max_creates;     /* scaling_max_parallel_creates, 1..GP_CREATES_MAX */
    _Atomic uint32_t mode;            /* enum gp_pool_mode */
    _Atomic uint32_t wait_timeout_ms; /* query_wait_timeout, 0 = none */
    _Atomic uint32_t idle_timeout_ms; /* idle_timeout, 0 = none */
    _Atomic uint32_t idle_transaction_timeout_ms;
    _Atomic uint32_t client_idle_timeout_ms;
    _Atomic uint32_t session_state;  /* enum gp_session_state */
    _Atomic uint32_t deferred_begin; /* 1: a server is taken with the statement after BEGIN */
    _Atomic uint32_t statements_max; /* prepared on a server; 0 = statements pass untouched */
    _Atomic uint32_t wait_notify_ms; /* queue.c; 0 = never, as in the next three: deadlines.c */
    _Atomic uint32_t transaction_timeout_ms;
    _Atomic uint32_t query_timeout_ms;
    _Atomic uint32_t copy_timeout_ms;
    _Atomic uint32_t cancel_wait_timeout_ms;
    _Atomic uint32_t round_robin;   /* 1: idle servers are taken in turn */
    _Atomic uint32_t idle_check_ms; /* servers that rested for so long are checked; 0: never */
    _Atomic uint32_t connect_timeout_ms;
    _Atomic uint32_t client_write_timeout_ms;
    _Atomic uint32_t warm_ratio, fast_retries; /* growth.h, as the next one */
    _Atomic uint64_t login_ns;                 /* what a login takes lately; by whoever logged in */
    _Atomic uint32_t reserve_size; /* of the database's reserve, so many at most are this pool's */
    _Atomic uint32_t retain_time_ms, retain_max; /* retain_connections_time and _max */
    _Atomic uint32_t log_parameters;             /* changes.h */
    struct gp_counters inherited;                /* of pools that are no more; by the master */
};

/* Who owns a row, in one word, changed by compare-and-swap only:
 *
 *    63                  16 15        8 7            0
 *   | time of the offer: 48 | offered to | owner      |   both worker + 1, or 0
 *
 * FREE (0) -> owner -> FREE            gp_client_claim, gp_client_release, gp_segment_reclaim
 * owner -> owner, offered to w         gp_client_offer    the owner
 * owner, offered to w -> w             gp_client_adopt    w
 * owner, offered to w -> owner         gp_client_withdraw the owner, or w, which declines it */

/* A client; written by its owner. key: its secret, written before the key is announced, compared
 * in constant time; key_length is 0 until then. */
struct gp_client_row {
    _Alignas(64) _Atomic uint32_t state; /* enum gp_client_state */
    _Atomic uint32_t slot;               /* linked slot + 1, 0 = none */
    _Atomic uint32_t pool;               /* pool + 1, 0 = not logged in or the admin console */
    uint32_t key_length;
    _Atomic uint64_t wait_since_ns; /* 0 = not waiting */
    _Atomic uint64_t request_ns;    /* last message from the client */
    uint64_t connected_ns;
    _Atomic uint64_t xacts;
    _Atomic uint64_t queries;
    _Atomic uint64_t doomed_ns; /* controls.c; by anyone */
    _Atomic uint32_t cancels;   /* CancelRequests for a client that no pool serves; by anyone */
    _Atomic uint32_t pins;      /* enum gp_pin of continuity.h: why it keeps its server */
    _Atomic uint32_t pumped; /* 1: its TLS session is in another process than its worker (pump.h) */
    _Atomic uint64_t user_tag, database_tag;     /* of a client that was let in: admission.h */
    _Atomic uint64_t address_tag;                /* from the claim on; 0: it is not counted */
    _Atomic uint64_t bytes_received, bytes_sent; /* from and to it, in messages of its session */
    /* what it holds, now and then: shares.h */
    _Atomic uint64_t buffer_bytes, prepared_bytes;
    _Atomic uint32_t prepared_named, prepared_unnamed;
    uint8_t key[GP_CLIENT_KEY_BYTES];
    char user[GP_NAME_BYTES];
    char database[GP_NAME_BYTES];
    char address[56];
    char application[GP_NAME_BYTES];
    char tls[GP_TLS_NAME_BYTES];
    uint64_t reserve[11];
};

/* What it holds: memory.h. By it alone, and for a dead one by gp_segment_reclaim. There are more words
 * than kinds: those that another version may know of count, too. */
struct gp_memory {
    _Alignas(64) _Atomic uint64_t bytes[GP_MEMORY_WORDS];
    _Atomic uint64_t refusals;
};
_Static_assert((unsigned)GP_MEMORY_KINDS <= GP_MEMORY_WORDS, "each kind has its word");

/* A worker's place. There are more than one generation needs: the next one lives in those that are
 * free. The descriptors are made by the first master before any fork and inherited by all others at
 * the same numbers, so these are valid in all processes. */
struct gp_common_worker {
    _Alignas(64) _Atomic uint32_t poked; /* 1 = an eventfd write is on its way: coalesces pokes */
    _Atomic uint32_t pid;
    _Atomic uint32_t births; /* how many processes have had this place */
    _Atomic uint32_t
        expects;        /* 1 = a server has been handed to it whose descriptor lies in its inbox */
    int32_t wake_fd;    /* eventfd */
    int32_t inbox_read; /* SOCK_SEQPACKET pair: descriptors of servers and accepted clients */
    int32_t inbox_write;
    _Atomic uint32_t still; /* 1: suspended, and all is said (suspend.h); by the worker */
    _Atomic uint64_t reserve[4];
    _Alignas(64) _Atomic uint64_t handed_pools[64]; /* bit p % 4096: look at lane handed of p */
    struct gp_memory memory;
};

/* What the worker of a place tells of itself, if it has this layout. */
struct gp_worker {
    _Alignas(64) _Atomic uint32_t busy_permille; /* share of a core used lately; by the worker */
    GP_SHIFTED
    _Atomic uint32_t clients;    /* logins included; by it and whoever places */
    _Atomic uint64_t beat_ns;    /* last time its loop was alive; likewise */
    _Atomic uint32_t io_backend; /* enum gp_io_backend; likewise */
    _Atomic uint32_t row_hint;   /* its next search for a free client row begins there; likewise */
    _Atomic uint32_t busy_clients;        /* who have asked for something lately; likewise */
    _Atomic uint64_t moved_in, moved_out; /* clients, from and to other workers; likewise */
    _Alignas(64) _Atomic uint64_t refusals[GP_REFUSALS]; /* by it alone, like counters of stats.h */
    _Atomic uint64_t visits[GP_VISITS];                  /* likewise */
    _Atomic uint64_t statements, idle_statements;        /* interned; by it, each sweep */
};

/* The head of the common part. */
struct gp_common {
    uint64_t magic;
    uint32_t version;
    uint32_t workers; /* places for them */
    uint32_t pools_max;
    uint32_t clients_max; /* rows, the admin's reserve included */
    int32_t fd;           /* of the memory itself; the same number in all processes */
    uint64_t size;
    uint64_t boot_ns;
    uint8_t hash_key[GP_HASH_KEY_BYTES];      /* of statements' identities; random */
    _Alignas(64) _Atomic uint32_t pools_high; /* pools ever defined */
    _Atomic uint32_t databases_high;          /* databases ever defined */
    _Atomic uint64_t alive;     /* bit w: from gp_worker_born until gp_segment_reclaim */
    _Atomic uint64_t accepting; /* bit w: w gets new clients; by gp_segment_accept, and reclaim */
    _Atomic uint64_t controls;  /* wishes of the administrator: controls.c */
    _Atomic uint64_t starved;   /* bit w: w found no place for a login; woken when one is freed */
    _Atomic uint64_t wanted_ns; /* when a place of any database was last sought in vain */
    _Atomic uint64_t memory_limit; /* max_memory_usage, 0 = none: memory.h; by the master */
    _Atomic uint32_t suspended;    /* SUSPEND: controls.c */
    _Alignas(
        64) _Atomic uint64_t creates[GP_CREATES_MAX]; /* 0, or worker+1 << 48|pool << 16|slot */
    _Atomic uint32_t pumps[GP_PUMPS_MAX]; /* pids, dead ones too: pump_process.c; by themselves */
    _Atomic uint64_t reserve[32];
};

/* The head of the own part, and the way to everything. */
struct gp_segment {
    uint64_t magic;
    uint32_t layout_version;
    int32_t fd, common_fd; /* of the two memories; the same numbers in all processes */
    uint32_t workers, clients_max, pools_max; /* as in the common part */
    GP_SHIFTED
    uint64_t own_size, common_off, total_size;
    uint64_t workers_off, pools_off, rates_off;
    uint64_t pool_stride;
    uint64_t meters_off, times_off; /* from a pool's start */
    uint64_t common_workers_off, owners_off, clients_off, common_pools_off;
    uint64_t databases_off, servers_off, chronicle_off, keys_off;
    uint64_t database_stride;
    uint64_t common_stride;
    uint64_t lanes_off, slots_off, cold_off, holdings_off; /* from a common pool's start */
    uint64_t holding_stride;
    uint64_t welcome_off, suspects_off, outage_off;
    _Alignas(64) _Atomic uint32_t max_creates; /* max_concurrent_creates */
    _Atomic uint32_t clients_limit;            /* max_connections; rows below it are for everyone */
    _Atomic uint64_t handshake_ns; /* when the next TLS handshake may begin; by whoever takes it */
};

_Static_assert(sizeof(struct gp_common) == 1152 && sizeof(struct gp_common_worker) == 640 &&
                   sizeof(struct gp_client_row) == 576 && sizeof(struct gp_common_pool) == 832 &&
                   sizeof(struct gp_lane) == 512 && sizeof(struct gp_slot_cold) == 384 &&
                   sizeof(struct gp_outage) == 64,
               "what is common keeps its shape: see above");
_Static_assert(GP_SLOT_STATES == 8 && GP_CLIENT_STATES == 7, "versions before know no others");

/* ---- places: a transaction asks for some thirty of them ---- */
static inline void *gp_segment_at(struct gp_segment *seg, uint64_t offset)
{
    return (uint8_t *)seg + offset;
}

static inline struct gp_common *gp_common_of(struct gp_segment *seg)
{
    return gp_segment_at(seg, seg->common_off);
}

/* Of something in the own part of a pool, so far from its start. */
static inline void *gp_pool_part(struct gp_segment *seg, uint32_t pool, uint64_t offset)
{
    return gp_segment_at(seg, seg->pools_off + seg->pool_stride * pool + offset);
}

/* Of something in the common part of a pool, so far from its start. */
static inline void *gp_common_part(struct gp_segment *seg, uint32_t pool, uint64_t offset)
{
    return gp_segment_at(seg, seg->common_pools_off + seg->common_stride * pool + offset);
}

static inline struct gp_worker *gp_worker_at(struct gp_segment *seg, uint32_t worker)
{
    return (struct gp_worker *)gp_segment_at(seg, seg->workers_off) + worker;
}

static inline struct gp_common_worker *gp_common_worker_at(struct gp_segment *seg, uint32_t worker)
{
    return (struct gp_common_worker *)gp_segment_at(seg, seg->common_workers_off) + worker;
}

static inline struct gp_client_row *gp_client_at(struct gp_segment *seg, uint32_t client)
{
    return (struct gp_client_row *)gp_segment_at(seg, seg->clients_off) + (client - 1);
}

static inline struct gp_pool *gp_pool_at(struct gp_segment *seg, uint32_t pool)
{
    return gp_pool_part(seg, pool, 0);
}

static inline struct gp_meter *gp_meter_at(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    return (struct gp_meter *)gp_pool_part(seg, pool, seg->meters_off) + worker;
}

static inline struct gp_times *gp_times_at(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    return (struct gp_times *)gp_pool_part(seg, pool, seg->times_off) + worker;
}

static inline struct gp_common_pool *gp_common_pool_at(struct gp_segment *seg, uint32_t pool)
{
    return gp_common_part(seg, pool, 0);
}

/* Whether max_db_connections bounds it, together with others: database.h. */
static inline bool gp_pool_limited(struct gp_segment *seg, uint32_t pool)
{
    return atomic_load_explicit(&gp_common_pool_at(seg, pool)->limited, memory_order_relaxed) != 0;
}

static inline struct gp_lane *gp_lane_at(struct gp_segment *seg, uint32_t pool, uint32_t worker)
{
    return (struct gp_lane *)gp_common_part(seg, pool, seg->lanes_off) + worker;
}

static inline struct gp_slot *gp_slot_at(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    return (struct gp_slot *)gp_common_part(seg, pool, seg->slots_off) + slot;
}

static inline struct gp_slot_cold *gp_slot_cold_at(struct gp_segment *seg, uint32_t pool,
                                                   uint32_t slot)
{
    return (struct gp_slot_cold *)gp_common_part(seg, pool, seg->cold_off) + slot;
}

/* Touched by the slot's ACTIVE owner alone. */
static inline struct gp_holding *gp_holding_at(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    return gp_common_part(seg, pool, seg->holdings_off + seg->holding_stride * slot);
}

/* No list of suspects (suspects.h) that was asked for until now is true any more. */
static inline void gp_suspects_void(struct gp_common_pool *pool)
{
    atomic_store_explicit(&pool->suspects_due_ns, 0, memory_order_relaxed);
    /* release: who sees it does not take the list for true that was there before */
    atomic_fetch_add_explicit(&pool->suspects, 1ull << 32, memory_order_acq_rel);
}

#endif
