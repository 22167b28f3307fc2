/* The segment itself: where everything is, how it is made, how its pools are defined, how its
 * workers are woken. The picture is in pool.h. Everything here but the places and the pokes is the
 * master's. */
#include "admission.h"
#include "chronicle.h"
#include "database.h"
#include "notes.h"
#include "outage.h"
#include "pool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE  64u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define POOLS_LIMIT                                                                                \
    (1u << 20) /* a pool's place is about 400 KB of address space: 2^20 of them fit 47 bits */

_Static_assert(GP_SEGMENT_FDS_MAX == 1 + 3 * GP_WORKERS_MAX, "the memory's and three a place");
_Static_assert(sizeof(struct gp_segment) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_worker) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_client_row) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_pool) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_lane) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_slot_cold) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_welcome_note) % LINE == 0, "parts start on a line");
_Static_assert(offsetof(struct gp_database, places) % LINE == 0, "parts start on a line");
_Static_assert(sizeof(struct gp_times) % LINE == 0, "parts start on a line");

uint64_t gp_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- places ---- */

_Atomic uint64_t *owner_at(struct gp_segment *seg, uint32_t row)
{
    return (_Atomic uint64_t *)gp_segment_at(seg, seg->owners_off) + row;
}

struct gp_rate_line *gp_rate_line_at(struct gp_segment *seg, uint32_t line)
{
    return (struct gp_rate_line *)gp_segment_at(seg, seg->rates_off) + line;
}

uint32_t gp_pools_high(struct gp_segment *seg)
{
    /* acquire: pairs with the release in pool_append; the pools below are defined */
    return atomic_load_explicit(&seg->pools_high, memory_order_acquire);
}

uint32_t gp_clients_max(struct gp_segment *seg)
{
    return seg->clients_max;
}

/* ---- making it ---- */

static uint64_t lines(uint64_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static uint64_t pages(uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE); /* cannot fail for this name */
    return (bytes + page - 1) / page * page;
}

/* Within the bounds that gp_segment_create checks nothing here overflows. */
static struct gp_segment segment_plan(uint32_t workers, uint32_t pools_max, uint32_t clients_max)
{
    struct gp_segment plan = {.magic = GP_SEGMENT_MAGIC,
                              .layout_version = GP_LAYOUT_VERSION,
                              .workers = workers,
                              .clients_max = clients_max,
                              .pools_max = pools_max,
                              .boot_ns = gp_now_ns()};

    plan.workers_off = sizeof(struct gp_segment);
    plan.owners_off = plan.workers_off + sizeof(struct gp_worker) * workers;
    plan.clients_off = plan.owners_off + lines(sizeof(uint64_t) * (uint64_t)clients_max);
    plan.pools_off = plan.clients_off + sizeof(struct gp_client_row) * (uint64_t)clients_max;
    plan.lanes_off = sizeof(struct gp_pool);
    plan.slots_off = plan.lanes_off + sizeof(struct gp_lane) * workers;
    plan.cold_off = plan.slots_off + sizeof(struct gp_slot) * GP_SLOTS_MAX;
    plan.holdings_off = plan.cold_off + sizeof(struct gp_slot_cold) * GP_SLOTS_MAX;
    plan.holding_stride = lines(gp_holding_bytes(GP_STATEMENTS_MAX));
    plan.welcome_off = plan.holdings_off + plan.holding_stride * GP_SLOTS_MAX;
    plan.suspects_off = plan.welcome_off + sizeof(struct gp_welcome_note);
    plan.outage_off = plan.suspects_off + sizeof(struct gp_suspects_note);
    plan.times_off = plan.outage_off + sizeof(struct gp_outage_note);
    plan.pool_stride = plan.times_off + sizeof(struct gp_times) * workers;
    plan.databases_off = plan.pools_off + plan.pool_stride * pools_max;
    plan.database_stride = lines(gp_database_bytes(pools_max));
    plan.keys_off = pages(plan.databases_off + plan.database_stride * pools_max);
    plan.rates_off = plan.keys_off + pages(sizeof(struct gp_keys_note) * (uint64_t)pools_max);
    plan.chronicle_off = plan.rates_off + pages(sizeof(struct gp_rate_line) * GP_RATE_LINES);
    plan.servers_off = plan.chronicle_off + pages(sizeof(struct gp_chronicle));
    plan.total_size = plan.servers_off + pages(sizeof(struct gp_outage) * (uint64_t)pools_max);
    return plan;
}

static bool worker_wire(struct gp_worker *w)
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

static struct gp_segment *memory_map(const struct gp_segment *plan)
{
    struct gp_segment *seg = mmap(NULL, plan->total_size, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_NORESERVE, plan->fd, 0);

    if (seg == MAP_FAILED)
        return NULL;
    /* Secrets are in no core dump. Refused only by kernels without the advice. */
    (void)madvise((uint8_t *)seg + plan->keys_off, plan->rates_off - plan->keys_off, MADV_DONTDUMP);
    return seg;
}

struct gp_segment *gp_segment_create(uint32_t workers, uint32_t pools_max, uint32_t clients_max)
{
    struct gp_segment plan, *seg;
    int32_t fd;

    if (workers == 0 || workers > GP_WORKERS_MAX || pools_max == 0 || pools_max > POOLS_LIMIT ||
        clients_max == 0 || clients_max > GP_CLIENTS_LIMIT) {
        errno = EINVAL;
        return NULL;
    }
    plan = segment_plan(workers, pools_max, clients_max);
    plan.fd = fd = memory_make(plan.total_size);
    if (fd == -1)
        return NULL;
    seg = memory_map(&plan);
    if (seg == NULL) {
        keep_errno_close(fd);
        return NULL;
    }
    memcpy(seg, &plan, sizeof(plan));
    if (getrandom(seg->hash_key, sizeof(seg->hash_key), 0) != (ssize_t)sizeof(seg->hash_key)) {
        keep_errno_close(fd);
        (void)munmap(seg, plan.total_size);
        return NULL;
    }
    gp_segment_limits(seg, clients_max, GP_CREATES_MAX);
    for (uint32_t i = 0; i < workers; i++) {
        struct gp_worker *w = gp_worker_at(seg, i);
        w->wake_fd = w->inbox_read = w->inbox_write = -1;
    }
    for (uint32_t i = 0; i < workers; i++) {
        if (!worker_wire(gp_worker_at(seg, i))) {
            int error = errno;
            gp_segment_destroy(seg);
            errno = error;
            return NULL;
        }
    }
    return seg;
}

/* Is this the head of a segment that would be laid out here as it is there? */
static bool head_sound(const struct gp_segment *head, int32_t fd, uint64_t size)
{
    struct gp_segment plan;

    if (head->fd != fd || head->workers == 0 || head->workers > GP_WORKERS_MAX ||
        head->pools_max == 0 || head->pools_max > POOLS_LIMIT || head->clients_max == 0 ||
        head->clients_max > GP_CLIENTS_LIMIT)
        return false;
    plan = segment_plan(head->workers, head->pools_max, head->clients_max);
    return plan.total_size == size && head->total_size == size &&
           plan.pools_off == head->pools_off && plan.pool_stride == head->pool_stride;
}

struct gp_segment *gp_segment_attach(int32_t fd, uint32_t *layout)
{
    struct gp_segment head;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    *layout = 0;
    if (seals == -1 || fstat(fd, &st) == -1)
        return NULL;
    if ((seals & SEALS) != SEALS ||
        pread(fd, &head, sizeof(head), 0) < (ssize_t)offsetof(struct gp_segment, workers) ||
        head.magic != GP_SEGMENT_MAGIC) {
        errno = EINVAL;
        return NULL;
    }
    *layout = head.layout_version;
    if (head.layout_version != GP_LAYOUT_VERSION || !head_sound(&head, fd, (uint64_t)st.st_size)) {
        errno = EPROTO;
        return NULL;
    }
    return memory_map(&head);
}

void gp_segment_size(struct gp_segment *seg, struct gp_segment_size *size)
{
    *size = (struct gp_segment_size){seg->workers, seg->pools_max, seg->clients_max};
}

uint32_t gp_segment_fds(struct gp_segment *seg, int32_t *fds)
{
    uint32_t count = 0;

    fds[count++] = seg->fd;
    for (uint32_t i = 0; i < seg->workers; i++) {
        struct gp_worker *w = gp_worker_at(seg, i);
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

void gp_segment_limits(struct gp_segment *seg, uint32_t clients_limit, uint32_t max_creates)
{
    if (clients_limit > seg->clients_max)
        clients_limit = seg->clients_max;
    if (max_creates == 0 || max_creates > GP_CREATES_MAX)
        max_creates = GP_CREATES_MAX;
    /* relaxed: each is read alone */
    atomic_store_explicit(&seg->clients_limit, clients_limit, memory_order_relaxed);
    atomic_store_explicit(&seg->max_creates, max_creates, memory_order_relaxed);
}

/* A turn is a moment, and whoever moves the next one on has the last: a worker that dies meanwhile
 * leaves a gap and nothing else. */
uint64_t gp_handshake_turn(struct gp_segment *seg, uint32_t per_second, uint64_t patience_ns)
{
    uint64_t now = gp_now_ns(), at;
    uint64_t next = atomic_load_explicit(&seg->handshake_ns, memory_order_relaxed);

    do {
        at = next > now ? next : now;
        if (at - now > patience_ns)
            return at - now;
    } while (!atomic_compare_exchange_weak_explicit(&seg->handshake_ns, &next,
                                                    at + 1000000000ull / per_second,
                                                    memory_order_relaxed, memory_order_relaxed));
    return at - now;
}

/* ---- pools ---- */

static void workers_poke_all(struct gp_segment *seg)
{
    workers_poke(seg, workers_alive(seg)); /* who is born later looks at everything anyway */
}

static bool settings_sound(const struct gp_pool_settings *s)
{
    return s->mode <= GP_MODE_STATEMENT && s->size >= 1 && s->size <= GP_SLOTS_MAX &&
           s->min_size <= s->size && s->max_creates >= 1 && s->max_creates <= GP_CREATES_MAX &&
           s->statements_max <= GP_STATEMENTS_MAX && s->session_state <= GP_SESSION_TRACK &&
           s->warm_ratio <= 100 && s->reserve_size <= GP_PLACES_LIMIT;
}

/* Release: pairs with the acquire loads of pool.c and slot.c. */
static void setting_store(_Atomic uint32_t *setting, uint32_t value)
{
    atomic_store_explicit(setting, value, memory_order_release);
}

/* What holds all pools in use that have this database, or any. No pool: nothing. */
static uint32_t held_all(struct gp_segment *seg, const char *database)
{
    uint32_t held = UINT32_MAX;

    for (uint32_t i = 0, high = gp_pools_high(seg); i < high; i++) {
        struct gp_pool *p = gp_pool_at(seg, i);
        if (atomic_load_explicit(&p->in_use, memory_order_relaxed) &&
            (!database || strcmp(p->database, database) == 0))
            held &= atomic_load_explicit(&p->hold, memory_order_relaxed);
    }
    return held == UINT32_MAX ? 0 : held;
}

static void pool_apply(struct gp_segment *seg, uint32_t pool, const struct gp_pool_settings *s)
{
    struct gp_pool *p = gp_pool_at(seg, pool);

    if (atomic_load_explicit(&p->in_use, memory_order_relaxed) == 0)
        setting_store(&p->hold, held_all(seg, p->database) | held_all(seg, NULL));
    setting_store(&p->mode, s->mode);
    setting_store(&p->size, s->size);
    setting_store(&p->min_size, s->min_size);
    setting_store(&p->max_creates, s->max_creates);
    setting_store(&p->wait_timeout_ms, s->wait_timeout_ms);
    setting_store(&p->idle_timeout_ms, s->idle_timeout_ms);
    setting_store(&p->idle_transaction_timeout_ms, s->idle_transaction_timeout_ms);
    setting_store(&p->client_idle_timeout_ms, s->client_idle_timeout_ms);
    setting_store(&p->session_state, s->session_state);
    setting_store(&p->deferred_begin, s->deferred_begin);
    setting_store(&p->statements_max, s->statements_max);
    setting_store(&p->wait_notify_ms, s->wait_notify_ms);
    setting_store(&p->transaction_timeout_ms, s->transaction_timeout_ms);
    setting_store(&p->query_timeout_ms, s->query_timeout_ms);
    setting_store(&p->copy_timeout_ms, s->copy_timeout_ms);
    setting_store(&p->cancel_wait_timeout_ms, s->cancel_wait_timeout_ms);
    setting_store(&p->round_robin, s->round_robin);
    setting_store(&p->idle_check_ms, s->idle_check_ms);
    setting_store(&p->connect_timeout_ms, s->connect_timeout_ms);
    setting_store(&p->client_write_timeout_ms, s->client_write_timeout_ms);
    setting_store(&p->warm_ratio, s->warm_ratio);
    setting_store(&p->fast_retries, s->fast_retries);
    setting_store(&p->reserve_size, s->reserve_size);
    gp_database_join(seg, pool, s->database_place);
    setting_store(&p->retain_time_ms, s->retain_time_ms);
    setting_store(&p->retain_max, s->retain_max);
    atomic_fetch_add_explicit(&p->frees, 1,
                              memory_order_release); /* there may be room now: free_find */
    setting_store(&p->in_use, 1);
}

static bool pool_find(struct gp_segment *seg, const char *database, const char *user,
                      uint32_t *pool)
{
    for (uint32_t i = 0, high = gp_pools_high(seg); i < high; i++) {
        struct gp_pool *p = gp_pool_at(seg, i);
        if (strcmp(p->database, database) == 0 && strcmp(p->user, user) == 0) {
            *pool = i;
            return true;
        }
    }
    return false;
}

/* A place for one more pool: a vacated one, or the next. False: there is none. */
static bool place_find(struct gp_segment *seg, uint32_t *pool)
{
    if (!pool_find(seg, "", "", pool))
        *pool = gp_pools_high(seg);
    return *pool < seg->pools_max;
}

/* Nobody looks at the place but SHOW, which may see a mixture of two names. */
static void name_write(char *to, const char *name)
{
    memset(to, 0, GP_NAME_BYTES);
    memcpy(to, name, strlen(name));
}

enum gp_result gp_pool_define(struct gp_segment *seg, const char *database, const char *user,
                              const struct gp_pool_settings *settings, uint32_t *pool)
{
    uint32_t place;

    if (strlen(database) >= GP_NAME_BYTES || strlen(user) >= GP_NAME_BYTES ||
        !settings_sound(settings) || settings->database_place > gp_databases_high(seg))
        return GP_EPROTO;
    if (!pool_find(seg, database, user, pool)) {
        if (!place_find(seg, &place))
            return GP_EFULL;
        name_write(gp_pool_at(seg, place)->database, database);
        name_write(gp_pool_at(seg, place)->user, user);
        gp_outage_attach(seg, place, settings->server_tag);
        pool_apply(seg, place, settings);
        /* release: pairs with the acquire in gp_pools_high; names stay until gp_pool_vacate */
        if (place == gp_pools_high(seg))
            atomic_store_explicit(&seg->pools_high, place + 1, memory_order_release);
        *pool = place;
        return GP_OK;
    }
    gp_outage_attach(seg, *pool, settings->server_tag);
    pool_apply(seg, *pool, settings);
    workers_poke_all(seg); /* who waits may claim more now; sweeps retire what is too much */
    return GP_OK;
}

enum gp_result gp_pool_remove(struct gp_segment *seg, uint32_t pool)
{
    if (pool >= gp_pools_high(seg) ||
        atomic_load_explicit(&gp_pool_at(seg, pool)->in_use, memory_order_relaxed) == 0)
        return GP_ENOENT;
    setting_store(&gp_pool_at(seg, pool)->in_use, 0);
    setting_store(&gp_pool_at(seg, pool)->hold, 0);
    gp_pool_renew(seg, pool); /* its servers stay stale should the pool come back; and it forgets */
    return GP_OK;
}

/* Nothing of the old pool's numbers is the next one's. */
static void counters_move(struct gp_counters *from, struct gp_counters *to)
{
    _Atomic uint64_t *source = (_Atomic uint64_t *)from, *target = (_Atomic uint64_t *)to;

    for (size_t i = 0; i < sizeof(*from) / sizeof(*source); i++)
        gp_count(&target[i], atomic_exchange_explicit(&source[i], 0, memory_order_relaxed));
}

static void lane_clear(struct gp_lane *lane, struct gp_counters *heir)
{
    counters_move(&lane->counters, heir);
    atomic_store_explicit(&lane->waiting, 0, memory_order_relaxed);
    atomic_store_explicit(&lane->oldest_ns, 0, memory_order_relaxed);
}

enum gp_result gp_pool_vacate(struct gp_segment *seg, uint32_t pool, uint32_t heir)
{
    if (pool >= gp_pools_high(seg) || heir >= gp_pools_high(seg) || heir == pool ||
        atomic_load_explicit(&gp_pool_at(seg, pool)->in_use, memory_order_relaxed) != 0)
        return GP_ENOENT;
    for (uint32_t slot = 0, high = pool_high(gp_pool_at(seg, pool)); slot < high; slot++) {
        if (slot_word(gp_slot_at(seg, pool, slot)).state != GP_SLOT_FREE)
            return GP_AGAIN;
    }
    for (uint32_t worker = 0; worker < seg->workers; worker++) {
        lane_silence(seg, pool, worker);
        lane_clear(gp_lane_at(seg, pool, worker), &gp_pool_at(seg, heir)->inherited);
    }
    counters_move(&gp_pool_at(seg, pool)->inherited, &gp_pool_at(seg, heir)->inherited);
    atomic_store_explicit(&gp_pool_at(seg, pool)->killed_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&gp_pool_at(seg, pool)->resumed_ns, 0, memory_order_relaxed);
    gp_database_part(seg, pool);
    name_write(gp_pool_at(seg, pool)->database, "");
    name_write(gp_pool_at(seg, pool)->user, "");
    return GP_OK;
}

void gp_pool_renew(struct gp_segment *seg, uint32_t pool)
{
    if (pool >= gp_pools_high(seg))
        return;
    atomic_fetch_add_explicit(&gp_pool_at(seg, pool)->epoch, 1, memory_order_release);
    gp_outage_forget(seg, pool);
    gp_notes_wipe(seg, pool);
    workers_poke_all(seg);
}

/* ---- waking workers ---- */

/* EAGAIN means that the counter is full, that is, readable: the worker wakes. Nothing else can go
 * wrong with an eventfd that is open. */
static void wake_write(int32_t fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof(one)) == -1 && errno == EINTR)
        ;
}

void gp_worker_poke(struct gp_segment *seg, uint32_t worker)
{
    struct gp_worker *w = gp_worker_at(seg, worker);

    /* acq_rel: pairs with the exchange in gp_worker_unpoke, also when the mark was there already */
    if (atomic_exchange_explicit(&w->poked, 1, memory_order_acq_rel) == 0)
        wake_write(w->wake_fd);
}

void workers_poke(struct gp_segment *seg, uint64_t set)
{
    while (set != 0)
        gp_worker_poke(seg, set_pop(&set));
}

void worker_poke_hard(struct gp_segment *seg, uint32_t worker)
{
    struct gp_worker *w = gp_worker_at(seg, worker);

    (void)atomic_exchange_explicit(&w->poked, 1, memory_order_acq_rel);
    wake_write(w->wake_fd);
}

void gp_worker_unpoke(struct gp_segment *seg, uint32_t worker)
{
    struct gp_worker *w = gp_worker_at(seg, worker);
    uint64_t pokes;

    /* First the descriptor, then the mark. The other way round a poke between the two would write,
     * have its write eaten here and leave its mark: no later poke would wake us. EAGAIN: woken by
     * something else. */
    while (read(w->wake_fd, &pokes, sizeof(pokes)) == -1 && errno == EINTR)
        ;
    (void)atomic_exchange_explicit(&w->poked, 0,
                                   memory_order_acq_rel); /* pairs with gp_worker_poke */
}

/* relaxed: whoever gets a client and has just stopped passes it on */
void gp_segment_accept(struct gp_segment *seg, uint32_t worker, bool accept)
{
    if (accept)
        atomic_fetch_or_explicit(&seg->accepting, worker_bit(worker), memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&seg->accepting, ~worker_bit(worker), memory_order_relaxed);
}

void gp_worker_born(struct gp_segment *seg, uint32_t worker, uint32_t pid)
{
    struct gp_worker *w = gp_worker_at(seg, worker);

    atomic_store_explicit(&w->pid, pid, memory_order_relaxed);
    atomic_store_explicit(&w->beat_ns, gp_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&w->busy_clients, 0, memory_order_relaxed);
    atomic_store_explicit(&w->still, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->births, 1, memory_order_release); /* pairs with word_handed */
    /* release: pairs with worker_alive; whoever grants to us sees the place as the reclaim left it
     */
    atomic_fetch_or_explicit(&seg->alive, worker_bit(worker), memory_order_release);
    worker_poke_hard(seg, worker); /* a poke for the predecessor may be half done */
}
