/* Functions that change the session in secret: by a SET, a session lock, a temporary table within
 * their bodies, which no text that runs them tells. They and all that runs them (other functions,
 * views, tables with triggers) are *suspects*: their names are words, and a text with one of these
 * words is treated like one with a SET in it. Nearly all databases have none, and pay nothing.
 *
 * PostgreSQL's catalog is read by Python (greenpool/worker/suspects.py), which tells what it found
 * by gp_suspects_tell; the list is a note of the pool (notes.h), so every worker has it:
 *
 *   | as_of: 4 | flags: 4 | count: 4 | reserved: 4 | hashes of words, ascending: 4 each | names |
 *
 * names: of dotted settings that are made in those bodies, as ",app.x,app.y". One word in the pool
 * says which list is true, so that no worker ever uses another:
 *
 *    63              32 31               0
 *   | redefinitions    | lists told       |    gp_common_pool.suspects
 *
 *   redefinitions  grows when somebody has defined a function, a trigger, a view...: what was asked
 *                  as of an earlier one is void, and until another list is told every text is
 *                  suspect. So it is before the first list.
 *   lists told     grows when there is another list: each worker reads it before its next text.
 *
 * A worker keeps a copy, and looks whether the word is still that of the copy. The list is asked for
 * at the login of the pool's first server, before any client can have it; after a redefinition; and
 * every so often, for what was defined elsewhere (gp_suspects_due). */
#ifndef GP_SUSPECTS_H
#define GP_SUSPECTS_H

#include "relay.h"

struct gp_suspects {
    uint64_t word;  /* the pool's, when this was read */
    uint64_t mark;  /* of what it says: the same for equal lists, and never 0 */
    uint64_t xacts; /* of this worker, when it was last asked for here */
    uint32_t flags;
    bool known;  /* it is a list; otherwise everything is suspect */
    bool active; /* some text may be suspect */
    uint32_t names_length;
    uint32_t cap;    /* of the table: a power of two, 0: empty */
    uint32_t *table; /* hashes, 0: none */
    uint8_t names[];
};

/* Whether a text has a suspect word: PostgreSQL's identifiers, however they are written. */
bool gp_suspects_in(const struct gp_suspects *list, const uint8_t *sql, size_t len);

/* The pool's list, read anew: where the copy is not that of `word`. Never NULL. */
const struct gp_suspects *gp_suspects_read(struct gp_engine *e, uint32_t pool, uint64_t word);

/* Somebody has defined what may change sessions, in a pool of this database: all its pools' lists
 * are void from now on. */
void gp_suspects_redefined(struct gp_engine *e, uint32_t pool);

static inline uint64_t gp_suspects_word(struct gp_engine *e, uint32_t pool)
{
    /* acquire: pairs with the release in gp_suspects_tell, the note is written */
    return atomic_load_explicit(&gp_common_pool_at(e->seg, pool)->suspects, memory_order_acquire);
}

static inline const struct gp_suspects *gp_suspects_of(struct gp_engine *e, uint32_t pool)
{
    const struct gp_suspects *list = e->suspects[pool];
    uint64_t word = gp_suspects_word(e, pool);

    return list && list->word == word ? list : gp_suspects_read(e, pool, word);
}

#endif
