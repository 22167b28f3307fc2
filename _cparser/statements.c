#include "statements.h"

#include <stdlib.h>
#include <string.h>

#include "protocol.h"
#include "session.h"

/* ---- identity: SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, 2012) ---- */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

static uint64_t sip_end(struct sip *s)
{
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

struct gp_sid gp_sid_make(const uint8_t key[GP_HASH_KEY_BYTES], uint64_t state_hash,
                          const uint8_t *body, size_t len)
{
    uint64_t k0, k1, word;
    struct gp_sid id;

    memcpy(&k0, key, 8);
    memcpy(&k1, key + 8, 8);
    struct sip s = {k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull ^ 0xee,
                    k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull};
    sip_word(&s, state_hash);
    for (; len >= 8; body += 8, len -= 8) {
        memcpy(&word, body, 8);
        sip_word(&s, word);
    }
    word = (uint64_t)len << 56;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)body[i] << 8 * i;
    sip_word(&s, word);
    s.v2 ^= 0xee;
    id.high = sip_end(&s);
    s.v1 ^= 0xdd;
    id.low = sip_end(&s) & ~1ull; /* that bit is the clock's in a holding */
    if (id.high == 0 && id.low == 0)
        id.high = 1; /* zero is an empty place */
    return id;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$";

void gp_sid_name(struct gp_sid id, char name[GP_SERVER_NAME_BYTES])
{
    name[0] = 'g';
    for (unsigned i = 0; i < 11; i++) {
        name[1 + i] = digits[id.high >> 6 * i & 63];
        name[12 + i] = digits[id.low >> 6 * i & 63];
    }
    name[23] = '\0';
}

bool gp_sid_of_name(const uint8_t *name, size_t len, struct gp_sid *id)
{
    char again[GP_SERVER_NAME_BYTES];
    uint64_t words[2] = {0, 0};

    if (len != GP_SERVER_NAME_BYTES - 1)
        return false;
    for (unsigned i = 0; i < 22; i++) {
        const char *digit = memchr(digits, name[1 + i], sizeof(digits) - 1);
        if (!digit)
            return false;
        words[i / 11] |= (uint64_t)(digit - digits) << 6 * (i % 11);
    }
    *id = (struct gp_sid){.high = words[0], .low = words[1]};
    gp_sid_name(*id, again); /* the last of eleven digits has but four bits */
    return memcmp(name, again, len) == 0;
}

/* ---- interned statements ---- */

#define GP_INTERNER_FIRST 64u

static void idle_unlink(struct gp_interner *interner, struct gp_statement *statement)
{
    *(statement->older ? &statement->older->newer : &interner->oldest) = statement->newer;
    *(statement->newer ? &statement->newer->older : &interner->newest) = statement->older;
    statement->older = statement->newer = NULL;
    interner->idle--;
}

static void idle_append(struct gp_interner *interner, struct gp_statement *statement)
{
    statement->older = interner->newest;
    statement->newer = NULL;
    *(interner->newest ? &interner->newest->newer : &interner->oldest) = statement;
    interner->newest = statement;
    interner->idle++;
}

static bool interner_grow(struct gp_interner *interner)
{
    uint32_t cap = interner->cap ? interner->cap * 2 : GP_INTERNER_FIRST;
    struct gp_statement **buckets = calloc(cap, sizeof(struct gp_statement *));

    if (!buckets)
        return false;
    for (uint32_t i = 0; i < interner->cap; i++) {
        struct gp_statement *next;
        for (struct gp_statement *each = interner->buckets[i]; each; each = next) {
            next = each->next;
            each->next = buckets[each->id.high & (cap - 1)];
            buckets[each->id.high & (cap - 1)] = each;
        }
    }
    free(interner->buckets);
    interner->buckets = buckets;
    interner->cap = cap;
    return true;
}

static size_t bytes_of(const struct gp_statement *statement)
{
    return sizeof(*statement) + statement->length;
}

static void forget(struct gp_interner *interner, struct gp_statement *statement)
{
    struct gp_statement **link = &interner->buckets[statement->id.high & (interner->cap - 1)];

    while (*link != statement)
        link = &(*link)->next;
    *link = statement->next;
    interner->count--;
    size_t bytes = bytes_of(statement);
    free(statement);
    gp_memory_give(GP_MEMORY_STATEMENTS, bytes);
}

/* False: there is none that nobody refers to. */
static bool forget_oldest(struct gp_interner *interner)
{
    struct gp_statement *oldest = interner->oldest;

    if (!oldest)
        return false;
    idle_unlink(interner, oldest);
    forget(interner, oldest);
    return true;
}

void gp_interner_trim(struct gp_interner *interner)
{
    while (interner->idle > gp_memory_rules.idle_statements)
        (void)forget_oldest(interner);
}

static struct gp_statement *make_statement(struct gp_interner *interner, struct gp_sid id,
                                           const uint8_t *body, size_t len, enum gp_claim claim)
{
    size_t length = GP_HEADER_SIZE + GP_SERVER_NAME_BYTES + len;
    struct gp_statement *statement;

    while (!gp_memory_take(GP_MEMORY_STATEMENTS, sizeof(*statement) + length, claim))
        if (!forget_oldest(interner))
            return NULL;
    statement = calloc(1, sizeof(*statement) + length);
    if (!statement) {
        gp_memory_give(GP_MEMORY_STATEMENTS, sizeof(*statement) + length);
        return NULL;
    }
    statement->id = id;
    statement->length = (uint32_t)length;
    statement->hints = gp_session_hints(body, len);
    gp_sid_name(id, statement->name);
    statement->parse[0] = GP_PARSE;
    gp_put_u32be(statement->parse + 1, (uint32_t)length - 1);
    memcpy(statement->parse + GP_HEADER_SIZE, statement->name, GP_SERVER_NAME_BYTES);
    memcpy(statement->parse + GP_HEADER_SIZE + GP_SERVER_NAME_BYTES, body, len);
    return statement;
}

struct gp_statement *gp_statement_intern(struct gp_interner *interner, struct gp_sid id,
                                         const uint8_t *body, size_t len, enum gp_claim claim)
{
    struct gp_statement *statement = NULL;

    if (interner->count >= interner->cap && !interner_grow(interner))
        return NULL;
    struct gp_statement **bucket = &interner->buckets[id.high & (interner->cap - 1)];
    for (statement = *bucket; statement; statement = statement->next)
        if (gp_sid_same(statement->id, id))
            break;
    if (!statement) {
        statement = make_statement(interner, id, body, len, claim);
        if (!statement)
            return NULL;
        statement->next = *bucket;
        *bucket = statement;
        interner->count++;
    } else if (statement->refs == 0) {
        idle_unlink(interner, statement);
    }
    statement->refs++;
    statement->uses++;
    return statement;
}

struct gp_statement *gp_statement_find(const struct gp_interner *interner, struct gp_sid id)
{
    struct gp_statement *each =
        interner->cap ? interner->buckets[id.high & (interner->cap - 1)] : NULL;

    while (each && !gp_sid_same(each->id, id))
        each = each->next;
    return each;
}

void gp_statement_release(struct gp_interner *interner, struct gp_statement *statement)
{
    if (--statement->refs)
        return;
    idle_append(interner, statement);
    gp_interner_trim(interner);
}

void gp_interner_free(struct gp_interner *interner)
{
    for (uint32_t i = 0; i < interner->cap; i++) {
        struct gp_statement *next;
        for (struct gp_statement *each = interner->buckets[i]; each; each = next) {
            next = each->next;
            gp_memory_give(GP_MEMORY_STATEMENTS, bytes_of(each));
            free(each);
        }
    }
    free(interner->buckets);
    memset(interner, 0, sizeof(*interner));
}

/* ---- what a server holds ---- */

#define GP_USED 1ull

#define GP_HOLDING_FIRST 64u /* places: 1 KiB */

size_t gp_holding_bytes(uint32_t bound)
{
    uint32_t cap = GP_HOLDING_FIRST;

    while (cap < bound * 2)
        cap *= 2;
    return sizeof(struct gp_holding) + cap * sizeof(struct gp_held);
}

void gp_holding_reset(struct gp_holding *holding)
{
    memset(holding->places, 0, holding->cap * sizeof(struct gp_held));
    holding->count = holding->hand = holding->cap = 0;
}

static bool place_empty(const struct gp_held *place)
{
    return place->id.high == 0 && (place->id.low & ~GP_USED) == 0;
}

/* The place of an identity, or the empty one where it would go. */
static uint32_t place_of(const struct gp_holding *holding, struct gp_sid id)
{
    uint32_t mask = holding->cap - 1;
    uint32_t at = (uint32_t)id.high & mask;

    while (!place_empty(&holding->places[at]) &&
           (holding->places[at].id.high != id.high ||
            (holding->places[at].id.low & ~GP_USED) != id.low))
        at = (at + 1) & mask;
    return at;
}

bool gp_holding_has(struct gp_holding *holding, struct gp_sid id)
{
    uint32_t at;

    if (holding->count == 0)
        return false;
    at = place_of(holding, id);
    if (place_empty(&holding->places[at]))
        return false;
    holding->places[at].id.low |= GP_USED;
    return true;
}

bool gp_holding_shows(const struct gp_holding *holding, struct gp_sid id)
{
    uint32_t cap = holding->cap;

    for (uint32_t i = 0; cap <= GP_HOLDING_PLACES && i < cap; i++) {
        const struct gp_held *place = &holding->places[(id.high + i) & (cap - 1)];
        if (place_empty(place))
            return false;
        if (place->id.high == id.high && (place->id.low & ~GP_USED) == id.low)
            return true;
    }
    return false;
}

static bool holding_grow(struct gp_holding *holding)
{
    uint32_t had = holding->cap;
    size_t bytes = had * sizeof(struct gp_held);
    struct gp_held *copy = NULL;

    if (had >= GP_HOLDING_PLACES || (had && !(copy = malloc(bytes))))
        return false;
    if (had)
        memcpy(copy, holding->places, bytes);
    holding->cap = had ? had * 2 : GP_HOLDING_FIRST;
    memset(holding->places, 0, holding->cap * sizeof(struct gp_held));
    for (uint32_t i = 0; i < had; i++) {
        struct gp_sid id = {copy[i].id.high, copy[i].id.low & ~GP_USED};
        if (!place_empty(&copy[i]))
            holding->places[place_of(holding, id)] = copy[i];
    }
    free(copy);
    return true;
}

void gp_holding_add(struct gp_holding *holding, struct gp_sid id)
{
    uint32_t at = holding->cap ? place_of(holding, id) : 0;

    if (holding->cap && !place_empty(&holding->places[at]))
        return;
    if (holding->count * 2 >= holding->cap && holding_grow(holding))
        at = place_of(holding, id);
    if (holding->count + 1 >= holding->cap)
        return; /* the last empty place is what ends every search */
    holding->places[at].id = id;
    holding->count++;
}

/* Empty a place, then move up those behind it that could not have their own. */
static void vacate(struct gp_holding *holding, uint32_t at)
{
    uint32_t mask = holding->cap - 1, next = at;

    for (;;) {
        holding->places[at] = (struct gp_held){{0, 0}};
        for (;;) {
            next = (next + 1) & mask;
            if (place_empty(&holding->places[next])) {
                holding->count--;
                return;
            }
            uint32_t home = (uint32_t)holding->places[next].id.high & mask;
            if (((next - home) & mask) >= ((next - at) & mask))
                break;
        }
        holding->places[at] = holding->places[next];
        at = next;
    }
}

void gp_holding_remove(struct gp_holding *holding, struct gp_sid id)
{
    if (holding->count == 0)
        return;
    uint32_t at = place_of(holding, id);
    if (!place_empty(&holding->places[at]))
        vacate(holding, at);
}

bool gp_holding_evict(struct gp_holding *holding, uint32_t bound, struct gp_sid *evicted)
{
    if (holding->count < bound || holding->count == 0)
        return false;
    for (;;) {
        struct gp_held *place = &holding->places[holding->hand];
        uint32_t at = holding->hand;

        holding->hand = (holding->hand + 1) & (holding->cap - 1);
        if (place_empty(place))
            continue;
        if (place->id.low & GP_USED) {
            place->id.low &= ~GP_USED;
            continue;
        }
        *evicted = place->id;
        vacate(holding, at);
        return true;
    }
}
