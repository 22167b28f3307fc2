/* A PostgreSQL without data: bytes in, canned bytes out, at once. Pure: no socket, no clock, no
 * allocation. The null server gives it a socket, the gauge a socketpair to an engine.
 *
 * It lets everybody in, reports what PostgreSQL 15 reports, answers whatever is asked with one row,
 * keeps the transaction status by the first word of each text, and knows greenpool's own two
 * questions (worker/startup_state.py, worker/session_question.py) and PgBouncer's.
 *
 * What it is not: a text is taken for its first statement; every query but these questions has one
 * column; nothing fails; there is no COPY. */
#ifndef GP_BENCH_CANNED_H
#define GP_BENCH_CANNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "messages.h"

#define CANNED_ANSWER_MAX  1024u /* bytes that one message is answered with, at most */
#define CANNED_MESSAGE_MAX 65536u
#define CANNED_NAMES_MAX   16u /* statements remembered because they are no plain queries */

/* What the first word of a text does; the rest are queries of one row. */
enum canned_verb {
    CANNED_SELECT = 0,
    CANNED_BEGIN,
    CANNED_COMMIT,
    CANNED_ROLLBACK,
    CANNED_SET, /* SET, RESET, DISCARD, DEALLOCATE: a tag and no row */
    CANNED_EMPTY,
    CANNED_REPORT, /* greenpool asks for parameters: no row, the login has told them */
    CANNED_LOOK    /* greenpool asks what the session has become: as it was */
};

enum canned_phase {
    CANNED_STARTUP = 0, /* StartupMessage, SSLRequest, GSSENCRequest, CancelRequest */
    CANNED_SERVING,
    CANNED_OVER /* the connection is to be closed, the answer before */
};

/* One session; zero is its beginning. */
struct canned {
    enum canned_phase phase;
    bool in_block;                   /* a transaction block is open */
    uint8_t portal;                  /* enum canned_verb of what was bound last */
    uint8_t verbs[CANNED_NAMES_MAX]; /* enum canned_verb; CANNED_SELECT: the place is free */
    uint64_t names[CANNED_NAMES_MAX];
    uint32_t pid; /* announced in BackendKeyData; the key is as many zeroes and this */
};

/* Answer the complete messages of in[0..len), as many as the room of out surely holds. Gives the
 * number of bytes consumed; a message above CANNED_MESSAGE_MAX ends the session. */
size_t canned_feed(struct canned *c, const uint8_t *in, size_t len, struct messages *out);

#endif
