/* One io_uring and one ring of buffers for what is received: the system calls and the memory that
 * is shared with the kernel, nothing else. Partner: transport_uring.c, which knows what the entries
 * mean.
 *
 *     submission queue:  | taken by the kernel | filled, not entered | room |
 *                        0                  *sq_head             sq_tail    head + entries
 *     completion queue:  | read | posted by the kernel |
 *                        0   *cq_head               *cq_tail
 *     bell:              an eventfd that the kernel signals when there is work, unless told not to.
 *                        The ring's own descriptor does not: it is readable once completions are
 *                        posted, which is when this thread enters the kernel for them
 *     buffers:           the kernel takes one for each receive that has something and names it in
 *                        the completion; gp_ring_recycle gives it back
 *
 * Positions only grow and are used modulo the number of entries. Works from Linux 6.1 on. The
 * process that opened it, and in it the same thread, makes all calls: none of them goes through a
 * fork. Source: io_uring(7), io_uring_setup(2), io_uring_enter(2), io_uring_register(2). */
#ifndef GP_URING_H
#define GP_URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

#define GP_RING_SUBMISSIONS  512u
#define GP_RING_COMPLETIONS  4096u
#define GP_RING_BUFFERS      256u /* a power of two; twice as many as are delivered in a batch */
#define GP_RING_BUFFER_BYTES 16384u

struct gp_ring {
    int32_t fd;
    int32_t bell;
    _Atomic uint32_t *sq_head, *sq_ktail, *sq_flags;
    _Atomic uint32_t *cq_head, *cq_tail, *cq_flags;
    uint32_t sq_tail, sq_mask, sq_entries, cq_mask;
    uint32_t entered; /* entries that an enter has taken */
    struct io_uring_sqe *sqes;
    const struct io_uring_cqe *cqes;
    void *rings, *sqe_map; /* mappings */
    size_t rings_size, sqe_size;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory; /* theirs */
    uint16_t buffers_tail;
};

/* GP_EIO: errno; nothing is left open. ENOSYS, EPERM, EINVAL: the kernel lacks it or forbids it. */
GP_NODISCARD enum gp_result gp_ring_open(struct gp_ring *r);
void gp_ring_close(struct gp_ring *r);

/* The next entry to fill, all zero; it belongs to the next enter. NULL: enter first. */
struct io_uring_sqe *gp_ring_entry(struct gp_ring *r);
/* Hand over what is filled, run what the kernel has deferred if that is asked for (events), and
 * sleep until so many completions are there. GP_AGAIN: a signal, or too little memory for now; call
 * again. Afterwards gp_ring_filled tells what was not taken. */
GP_NODISCARD enum gp_result gp_ring_enter(struct gp_ring *r, bool events, uint32_t until);

/* From here on the bell is silent; it is emptied. */
void gp_ring_mute(struct gp_ring *r);
/* From here on it rings. What came before does not: enter once more for that. */
void gp_ring_unmute(struct gp_ring *r);

void gp_ring_ring(struct gp_ring *r);
/* It has been heard. */
void gp_ring_hush(struct gp_ring *r);

static inline uint32_t gp_ring_filled(const struct gp_ring *r)
{
    return r->sq_tail - r->entered;
}

/* The bytes of a buffer that a completion names. */
static inline uint8_t *gp_ring_buffer(const struct gp_ring *r, uint16_t id)
{
    return r->memory + (size_t)id * GP_RING_BUFFER_BYTES;
}

void gp_ring_recycle(struct gp_ring *r, uint16_t id);

#endif
