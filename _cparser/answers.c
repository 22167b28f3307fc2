/* Replies that are known beforehand: answers.h. */
#include "answers.h"

#include <stdlib.h>
#include <string.h>

#include "relay.h"

enum gp_result gp_answer_match(const struct gp_answer *answer, const struct gp_frame *frame,
                               const uint8_t *message, size_t have)
{
    if (!answer || frame->type != GP_QUERY || frame->total != answer->query_len)
        return GP_ENOENT;
    bool whole = have >= frame->total;
    if (memcmp(message, answer->bytes, whole ? frame->total : have) != 0)
        return GP_ENOENT;
    return whole ? GP_OK : GP_NEED_MORE;
}

enum gp_result gp_pool_answer(struct gp_engine *e, uint32_t pool, const uint8_t *query,
                              uint32_t query_length, const uint8_t *reply, uint32_t reply_length)
{
    struct gp_answer *answer = NULL;

    if (pool >= e->seg->pools_max)
        return GP_ENOENT;
    if (query_length > 0) {
        answer = malloc(sizeof(*answer) + (size_t)query_length + reply_length);
        if (!answer)
            return GP_EFULL;
        answer->query_len = query_length;
        answer->reply_len = reply_length;
        memcpy(answer->bytes, query, query_length);
        memcpy(answer->bytes + query_length, reply, reply_length);
    }
    free(e->answers[pool]);
    e->answers[pool] = answer;
    return GP_OK;
}
