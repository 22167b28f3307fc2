/* What a statement's text tells about session state: hints, never verdicts. They decide whether
 * PostgreSQL is asked at the end of the transaction (continuity.c); they may say yes too often, and
 * say no only when a text cannot change what outlives its transaction, functions that do so in
 * secret excepted. Pure. */
#ifndef GP_SESSION_H
#define GP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gp_hint {
    GP_HINT_SET = 1,    /* a SET other than LOCAL, TRANSACTION, CONSTRAINTS; or that of an UPDATE */
    GP_HINT_HOLD = 2,   /* the word HOLD: a cursor that outlives its transaction */
    GP_HINT_CONFIG = 4, /* set_config for the session */
    GP_HINT_LOCK = 8,   /* advisory locks of the session */
    GP_HINT_TEMP = 16,  /* temporary objects */
    GP_HINT_NAME = 32,  /* with SET or CONFIG: a setting with a dot in its name: app.tenant */
    GP_HINT_HIDDEN = 64,    /* the same, but gp_session_names cannot read the name */
    GP_HINT_READS = 128,    /* SET or RESET, also LOCAL, of what changes how texts are parsed */
    GP_HINT_OWN = 256,      /* the same, but the text alone does not tell to what */
    GP_HINT_ENDS = 512,     /* may end a transaction or savepoint */
    GP_HINT_DEFINES = 1024, /* a DO that may define functions and the like */
    GP_HINT_DRAWN = 2048,   /* currval, lastval: asks what a sequence has given */
    GP_HINT_DRAWS = 4096,   /* nextval, setval: gives it */
    GP_HINT_UNREAD = 1311   /* what a text may do whose end is not known, ENDS aside */
};

/* Scan a text of len bytes, case ignored, comments and constants included. */
uint16_t gp_session_hints(const uint8_t *sql, size_t len);

/* Whether texts are parsed differently under different values of a setting (name: case ignored): the
 * names in them, their characters, or their constants, which are read when a text is parsed. */
bool gp_session_reads(const uint8_t *name, size_t len);

/* More of them in one text are hidden. */
#define GP_SESSION_NAMES_MAX 1024u

/* The dotted settings of a text with GP_HINT_NAME, as a list in lower case: ",app.tenant,app.role".
 * Gives its length; 0: there is one that cannot be read, or the list would not fit in cap bytes.
 * Read are names that stand in the text itself as PostgreSQL will see them: not in constants,
 * comments, dollar quotes (of DO and its like, which may make a text of parts), nor where a
 * backslash leaves open where a constant ends. */
size_t gp_session_names(const uint8_t *sql, size_t len, uint8_t *list, size_t cap);

#endif
