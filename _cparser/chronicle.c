#include "chronicle.h"

#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(struct gp_chronicle_line) == 512, "lines do not share a cache line");

static struct gp_chronicle *chronicle_of(struct gp_segment *seg)
{
    return gp_segment_at(seg, seg->chronicle_off);
}

static struct gp_chronicle_line *line_of(struct gp_chronicle *c, uint64_t number)
{
    return &c->lines[number % GP_CHRONICLE_KEPT];
}

/* FNV-1a of the row, as far as its text goes. */
static uint64_t sum_of(const struct gp_chronicle_row *row)
{
    size_t size = offsetof(struct gp_chronicle_row, text) + row->length;
    uint64_t sum = 14695981039346656037u;

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const uint8_t *)row)[i]) * 1099511628211u;
    return sum;
}

void gp_chronicle_add(struct gp_segment *seg, uint32_t kind, uint32_t worker, const uint8_t *text,
                      uint32_t length)
{
    struct gp_chronicle *c = chronicle_of(seg);
    struct gp_chronicle_line line = {.row = {.at_ns = gp_now_ns(),
                                             .kind = kind,
                                             .worker = worker,
                                             .pid = (uint32_t)getpid(),
                                             .length = length}};

    if (kind >= GP_CHRONICLE_KINDS)
        return;
    if (line.row.length > GP_CHRONICLE_BYTES)
        line.row.length = GP_CHRONICLE_BYTES;
    memcpy(line.row.text, text, line.row.length);
    atomic_fetch_add_explicit(&c->counts[kind], 1, memory_order_relaxed);
    line.row.number = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed) + 1;
    line.sum = sum_of(&line.row);
    *line_of(c, line.row.number) = line;
}

uint64_t gp_chronicle_end(struct gp_segment *seg)
{
    return atomic_load_explicit(&chronicle_of(seg)->next, memory_order_relaxed);
}

enum gp_result gp_chronicle_row(struct gp_segment *seg, uint64_t number,
                                struct gp_chronicle_row *row)
{
    struct gp_chronicle_line line = *line_of(chronicle_of(seg), number);

    if (number == 0 || line.row.number != number || line.row.length > GP_CHRONICLE_BYTES ||
        line.sum != sum_of(&line.row))
        return GP_ENOENT;
    *row = line.row;
    return GP_OK;
}

uint64_t gp_chronicle_count(struct gp_segment *seg, uint32_t kind)
{
    if (kind >= GP_CHRONICLE_KINDS)
        return 0;
    return atomic_load_explicit(&chronicle_of(seg)->counts[kind], memory_order_relaxed);
}
