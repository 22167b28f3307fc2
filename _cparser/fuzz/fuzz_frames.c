/*
 * fuzz_frames: message boundaries do not depend on how the bytes arrive.
 *
 * An input is | side | n | n chunk sizes | stream |. The stream is walked once as a whole and once
 * as it comes in chunks (their sizes taken in turn, each plus one), with the body of a message
 * skipped as the relay skips it. Both walks must see the same boundaries and end for the same
 * reason. Every look is at a copy of exactly the bytes that are there, so that AddressSanitizer
 * sees one byte too many.
 */
#include <stdlib.h>

#include "../protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
    enum gp_side side;
    size_t at;          /* where the next message begins; may lie beyond what is there */
    enum gp_result why; /* GP_NEED_MORE or GP_EPROTO */
    size_t count;
    size_t *ends;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static enum gp_result peek_copy(const uint8_t *from, size_t len, enum gp_side side,
                                struct gp_frame *frame)
{
    uint8_t *copy = malloc(len);
    enum gp_result result;

    require(copy != NULL);
    memcpy(copy, from, len);
    result = gp_frame_peek(copy, len, side, frame);
    free(copy);
    return result;
}

/* Go on with what is there of the stream: stream[0..have). */
static void advance(struct walk *w, const uint8_t *stream, size_t have)
{
    while (w->why == GP_NEED_MORE && w->at < have) {
        struct gp_frame frame;
        enum gp_result result = peek_copy(stream + w->at, have - w->at, w->side, &frame);

        if (result == GP_NEED_MORE) {
            require(have - w->at < GP_HEADER_SIZE);
            return;
        }
        if (result != GP_OK) {
            require(result == GP_EPROTO);
            w->why = result;
            return;
        }
        require(frame.total == (size_t)frame.length + 1 && frame.length >= 4);
        require(frame.type == stream[w->at]);
        w->at += frame.total;
        w->ends[w->count++] = w->at;
    }
}

static struct walk start(enum gp_side side, size_t len)
{
    struct walk w = {.side = side, .why = GP_NEED_MORE};

    w.ends = calloc(len / GP_HEADER_SIZE + 1, sizeof(*w.ends));
    require(w.ends != NULL);
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cuts = data + 2;
    struct walk whole, split;
    size_t ncuts, len;

    if (size < 2 || data[1] > size - 2)
        return 0;
    ncuts = data[1];
    len = size - 2 - ncuts;
    whole = start(data[0] & 1, len);
    split = start(data[0] & 1, len);

    advance(&whole, cuts + ncuts, len);
    for (size_t have = 0, i = 0; have < len; i++) {
        size_t chunk = ncuts > 0 ? (size_t)cuts[i % ncuts] + 1 : 1;

        have = chunk < len - have ? have + chunk : len;
        advance(&split, cuts + ncuts, have);
    }

    require(split.why == whole.why && split.at == whole.at && split.count == whole.count);
    for (size_t i = 0; i < whole.count; i++)
        require(split.ends[i] == whole.ends[i]);
    free(whole.ends);
    free(split.ends);
    return 0;
}
