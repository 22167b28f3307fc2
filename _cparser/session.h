/* What a statement's text tells about session state: hints, never verdicts. They decide whether
 * PostgreSQL is asked at the end of the transaction (continuity.c); they may say yes too often, and
 * say no only when a text cannot change what outlives its transaction, functions that do so in
 * secret excepted. Pure. */
#ifndef GP_SESSION_H
#define GP_SESSION_H

#include <stddef.h>
#include <stdint.h>

enum gp_hint {
    GP_HINT_SET = 1,  /* a SET other than LOCAL, TRANSACTION, CONSTRAINTS; or that of an UPDATE */
    GP_HINT_HOLD = 2, /* the word HOLD: a cursor that outlives its transaction */
    GP_HINT_ASK = 4,  /* set_config for the session, advisory locks, temporary objects */
    GP_HINT_NAME = 8, /* with SET or ASK: a setting with a dot in its name, or hidden: app.user */
    GP_HINT_ALL = 7   /* the text is not known in full; what is known tells whether NAME is in it */
};

/* Scan a text of len bytes, case ignored, comments and constants included. */
uint8_t gp_session_hints(const uint8_t *sql, size_t len);

#endif
