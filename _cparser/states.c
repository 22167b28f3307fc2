/* Parameter states, interned: a worker keeps one text for all clients whose sessions are alike.
 * Partner: continuity.c, which finds out what a session has become. */
#include <stdlib.h>
#include <string.h>

#include "relay.h"
#include "session.h"

static uint32_t put_query(uint8_t *at, const uint8_t *sql, uint32_t len)
{
    if (len == 0)
        return 0;
    at[0] = GP_QUERY;
    gp_put_u32be(at + 1, len + 5);
    memcpy(at + GP_HEADER_SIZE, sql, len);
    at[GP_HEADER_SIZE + len] = '\0';
    return GP_HEADER_SIZE + len + 1;
}

/* Skip spaces, then these letters. False: they do not stand there. */
static bool skip(const uint8_t **at, const uint8_t *end, const char *letters)
{
    const uint8_t *next = *at;

    while (next < end && *next == ' ')
        next++;
    if ((size_t)(end - next) < strlen(letters) || memcmp(next, letters, strlen(letters)) != 0)
        return false;
    *at = next + strlen(letters);
    return true;
}

/* A search_path under which new relations are temporary though no text says so. */
static bool makes_temporary(const uint8_t *value, const uint8_t *end)
{
    if (skip(&value, end, "\"$user\""))
        (void)skip(&value, end, ",");
    return skip(&value, end, "pg_temp") || skip(&value, end, "\"pg_temp\"");
}

/* What a state's text tells of it: set_config('name', 'value', false) and so on, also with casts. */
static void describe(struct gp_state *state, const uint8_t *sql, size_t len)
{
    static const char call[] = "set_config('";
    const uint8_t *end = sql + len, *at = sql;

    while ((at = memmem(at, (size_t)(end - at), call, strlen(call))) != NULL) {
        at += strlen(call);
        const uint8_t *quote = memchr(at, '\'', (size_t)(end - at));
        if (!quote)
            return;
        size_t name_len = (size_t)(quote - at);
        if (gp_session_reads(at, name_len))
            state->parse_hash = state->hash;
        const uint8_t *value = memchr(quote + 1, '\'', (size_t)(end - quote - 1));
        if (value && name_len == strlen("search_path") && memcmp(at, "search_path", name_len) == 0)
            state->temporary = makes_temporary(value + 1, end);
    }
}

static struct gp_state *make(uint64_t hash, struct gp_span sql, struct gp_span look,
                             struct gp_span names, enum gp_claim claim)
{
    uint32_t bytes = (uint32_t)(sizeof(struct gp_state) + sql.len + look.len + names.len + 16);
    struct gp_state *state;

    if (!gp_memory_take(GP_MEMORY_STATES, bytes, claim))
        return NULL;
    state = calloc(1, bytes);
    if (!state) {
        gp_memory_give(GP_MEMORY_STATES, bytes);
        return NULL;
    }
    state->bytes = bytes;
    state->hash = hash;
    if (sql.len)
        describe(state, sql.at, sql.len);
    state->length = put_query(state->data, sql.at, (uint32_t)sql.len);
    state->look_length = (uint32_t)look.len;
    state->names_length = (uint32_t)names.len;
    if (look.len)
        memcpy(state->data + state->length, look.at, look.len);
    if (names.len)
        memcpy(state->data + state->length + look.len, names.at, names.len);
    return state;
}

static struct gp_state **bucket_of(struct gp_engine *e, uint64_t hash)
{
    return &e->states[hash % GP_STATE_BUCKETS];
}

static struct gp_state *intern(struct gp_engine *e, uint64_t hash, struct gp_span sql,
                               struct gp_span look, struct gp_span names, enum gp_claim claim)
{
    struct gp_state **bucket = bucket_of(e, hash), *state = *bucket;

    /* greenpool's own clients have the hash of fresh servers too, and ask nothing. */
    while (state && (state->hash != hash || !state->look_length != !look.len))
        state = state->next;
    if (!state) {
        state = make(hash, sql, look, names, claim);
        if (!state)
            return NULL;
        state->next = *bucket;
        *bucket = state;
    }
    return gp_state_share(state);
}

struct gp_state *gp_state_intern(struct gp_engine *e, uint64_t hash, struct gp_span sql,
                                 struct gp_span look, enum gp_claim claim)
{
    return intern(e, hash, sql, look, (struct gp_span){NULL, 0}, claim);
}

struct gp_state *gp_state_of_text(struct gp_engine *e, struct gp_span sql, struct gp_span names,
                                  enum gp_claim claim)
{
    uint64_t hash = gp_sid_make(gp_common_of(e->seg)->hash_key, 0, sql.at, sql.len).high;

    if (hash == GP_STATE_FRESH || hash == GP_STATE_UNKNOWN)
        hash = 1;
    return intern(e, hash, sql, (struct gp_span){NULL, 0}, names, claim);
}

struct gp_state *gp_state_share(struct gp_state *state)
{
    state->refs++;
    return state;
}

void gp_state_release(struct gp_engine *e, struct gp_state *state)
{
    if (!state || --state->refs)
        return;
    struct gp_state **link = bucket_of(e, state->hash);
    while (*link != state)
        link = &(*link)->next;
    *link = state->next;
    uint32_t bytes = state->bytes;
    free(state);
    gp_memory_give(GP_MEMORY_STATES, bytes);
}
