/* sources: [a-z]*.c */
/* libraries: -lssl -lcrypto */
/*
 * fuzz_record: the record of a client that comes from another process.
 *
 * Whatever the bytes are, they are refused and nothing is left, or they make a client whose own record
 * makes the same client again: one that is as long.
 */
#include <stdlib.h>
#include <string.h>

#include "../record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* An engine that has nothing but what records are read into. */
static struct gp_engine *make_engine(void)
{
    const struct gp_pool_settings settings = {.size = 1, .max_creates = 1};
    struct gp_engine *e = calloc(1, sizeof(*e));
    uint32_t pool;

    require(e != NULL);
    e->seg = gp_segment_create(1, 1, 256);
    require(e->seg && gp_pool_define(e->seg, "a", "b", &settings, &pool) == GP_OK);
    return e;
}

static struct gp_buffer *write_down(const struct gp_luggage *luggage)
{
    struct gp_buffer *record = NULL;

    require(gp_record_write(luggage, &record));
    return record;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gp_engine *e;
    struct gp_luggage first, second;

    if (!e)
        e = make_engine();
    uint8_t *copy = malloc(size); /* so that one byte too many is seen */
    require(copy != NULL || size == 0);
    if (size)
        memcpy(copy, data, size);
    enum gp_result result = gp_record_read(e, copy, size, &first);
    free(copy);
    if (result != GP_OK)
        return 0;
    struct gp_buffer *record = write_down(&first);
    require(gp_record_read(e, gp_buffer_at(record), gp_buffer_len(record), &second) == GP_OK);
    struct gp_buffer *again = write_down(&second);
    require(gp_buffer_len(again) == gp_buffer_len(record));
    gp_buffer_free(&record);
    gp_buffer_free(&again);
    gp_luggage_drop(e, &first);
    gp_luggage_drop(e, &second);
    require(e->interner.count == e->interner.idle);
    return 0;
}
