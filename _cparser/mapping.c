/* The two memories of a segment: how they are laid out, made, mapped, and found again by the master
 * of a later generation. The picture is in layout.h, what is done with it in segment.c. Runs in masters
 * only, before they fork. */
#include "admission.h"
#include "chronicle.h"
#include "database.h"
#include "notes.h"
#include "pool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE  64u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define POOLS_LIMIT                                                                                \
    (1u << 20) /* a pool's place is about 400 KB of address space: 2^20 of them fit 47 bits */

_Static_assert(GP_SEGMENT_FDS_MAX == 2 + 3 * GP_WORKERS_MAX, "two memories and three a place");
_Static_assert(sizeof(struct gp_segment) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_worker) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_client_row) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_pool) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_meter) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_common) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_common_worker) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_common_pool) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_lane) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_slot_cold) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_welcome_note) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_suspects_note) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_outage_note) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_outage) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_chronicle) % LINE == 0, "parts start on a line");
_Static_assert(offsetof(struct gp_database, places) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_times) % LINE == 0, "parts start on a line");

/* ---- plans ---- */

static uint64_t lines(uint64_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static uint64_t pages(uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE); /* cannot fail for this name */
    return (bytes + page - 1) / page * page;
}

/* The common part, as far as the words of its head say. */
static struct gp_common common_plan(uint32_t workers, uint32_t pools_max, uint32_t clients_max)
{
    return (struct gp_common){.magic = GP_COMMON_MAGIC,
                              .version = GP_COMMON_VERSION,
                              .workers = workers,
                              .pools_max = pools_max,
                              .clients_max = clients_max,
                              .boot_ns = gp_now_ns()};
}

static void plan_own(struct gp_segment *plan)
{
    plan->workers_off = sizeof(struct gp_segment);
    plan->pools_off = plan->workers_off + sizeof(struct gp_worker) * plan->workers;
    plan->meters_off = sizeof(struct gp_pool);
    plan->times_off = plan->meters_off + sizeof(struct gp_meter) * plan->workers;
    plan->pool_stride = plan->times_off + sizeof(struct gp_times) * plan->workers;
    plan->rates_off = plan->pools_off + plan->pool_stride * plan->pools_max;
    plan->own_size = pages(plan->rates_off + sizeof(struct gp_rate_line) * GP_RATE_LINES);
}

/* Everything up to the pools, and from the start of a pool. */
static void plan_pools(struct gp_segment *plan)
{
    uint64_t clients_max = plan->clients_max;

    plan->common_off = plan->own_size;
    plan->common_workers_off = plan->common_off + sizeof(struct gp_common);
    plan->owners_off = plan->common_workers_off + sizeof(struct gp_common_worker) * plan->workers;
    plan->clients_off = plan->owners_off + lines(sizeof(uint64_t) * clients_max);
    plan->common_pools_off = plan->clients_off + sizeof(struct gp_client_row) * clients_max;
    plan->lanes_off = sizeof(struct gp_common_pool);
    plan->slots_off = plan->lanes_off + sizeof(struct gp_lane) * plan->workers;
    plan->cold_off = plan->slots_off + sizeof(struct gp_slot) * GP_SLOTS_MAX;
    plan->holdings_off = plan->cold_off + sizeof(struct gp_slot_cold) * GP_SLOTS_MAX;
    plan->holding_stride = lines(gp_holding_bytes(GP_STATEMENTS_MAX));
    plan->welcome_off = plan->holdings_off + plan->holding_stride * GP_SLOTS_MAX;
    plan->suspects_off = plan->welcome_off + sizeof(struct gp_welcome_note);
    plan->outage_off = plan->suspects_off + sizeof(struct gp_suspects_note);
    plan->common_stride = plan->outage_off + sizeof(struct gp_outage_note);
}

/* Every version of a GP_COMMON_VERSION comes to the same size. */
static void plan_common(struct gp_segment *plan)
{
    uint64_t pools_max = plan->pools_max;

    plan_pools(plan);
    plan->databases_off = plan->common_pools_off + plan->common_stride * pools_max;
    plan->database_stride = lines(gp_database_bytes(plan->pools_max));
    plan->servers_off = plan->databases_off + plan->database_stride * pools_max;
    plan->chronicle_off = plan->servers_off + sizeof(struct gp_outage) * pools_max;
    plan->keys_off = pages(plan->chronicle_off + sizeof(struct gp_chronicle));
    plan->total_size = plan->keys_off + pages(sizeof(struct gp_keys_note) * pools_max);
}

/* Within the bounds that sizes_sound checks nothing here overflows. */
static struct gp_segment segment_plan(const struct gp_common *head)
{
    struct gp_segment plan = {.magic = GP_SEGMENT_MAGIC,
                              .layout_version = GP_LAYOUT,
                              .fd = -1,
                              .common_fd = -1,
                              .workers = head->workers,
                              .clients_max = head->clients_max,
                              .pools_max = head->pools_max};

    plan_own(&plan);
    plan_common(&plan);
    return plan;
}

/* ---- making it ---- */

static bool worker_wire(struct gp_common_worker *w)
{
    int pair[2];

    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->wake_fd == -1)
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1)
        return false;
    w->inbox_read = pair[0];
    w->inbox_write = pair[1];
    return true;
}

static void keep_errno_close(int32_t fd)
{
    int error = errno;
    (void)close(fd);
    errno = error;
}

/* Memory that whoever has the descriptor can map, and nobody can make smaller under the others. */
static int32_t memory_make(uint64_t size)
{
    int32_t fd = memfd_create("greenpool", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd == -1)
        return -1;
    if (ftruncate(fd, (off_t)size) == -1 || fcntl(fd, F_ADD_SEALS, SEALS) == -1) {
        keep_errno_close(fd);
        return -1;
    }
    return fd;
}

static bool memory_map_at(void *at, uint64_t size, int32_t fd)
{
    return mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) !=
           MAP_FAILED;
}

/* Both parts, the common one behind the own. */
static struct gp_segment *memory_map(const struct gp_segment *plan)
{
    uint8_t *base =
        mmap(NULL, plan->total_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    if (!memory_map_at(base, plan->own_size, plan->fd) ||
        !memory_map_at(base + plan->common_off, plan->total_size - plan->common_off,
                       plan->common_fd)) {
        int error = errno;
        (void)munmap(base, plan->total_size);
        errno = error;
        return NULL;
    }
    /* Secrets are in no core dump. Refused only by kernels without the advice. */
    (void)madvise(base + plan->keys_off, plan->total_size - plan->keys_off, MADV_DONTDUMP);
    return (struct gp_segment *)base;
}

static bool sizes_sound(const struct gp_common *head)
{
    return head->workers != 0 && head->workers <= GP_WORKERS_MAX && head->pools_max != 0 &&
           head->pools_max <= POOLS_LIMIT && head->clients_max != 0 &&
           head->clients_max <= GP_CLIENTS_LIMIT;
}

/* An own part with nothing in it, beside the common part that plan->common_fd is. NULL: errno, and
 * that is still open. */
static struct gp_segment *own_make(struct gp_segment *plan)
{
    struct gp_segment *seg;

    plan->fd = memory_make(plan->own_size);
    if (plan->fd == -1)
        return NULL;
    seg = memory_map(plan);
    if (seg == NULL) {
        keep_errno_close(plan->fd);
        return NULL;
    }
    memcpy(seg, plan, sizeof(*plan));
    gp_segment_limits(seg, plan->clients_max, GP_CREATES_MAX);
    return seg;
}

/* Fill the common part, which is all zeros. False: errno. */
static bool common_make(struct gp_segment *seg, const struct gp_common *head)
{
    struct gp_common *common = gp_common_of(seg);

    memcpy(common, head, sizeof(*head));
    for (uint32_t i = 0; i < seg->workers; i++) {
        struct gp_common_worker *w = gp_common_worker_at(seg, i);
        w->wake_fd = w->inbox_read = w->inbox_write = -1;
    }
    if (getrandom(common->hash_key, sizeof(common->hash_key), 0) !=
        (ssize_t)sizeof(common->hash_key))
        return false;
    for (uint32_t i = 0; i < seg->workers; i++) {
        if (!worker_wire(gp_common_worker_at(seg, i)))
            return false;
    }
    return true;
}

struct gp_segment *gp_segment_create(uint32_t workers, uint32_t pools_max, uint32_t clients_max)
{
    struct gp_common head = common_plan(workers, pools_max, clients_max);
    struct gp_segment plan, *seg;

    if (!sizes_sound(&head)) {
        errno = EINVAL;
        return NULL;
    }
    plan = segment_plan(&head);
    head.size = plan.total_size - plan.common_off;
    plan.common_fd = head.fd = memory_make(head.size);
    if (head.fd == -1)
        return NULL;
    seg = own_make(&plan);
    if (seg == NULL) {
        keep_errno_close(plan.common_fd);
        return NULL;
    }
    if (!common_make(seg, &head)) {
        int error = errno;
        gp_segment_destroy(seg);
        errno = error;
        return NULL;
    }
    return seg;
}

/* ---- finding it again ---- */

/* The head of a memory as gp_segment_create makes them; its size. False: errno. */
static bool head_read(int32_t fd, void *head, size_t bytes, uint64_t *size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals == -1 || fstat(fd, &st) == -1)
        return false;
    *size = (uint64_t)st.st_size;
    if ((seals & SEALS) == SEALS && pread(fd, head, bytes, 0) == (ssize_t)bytes)
        return true;
    errno = EINVAL;
    return false;
}

/* Is this the head of an own part that would be laid out here as it is there? */
static bool own_fits(const struct gp_segment *head, const struct gp_segment *plan, uint64_t size)
{
    return head->magic == GP_SEGMENT_MAGIC && head->layout_version == GP_LAYOUT &&
           plan->own_size == size && plan->total_size == head->total_size &&
           plan->pool_stride == head->pool_stride && plan->meters_off == head->meters_off &&
           plan->fd == head->fd;
}

struct gp_segment *gp_segment_attach(int32_t fd, int32_t common_fd, uint32_t *version, bool *fresh)
{
    struct gp_common common;
    struct gp_segment plan, own, *seg;
    uint64_t common_size, own_size;

    *version = 0;
    *fresh = false;
    if (!head_read(common_fd, &common, sizeof(common), &common_size))
        return NULL;
    if (common.magic != GP_COMMON_MAGIC || !sizes_sound(&common)) {
        errno = EINVAL;
        return NULL;
    }
    *version = common.version;
    plan = segment_plan(&common);
    if (common.version != GP_COMMON_VERSION || common.fd != common_fd ||
        common.size != common_size || plan.total_size - plan.common_off != common_size) {
        errno = EPROTO;
        return NULL;
    }
    plan.fd = fd;
    plan.common_fd = common_fd;
    *fresh = !head_read(fd, &own, sizeof(own), &own_size) || !own_fits(&own, &plan, own_size);
    seg = *fresh ? own_make(&plan) : memory_map(&plan);
    if (seg != NULL && *fresh)
        (void)close(fd); /* whoever lives there has it open */
    return seg;
}

/* ---- what it is made of ---- */

void gp_segment_size(struct gp_segment *seg, struct gp_segment_size *size)
{
    *size = (struct gp_segment_size){seg->workers, seg->pools_max, seg->clients_max};
}

uint32_t gp_segment_fds(struct gp_segment *seg, int32_t *fds)
{
    uint32_t count = 0;

    fds[count++] = seg->fd;
    fds[count++] = seg->common_fd;
    for (uint32_t i = 0; i < seg->workers; i++) {
        struct gp_common_worker *w = gp_common_worker_at(seg, i);
        fds[count++] = w->wake_fd;
        fds[count++] = w->inbox_read;
        fds[count++] = w->inbox_write;
    }
    return count;
}

/* close(2) releases the descriptor whatever it returns, and there is nothing buffered to lose. */
static void descriptor_close(int32_t fd)
{
    if (fd != -1)
        (void)close(fd);
}

void gp_segment_destroy(struct gp_segment *seg)
{
    int32_t fds[GP_SEGMENT_FDS_MAX];

    for (uint32_t count = gp_segment_fds(seg, fds); count-- > 0;)
        descriptor_close(fds[count]);
    (void)munmap(seg, seg->total_size); /* fails for a bad address only */
}
