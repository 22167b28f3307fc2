#include "session.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0x80;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Whether these letters stand at `at`; word: and no word goes on behind them. */
static bool stands(const uint8_t *at, const uint8_t *end, const char *letters, bool word)
{
    size_t len = strlen(letters);

    return (size_t)(end - at) >= len && strncasecmp((const char *)at, letters, len) == 0 &&
           (!word || at + len == end || !is_word(at[len]));
}

/* SET, at `at`: whether what follows makes it end with the transaction. */
static bool set_is_local(const uint8_t *at, const uint8_t *end)
{
    at += 3;
    while (at < end && is_space(*at))
        at++;
    return stands(at, end, "local", true) || stands(at, end, "transaction", true) ||
           stands(at, end, "constraints", true);
}

/* set_config(..., ..., true), at `at`: skips constants and nested calls up to its end. */
static bool config_is_local(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *last = NULL; /* behind the last comma of its own */
    unsigned depth = 0;

    for (at += strlen("set_config"); at < end; at++) {
        if (*at == '\'') {
            const uint8_t *quote = memchr(at + 1, '\'', (size_t)(end - at - 1));
            if (!quote)
                return false;
            at = quote;
        } else if (*at == '(') {
            depth++;
        } else if (*at == ',' && depth == 1) {
            last = at + 1;
        } else if (*at == ')' && --depth == 0) {
            break;
        } else if (depth == 0 && !is_space(*at)) {
            return false;
        }
    }
    while (last && last < end && is_space(*last))
        last++;
    return last && stands(last, end, "true", true);
}

static uint8_t hint_at(const uint8_t *at, const uint8_t *end)
{
    switch (*at | 0x20) {
    case 's':
        if (stands(at, end, "set_config", true))
            return config_is_local(at, end) ? 0 : GP_HINT_ASK;
        return stands(at, end, "set", true) && !set_is_local(at, end) ? GP_HINT_SET : 0;
    case 'h':
        return stands(at, end, "hold", true) ? GP_HINT_HOLD : 0;
    case 't':
        return stands(at, end, "temp", true) || stands(at, end, "temporary", true) ? GP_HINT_ASK
                                                                                   : 0;
    case 'p':
        return stands(at, end, "pg_advisory_", false) ||
                       stands(at, end, "pg_try_advisory_", false) ||
                       stands(at, end, "pg_temp", false)
                   ? GP_HINT_ASK
                   : 0;
    default:
        return 0;
    }
}

/* pg_advisory_xact_lock and its like end with their transaction. */
static bool lock_is_local(const uint8_t *at, const uint8_t *end)
{
    return stands(at, end, "pg_advisory_xact_", false) ||
           stands(at, end, "pg_try_advisory_xact_", false);
}

uint8_t gp_session_hints(const uint8_t *sql, size_t len)
{
    const uint8_t *end = sql + len;
    uint8_t hints = 0;
    bool inside = false; /* a word */

    for (const uint8_t *at = sql; at < end; at++) {
        bool word = is_word(*at);
        if (word && !inside && !lock_is_local(at, end))
            hints |= hint_at(at, end);
        inside = word;
    }
    return hints;
}
