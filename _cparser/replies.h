/* The one queue of replies: for every request that a server has been sent and not yet answered in
 * full, who gets the answer. All rules about order, errors and skipping to Sync are here and in
 * backend.c; everything greenpool sends on its own account (state replay, ROLLBACK, cleanup) goes
 * through it too.
 *
 * An entry is one byte: kind in the low half, what to do with its reply in the high half,
 * and whether the link's list of intents (prepare.h) has one that comes true with it.
 *
 *     head                                  tail
 *      | PARSE BIND EXECUTE SYNC QUERY ...   |       ring of cap entries (a power of two)
 *
 * Pure: knows nothing of sockets. Source: PostgreSQL, "Message Flow". */
#ifndef GP_REPLIES_H
#define GP_REPLIES_H

#include <stdbool.h>
#include <stdint.h>

enum gp_reply_kind {
    GP_REPLY_NONE = 0, /* the queue is empty */
    GP_REPLY_QUERY,    /* ... ReadyForQuery */
    GP_REPLY_PARSE,    /* ParseComplete */
    GP_REPLY_BIND,     /* BindComplete */
    GP_REPLY_DESCRIBE, /* [ParameterDescription] RowDescription or NoData */
    GP_REPLY_EXECUTE,  /* ... CommandComplete, EmptyQueryResponse or PortalSuspended */
    GP_REPLY_CLOSE,    /* CloseComplete */
    GP_REPLY_SYNC,     /* ReadyForQuery */
    GP_REPLY_FUNCTION, /* FunctionCallResponse ReadyForQuery */
    GP_REPLY_UNNAME,   /* no reply: a Query destroys the client's unnamed statement */
    GP_REPLY_COPY_END, /* no reply: marks where the client ended a COPY FROM */
    GP_REPLY_KINDS,
    GP_REPLY_KIND = 0x0f /* the bits of an entry */
};

enum gp_reply_action {
    GP_REPLY_FORWARD = 0x00,    /* the client asked */
    GP_REPLY_SWALLOW = 0x10,    /* greenpool asked */
    GP_REPLY_SYNTHESIZE = 0x20, /* the server is not asked: greenpool answers once it is the head */
    GP_REPLY_ACTION = 0x30,
    GP_REPLY_INTENT = 0x40 /* or-ed to any of them */
};

#define GP_REPLIES_INLINE 32u /* a power of two */
/* Pipelined requests; at the bound the client is not read further. */
#define GP_REPLIES_MAX 65536u

struct gp_replies { /* zeroed = empty */
    uint8_t *ring;  /* NULL: the inline one */
    uint32_t head, count, cap;
    uint8_t inline_ring[GP_REPLIES_INLINE];
};

/* Whether all that is queued is greenpool's own to answer, so that no server will speak. */
bool gp_replies_all_synthetic(const struct gp_replies *replies);
/* Whether a request before the current segment (what follows the last Sync) is unanswered. */
bool gp_replies_owes_ready(const struct gp_replies *replies);
/* An error in the extended protocol: drop everything before the first Sync. True: it is there, at
 * the head. False: it has not been sent yet; the queue is empty, and what the client sends until
 * then is skipped. intents: how many of those dropped had one. */
bool gp_replies_skip_to_sync(struct gp_replies *replies, uint32_t *intents);
/* CopyInResponse to the head: the server ignores the Syncs sent right behind it. True: the client
 * has already ended that COPY or sent something else; false: it is still to stream, and Syncs until
 * its CopyDone or CopyFail do not count. Behind those Syncs a request that is no part of a COPY?
 * Then they stay: this COPY either fails before it reads them, or the connection ends at that
 * request. */
bool gp_replies_copy_begins(struct gp_replies *replies);
/* The COPY of the head is over: its end mark, if the client has sent one, is dropped. */
void gp_replies_copy_ends(struct gp_replies *replies);
/* Whether all of it is of one segment: no request behind its end, which is a Sync or not sent yet. */
bool gp_replies_one_segment(const struct gp_replies *replies);
/* Put others before what is queued; they are empty afterwards. False: no memory. */
bool gp_replies_prepend(struct gp_replies *replies, struct gp_replies *others);
/* Whether the last request still needs a Sync (a client that vanished must be given one). */
bool gp_replies_open(const struct gp_replies *replies);
void gp_replies_clear(struct gp_replies *replies);

/* ---- of every message: the head, a push, a pop ---- */

/* Only for the functions below. */
bool gp_replies_grow(struct gp_replies *replies);
uint8_t gp_replies_drop_marks(struct gp_replies *replies);

static inline uint32_t gp_replies_cap(const struct gp_replies *replies)
{
    return replies->ring ? replies->cap : GP_REPLIES_INLINE;
}

/* The entry that stands so far behind the head: kind | action. */
static inline uint8_t *gp_replies_entry(const struct gp_replies *replies, uint32_t index)
{
    const uint8_t *ring = replies->ring ? replies->ring : replies->inline_ring;

    return (uint8_t *)ring + ((replies->head + index) & (gp_replies_cap(replies) - 1));
}

/* False: the bound is reached or there is no memory; the queue is unchanged. */
static inline bool gp_replies_push(struct gp_replies *replies, enum gp_reply_kind kind,
                                   unsigned action)
{
    if (replies->count == gp_replies_cap(replies) && !gp_replies_grow(replies))
        return false;
    *gp_replies_entry(replies, replies->count++) = (uint8_t)(kind | action);
    return true;
}

/* Entry at the head that expects a reply (leading COPY_END marks are dropped); GP_REPLY_NONE when
 * empty. */
static inline enum gp_reply_kind gp_replies_head(struct gp_replies *replies,
                                                 enum gp_reply_action *action)
{
    uint8_t head = replies->count ? *gp_replies_entry(replies, 0) : 0;

    if ((head & GP_REPLY_KIND) == GP_REPLY_COPY_END)
        head = gp_replies_drop_marks(replies);
    *action = head & GP_REPLY_ACTION;
    return head & GP_REPLY_KIND;
}

/* Whether the head (there is one) carries an intent. */
static inline bool gp_replies_intends(const struct gp_replies *replies)
{
    return *gp_replies_entry(replies, 0) & GP_REPLY_INTENT;
}

/* True: an intent came with it. */
static inline bool gp_replies_pop(struct gp_replies *replies)
{
    bool intent = gp_replies_intends(replies);

    replies->head++;
    if (--replies->count == 0 && replies->ring)
        gp_replies_clear(replies);
    return intent;
}

static inline bool gp_replies_empty(struct gp_replies *replies)
{
    enum gp_reply_action unused;
    return gp_replies_head(replies, &unused) == GP_REPLY_NONE;
}

#endif
