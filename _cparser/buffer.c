#include "buffer.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define GP_BUFFER_MIN  512u
#define GP_BUFFER_STEP 1048576u

#ifdef __SANITIZE_ADDRESS__
#define SPARE_MAX 0u /* it shall see every use of what is free */
#else
#define SPARE_MAX 256u
#endif

/* Each thread has its own: handshakes of TLS may run beside the loop. */
#define GP_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

static GP_LOCAL struct gp_buffer *spare;
static GP_LOCAL unsigned spare_count;

static struct gp_buffer *make(size_t cap, enum gp_claim claim)
{
    struct gp_buffer *buffer = cap == GP_BUFFER_MIN ? spare : NULL;

    if (buffer) {
        spare = buffer->next;
        spare_count--;
        return buffer;
    }
    if (!gp_memory_take(GP_MEMORY_BUFFERS, cap, claim))
        return NULL;
    buffer = malloc(sizeof(*buffer) + cap);
    if (buffer)
        buffer->cap = cap;
    else
        gp_memory_give(GP_MEMORY_BUFFERS, cap);
    return buffer;
}

static void release(struct gp_buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->cap != GP_BUFFER_MIN || spare_count == SPARE_MAX) {
        size_t cap = buffer->cap;
        free(buffer);
        gp_memory_give(GP_MEMORY_BUFFERS, cap);
        return;
    }
    buffer->next = spare;
    spare = buffer;
    spare_count++;
}

/* Doubling, up to a step; from there by steps, so that what is large is not held twice over. */
static size_t cap_for(size_t len)
{
    size_t cap = GP_BUFFER_MIN;

    while (cap < len && cap < GP_BUFFER_STEP)
        cap *= 2;
    return cap < len ? (len + GP_BUFFER_STEP - 1) / GP_BUFFER_STEP * GP_BUFFER_STEP : cap;
}

static void slide(struct gp_buffer *buffer)
{
    size_t kept = gp_buffer_len(buffer);

    memmove(buffer->data, buffer->data + buffer->start, kept);
    buffer->start = 0;
    buffer->end = kept;
}

/* The kept bytes in another, larger one. */
static bool move_over(struct gp_buffer **buffer, size_t cap, enum gp_claim claim)
{
    struct gp_buffer *old = *buffer, *grown = make(cap, claim);
    size_t kept = gp_buffer_len(old);

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

/* A large one grows where it is, if it can: the kernel moves its pages. */
static bool stretch(struct gp_buffer **buffer, size_t cap, enum gp_claim claim)
{
    size_t more = cap - (*buffer)->cap;

    if (!gp_memory_take(GP_MEMORY_BUFFERS, more, claim))
        return false;
    slide(*buffer);
    struct gp_buffer *grown = realloc(*buffer, sizeof(*grown) + cap);
    if (!grown) {
        gp_memory_give(GP_MEMORY_BUFFERS, more);
        return false;
    }
    grown->cap = cap;
    *buffer = grown;
    return true;
}

/* Room for len more bytes behind end: slide the kept bytes to the front, or grow. */
static bool make_room(struct gp_buffer **buffer, size_t len, enum gp_claim claim)
{
    struct gp_buffer *old = *buffer;
    size_t kept = gp_buffer_len(old);

    if (old && len <= old->cap - kept) {
        slide(old);
        return true;
    }
    if (len > SIZE_MAX / 4 - kept)
        return false;
    size_t cap = cap_for(kept + len);
    return old && old->cap >= GP_BUFFER_STEP ? stretch(buffer, cap, claim)
                                             : move_over(buffer, cap, claim);
}

static bool append(struct gp_buffer **buffer, const uint8_t *data, size_t len, enum gp_claim claim)
{
    if (len == 0)
        return true;
    if ((!*buffer || len > (*buffer)->cap - (*buffer)->end) && !make_room(buffer, len, claim))
        return false;
    memcpy((*buffer)->data + (*buffer)->end, data, len);
    (*buffer)->end += len;
    return true;
}

bool gp_buffer_append(struct gp_buffer **buffer, const uint8_t *data, size_t len)
{
    return append(buffer, data, len, GP_ASK);
}

bool gp_buffer_insist(struct gp_buffer **buffer, const uint8_t *data, size_t len)
{
    return append(buffer, data, len, GP_INSIST);
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
