/* What greenpool answers itself: a simple Query of a client at rest whose reply is known, so that no
 * server is taken for it. One row a pool (pooler_check_query), private to this worker; Python makes
 * it by gp_pool_answer, frontend.c looks it up. */
#ifndef GP_ANSWERS_H
#define GP_ANSWERS_H

#include "engine.h"
#include "protocol.h"

struct gp_answer {
    uint32_t query_len, reply_len;
    uint8_t bytes[]; /* the whole Query message, then the messages that answer it */
};

/* Whether a Query, of which `have` bytes are there, is the one that is known (NULL: none is).
 * GP_OK: it is. GP_NEED_MORE: it may be. GP_ENOENT: it is another. */
GP_NODISCARD enum gp_result gp_answer_match(const struct gp_answer *answer,
                                            const struct gp_frame *frame, const uint8_t *message,
                                            size_t have);

#endif
