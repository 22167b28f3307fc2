/* The notes of pools: drawn in notes.h, where the steps of every party are listed. */
#include "notes.h"

#include <string.h>

#include "pool_internal.h"

#define WIPING       0x80u
#define WRITER       0x7fu
#define HELD         (WIPING | WRITER)
#define VERSION_BITS 8u
#define READS_MAX    64u

_Static_assert(GP_WORKERS_MAX < WRITER, "a writer fits its field");

/* A note of any kind. */
struct note {
    _Atomic uint64_t *word;
    _Atomic uint64_t *copies;
    uint32_t capacity; /* bytes of data in a copy, a multiple of 8 */
};

static struct note note_at(struct gp_segment *seg, uint32_t pool, uint32_t kind)
{
    if (kind == GP_NOTE_KEYS) {
        struct gp_keys_note *keys = (struct gp_keys_note *)gp_segment_at(seg, seg->keys_off) + pool;
        return (struct note){&keys->word, keys->copies[0], GP_KEYS_BYTES};
    }
    if (kind == GP_NOTE_SUSPECTS) {
        struct gp_suspects_note *suspects = gp_common_part(seg, pool, seg->suspects_off);
        return (struct note){&suspects->word, suspects->copies[0], GP_SUSPECTS_BYTES};
    }
    if (kind == GP_NOTE_OUTAGE) {
        struct gp_outage_note *outage = gp_common_part(seg, pool, seg->outage_off);
        return (struct note){&outage->word, outage->copies[0], GP_OUTAGE_BYTES};
    }
    struct gp_welcome_note *welcome = gp_common_part(seg, pool, seg->welcome_off);
    return (struct note){&welcome->word, welcome->copies[0], GP_WELCOME_BYTES};
}

static bool note_exists(struct gp_segment *seg, uint32_t pool, uint32_t kind)
{
    return pool < gp_pools_high(seg) && kind < GP_NOTES;
}

static uint64_t version_of(uint64_t word)
{
    return word >> VERSION_BITS;
}

static uint64_t at_rest(uint64_t version)
{
    return version << VERSION_BITS;
}

static _Atomic uint64_t *copy_of(struct note n, uint64_t version)
{
    return n.copies + version % 2 * (1 + n.capacity / 8);
}

/* Acquire: what the one before us did to the note and the pool is visible. Release: what we did. */
static bool word_swap(struct note n, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(n.word, &from, to, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* Fill a copy, its remainder with zeroes: nothing of a longer text before it is left. The words are
 * relaxed: the fence here, and its pair in note_copy, make a reader that saw any of them see the
 * word that was changed before. */
static void copy_fill(struct note n, uint64_t version, const uint8_t *data, uint32_t length)
{
    _Atomic uint64_t *copy = copy_of(n, version);

    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&copy[0], length, memory_order_relaxed);
    for (uint32_t done = 0; done < n.capacity; done += 8) {
        uint64_t word = 0;
        uint32_t left = length > done ? length - done : 0;
        memcpy(&word, data + (left ? done : 0), left < 8 ? left : 8);
        atomic_store_explicit(&copy[1 + done / 8], word, memory_order_relaxed);
    }
}

/* Empty both copies, and let go. The word says WIPING, and is ours or a dead worker's. */
static void wipe_end(struct note n)
{
    static const uint8_t nothing[1];
    uint64_t version = version_of(atomic_load_explicit(n.word, memory_order_relaxed));

    copy_fill(n, version, nothing, 0);
    copy_fill(n, version + 1, nothing, 0);
    atomic_store_explicit(n.word, at_rest(version + 1), memory_order_release);
}

/* Let go of a note that is held: `to` is at rest. False: it was to be wiped meanwhile, and is. */
static bool let_go(struct note n, uint64_t held, uint64_t to)
{
    if (word_swap(n, held, to))
        return true;
    wipe_end(n);
    return false;
}

enum gp_result gp_note_write(struct gp_segment *seg, uint32_t pool, uint32_t kind, uint32_t worker,
                             const uint8_t *data, uint32_t length)
{
    if (!note_exists(seg, pool, kind) || worker >= seg->workers)
        return GP_ENOENT;
    struct note n = note_at(seg, pool, kind);
    if (length > n.capacity)
        return GP_EFULL;
    uint64_t rest = atomic_load_explicit(n.word, memory_order_relaxed);
    uint64_t held = rest | (worker + 1);
    if ((rest & HELD) != 0 || !word_swap(n, rest, held))
        return GP_AGAIN;
    /* Only now: a removal that has wiped before this is seen, a later one finds our name. */
    if (atomic_load_explicit(&gp_common_pool_at(seg, pool)->in_use, memory_order_acquire) == 0) {
        (void)let_go(n, held, rest); /* nothing was written: wiped or not is the same */
        return GP_ENOENT;
    }
    copy_fill(n, version_of(rest) + 1, data, length);
    return let_go(n, held, at_rest(version_of(rest) + 1)) ? GP_OK : GP_AGAIN;
}

/* Copy one copy out. False: it was changed meanwhile. */
static bool note_copy(struct note n, uint64_t before, uint8_t *data, uint32_t *length)
{
    _Atomic uint64_t *copy = copy_of(n, version_of(before));
    uint64_t stated = atomic_load_explicit(&copy[0], memory_order_relaxed);
    uint32_t bytes = stated <= n.capacity ? (uint32_t)stated : 0; /* more: torn, and found below */

    for (uint32_t done = 0; done < bytes; done += 8) {
        uint64_t word = atomic_load_explicit(&copy[1 + done / 8], memory_order_relaxed);
        memcpy(data + done, &word, bytes - done < 8 ? bytes - done : 8);
    }
    atomic_thread_fence(memory_order_acquire); /* pairs with the fence in copy_fill */
    uint64_t after = atomic_load_explicit(n.word, memory_order_relaxed);
    *length = bytes;
    return version_of(after) == version_of(before) && (after & WIPING) == 0;
}

uint32_t gp_note_read(struct gp_segment *seg, uint32_t pool, uint32_t kind, uint8_t *data,
                      uint32_t capacity, uint64_t *version)
{
    uint32_t length;

    *version = GP_NOTE_UNREAD;
    if (!note_exists(seg, pool, kind))
        return 0;
    struct note n = note_at(seg, pool, kind);
    if (capacity < n.capacity)
        return 0;
    for (uint32_t i = 0; i < READS_MAX; i++) {
        /* acquire: pairs with the release of whoever published it */
        uint64_t word = atomic_load_explicit(n.word, memory_order_acquire);
        if ((word & WIPING) == 0 && note_copy(n, word, data, &length)) {
            *version = version_of(word);
            return length;
        }
    }
    return 0;
}

uint64_t gp_note_version(struct gp_segment *seg, uint32_t pool, uint32_t kind)
{
    if (!note_exists(seg, pool, kind))
        return GP_NOTE_UNREAD;
    return version_of(atomic_load_explicit(note_at(seg, pool, kind).word, memory_order_acquire));
}

void gp_notes_wipe(struct gp_segment *seg, uint32_t pool)
{
    for (uint32_t kind = 0; kind < GP_NOTES; kind++) {
        struct note n = note_at(seg, pool, kind);
        uint64_t word;
        do
            word = atomic_load_explicit(n.word, memory_order_relaxed);
        while (!word_swap(n, word, word | WIPING)); /* a writer came or went */
        if ((word & HELD) == 0)
            wipe_end(n);
    }
    gp_suspects_void(gp_common_pool_at(seg, pool));
}

void gp_notes_reclaim(struct gp_segment *seg, uint32_t pool, uint32_t dead)
{
    static const uint8_t nothing[1];

    for (uint32_t kind = 0; kind < GP_NOTES; kind++) {
        struct note n = note_at(seg, pool, kind);
        uint64_t word = atomic_load_explicit(n.word, memory_order_acquire);
        if ((word & WRITER) != dead + 1)
            continue;
        copy_fill(n, version_of(word) + 1, nothing, 0); /* half a secret is one */
        if ((word & WIPING) != 0)
            wipe_end(n);
        else
            (void)let_go(n, word, at_rest(version_of(word)));
    }
}
