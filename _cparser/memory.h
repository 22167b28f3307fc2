/* Memory that clients and servers can make greenpool hold, and max_memory_usage, which bounds it over
 * all workers of all generations.
 *
 * Law: whoever keeps bytes that a peer has sent, for longer than the call that brought them, takes
 * their room here and gives it back: buffer.c, statements.c, intents.c, states.c. What is there in a
 * fixed amount (scratch buffers, rings, rows of the segment) or bounded for each server connection
 * (its queue of replies, heal.h) is not counted; docs/memory.md names it.
 *
 * Each worker has a few words in the segment, one a kind, that it alone changes; the sum over the
 * living workers is what is held. Nothing is shared, so nothing is wrong after a worker's death: its
 * words are set to 0 with all else that it left (gp_segment_reclaim).
 *
 *     take:  add to the own word -> sum up -> above the limit? take it back, and refuse
 *     give:  free -> subtract
 *
 * The bound is exact: room is taken before it is used and given back after. Of all takes that have
 * been granted and not given back at some moment, look at the one that was added last: its sum, read
 * after that, has all the others in it, and it was not above the limit. (Additions and loads are
 * seq_cst for that.) Who INSISTs is not refused, so what that brings comes on top: docs/memory.md
 * says where.
 *
 * The more is held, the less anyone gets:
 *
 *     held       level    reads        pipelines   idle statements   refused
 *     0          EASY     64 KB        65,536      512               nothing
 *     3/4        TIGHT    4 KB         256         1                 nothing
 *     7/8        SCARCE   4 KB         256         1                 more than 4 KB at once
 *     all        FULL     4 KB         256         1                 all
 *
 * So backpressure comes first: a peer that is not read does not send. What is refused ends the
 * client that needed it, with 53200, and its server is cleaned up as behind any client that leaves.
 * The last eighth is for those who need little, so that ordinary requests go on while large ones are
 * refused. */
#ifndef GP_MEMORY_H
#define GP_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

struct gp_segment;

enum gp_claim {
    GP_ASK,   /* may be refused */
    GP_INSIST /* may not: it is there already, and only changes hands */
};

enum gp_memory_level {
    GP_MEMORY_EASY = 0,
    GP_MEMORY_TIGHT,
    GP_MEMORY_SCARCE,
    GP_MEMORY_FULL,
    GP_MEMORY_LEVELS
};

#define GP_MEMORY_SMALL 4096u /* this much at once is given while there is anything */

/* What a level allows; a row of the table above. */
struct gp_memory_rules {
    uint32_t read_bytes;      /* at once from one connection; of 64 KB at most */
    uint32_t replies;         /* pipelined requests of one client; GP_REPLIES_MAX at most */
    uint32_t idle_statements; /* texts kept that nobody refers to; at least 1: prepare.c */
};

/* Those in force in this process. Only memory.c changes them. */
extern struct gp_memory_rules gp_memory_rules;

/* Room for so many bytes more. False: there is none, and nothing has changed. From any thread. */
GP_NODISCARD bool gp_memory_take(enum gp_memory_kind kind, size_t bytes, enum gp_claim claim);
/* ... is given back. */
void gp_memory_give(enum gp_memory_kind kind, size_t bytes);

/* From now on this process counts in the words of that worker, and obeys that segment's limit. */
void gp_memory_join(struct gp_segment *seg, uint32_t worker);
/* It counts for itself again: a worker's end, or a child of it that goes on without the segment. The
 * words stay as they are. */
void gp_memory_part(void);
/* What another worker gives back changes the level here, too: to be called now and then. */
enum gp_memory_level gp_memory_look(void);
/* What the living workers hold. */
uint64_t gp_memory_held(struct gp_segment *seg);
/* A worker is no more, or has not begun. */
void gp_memory_clear(struct gp_segment *seg, uint32_t worker);

#endif
