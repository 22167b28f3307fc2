/* The numbers that C and Python call things by: states, events, reasons. Part of engine.h. Law: what
 * the segment, its notes or a moving client's record may hold keeps its number, for they reach other
 * versions. Words for them: names.c. Python's partner: greenpool/records.py. */
#ifndef GP_ENGINE_NAMES_H
#define GP_ENGINE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GP_API       __attribute__((visibility("default")))
#define GP_NODISCARD __attribute__((warn_unused_result))

/* cdef:begin */
#define GP_ALL 0xffffffff /* in place of a pool or a worker: all of them */

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
/* Classes of SQLSTATE that errors are counted by; the rest are OTHER. */
enum gp_error_class {
    GP_ERROR_OTHER = 0,
    GP_ERROR_CLASS_08,
    GP_ERROR_CLASS_22,
    GP_ERROR_CLASS_23,
    GP_ERROR_CLASS_25,
    GP_ERROR_CLASS_26,
    GP_ERROR_CLASS_28,
    GP_ERROR_CLASS_40,
    GP_ERROR_CLASS_42,
    GP_ERROR_CLASS_53,
    GP_ERROR_CLASS_57,
    GP_ERROR_CLASS_58,
    GP_ERROR_CLASS_XX,
    GP_ERROR_CLASSES
};

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
    GP_EVENT_OVERDUE,  /* pool, slot: its query has run for query_timeout; send a CancelRequest,
                          then gp_cancel_done with the generation in detail */
    GP_EVENT_CHANGED   /* clients have changed settings: gp_change_take */
};

/* Why a connection ended: for logs, counters and clients. names.c has the words for all of them. */
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

GP_API int32_t gp_abi_version(void);
GP_API uint64_t gp_now_ns(void);
GP_API const char *gp_reason_text(uint32_t reason);
/* What a client is told whose connection ends for this reason. NULL: nothing, or what only who ends
 * it knows. */
GP_API const char *gp_reason_sqlstate(uint32_t reason);
GP_API const char *gp_reason_words(uint32_t reason);
GP_API const char *gp_result_text(uint32_t result);
/* cdef:end */

#endif
