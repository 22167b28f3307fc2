/* Clients in a worker: guests, plans of logins, the logins themselves, who is let in and who goes.
 * Part of engine.h. Partners: guests.c, plan.c, plans.c, login.c, clients.c, greenpool/login.py. */
#ifndef GP_ENGINE_CLIENTS_H
#define GP_ENGINE_CLIENTS_H

#include "engine_names.h"

/* cdef:begin */
#define GP_SALT_BYTES         256 /* of a SCRAM secret, at most; PostgreSQL makes 16 */
#define GP_BINDING_BYTES      64  /* of a certificate's hash, at most */
#define GP_FAULT_BYTES        192
#define GP_LOGIN_RANDOM_BYTES 18   /* that a login needs: for its nonce or its salt */
#define GP_LOGIN_OUT_BYTES    2048 /* of answers to one read, at most */

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
/* Close it with this FATAL error (at once when linked: its server is cleaned up); sqlstate NULL: with
 * the words of the reason. */
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
/* cdef:end */

#endif
