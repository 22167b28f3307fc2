/* The segment as it is used: where things are, how its pools are defined, how its workers are woken.
 * The picture is in layout.h; mapping.c makes it. Everything here but the places and the pokes is the
 * master's. */
#include "admission.h"
#include "database.h"
#include "notes.h"
#include "outage.h"
#include "pool_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    return atomic_load_explicit(&gp_common_of(seg)->pools_high, memory_order_acquire);
}

uint32_t gp_clients_max(struct gp_segment *seg)
{
    return seg->clients_max;
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

/* What holds all other pools in use that have this database, or any. No pool: nothing. */
static uint32_t held_all(struct gp_segment *seg, uint32_t but, const char *database)
{
    uint32_t held = UINT32_MAX;

    for (uint32_t i = 0, high = gp_pools_high(seg); i < high; i++) {
        struct gp_common_pool *p = gp_common_pool_at(seg, i);
        if (i != but && atomic_load_explicit(&p->in_use, memory_order_relaxed) &&
            (!database || strcmp(p->database, database) == 0))
            held &= atomic_load_explicit(&p->hold, memory_order_acquire);
    }
    return held == UINT32_MAX ? 0 : held;
}

static uint32_t held_likewise(struct gp_segment *seg, uint32_t pool)
{
    return held_all(seg, pool, gp_common_pool_at(seg, pool)->database) | held_all(seg, pool, NULL);
}

/* Fence: pairs with that of controls.c; see hold_likewise. */
static uint64_t wishes_of(struct gp_segment *seg)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&gp_common_of(seg)->controls, memory_order_acquire);
}

/* A server that was opened meanwhile is of no use. False: somebody has said what of this pool itself. */
static bool hold_anew(struct gp_segment *seg, uint32_t pool, uint32_t before, uint32_t held)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    if (!atomic_compare_exchange_strong_explicit(&p->hold, &before, held, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    atomic_fetch_add_explicit(&p->epoch, 1, memory_order_release);
    atomic_fetch_add_explicit(&gp_common_of(seg)->controls, 1, memory_order_release);
    workers_poke_all(seg);
    return true;
}

/* A pool that others have just begun to see is held as all others are, whatever was said of those
 * since there were so many wishes. Who wishes something of all first says it of those it sees, then
 * looks once more (greenpool/admin/commands.py). So either it sees this pool, or its wishes are
 * counted here. */
static void hold_likewise(struct gp_segment *seg, uint32_t pool, uint32_t held, uint64_t wishes)
{
    for (uint64_t now; (now = wishes_of(seg)) != wishes; wishes = now) {
        uint32_t wanted = held_likewise(seg, pool);
        if (wanted != held && !hold_anew(seg, pool, held, wanted))
            return;
        held = wanted;
    }
}

static void settings_apply(struct gp_pool *p, const struct gp_pool_settings *s)
{
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
    setting_store(&p->retain_time_ms, s->retain_time_ms);
    setting_store(&p->retain_max, s->retain_max);
    setting_store(&p->log_parameters, s->log_parameters);
}

static void pool_apply(struct gp_segment *seg, uint32_t pool, const struct gp_pool_settings *s)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    settings_apply(gp_pool_at(seg, pool), s);
    gp_database_join(seg, pool, s->database_place);
    atomic_fetch_add_explicit(&p->frees, 1,
                              memory_order_release); /* there may be room now: free_find */
    setting_store(&p->in_use, 1);
}

/* Nobody sees it before. */
static void pool_begin(struct gp_segment *seg, uint32_t pool,
                       const struct gp_pool_settings *settings)
{
    uint64_t wishes = wishes_of(seg);
    uint32_t held = held_likewise(seg, pool);

    setting_store(&gp_common_pool_at(seg, pool)->hold, held);
    pool_apply(seg, pool, settings);
    /* release: pairs with the acquire in gp_pools_high; names stay until gp_pool_vacate */
    if (pool == gp_pools_high(seg))
        atomic_store_explicit(&gp_common_of(seg)->pools_high, pool + 1, memory_order_release);
    hold_likewise(seg, pool, held, wishes);
}

static bool pool_find(struct gp_segment *seg, const char *database, const char *user,
                      uint32_t *pool)
{
    for (uint32_t i = 0, high = gp_pools_high(seg); i < high; i++) {
        struct gp_common_pool *p = gp_common_pool_at(seg, i);
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
        name_write(gp_common_pool_at(seg, place)->database, database);
        name_write(gp_common_pool_at(seg, place)->user, user);
        *pool = place;
    }
    gp_outage_attach(seg, *pool, settings->server_tag);
    if (atomic_load_explicit(&gp_common_pool_at(seg, *pool)->in_use, memory_order_relaxed))
        pool_apply(seg, *pool, settings);
    else
        pool_begin(seg, *pool, settings);
    workers_poke_all(seg); /* who waits may claim more now; sweeps retire what is too much */
    return GP_OK;
}

enum gp_result gp_pool_remove(struct gp_segment *seg, uint32_t pool)
{
    if (pool >= gp_pools_high(seg) ||
        atomic_load_explicit(&gp_common_pool_at(seg, pool)->in_use, memory_order_relaxed) == 0)
        return GP_ENOENT;
    setting_store(&gp_common_pool_at(seg, pool)->in_use, 0);
    setting_store(&gp_common_pool_at(seg, pool)->hold, 0);
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

enum gp_result gp_pool_vacate(struct gp_segment *seg, uint32_t pool, uint32_t heir)
{
    if (pool >= gp_pools_high(seg) || heir >= gp_pools_high(seg) || heir == pool ||
        atomic_load_explicit(&gp_common_pool_at(seg, pool)->in_use, memory_order_relaxed) != 0)
        return GP_ENOENT;
    for (uint32_t slot = 0, high = pool_high(gp_common_pool_at(seg, pool)); slot < high; slot++) {
        if (slot_word(gp_slot_at(seg, pool, slot)).state != GP_SLOT_FREE)
            return GP_AGAIN;
    }
    for (uint32_t worker = 0; worker < seg->workers; worker++) {
        lane_clear(seg, pool, worker);
        counters_move(&gp_meter_at(seg, pool, worker)->counters, &gp_pool_at(seg, heir)->inherited);
    }
    counters_move(&gp_pool_at(seg, pool)->inherited, &gp_pool_at(seg, heir)->inherited);
    atomic_store_explicit(&gp_common_pool_at(seg, pool)->killed_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&gp_common_pool_at(seg, pool)->resumed_ns, 0, memory_order_relaxed);
    gp_database_part(seg, pool);
    name_write(gp_common_pool_at(seg, pool)->database, "");
    name_write(gp_common_pool_at(seg, pool)->user, "");
    return GP_OK;
}

void gp_pool_renew(struct gp_segment *seg, uint32_t pool)
{
    if (pool >= gp_pools_high(seg))
        return;
    atomic_fetch_add_explicit(&gp_common_pool_at(seg, pool)->epoch, 1, memory_order_release);
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
    struct gp_common_worker *w = gp_common_worker_at(seg, worker);

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
    struct gp_common_worker *w = gp_common_worker_at(seg, worker);

    (void)atomic_exchange_explicit(&w->poked, 1, memory_order_acq_rel);
    wake_write(w->wake_fd);
}

void gp_worker_unpoke(struct gp_segment *seg, uint32_t worker)
{
    struct gp_common_worker *w = gp_common_worker_at(seg, worker);
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
        atomic_fetch_or_explicit(&gp_common_of(seg)->accepting, worker_bit(worker),
                                 memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&gp_common_of(seg)->accepting, ~worker_bit(worker),
                                  memory_order_relaxed);
}

void gp_worker_born(struct gp_segment *seg, uint32_t worker, uint32_t pid)
{
    struct gp_common_worker *w = gp_common_worker_at(seg, worker);

    atomic_store_explicit(&w->pid, pid, memory_order_relaxed);
    atomic_store_explicit(&gp_worker_at(seg, worker)->beat_ns, gp_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&gp_worker_at(seg, worker)->busy_clients, 0, memory_order_relaxed);
    atomic_store_explicit(&w->still, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->births, 1, memory_order_release); /* pairs with word_handed */
    /* release: pairs with worker_alive; whoever grants to us sees the place as the reclaim left it
     */
    atomic_fetch_or_explicit(&gp_common_of(seg)->alive, worker_bit(worker), memory_order_release);
    worker_poke_hard(seg, worker); /* a poke for the predecessor may be half done */
}
