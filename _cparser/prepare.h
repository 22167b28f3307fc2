/* Prepared statements on their way through a link: names are exchanged, what a server holds already
 * is not sent again, what it lacks is sent before it is used.
 *
 * An *intent* is a change that comes true with a reply: "the client now calls this statement s1",
 * "the server now holds g7". They stand in one list a link, in the order of the replies that carry
 * them (GP_REPLY_INTENT). A reply makes its intent true; an error drops the intents of the requests
 * it skips. So neither a client's names nor a server's holding ever has to be put back.
 *
 * A *segment* is what lies between two requests that end with ReadyForQuery. Within one, later
 * messages rely on the intents of earlier ones: if those fail, the later are skipped. Across a Sync
 * the client is made to wait until an intent that matters is decided.
 *
 * kind        comes true with          then
 * PARSE       ParseComplete (either)   the client has the name; the server holds it, if it was sent
 * INJECT      ParseComplete (ours)     the server holds it
 * CLOSE       CloseComplete (made)     the client has the name no more
 * EVICT       CloseComplete (ours)     nothing; dropped: the server holds it again
 * UNNAME      a simple Query           the client has no unnamed statement
 * DEALLOCATE  its CommandComplete      the client has the name no more; the server keeps the statement
 * DUPLICATE   never                    a Parse of a name in use: PostgreSQL's error, reworded */
#ifndef GP_PREPARE_H
#define GP_PREPARE_H

#include "relay.h"

/* A statement's text is kept whole; longer ones are refused. */
#define GP_PARSE_MAX (16u * 1024 * 1024)

enum gp_intent_kind {
    GP_INTENT_PARSE,
    GP_INTENT_INJECT,
    GP_INTENT_CLOSE,
    GP_INTENT_EVICT,
    GP_INTENT_UNNAME,
    GP_INTENT_DEALLOCATE,
    GP_INTENT_DUPLICATE
};

#define GP_INTENT_NAME   24u  /* a longer name makes a larger intent, which is not kept */
#define GP_INTENTS_SPARE 256u /* kept to be used again */

struct gp_intent {
    struct gp_intent *older, *newer;
    struct gp_statement *statement; /* a reference; NULL for CLOSE, EVICT, UNNAME, DEALLOCATE */
    struct gp_sid id;
    uint8_t kind;
    bool sent; /* PARSE: the server was asked; DEALLOCATE: it has done so */
    uint32_t segment;
    uint32_t name_len;
    uint8_t name[]; /* the client's */
};

enum gp_prepare {
    GP_PREPARE_PLAIN, /* not about a statement we know: forward it as it is */
    GP_PREPARE_DONE,  /* its first *taken bytes are replaced by what was gathered; forward the rest
                       */
    GP_PREPARE_MORE,  /* not enough of it is there */
    GP_PREPARE_WAIT,  /* an earlier intent must be decided first, or the queue is full */
    GP_PREPARE_LARGE, /* longer than GP_PARSE_MAX */
    GP_PREPARE_MEMORY /* there is none for its text */
};

/* A message of a linked client that is not skipped. message: `have` bytes of it, header included.
 * Queues its replies itself when DONE; for PLAIN the caller does. */
enum gp_prepare gp_prepare(struct gp_engine *e, struct gp_client *c, const struct gp_frame *frame,
                           const uint8_t *message, size_t have, struct gp_gather *out,
                           size_t *taken);

/* The server has dropped all statements (DEALLOCATE ALL, DISCARD ALL). */
void gp_prepare_all_gone(struct gp_engine *e, struct gp_server *s);
/* An ErrorResponse (whole) in which a statement stands under its server-side name, in the client's
 * words: *reworded is then the caller's to free. False: there is nothing to reword. */
bool gp_prepare_reword(struct gp_server *s, const uint8_t *message, size_t total,
                       struct gp_buffer **reworded);
/* Whether a text of PostgreSQL's has a server-side name in quotes. */
bool gp_prepare_mentions(struct gp_span text);
#define GP_CLOSE_STATEMENT_TOTAL (GP_HEADER_SIZE + 1 + GP_SERVER_NAME_BYTES)
/* Close of a statement by its server-side name. Gives its length. */
size_t gp_prepare_build_close(uint8_t message[GP_CLOSE_STATEMENT_TOTAL], struct gp_sid id);

/* ---- intents.c ---- */

/* Behind all others, for the reply that the caller pushes; a reference to the statement (or NULL) is
 * added, the name copied. Never NULL. */
struct gp_intent *gp_intent_add(struct gp_engine *e, struct gp_server *s, enum gp_intent_kind kind,
                                struct gp_statement *statement, struct gp_span name);
/* Of a Parse of ours that will be answered before all others. */
void gp_prepare_inject_first(struct gp_engine *e, struct gp_server *s,
                             struct gp_statement *statement);
/* The oldest intent has come true. */
void gp_intent_true(struct gp_engine *e, struct gp_server *s);
/* The oldest `count` will never. */
void gp_intents_drop(struct gp_engine *e, struct gp_server *s, uint32_t count);
/* All of them, of a server that is not ours any more: what it holds stays as it is. */
void gp_intents_forget(struct gp_engine *e, struct gp_server *s);
/* A DEALLOCATE of one statement is complete. */
void gp_prepare_deallocated(struct gp_server *s);
/* Whether the head of the replies is to a Parse of a name in use: its error is the client's. */
bool gp_prepare_duplicate(const struct gp_server *s);
/* Free those that are kept: the engine ends. */
void gp_intents_free(struct gp_engine *e);

/* ---- answers ---- */

/* Answer in greenpool's own name while the head of the queue is ours to answer; what gp_prepare_answer
 * calls if it is. */
void gp_prepare_synthesize(struct gp_engine *e, struct gp_server *s, struct gp_gather *out);

static inline void gp_prepare_answer(struct gp_engine *e, struct gp_server *s,
                                     struct gp_gather *out)
{
    enum gp_reply_action action;

    if (gp_replies_head(&s->replies, &action) != GP_REPLY_NONE && action == GP_REPLY_SYNTHESIZE)
        gp_prepare_synthesize(e, s, out);
}

#endif
