#include "buffer.h"

#include <stdlib.h>
#include <string.h>

#define GP_BUFFER_MIN 512u

#ifdef __SANITIZE_ADDRESS__
#define SPARE_MAX 0u /* it shall see every use of what is free */
#else
#define SPARE_MAX 256u
#endif

/* Each thread has its own: handshakes of TLS may run beside the loop. */
#define GP_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

static GP_LOCAL struct gp_buffer *spare;
static GP_LOCAL unsigned spare_count;

static struct gp_buffer *make(size_t cap)
{
    struct gp_buffer *buffer = cap == GP_BUFFER_MIN ? spare : NULL;

    if (buffer) {
        spare = buffer->next;
        spare_count--;
        return buffer;
    }
    buffer = malloc(sizeof(*buffer) + cap);
    if (buffer)
        buffer->cap = cap;
    return buffer;
}

static void release(struct gp_buffer *buffer)
{
    if (!buffer || buffer->cap != GP_BUFFER_MIN || spare_count == SPARE_MAX) {
        free(buffer);
        return;
    }
    buffer->next = spare;
    spare = buffer;
    spare_count++;
}

/* Room for len more bytes behind end: slide the kept bytes to the front, or grow by doubling. */
static bool make_room(struct gp_buffer **buffer, size_t len)
{
    struct gp_buffer *old = *buffer;
    size_t kept = gp_buffer_len(old);

    if (old && len <= old->cap - kept) {
        memmove(old->data, old->data + old->start, kept);
        old->start = 0;
        old->end = kept;
        return true;
    }
    if (len > SIZE_MAX / 4 - kept)
        return false;
    size_t cap = GP_BUFFER_MIN;
    while (cap < kept + len)
        cap *= 2;
    struct gp_buffer *grown = make(cap);
    if (!grown)
        return false;
    if (kept)
        memcpy(grown->data, gp_buffer_at(old), kept);
    grown->start = 0;
    grown->end = kept;
    release(old);
    *buffer = grown;
    return true;
}

bool gp_buffer_append(struct gp_buffer **buffer, const uint8_t *data, size_t len)
{
    if (len == 0)
        return true;
    if ((!*buffer || len > (*buffer)->cap - (*buffer)->end) && !make_room(buffer, len))
        return false;
    memcpy((*buffer)->data + (*buffer)->end, data, len);
    (*buffer)->end += len;
    return true;
}

void gp_buffer_consume(struct gp_buffer **buffer, size_t n)
{
    if (!*buffer)
        return;
    (*buffer)->start += n;
    if ((*buffer)->start >= (*buffer)->end)
        gp_buffer_free(buffer);
}

void gp_buffer_let_go(struct gp_buffer **buffer)
{
    release(*buffer);
    *buffer = NULL;
}
