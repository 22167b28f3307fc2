#include "uring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFERS_SIZE (GP_RING_BUFFERS * sizeof(struct io_uring_buf))
#define MEMORY_SIZE  ((size_t)GP_RING_BUFFERS * GP_RING_BUFFER_BYTES)

_Static_assert(GP_RING_BUFFERS <= 32768, "the kernel's bound");

/* Completions are posted when this thread enters the kernel, never by an interrupt in between. */
#define SETUP_FLAGS                                                                                \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |           \
     IORING_SETUP_CQSIZE)

/* What the setup must report besides: one mapping for both queues, no completion is ever dropped,
 * and none for entries that ask for none when they succeed. */
#define FEATURES (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_CQE_SKIP)

static void *map(int32_t fd, size_t size, uint64_t offset)
{
    int flags = fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);

    return at == MAP_FAILED ? NULL : at;
}

static enum gp_result map_queues(struct gp_ring *r, const struct io_uring_params *p)
{
    size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

    r->rings_size = sq > cq ? sq : cq;
    r->sqe_size = p->sq_entries * sizeof(struct io_uring_sqe);
    r->rings = map(r->fd, r->rings_size, IORING_OFF_SQ_RING);
    r->sqe_map = map(r->fd, r->sqe_size, IORING_OFF_SQES);
    if (!r->rings || !r->sqe_map)
        return GP_EIO;
    uint8_t *rings = r->rings;
    r->sqes = r->sqe_map;
    r->cqes = (const struct io_uring_cqe *)(rings + p->cq_off.cqes);
    r->sq_head = (_Atomic uint32_t *)(rings + p->sq_off.head);
    r->sq_ktail = (_Atomic uint32_t *)(rings + p->sq_off.tail);
    r->sq_flags = (_Atomic uint32_t *)(rings + p->sq_off.flags);
    r->cq_head = (_Atomic uint32_t *)(rings + p->cq_off.head);
    r->cq_tail = (_Atomic uint32_t *)(rings + p->cq_off.tail);
    r->cq_flags = (_Atomic uint32_t *)(rings + p->cq_off.flags);
    r->sq_entries = p->sq_entries;
    r->sq_mask = p->sq_entries - 1;
    r->cq_mask = p->cq_entries - 1;
    uint32_t *order = (uint32_t *)(rings + p->sq_off.array);
    for (uint32_t i = 0; i < p->sq_entries; i++)
        order[i] = i;
    return GP_OK;
}

static enum gp_result register_buffers(struct gp_ring *r)
{
    r->buffers = map(-1, BUFFERS_SIZE, 0);
    r->memory = map(-1, MEMORY_SIZE, 0);
    if (!r->buffers || !r->memory)
        return GP_EIO;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)r->buffers,
                                   .ring_entries = GP_RING_BUFFERS};
    if (syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_PBUF_RING, &reg, 1) == -1)
        return GP_EIO;
    for (uint16_t id = 0; id < GP_RING_BUFFERS; id++)
        gp_ring_recycle(r, id);
    return GP_OK;
}

static enum gp_result hang_bell(struct gp_ring *r)
{
    r->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->bell == -1 ||
        syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_EVENTFD, &r->bell, 1) == -1)
        return GP_EIO;
    return GP_OK;
}

enum gp_result gp_ring_open(struct gp_ring *r)
{
    struct io_uring_params params = {.flags = SETUP_FLAGS, .cq_entries = GP_RING_COMPLETIONS};
    enum gp_result result;

    memset(r, 0, sizeof(*r));
    r->bell = -1;
    r->fd = (int32_t)syscall(SYS_io_uring_setup, GP_RING_SUBMISSIONS, &params);
    if (r->fd == -1)
        return GP_EIO;
    if ((params.features & FEATURES) != FEATURES) {
        errno = ENOSYS;
        result = GP_EIO;
    } else {
        result = map_queues(r, &params);
    }
    if (result == GP_OK)
        result = register_buffers(r);
    if (result == GP_OK)
        result = hang_bell(r);
    if (result != GP_OK) {
        int why = errno;
        gp_ring_close(r);
        errno = why;
    }
    return result;
}

void gp_ring_close(struct gp_ring *r)
{
    if (r->fd != -1)
        close(r->fd);
    if (r->bell != -1)
        close(r->bell);
    if (r->rings)
        munmap(r->rings, r->rings_size);
    if (r->sqe_map)
        munmap(r->sqe_map, r->sqe_size);
    if (r->buffers)
        munmap(r->buffers, BUFFERS_SIZE);
    if (r->memory)
        munmap(r->memory, MEMORY_SIZE);
    memset(r, 0, sizeof(*r));
    r->fd = r->bell = -1;
}

void gp_ring_hush(struct gp_ring *r)
{
    uint64_t rings;

    while (read(r->bell, &rings, sizeof(rings)) == -1 && errno == EINTR)
        ;
}

void gp_ring_mute(struct gp_ring *r)
{
    atomic_store_explicit(r->cq_flags, IORING_CQ_EVENTFD_DISABLED, memory_order_relaxed);
    gp_ring_hush(r);
}

void gp_ring_unmute(struct gp_ring *r)
{
    atomic_store_explicit(r->cq_flags, 0, memory_order_relaxed);
}

void gp_ring_ring(struct gp_ring *r)
{
    if (eventfd_write(r->bell, 1) == -1)
        abort(); /* nobody would deliver what has been taken out */
}

struct io_uring_sqe *gp_ring_entry(struct gp_ring *r)
{
    /* acquire: the kernel has read what it took; pairs with its release of the head */
    if (r->sq_tail - atomic_load_explicit(r->sq_head, memory_order_acquire) == r->sq_entries)
        return NULL;
    struct io_uring_sqe *entry = &r->sqes[r->sq_tail++ & r->sq_mask];
    memset(entry, 0, sizeof(*entry));
    return entry;
}

enum gp_result gp_ring_enter(struct gp_ring *r, bool events, uint32_t until)
{
    /* release: the entries are complete before the kernel sees the tail */
    atomic_store_explicit(r->sq_ktail, r->sq_tail, memory_order_release);
    long taken = syscall(SYS_io_uring_enter, r->fd, gp_ring_filled(r), until,
                         events ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
    if (taken >= 0) {
        r->entered += (uint32_t)taken;
        return GP_OK;
    }
    return errno == EINTR || errno == EAGAIN || errno == EBUSY ? GP_AGAIN : GP_EIO;
}

void gp_ring_recycle(struct gp_ring *r, uint16_t id)
{
    struct io_uring_buf *buffer = &r->buffers->bufs[r->buffers_tail & (GP_RING_BUFFERS - 1)];

    buffer->addr = (uint64_t)(uintptr_t)gp_ring_buffer(r, id);
    buffer->len = GP_RING_BUFFER_BYTES;
    buffer->bid = id;
    /* release: the buffer is described before the kernel sees the tail */
    atomic_store_explicit((_Atomic uint16_t *)&r->buffers->tail, ++r->buffers_tail,
                          memory_order_release);
}
