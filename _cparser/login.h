/* How a client proves who it is: bytes in, bytes out, as its plan says. Pure but for the digests.
 *
 *     TRUST   NEW --start--> PROVED
 *     MD5     NEW --start--> MD5_SENT --PasswordMessage--> PROVED
 *     SCRAM   NEW --start--> SASL_SENT --SASLInitialResponse--> CHALLENGED --SASLResponse--> PROVED
 *                                \--(without data)--> ASKED --SASLResponse--/
 *     any --> FAILED, with a fault
 *
 * Law: a wrong password, an unknown user and a secret of the wrong kind give the same bytes after the
 * same work. Bytes behind the message that ends the exchange are not taken. Nothing is allocated
 * while it runs; a message is bounded by PostgreSQL's own limit.
 * Partners: scram.c; entry.c and greenpool/login.py, which carry the bytes.
 * Source: "Message Flow > Start-up", "SASL Authentication"; PostgreSQL auth.c, auth-sasl.c. */
#ifndef GP_LOGIN_H
#define GP_LOGIN_H

#include "plan.h"
#include "scram.h"

#define GP_MD5_SALT_BYTES 4u
#define GP_AUTH_HEADER    (GP_HEADER_SIZE + 4) /* of an Authentication message: and its code */

_Static_assert(GP_LOGIN_OUT_BYTES >=
                   GP_SCRAM_FIRST_BYTES + 4 * GP_AUTH_HEADER + GP_SCRAM_FINAL_BYTES,
               "all answers to one read");

enum gp_login_state {
    GP_LOGIN_NEW = 0,
    GP_LOGIN_MD5_SENT,
    GP_LOGIN_SASL_SENT,
    GP_LOGIN_ASKED,
    GP_LOGIN_CHALLENGED,
    GP_LOGIN_PROVED,
    GP_LOGIN_FAILED,
    GP_LOGIN_STATES
};

struct gp_login {
    struct gp_plan *plan;
    uint8_t state; /* enum gp_login_state */
    uint8_t random[GP_LOGIN_RANDOM_BYTES];
    uint32_t have; /* bytes of the message that is on its way */
    uint8_t message[GP_HEADER_SIZE + GP_SCRAM_MESSAGE_BYTES];
    struct gp_scram scram;
    struct gp_fault fault;
};

/* Answers in the order in which they are sent. */
struct gp_login_out {
    uint32_t len;
    uint8_t bytes[GP_LOGIN_OUT_BYTES];
};

/* Zero it first; it shares the plan. */
void gp_login_begin(struct gp_login *login, struct gp_plan *plan,
                    const uint8_t random[GP_LOGIN_RANDOM_BYTES]);
/* Let go of the plan, and forget every secret but the fault. */
void gp_login_end(struct gp_login *login);
/* The first answer is written. GP_OK: proved. GP_AGAIN: feed. */
GP_NODISCARD enum gp_result gp_login_first(struct gp_login *login, struct gp_login_out *out);
/* Take bytes, *taken of them. GP_OK: proved; the rest is not the login's. GP_AGAIN: feed more.
 * GP_EPROTO: failed, and login->fault says why. Answers are written in each case. */
GP_NODISCARD enum gp_result gp_login_next(struct gp_login *login, const uint8_t *data, size_t len,
                                          size_t *taken, struct gp_login_out *out);

#endif
