/* Prepared statements by content: what a statement is called on every server, what each client
 * calls it, and what each server holds. Pure: knows nothing of sockets, segments or links.
 *
 * The identity of a statement is a keyed 128-bit hash of its Parse body (query text and parameter
 * types) and of how the session reads texts when it is parsed (gp_continuity_reads). Its name on
 * servers is made of that hash, so that any worker, any client and any server connection agree on it
 * without asking each other.
 *
 *   client A  "s1" ----\                               server 1 holds { g7, g9 }
 *   client B  "q_17" ---> statement g7 (interned, one   server 2 holds { g7 }
 *   client B  ""    ----/   text a worker, counted)
 *
 * A client's names change only when the reply has come that makes it true (backend.c); until then
 * the link's list of intents says what will be: an error drops the intents together with the
 * requests it skips, so nothing is ever undone. Source: PostgreSQL, "Extended Query". */
#ifndef GP_STATEMENTS_H
#define GP_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

#define GP_HASH_KEY_BYTES    16u
#define GP_SERVER_NAME_BYTES 24u /* 'g', 22 characters of base 64, NUL */

struct gp_sid {
    uint64_t high, low;
};

/* Identity of a Parse body (everything behind the statement's name) under a parameter state. */
struct gp_sid gp_sid_make(const uint8_t key[GP_HASH_KEY_BYTES], uint64_t state_hash,
                          const uint8_t *body, size_t len);

static inline bool gp_sid_same(struct gp_sid a, struct gp_sid b)
{
    return a.high == b.high && a.low == b.low;
}

/* ---- interned statements: one text a worker ---- */

struct gp_statement {
    struct gp_statement *next;          /* of the same bucket */
    struct gp_statement *older, *newer; /* idle ones, by age */
    struct gp_sid id;
    uint32_t refs;
    uint32_t length; /* of the message */
    uint32_t uses;   /* times that a client has prepared it */
    uint16_t hints;  /* enum gp_hint of its text */
    bool own;        /* parsed as nobody else's are: gp_continuity_reads */
    bool suspect;    /* its text was, by the list of suspects (suspects.h) with this mark */
    uint64_t judged; /* 0: by none yet */
    uint64_t reads;  /* part of its identity: how it was parsed */
    char name[GP_SERVER_NAME_BYTES];
    uint8_t parse[]; /* the whole Parse message, with the server's name in it */
};

struct gp_interner { /* zeroed = empty */
    struct gp_statement **buckets;
    uint32_t cap, count;                  /* cap: a power of two */
    struct gp_statement *oldest, *newest; /* without references; kept for those who come again */
    uint32_t idle;
};

#define GP_STATEMENT_TEXT (GP_HEADER_SIZE + GP_SERVER_NAME_BYTES) /* where it begins in `parse` */

/* The interned statement with this body, one reference more. NULL: no memory, even without those
 * that nobody refers to. */
struct gp_statement *gp_statement_intern(struct gp_interner *interner, struct gp_sid id,
                                         const uint8_t *body, size_t len, enum gp_claim claim);
/* Keep no more of those than the level of memory allows. */
void gp_interner_trim(struct gp_interner *interner);
void gp_statement_release(struct gp_interner *interner, struct gp_statement *statement);
void gp_interner_free(struct gp_interner *interner);

/* ---- what a client calls them ---- */

struct gp_name;

struct gp_names { /* zeroed = empty */
    struct gp_name **buckets;
    uint32_t cap, count;
    size_t bytes; /* of the named ones: entries, and texts as if nobody shared them */
    struct gp_statement *unnamed;
};

/* NULL: the client has no statement of that name. No reference is added. */
struct gp_statement *gp_names_find(const struct gp_names *names, const uint8_t *name, size_t len);
/* Name a statement (a reference is added); an earlier one of that name loses it. False: no memory.
 */
bool gp_names_set(struct gp_names *names, struct gp_interner *interner, const uint8_t *name,
                  size_t len, struct gp_statement *statement, enum gp_claim claim);
void gp_names_drop(struct gp_names *names, struct gp_interner *interner, const uint8_t *name,
                   size_t len);
/* What the client calls the statement that servers know by this name: its unnamed one, or the first
 * name found. False: none of its statements is called so. */
bool gp_names_called(const struct gp_names *names, const uint8_t *server_name, const uint8_t **name,
                     size_t *len);
void gp_names_clear(struct gp_names *names, struct gp_interner *interner);
/* Call each for all of them, the unnamed one too; nothing is changed meanwhile. */
void gp_names_each(const struct gp_names *names,
                   void (*each)(void *context, const uint8_t *name, size_t len,
                                const struct gp_statement *statement),
                   void *context);

/* ---- what a server holds: lies in the segment, touched by the slot's ACTIVE owner alone ---- */

/* Open addressing with linear probing over cap places (a power of two, at least twice the count;
 * it grows in place, so that a few statements touch a few pages). A zero identity is an empty
 * place. The lowest bit of an identity is the clock's: a statement that was used since the hand
 * last passed is spared once. */
struct gp_holding {
    uint32_t count, hand, cap; /* cap 0: empty, never used */
    uint32_t unused;
    struct gp_held {
        struct gp_sid id;
    } places[];
};

#define GP_HOLDING_PLACES 16384u /* it never grows beyond these, nor holds as many as these */

/* Room that a holding of up to that many statements needs. */
size_t gp_holding_bytes(uint32_t bound);
/* Empty it, as after a login or DISCARD ALL. */
void gp_holding_reset(struct gp_holding *holding);
bool gp_holding_has(struct gp_holding *holding, struct gp_sid id);
/* The same for any process, which changes nothing by it; wrong at worst while the owner changes it. */
bool gp_holding_shows(const struct gp_holding *holding, struct gp_sid id);
/* Add one that has just been prepared (no effect if it is there, or without a place: then it is
 * prepared again at the next use, and heal.c sees to PostgreSQL's 42P05). */
void gp_holding_add(struct gp_holding *holding, struct gp_sid id);
void gp_holding_remove(struct gp_holding *holding, struct gp_sid id);
/* When it holds bound or more: take out one that was not used lately, so that it can be closed on
 * the server. False: there is room. */
bool gp_holding_evict(struct gp_holding *holding, uint32_t bound, struct gp_sid *evicted);

/* The statement, if it is interned; no reference is added. */
struct gp_statement *gp_statement_find(const struct gp_interner *interner, struct gp_sid id);
/* The server-side name of an identity. */
void gp_sid_name(struct gp_sid id, char name[GP_SERVER_NAME_BYTES]);
/* The identity of a server-side name. False: it is none. */
bool gp_sid_of_name(const uint8_t *name, size_t len, struct gp_sid *id);

#endif
