/* The words of functions that change sessions in secret: suspects.h. */
#include "suspects.h"

#include <stdlib.h>
#include <string.h>

#include "notes.h"

struct head {
    uint32_t as_of, flags, count, reserved;
};
_Static_assert(sizeof(struct head) == 16, "drawn in suspects.h");

#define WORDS_MAX      ((GP_SUSPECTS_BYTES - sizeof(struct head)) / sizeof(uint32_t))
#define IDENTIFIER_MAX 63u /* bytes that PostgreSQL reads of one */

/* ---- words ---- */

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0x80;
}

/* A run of letters, of what precedes `end`. Its end. FNV-1a; capitals count as small letters. */
static const uint8_t *read_word(const uint8_t *at, const uint8_t *end, uint32_t *hash, bool *plain)
{
    const uint8_t *cut = (size_t)(end - at) > IDENTIFIER_MAX ? at + IDENTIFIER_MAX : end;

    *hash = 2166136261u;
    *plain = true;
    for (; at < end && is_word(*at); at++) {
        uint8_t c = *at >= 'A' && *at <= 'Z' ? *at | 0x20 : *at;
        *plain &= c < 0x80;
        if (at < cut)
            *hash = (*hash ^ c) * 16777619u;
    }
    *hash += *hash == 0;
    return at;
}

static bool has(const struct gp_suspects *list, uint32_t hash)
{
    uint32_t mask = list->cap - 1;

    for (uint32_t at = hash & mask; list->table[at]; at = (at + 1) & mask)
        if (list->table[at] == hash)
            return true;
    return false;
}

/* U&"..." may spell any name. */
static bool spells_name(const uint8_t *at, const uint8_t *sql)
{
    return at - sql >= 2 && *at == '"' && at[-1] == '&' && (at[-2] | 0x20) == 'u';
}

bool gp_suspects_in(const struct gp_suspects *list, const uint8_t *sql, size_t len)
{
    const uint8_t *end = sql + len;
    uint32_t hash;
    bool plain;

    if (!list->known || list->flags & GP_SUSPECTS_ANY)
        return true;
    if (list->cap == 0)
        return false;
    for (const uint8_t *at = sql; at < end;) {
        if (!is_word(*at)) {
            if (spells_name(at++, sql))
                return true;
            continue;
        }
        at = read_word(at, end, &hash, &plain);
        if (plain ? has(list, hash) : (list->flags & GP_SUSPECTS_FOREIGN) != 0)
            return true;
    }
    return false;
}

/* ---- the copy of a worker ---- */

static uint32_t table_size(uint32_t count)
{
    uint32_t cap = count ? 16 : 0;

    while (cap < count * 4)
        cap *= 2;
    return cap;
}

static void fill(struct gp_suspects *list, const uint8_t *hashes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t hash, at;
        memcpy(&hash, hashes + i * sizeof(hash), sizeof(hash));
        for (at = hash & (list->cap - 1); list->table[at];)
            at = (at + 1) & (list->cap - 1);
        list->table[at] = hash;
    }
}

/* What a note says; one that is void says that everything is suspect. */
static struct gp_suspects *make(struct gp_engine *e, uint64_t word, const uint8_t *note,
                                uint32_t length)
{
    struct head head = {0};

    if (length >= sizeof(head))
        memcpy(&head, note, sizeof(head));
    bool known = length >= sizeof(head) && head.as_of == word >> 32;
    uint32_t count = known ? head.count : 0, cap = table_size(count);
    uint32_t names = known ? length - (uint32_t)sizeof(head) - count * 4 : 0;
    struct gp_suspects *list = calloc(1, sizeof(*list) + names);
    uint32_t *table = calloc(cap ? cap : 1, sizeof(*table));
    if (!list || !table)
        abort(); /* without the list a client's state would be the next one's */
    *list = (struct gp_suspects){.word = word,
                                 .flags = head.flags,
                                 .known = known,
                                 .active = !known || count || head.flags & GP_SUSPECTS_ANY,
                                 .names_length = names,
                                 .cap = cap,
                                 .table = table};
    if (known) {
        fill(list, note + sizeof(head), count);
        memcpy(list->names, note + length - names, names);
        list->mark =
            gp_sid_make(gp_common_of(e->seg)->hash_key, 0, note + sizeof(head.as_of), length - 4)
                .high |
            1;
    }
    return list;
}

static void drop(struct gp_suspects *list)
{
    if (list)
        free(list->table);
    free(list);
}

void gp_suspects_free(struct gp_engine *e)
{
    for (uint32_t pool = 0; e->suspects && pool < e->seg->pools_max; pool++)
        drop(e->suspects[pool]);
    free(e->suspects);
}

const struct gp_suspects *gp_suspects_read(struct gp_engine *e, uint32_t pool, uint64_t word)
{
    uint8_t note[GP_SUSPECTS_BYTES];
    uint64_t version;
    uint32_t length = gp_note_read(e->seg, pool, GP_NOTE_SUSPECTS, note, sizeof(note), &version);

    struct gp_suspects *old = e->suspects[pool], *list = make(e, word, note, length);

    list->xacts = old ? old->xacts : 0;
    drop(old);
    return e->suspects[pool] = list;
}

/* ---- asking and telling ---- */

void gp_suspects_redefined(struct gp_engine *e, uint32_t pool)
{
    const char *database = gp_common_pool_at(e->seg, pool)->database;

    for (uint32_t each = 0; each < gp_pools_high(e->seg); each++)
        if (strncmp(gp_common_pool_at(e->seg, each)->database, database, GP_NAME_BYTES) == 0)
            gp_suspects_void(gp_common_pool_at(e->seg, each));
    gp_event_push(e, GP_EVENT_SUSPECTS, 0, pool, 0, 0);
}

bool gp_suspects_known(struct gp_engine *e, uint32_t pool, uint32_t *as_of)
{
    *as_of = (uint32_t)(gp_suspects_word(e, pool) >> 32);
    return gp_suspects_of(e, pool)->known;
}

/* How many transactions this worker had had when it last asked. */
static uint64_t asked_at(struct gp_engine *e, uint32_t pool)
{
    return e->suspects[pool] ? e->suspects[pool]->xacts : 0;
}

bool gp_suspects_due(struct gp_engine *e, uint32_t pool, uint64_t interval_ns)
{
    _Atomic uint64_t *due = &gp_common_pool_at(e->seg, pool)->suspects_due_ns;
    uint64_t at = atomic_load_explicit(due, memory_order_relaxed), now = gp_now_ns();
    uint64_t xacts =
        atomic_load_explicit(&gp_counters_of(e, pool)->xact_count, memory_order_relaxed);

    if (now < at || xacts == 0 || xacts <= asked_at(e, pool))
        return false;
    bool fresh = at == 0 && gp_suspects_of(e, pool)->known; /* it came with a login */
    if (!atomic_compare_exchange_strong_explicit(due, &at, now + interval_ns, memory_order_relaxed,
                                                 memory_order_relaxed) ||
        fresh)
        return false;
    (void)gp_suspects_of(e, pool);
    e->suspects[pool]->xacts = xacts + 1; /* the question is one */
    return true;
}

static int ascending(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

/* The word by which a text with this name is found: its longest, the last only if it is alone, for
 * a text's may be longer where PostgreSQL cuts the name. 0: it has none of plain letters, for which
 * there are flags. */
static uint32_t word_of(const uint8_t *name, const uint8_t *end, uint32_t *flags)
{
    size_t best = 0;
    uint32_t found = 0, hash;
    bool plain, foreign = false;

    for (const uint8_t *at = name; at < end;) {
        if (!is_word(*at)) {
            at++;
            continue;
        }
        const uint8_t *word = at;
        at = read_word(at, end, &hash, &plain);
        foreign |= !plain;
        if (plain && (size_t)(at - word) > best && (at < end || !found)) {
            best = (size_t)(at - word);
            found = hash;
        }
    }
    if (!found)
        *flags |= foreign ? GP_SUSPECTS_FOREIGN : GP_SUSPECTS_ANY; /* or it has none but signs */
    return found;
}

/* Their hashes in order, each once. Gives the number; more than WORDS_MAX: there are too many. */
static uint32_t hash_words(const uint8_t *words, uint32_t length, uint32_t *hashes, uint32_t *flags)
{
    const uint8_t *end = words + length, *next;
    uint32_t count = 0, kept = 0;

    for (; words < end && count < WORDS_MAX; words = next + 1) {
        next = memchr(words, '\0', (size_t)(end - words));
        next = next ? next : end;
        hashes[count] = word_of(words, next, flags);
        count += hashes[count] != 0;
    }
    if (words < end)
        return WORDS_MAX + 1;
    qsort(hashes, count, sizeof(*hashes), ascending);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || hashes[i] != hashes[i - 1])
            hashes[kept++] = hashes[i];
    return kept;
}

enum gp_result gp_suspects_tell(struct gp_engine *e, uint32_t pool, uint32_t as_of, uint32_t flags,
                                const uint8_t *words, uint32_t words_length, const uint8_t *names,
                                uint32_t names_length)
{
    uint32_t note[GP_SUSPECTS_BYTES / 4], *hashes = note + sizeof(struct head) / 4;
    uint32_t count = hash_words(words, words_length, hashes, &flags);
    const struct gp_suspects *now = gp_suspects_of(e, pool);
    uint64_t mark;

    if (sizeof(struct head) + count * 4ull + names_length > sizeof(note)) {
        count = names_length = 0; /* too many to tell them apart */
        flags |= GP_SUSPECTS_ANY | GP_SUSPECTS_HIDE;
    }
    uint32_t length = (uint32_t)sizeof(struct head) + count * 4 + names_length;
    memcpy(note, &(struct head){as_of, flags, count, 0}, sizeof(struct head));
    if (names_length)
        memcpy((uint8_t *)note + length - names_length, names, names_length);
    mark =
        gp_sid_make(gp_common_of(e->seg)->hash_key, 0, (const uint8_t *)note + 4, length - 4).high |
        1;
    if (now->known && now->word >> 32 == as_of && now->mark == mark)
        return GP_OK;
    enum gp_result result =
        gp_note_write(e->seg, pool, GP_NOTE_SUSPECTS, e->worker, (const uint8_t *)note, length);
    if (result == GP_OK)
        atomic_fetch_add_explicit(&gp_common_pool_at(e->seg, pool)->suspects, 1,
                                  memory_order_acq_rel);
    return result;
}
