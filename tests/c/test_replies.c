/* sources: _cparser/replies.c */
/*
 * The queue of replies against a plain array that does the same slowly: order, growth, the bound,
 * what an error skips, and the marks of COPY.
 */
#include "check.h"
#include "../../_cparser/replies.h"

#define MODEL_MAX 4096u

static void push(struct gp_replies *q, enum gp_reply_kind kind)
{
    CHECK(gp_replies_push(q, kind, GP_REPLY_FORWARD));
}

static enum gp_reply_kind head(struct gp_replies *q)
{
    enum gp_reply_action action;

    return gp_replies_head(q, &action);
}

static void test_empty(void)
{
    struct gp_replies q = {0};
    uint32_t intents;
    enum gp_reply_action action = GP_REPLY_SWALLOW;

    CHECK(gp_replies_empty(&q));
    CHECK_EQ(gp_replies_head(&q, &action), GP_REPLY_NONE);
    CHECK_EQ(action, GP_REPLY_FORWARD);
    CHECK(!gp_replies_open(&q));
    CHECK(!gp_replies_skip_to_sync(&q, &intents));
}

static void test_order_and_action(void)
{
    struct gp_replies q = {0};
    enum gp_reply_action action;

    CHECK(gp_replies_push(&q, GP_REPLY_QUERY, GP_REPLY_SWALLOW));
    CHECK(gp_replies_push(&q, GP_REPLY_PARSE, GP_REPLY_FORWARD));
    CHECK_EQ(gp_replies_head(&q, &action), GP_REPLY_QUERY);
    CHECK_EQ(action, GP_REPLY_SWALLOW);
    gp_replies_pop(&q);
    CHECK_EQ(gp_replies_head(&q, &action), GP_REPLY_PARSE);
    CHECK_EQ(action, GP_REPLY_FORWARD);
    gp_replies_pop(&q);
    CHECK(gp_replies_empty(&q));
}

/* Pushes and pops in every phase of the ring, beside an array; grown and shrunk back. */
static void test_like_an_array(void)
{
    struct gp_replies q = {0};
    uint8_t model[MODEL_MAX];
    uint32_t first = 0, last = 0, seed = 1;

    while (last < MODEL_MAX) {
        seed = seed * 1103515245u + 12345u;
        bool grows = (seed >> 16) % 100 < (last < MODEL_MAX / 2 ? 60 : 45);
        if (grows) {
            model[last] = (uint8_t)(GP_REPLY_QUERY + (seed >> 8) % GP_REPLY_FUNCTION);
            push(&q, model[last++]);
        } else if (first < last) {
            CHECK_EQ(head(&q), model[first]);
            gp_replies_pop(&q);
            first++;
        }
        CHECK_EQ(q.count, last - first);
    }
    while (first < last) {
        CHECK_EQ(head(&q), model[first++]);
        gp_replies_pop(&q);
    }
    CHECK(q.ring == NULL); /* an idle server owns no memory */
}

static void test_bound(void)
{
    struct gp_replies q = {0};

    for (uint32_t i = 0; i < GP_REPLIES_MAX; i++)
        push(&q, i % 2 ? GP_REPLY_BIND : GP_REPLY_PARSE);
    CHECK(!gp_replies_push(&q, GP_REPLY_SYNC, GP_REPLY_FORWARD));
    CHECK_EQ(q.count, GP_REPLIES_MAX);
    for (uint32_t i = 0; i < GP_REPLIES_MAX; i++) {
        CHECK_EQ(head(&q), i % 2 ? GP_REPLY_BIND : GP_REPLY_PARSE);
        gp_replies_pop(&q);
    }
    CHECK(gp_replies_empty(&q));
}

static void test_error_skips_to_sync(void)
{
    struct gp_replies q = {0};
    uint32_t intents;

    push(&q, GP_REPLY_PARSE);
    push(&q, GP_REPLY_QUERY); /* in the error window: no answer either */
    push(&q, GP_REPLY_FUNCTION);
    push(&q, GP_REPLY_COPY_END);
    push(&q, GP_REPLY_SYNC);
    push(&q, GP_REPLY_BIND);
    CHECK(gp_replies_skip_to_sync(&q, &intents));
    CHECK_EQ(head(&q), GP_REPLY_SYNC);
    CHECK_EQ(q.count, 2);
    gp_replies_pop(&q);
    CHECK(!gp_replies_skip_to_sync(&q, &intents));
    CHECK(gp_replies_empty(&q));
}

static void test_open_until_sync(void)
{
    static const enum gp_reply_kind closed[] = {GP_REPLY_SYNC, GP_REPLY_QUERY, GP_REPLY_FUNCTION};
    static const enum gp_reply_kind open[] = {GP_REPLY_PARSE, GP_REPLY_BIND, GP_REPLY_DESCRIBE,
                                              GP_REPLY_EXECUTE, GP_REPLY_CLOSE};
    struct gp_replies q = {0};

    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        push(&q, open[i]);
        CHECK(gp_replies_open(&q));
        push(&q, GP_REPLY_COPY_END); /* the end of a COPY is no request: the one before it counts */
        CHECK(gp_replies_open(&q));
        push(&q, closed[i % 3]);
        CHECK(!gp_replies_open(&q));
        push(&q, GP_REPLY_COPY_END);
        CHECK(!gp_replies_open(&q));
    }
    gp_replies_clear(&q);
    CHECK(!gp_replies_open(&q));
}

static void test_copy_end_alone_is_nothing(void)
{
    struct gp_replies q = {0};

    push(&q, GP_REPLY_COPY_END);
    push(&q, GP_REPLY_COPY_END);
    CHECK(gp_replies_empty(&q));
    CHECK_EQ(q.count, 0);
    push(&q, GP_REPLY_COPY_END);
    push(&q, GP_REPLY_QUERY);
    CHECK_EQ(head(&q), GP_REPLY_QUERY);
    gp_replies_clear(&q);
}

/* Syncs between the COPY and its end never get an answer; those behind its end do. */
static void test_copy_takes_the_early_syncs(void)
{
    struct gp_replies q = {0};

    push(&q, GP_REPLY_EXECUTE);
    push(&q, GP_REPLY_SYNC);
    push(&q, GP_REPLY_SYNC);
    push(&q, GP_REPLY_COPY_END);
    push(&q, GP_REPLY_SYNC);
    CHECK(gp_replies_copy_begins(&q));
    CHECK_EQ(q.count, 3);
    gp_replies_copy_ends(&q);
    CHECK_EQ(head(&q), GP_REPLY_EXECUTE);
    gp_replies_pop(&q);
    CHECK_EQ(head(&q), GP_REPLY_SYNC);
    gp_replies_pop(&q);
    CHECK(gp_replies_empty(&q));
}

/* Such a COPY can only fail before it reads them: then each has its answer. */
static void test_copy_leaves_syncs_before_a_request(void)
{
    struct gp_replies q = {0};
    uint32_t intents;

    push(&q, GP_REPLY_EXECUTE);
    push(&q, GP_REPLY_SYNC);
    push(&q, GP_REPLY_SYNC);
    push(&q, GP_REPLY_PARSE);
    CHECK(gp_replies_copy_begins(&q));
    CHECK_EQ(q.count, 4);
    CHECK(gp_replies_skip_to_sync(&q, &intents));
    CHECK_EQ(q.count, 3);
    gp_replies_clear(&q);
}

static void test_copy_still_to_stream(void)
{
    struct gp_replies q = {0};

    push(&q, GP_REPLY_QUERY);
    push(&q, GP_REPLY_SYNC);
    CHECK(!gp_replies_copy_begins(&q));
    CHECK_EQ(q.count, 1);
    gp_replies_copy_ends(&q); /* no mark: nothing to drop */
    CHECK_EQ(head(&q), GP_REPLY_QUERY);
    gp_replies_clear(&q);
}

static void test_two_copies_in_one_query(void)
{
    struct gp_replies q = {0};

    push(&q, GP_REPLY_QUERY);
    push(&q, GP_REPLY_COPY_END);
    push(&q, GP_REPLY_SYNC); /* read by the second COPY */
    push(&q, GP_REPLY_COPY_END);
    CHECK(gp_replies_copy_begins(&q));
    gp_replies_copy_ends(&q);
    CHECK(gp_replies_copy_begins(&q));
    CHECK_EQ(q.count, 2);
    gp_replies_copy_ends(&q);
    CHECK_EQ(q.count, 1);
    gp_replies_clear(&q);
}

/* Others come first; a segment that a Query ends is not one that can be said again. */
static void test_prepend_and_segments(void)
{
    struct gp_replies replies = {0}, others = {0};
    enum gp_reply_action action;

    for (unsigned i = 0; i < 40; i++)
        CHECK(gp_replies_push(&others, GP_REPLY_CLOSE, GP_REPLY_SWALLOW));
    CHECK(gp_replies_one_segment(&replies));
    CHECK(gp_replies_push(&replies, GP_REPLY_BIND, GP_REPLY_FORWARD | GP_REPLY_INTENT));
    CHECK(gp_replies_one_segment(&replies));
    CHECK(gp_replies_push(&replies, GP_REPLY_SYNC, GP_REPLY_FORWARD));
    CHECK(gp_replies_one_segment(&replies));
    CHECK(gp_replies_prepend(&replies, &others));
    CHECK_EQ(others.count, 0);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQ(gp_replies_head(&replies, &action), GP_REPLY_CLOSE);
        CHECK_EQ(action, GP_REPLY_SWALLOW);
        CHECK(!gp_replies_intends(&replies));
        CHECK(!gp_replies_pop(&replies));
    }
    CHECK_EQ(gp_replies_head(&replies, &action), GP_REPLY_BIND);
    CHECK(gp_replies_intends(&replies));
    CHECK(gp_replies_pop(&replies));
    CHECK_EQ(gp_replies_head(&replies, &action), GP_REPLY_SYNC);
    CHECK(gp_replies_push(&replies, GP_REPLY_BIND, GP_REPLY_FORWARD));
    CHECK(!gp_replies_one_segment(&replies));
    gp_replies_clear(&replies);
    CHECK(gp_replies_push(&replies, GP_REPLY_QUERY, GP_REPLY_FORWARD));
    CHECK(!gp_replies_one_segment(&replies));
    gp_replies_clear(&replies);
}

int main(void)
{
    RUN(test_prepend_and_segments);
    RUN(test_empty);
    RUN(test_order_and_action);
    RUN(test_like_an_array);
    RUN(test_bound);
    RUN(test_error_skips_to_sync);
    RUN(test_open_until_sync);
    RUN(test_copy_end_alone_is_nothing);
    RUN(test_copy_takes_the_early_syncs);
    RUN(test_copy_leaves_syncs_before_a_request);
    RUN(test_copy_still_to_stream);
    RUN(test_two_copies_in_one_query);
    return check_done();
}
