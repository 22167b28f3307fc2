/* Copies of what is in the segment, for SHOW, metrics and cancel. A copy is not a snapshot: its
 * fields were true one after the other, each of them at its own moment. What identifies it (a
 * generation, an owner) is read before and after, so that a row never mixes two lives. */
#include "pool_internal.h"

#include <string.h>

/* ---- pools ---- */

/* Copy a name whose writer may be at work: always terminated, at worst a mixture. */
static void name_copy(char *to, const char *from, size_t size)
{
    memcpy(to, from, size);
    to[size - 1] = '\0';
}

static void settings_copy(struct gp_pool *p, struct gp_pool_settings *to)
{
    to->mode = gp_load32(&p->mode);
    to->size = gp_load32(&p->size);
    to->min_size = gp_load32(&p->min_size);
    to->max_creates = gp_load32(&p->max_creates);
    to->wait_timeout_ms = gp_load32(&p->wait_timeout_ms);
    to->idle_timeout_ms = gp_load32(&p->idle_timeout_ms);
    to->idle_transaction_timeout_ms = gp_load32(&p->idle_transaction_timeout_ms);
    to->client_idle_timeout_ms = gp_load32(&p->client_idle_timeout_ms);
    to->session_state = gp_load32(&p->session_state);
    to->deferred_begin = gp_load32(&p->deferred_begin);
    to->statements_max = gp_load32(&p->statements_max);
    to->wait_notify_ms = gp_load32(&p->wait_notify_ms);
    to->transaction_timeout_ms = gp_load32(&p->transaction_timeout_ms);
    to->query_timeout_ms = gp_load32(&p->query_timeout_ms);
    to->copy_timeout_ms = gp_load32(&p->copy_timeout_ms);
    to->cancel_wait_timeout_ms = gp_load32(&p->cancel_wait_timeout_ms);
    to->round_robin = gp_load32(&p->round_robin);
    to->idle_check_ms = gp_load32(&p->idle_check_ms);
    to->connect_timeout_ms = gp_load32(&p->connect_timeout_ms);
    to->client_write_timeout_ms = gp_load32(&p->client_write_timeout_ms);
    to->warm_ratio = gp_load32(&p->warm_ratio);
    to->fast_retries = gp_load32(&p->fast_retries);
    to->retain_time_ms = gp_load32(&p->retain_time_ms);
    to->retain_max = gp_load32(&p->retain_max);
    to->reserve_size = gp_load32(&p->reserve_size);
    to->log_parameters = gp_load32(&p->log_parameters);
}

static void growth_add(struct gp_counters *c, struct gp_pool_row *row)
{
    row->creates += gp_load64(&c->creates);
    row->gate_waits += gp_load64(&c->gate_waits);
    row->gate_overdue += gp_load64(&c->gate_overdue);
    row->patience_met += gp_load64(&c->patience_met);
    row->patience_lost += gp_load64(&c->patience_lost);
    row->patience_opened += gp_load64(&c->patience_opened);
    row->fills_deferred += gp_load64(&c->fills_deferred);
    row->spared += gp_load64(&c->spared);
    row->waits_left += gp_load64(&c->waits_left);
    for (unsigned i = 0; i < GP_HASTES; i++)
        row->hastes[i] += gp_load64(&c->hastes[i]);
}

static void statements_add(struct gp_counters *c, struct gp_pool_row *row)
{
    row->client_parses += gp_load64(&c->client_parses);
    row->server_parses += gp_load64(&c->server_parses);
    row->binds += gp_load64(&c->binds);
    row->statement_hits += gp_load64(&c->statement_hits);
    row->statement_misses += gp_load64(&c->statement_misses);
    row->statement_evictions += gp_load64(&c->statement_evictions);
}

static void errors_add(struct gp_counters *c, struct gp_pool_row *row)
{
    for (unsigned i = 0; i < GP_ERROR_CLASSES; i++) {
        uint64_t count = gp_load64(&c->errors_of[i]);
        row->errors_of[i] += count;
        row->errors += count;
    }
}

static void counters_add(struct gp_counters *c, struct gp_pool_row *row)
{
    row->xact_count += gp_load64(&c->xact_count);
    row->query_count += gp_load64(&c->query_count);
    row->bytes_received += gp_load64(&c->bytes_received);
    row->bytes_sent += gp_load64(&c->bytes_sent);
    row->wait_count += gp_load64(&c->wait_count);
    row->taken_own += gp_load64(&c->taken_own);
    row->taken_other += gp_load64(&c->taken_other);
    row->handed_away += gp_load64(&c->handed_away);
    row->bounced += gp_load64(&c->bounced);
    row->timeouts += gp_load64(&c->timeouts);
    row->logins += gp_load64(&c->logins);
    row->login_failures += gp_load64(&c->login_failures);
    row->looks += gp_load64(&c->looks);
    row->pins += gp_load64(&c->pins);
    row->query_timeouts += gp_load64(&c->query_timeouts);
    row->wait_notices += gp_load64(&c->wait_notices);
    for (unsigned i = 0; i < GP_PINS; i++)
        row->pins_of[i] += gp_load64(&c->pins_of[i]);
    row->client_logins += gp_load64(&c->client_logins);
    for (unsigned i = 0; i < GP_REASONS; i++) {
        row->client_ends[i] += gp_load64(&c->client_ends[i]);
        row->server_ends[i] += gp_load64(&c->server_ends[i]);
    }
    growth_add(c, row);
    statements_add(c, row);
    errors_add(c, row);
}

static void times_add(struct gp_segment *seg, uint32_t pool, uint32_t worker,
                      struct gp_pool_row *row)
{
    uint64_t *const sums[GP_TIMES] = {
        [GP_TIME_QUERY] = &row->query_ns,
        [GP_TIME_TRANSACTION] = &row->xact_ns,
        [GP_TIME_WAIT] = &row->wait_ns,
    };

    for (unsigned kind = 0; kind < GP_TIMES; kind++) {
        struct gp_histogram *h = times_measured(seg, pool, worker, kind);
        if (h != NULL)
            *sums[kind] += gp_load64(&h->sum_ns);
    }
}

static void workers_add(struct gp_segment *seg, uint32_t pool, struct gp_pool_row *row)
{
    uint64_t now = gp_now_ns();

    counters_add(&gp_pool_at(seg, pool)->inherited, row);
    for (uint32_t worker = 0; worker < seg->workers; worker++) {
        uint64_t oldest = gp_load64(&gp_lane_at(seg, pool, worker)->oldest_ns);
        counters_add(&gp_meter_at(seg, pool, worker)->counters, row);
        times_add(seg, pool, worker, row);
        if (oldest != 0 && oldest < now && now - oldest > row->maxwait_ns)
            row->maxwait_ns = now - oldest;
    }
}

/* Where statements pass untouched the page is not looked at, which would claim memory for it. */
static uint32_t prepared_on(struct gp_segment *seg, uint32_t pool, uint32_t slot)
{
    const struct gp_holding *holding = gp_holding_at(seg, pool, slot);

    if (gp_load32(&gp_pool_at(seg, pool)->statements_max) == 0)
        return 0;
    return __atomic_load_n(&holding->count, __ATOMIC_RELAXED); /* its owner may change it now */
}

static void slots_add(struct gp_segment *seg, uint32_t pool, struct gp_pool_row *row)
{
    uint32_t *const counts[GP_SLOT_STATES] = {
        [GP_SLOT_CONNECTING] = &row->sv_login, [GP_SLOT_IDLE] = &row->sv_idle,
        [GP_SLOT_ACTIVE] = &row->sv_active,    [GP_SLOT_HANDOFF] = &row->sv_active,
        [GP_SLOT_PARKED] = &row->sv_canceled,  [GP_SLOT_CLOSING] = &row->sv_closing,
        [GP_SLOT_REAP] = &row->sv_closing,
    };

    for (uint32_t slot = 0, high = gp_slots_high(seg, pool); slot < high; slot++) {
        enum gp_slot_state state = slot_word(gp_slot_at(seg, pool, slot)).state;
        if (counts[state] == NULL)
            continue;
        (*counts[state])++;
        if (state == GP_SLOT_CONNECTING)
            continue;
        row->sv_tls += gp_slot_cold_at(seg, pool, slot)->tls[0] != '\0';
        row->server_statements += prepared_on(seg, pool, slot);
    }
}

static void client_add(struct gp_client_row *client, struct gp_pool_row *row)
{
    uint32_t *const counts[GP_CLIENT_STATES] = {
        [GP_CLIENT_LOGIN] = &row->cl_login,
        [GP_CLIENT_IDLE] = &row->cl_idle,
        [GP_CLIENT_WAITING] = &row->cl_waiting,
        [GP_CLIENT_ACTIVE] = &row->cl_active,
    };

    uint32_t state = gp_load32(&client->state), pins = gp_load32(&client->pins);

    if (state >= GP_CLIENT_STATES || counts[state] == NULL)
        return;
    (*counts[state])++;
    if (client->tls[0] != '\0')
        row->cl_tls++;
    row->cl_pumped += gp_load32(&client->pumped);
    for (unsigned i = 0; i < GP_PINS; i++)
        row->cl_pinned[i] += pins >> i & 1u;
    row->buffer_bytes += gp_load64(&client->buffer_bytes);
    row->prepared_bytes += gp_load64(&client->prepared_bytes);
    row->prepared_named += gp_load32(&client->prepared_named);
    row->prepared_unnamed += gp_load32(&client->prepared_unnamed);
}

/* Count the clients of the pools first..first + count - 1, which these rows are about, in one pass
 * over the table of all clients. */
static void clients_add(struct gp_segment *seg, uint32_t first, struct gp_pool_row *rows,
                        uint32_t count)
{
    uint32_t client = GP_NO_CLIENT;

    while ((client = gp_client_next(seg, client)) != GP_NO_CLIENT) {
        struct gp_client_row *from = gp_client_at(seg, client);
        uint32_t at = gp_load32(&from->pool) - 1 - first; /* beyond every count without a pool */
        if (at < count)
            client_add(from, &rows[at]);
    }
}

/* All of the row but its clients. */
static void pool_copy(struct gp_segment *seg, uint32_t pool, struct gp_pool_row *row)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    memset(row, 0, sizeof(*row));
    name_copy(row->database, p->database, sizeof(row->database));
    name_copy(row->user, p->user, sizeof(row->user));
    settings_copy(gp_pool_at(seg, pool), &row->settings);
    row->settings.server_tag = p->server_tag;
    row->settings.database_place = gp_load32(&p->database_place);
    row->in_use = gp_load32(&p->in_use);
    row->ailing = gp_pool_ailing(seg, pool);
    row->held = gp_load32(&p->hold);
    row->login_ns = gp_load64(&gp_pool_at(seg, pool)->login_ns);
    workers_add(seg, pool, row);
    slots_add(seg, pool, row);
}

enum gp_result gp_pool_row(struct gp_segment *seg, uint32_t pool, struct gp_pool_row *row)
{
    if (pool >= gp_pools_high(seg))
        return GP_ENOENT;
    pool_copy(seg, pool, row);
    clients_add(seg, pool, row, 1);
    return GP_OK;
}

uint32_t gp_pool_rows(struct gp_segment *seg, struct gp_pool_row *rows, uint32_t count)
{
    uint32_t high = gp_pools_high(seg);

    if (count > high)
        count = high;
    for (uint32_t pool = 0; pool < count; pool++)
        pool_copy(seg, pool, &rows[pool]);
    clients_add(seg, 0, rows, count);
    return count;
}

/* ---- pumps ---- */

uint32_t gp_pump_pids(struct gp_segment *seg, uint32_t pids[GP_PUMPS_MAX])
{
    struct gp_common *common = gp_common_of(seg);
    uint32_t count = 0;

    for (unsigned i = 0; i < GP_PUMPS_MAX; i++) {
        uint32_t pid = gp_load32(&common->pumps[i]);
        if (pid != 0)
            pids[count++] = pid;
    }
    return count;
}

/* ---- slots ---- */

uint32_t gp_slots_high(struct gp_segment *seg, uint32_t pool)
{
    return pool < gp_pools_high(seg) ? pool_high(gp_common_pool_at(seg, pool)) : 0;
}

static void slot_copy(struct gp_slot *s, struct gp_slot_cold *cold, struct gp_slot_row *row)
{
    row->backend_pid = s->backend_pid;
    row->holders = gp_load64(&s->holders);
    row->idle_since_ns = gp_load64(&s->idle_since_ns);
    row->opened_ns = gp_load64(&s->opened_ns);
    row->expires_ns = gp_load64(&s->expires_ns);
    row->xacts = gp_load64(&s->xacts);
    row->key_length = cold->key_length <= GP_KEY_BYTES ? cold->key_length : 0;
    memcpy(row->key, cold->key, row->key_length);
    name_copy(row->address, cold->address, sizeof(cold->address));
    name_copy(row->tls, cold->tls, sizeof(row->tls));
}

enum gp_result gp_slot_row(struct gp_segment *seg, uint32_t pool, uint32_t slot,
                           struct gp_slot_row *row)
{
    struct gp_slot *s;
    struct gp_word before, after;

    if (slot >= gp_slots_high(seg, pool))
        return GP_ENOENT;
    s = gp_slot_at(seg, pool, slot);
    do {
        before = slot_word(s);
        if (before.state == GP_SLOT_FREE)
            return GP_ENOENT;
        memset(row, 0, sizeof(*row));
        if (before.state != GP_SLOT_CONNECTING) /* a login: what is there is of an earlier life */
            slot_copy(s, gp_slot_cold_at(seg, pool, slot), row);
        row->prepared = prepared_on(seg, pool, slot);
        atomic_thread_fence(memory_order_acquire); /* the copy is made before the second look */
        after = slot_word(s);
    } while (after.generation != before.generation);
    row->state = before.state;
    row->stale = !slot_fresh(seg, pool, slot, s);
    row->worker = before.worker;
    row->client = before.state == GP_SLOT_HANDOFF ? GP_NO_CLIENT : before.client;
    row->generation = before.generation;
    row->cancels = before.cancels;
    return GP_OK;
}

/* ---- clients and workers ---- */

uint32_t gp_client_next(struct gp_segment *seg, uint32_t client)
{
    for (uint32_t i = client; i < seg->clients_max; i++) {
        if (gp_load64(owner_at(seg, i)) != 0)
            return i + 1;
    }
    return GP_NO_CLIENT;
}

enum gp_result gp_client_info(struct gp_segment *seg, uint32_t client, struct gp_client_info *row)
{
    struct gp_client_row *from;
    uint64_t owner;

    if (client == GP_NO_CLIENT || client > seg->clients_max)
        return GP_ENOENT;
    from = gp_client_at(seg, client);
    owner = atomic_load_explicit(owner_at(seg, client - 1), memory_order_acquire);
    memset(row, 0, sizeof(*row));
    row->state = atomic_load_explicit(&from->state, memory_order_acquire);
    row->worker = owner_worker(owner);
    row->pool = gp_load32(&from->pool);
    row->slot = gp_load32(&from->slot);
    row->wait_since_ns = gp_load64(&from->wait_since_ns);
    row->request_ns = gp_load64(&from->request_ns);
    row->connected_ns = from->connected_ns;
    row->xacts = gp_load64(&from->xacts);
    row->queries = gp_load64(&from->queries);
    row->cancels = gp_load32(&from->cancels);
    row->pins = gp_load32(&from->pins);
    row->pumped = gp_load32(&from->pumped);
    row->bytes_received = gp_load64(&from->bytes_received);
    row->bytes_sent = gp_load64(&from->bytes_sent);
    row->prepared = gp_load32(&from->prepared_named) + gp_load32(&from->prepared_unnamed);
    row->prepared_bytes = gp_load64(&from->prepared_bytes);
    row->buffer_bytes = gp_load64(&from->buffer_bytes);
    name_copy(row->user, from->user, sizeof(row->user));
    name_copy(row->database, from->database, sizeof(row->database));
    name_copy(row->address, from->address, sizeof(row->address));
    name_copy(row->application, from->application, sizeof(row->application));
    name_copy(row->tls, from->tls, sizeof(row->tls));
    atomic_thread_fence(memory_order_acquire); /* the copy is made before the second look */
    if (owner == 0 || row->state == GP_CLIENT_FREE || gp_load64(owner_at(seg, client - 1)) != owner)
        return GP_ENOENT;
    return GP_OK;
}

enum gp_result gp_worker_row(struct gp_segment *seg, uint32_t worker, struct gp_worker_row *row)
{
    struct gp_common_worker *place;
    struct gp_worker *w;

    if (worker >= seg->workers)
        return GP_ENOENT;
    place = gp_common_worker_at(seg, worker);
    w = gp_worker_at(seg, worker);
    *row = (struct gp_worker_row){.pid = gp_load32(&place->pid),
                                  .alive = worker_alive(seg, worker),
                                  .births = gp_load32(&place->births),
                                  .clients = gp_load32(&w->clients),
                                  .busy_permille = gp_load32(&w->busy_permille),
                                  .io_backend = gp_load32(&w->io_backend),
                                  .beat_ns = gp_load64(&w->beat_ns),
                                  .moved_in = gp_load64(&w->moved_in),
                                  .moved_out = gp_load64(&w->moved_out),
                                  .statements = gp_load64(&w->statements),
                                  .idle_statements = gp_load64(&w->idle_statements)};
    for (unsigned i = 0; i < GP_REFUSALS; i++)
        row->refusals[i] = gp_load64(&w->refusals[i]);
    for (unsigned i = 0; i < GP_VISITS; i++)
        row->visits[i] = gp_load64(&w->visits[i]);
    for (unsigned i = 0; i < GP_MEMORY_KINDS; i++)
        row->memory_bytes[i] = gp_load64(&place->memory.bytes[i]);
    row->memory_refusals = gp_load64(&place->memory.refusals);
    row->still = gp_load32(&place->still);
    return GP_OK;
}
