/* Client rows, and the cancels that find a server through them. A row belongs to the worker named
 * in its place (owners[row]); everything else in the row is written by that worker alone. */
#include "pool_internal.h"

#include <string.h>

/* ---- rows ---- */

/* Everything but the state, which says FREE while this runs. Relaxed: the place's compare-and-swap
 * publishes it. */
static void row_wipe(struct gp_client_row *row)
{
    atomic_store_explicit(&row->slot, 0, memory_order_relaxed);
    atomic_store_explicit(&row->pool, 0, memory_order_relaxed);
    atomic_store_explicit(&row->wait_since_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&row->request_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&row->xacts, 0, memory_order_relaxed);
    atomic_store_explicit(&row->queries, 0, memory_order_relaxed);
    atomic_store_explicit(&row->doomed_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&row->cancels, 0, memory_order_relaxed);
    atomic_store_explicit(&row->pins, 0, memory_order_relaxed);
    atomic_store_explicit(&row->pumped, 0, memory_order_relaxed);
    atomic_store_explicit(&row->user_tag, 0, memory_order_relaxed);
    atomic_store_explicit(&row->database_tag, 0, memory_order_relaxed);
    atomic_store_explicit(&row->address_tag, 0, memory_order_relaxed);
    atomic_store_explicit(&row->bytes_received, 0, memory_order_relaxed);
    atomic_store_explicit(&row->bytes_sent, 0, memory_order_relaxed);
    atomic_store_explicit(&row->buffer_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&row->prepared_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&row->prepared_named, 0, memory_order_relaxed);
    atomic_store_explicit(&row->prepared_unnamed, 0, memory_order_relaxed);
    row->connected_ns = 0;
    row->key_length = 0;
    memset(row->key, 0, sizeof(row->key));
    memset(row->user, 0, sizeof(row->user));
    memset(row->database, 0, sizeof(row->database));
    memset(row->address, 0, sizeof(row->address));
    memset(row->application, 0, sizeof(row->application));
    memset(row->tls, 0, sizeof(row->tls));
    memset(row->reserve, 0, sizeof(row->reserve));
}

void row_vacate(struct gp_segment *seg, uint32_t row)
{
    struct gp_client_row *r = gp_client_at(seg, row + 1);

    atomic_store_explicit(&r->state, GP_CLIENT_FREE, memory_order_relaxed);
    row_wipe(r);
    /* release: pairs with the acquire in rows_claim; the next owner finds the row wiped */
    atomic_store_explicit(owner_at(seg, row), 0, memory_order_release);
}

/* Claim a free row of [first, end), beginning at *hint where that lies within. */
static bool rows_claim(struct gp_segment *seg, uint32_t worker, uint32_t first, uint32_t end,
                       uint32_t *hint)
{
    uint32_t row = *hint >= first && *hint < end ? *hint : first;

    for (uint32_t left = end > first ? end - first : 0; left != 0; left--) {
        uint64_t none = 0;
        if (atomic_load_explicit(owner_at(seg, row), memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(owner_at(seg, row), &none, worker + 1,
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            *hint = row;
            return true;
        }
        row = row + 1 == end ? first : row + 1;
    }
    return false;
}

uint32_t gp_client_claim(struct gp_segment *seg, uint32_t worker, bool reserve)
{
    struct gp_worker *w = gp_worker_at(seg, worker);
    uint32_t limit = atomic_load_explicit(&seg->clients_limit, memory_order_relaxed);
    uint32_t row = atomic_load_explicit(&w->row_hint, memory_order_relaxed);
    struct gp_client_row *r;

    if (!rows_claim(seg, worker, 0, limit, &row) &&
        !(reserve && rows_claim(seg, worker, limit, seg->clients_max, &row)))
        return GP_NO_CLIENT;
    atomic_store_explicit(&w->row_hint, row + 1, memory_order_relaxed);
    r = gp_client_at(seg, row + 1);
    r->connected_ns = gp_now_ns();
    /* release: who sees the state sees the row of this client, not of the one before */
    atomic_store_explicit(&r->state, GP_CLIENT_LOGIN, memory_order_release);
    return row + 1;
}

void gp_client_release(struct gp_segment *seg, uint32_t client, uint32_t worker)
{
    if (gp_client_worker(seg, client) == worker)
        row_vacate(seg, client - 1);
}

uint32_t gp_client_worker(struct gp_segment *seg, uint32_t client)
{
    if (client == GP_NO_CLIENT || client > seg->clients_max)
        return GP_NO_WORKER;
    return owner_worker(atomic_load_explicit(owner_at(seg, client - 1), memory_order_acquire));
}

/* ---- moves ---- */

/* Acquire and release: what was written to the row travels with it from owner to owner. */
static bool owner_move(struct gp_segment *seg, uint32_t client, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(owner_at(seg, client - 1), &from, to,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* No two offers of a row have the same time: between them lies a system call. */
uint64_t gp_client_offer(struct gp_segment *seg, uint32_t client, uint32_t worker, uint32_t to)
{
    uint64_t offer = gp_now_ns() << 16 | (uint64_t)(to + 1) << 8 | (worker + 1);

    return owner_move(seg, client, worker + 1, offer) ? offer : 0;
}

bool gp_client_adopt(struct gp_segment *seg, uint32_t client, uint64_t offer)
{
    return owner_move(seg, client, offer, offer >> 8 & 0xffu);
}

bool gp_client_withdraw(struct gp_segment *seg, uint32_t client, uint64_t offer)
{
    return owner_move(seg, client, offer, offer & 0xffu);
}

bool gp_client_offered(struct gp_segment *seg, uint32_t client, uint64_t offer)
{
    return atomic_load_explicit(owner_at(seg, client - 1), memory_order_acquire) == offer;
}

/* ---- cancel ---- */

/* Does the row hold this key? In a time that tells nothing about how much of it was right. */
static bool row_key_fits(const struct gp_client_row *row, const uint8_t *key, uint32_t key_length)
{
    uint32_t length = row->key_length;
    uint8_t differ = 0;

    if (key_length == 0 || key_length > GP_CLIENT_KEY_BYTES || key_length != length)
        return false;
    for (uint32_t i = 0; i < key_length; i++)
        differ |= (uint8_t)(row->key[i] ^ key[i]);
    return differ == 0;
}

/* Counts one more cancel on the slot. */
enum gp_result gp_cancel_pin(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t client,
                             uint32_t *generation)
{
    struct gp_slot *s = gp_slot_at(seg, pool, slot);
    struct gp_word from, to;

    do {
        from = slot_word(s);
        if (from.state != GP_SLOT_ACTIVE || from.client != client)
            return GP_AGAIN;
        if (from.cancels == GP_CANCELS_MAX)
            return GP_EFULL;
        to = from;
        to.cancels++;
    } while (!slot_move(s, from, to));
    *generation = from.generation;
    return GP_OK;
}

enum gp_result gp_cancel_begin(struct gp_segment *seg, uint32_t client, const uint8_t *key,
                               uint32_t key_length, uint32_t *pool, uint32_t *slot,
                               uint32_t *generation, bool *waiting)
{
    struct gp_client_row *row;
    uint32_t linked, of_pool;

    *waiting = false;
    if (client == GP_NO_CLIENT || client > seg->clients_max ||
        /* acquire: pairs with the claim of the row; a wiped one has no key */
        atomic_load_explicit(owner_at(seg, client - 1), memory_order_acquire) == 0)
        return GP_ENOENT;
    row = gp_client_at(seg, client);
    if (!row_key_fits(row, key, key_length))
        return GP_ENOENT;
    *waiting = atomic_load_explicit(&row->state, memory_order_acquire) == GP_CLIENT_WAITING;
    /* Hints both: the slot's word must name the client, or nothing happens. */
    linked = atomic_load_explicit(&row->slot, memory_order_acquire);
    of_pool = atomic_load_explicit(&row->pool, memory_order_acquire);
    if (of_pool == 0) /* of the console, which looks at this while a command waits */
        atomic_fetch_add_explicit(&row->cancels, 1, memory_order_relaxed);
    if (linked == 0 || of_pool == 0)
        return GP_AGAIN;
    *slot = linked - 1;
    *pool = of_pool - 1;
    return gp_cancel_pin(seg, *pool, *slot, client, generation);
}

void gp_cancel_end(struct gp_segment *seg, uint32_t pool, uint32_t slot, uint32_t generation)
{
    struct gp_slot *s;
    struct gp_word from, to;

    if (pool >= gp_pools_high(seg) || slot >= GP_SLOTS_MAX)
        return; /* both come back from Python, where they were kept meanwhile */
    s = gp_slot_at(seg, pool, slot);
    do {
        from = slot_word(s);
        if (from.generation != generation || from.cancels == 0)
            return; /* that life is over */
        to = from;
        to.cancels--;
        if (from.state == GP_SLOT_PARKED && to.cancels == 0)
            to = word_handed(seg, from, from.worker);
    } while (!slot_move(s, from, to));
    if (to.state == GP_SLOT_HANDOFF) {
        handoff_announce(seg, pool, slot, to.worker);
        gp_worker_poke(seg, to.worker);
    }
}
