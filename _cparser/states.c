/* Parameter states, interned: a worker keeps one text for all clients whose sessions are alike.
 * Partner: continuity.c, which finds out what a session has become. */
#include <stdlib.h>
#include <string.h>

#include "relay.h"

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

/* Whether a state can change how a text is parsed, so that statements must not be shared across it:
 * the names in it, its characters, or its constants, which are read when it is parsed. */
static bool changes_parsing(const uint8_t *sql, uint32_t len)
{
    static const char *const settings[] = {"search_path",     "standard_conforming_strings",
                                           "backslash_quote", "transform_null_equals",
                                           "client_encoding", "session_authorization'",
                                           "'role'",          "DateStyle",
                                           "IntervalStyle",   "TimeZone",
                                           "array_nulls",     "lc_monetary",
                                           "xmloption",       "timezone_abbreviations"};

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (memmem(sql, len, settings[i], strlen(settings[i])))
            return true;
    return false;
}

struct gp_state *gp_state_intern(struct gp_engine *e, uint64_t hash, struct gp_span sql,
                                 struct gp_span look)
{
    struct gp_state **link = &e->states;
    uint32_t len = (uint32_t)sql.len, look_len = (uint32_t)look.len;

    /* greenpool's own clients have the hash of fresh servers too, and ask nothing. */
    while (*link && ((*link)->hash != hash || !(*link)->look_length != !look_len))
        link = &(*link)->next;
    if (!*link) {
        struct gp_state *state = calloc(1, sizeof(*state) + sql.len + look.len + 16);
        if (!state)
            return NULL;
        state->hash = hash;
        state->parse_hash = changes_parsing(sql.at, len) ? hash : 0;
        state->length = put_query(state->query, sql.at, len);
        state->look_length = put_query(state->query + state->length, look.at, look_len);
        *link = state;
    }
    return gp_state_share(*link);
}

struct gp_state *gp_state_of_text(struct gp_engine *e, struct gp_span sql)
{
    struct gp_span none = {NULL, 0};
    uint64_t hash = gp_sid_make(e->seg->hash_key, 0, sql.at, sql.len).high;

    if (hash == GP_STATE_FRESH || hash == GP_STATE_UNKNOWN)
        hash = 1;
    return gp_state_intern(e, hash, sql, none);
}

struct gp_state *gp_state_share(struct gp_state *state)
{
    state->refs++;
    return state;
}

void gp_state_release(struct gp_engine *e, struct gp_state *state)
{
    struct gp_state **link = &e->states;

    if (!state || --state->refs)
        return;
    while (*link != state)
        link = &(*link)->next;
    *link = state->next;
    free(state);
}
