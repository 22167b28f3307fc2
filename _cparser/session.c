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

static const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* SET, at `at`: whether what follows makes it end with the transaction. A dot behind the word makes
 * it the beginning of a parameter's name: SET local.x = 1. */
static bool set_is_local(const uint8_t *at, const uint8_t *end)
{
    static const char *const words[] = {"local", "transaction", "constraints"};

    at = skip_space(at + 3, end);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!stands(at, end, words[i], true))
            continue;
        at = skip_space(at + strlen(words[i]), end);
        return at == end || *at != '.';
    }
    return false;
}

/* The constant in quotes at `at`: its last quote. NULL: it has no end, or backslashes, which may
 * hide it. */
static const uint8_t *constant_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *quote = memchr(at + 1, '\'', (size_t)(end - at - 1));

    return quote && !memchr(at, '\\', (size_t)(quote - at)) ? quote : NULL;
}

/* A quoted name, a comment or a dollar quote may begin here; $1 is a parameter. */
static bool may_hide(const uint8_t *at, const uint8_t *end)
{
    if (*at == '$')
        return at + 1 == end || at[1] < '0' || at[1] > '9';
    return *at == '"' || *at == '/' || *at == '-';
}

/* set_config(..., ..., true), at `at`: skips constants and nested calls up to its end. */
static bool config_is_local(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *last = NULL; /* behind the last comma of its own */
    unsigned depth = 0;

    for (at += strlen("set_config"); at < end; at++) {
        if (*at == '\'') {
            at = constant_end(at, end);
            if (!at)
                return false;
        } else if (may_hide(at, end)) {
            return false;
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
    if (!last || at == end)
        return false;
    last = skip_space(last, at);
    return stands(last, at, "true", true) && skip_space(last + strlen("true"), at) == at;
}

/* SET, at `at`: whether the setting's name has a dot, or may have one that a comment, quotes or a
 * format's % hide. */
static bool set_is_dotted(const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at + strlen("set"), end);
    if (stands(at, end, "session", true)) {
        const uint8_t *next = skip_space(at + strlen("session"), end);
        if (next < end && is_word(*next))
            at = next;
    }
    while (at < end && (is_word(*at) || *at == '$'))
        at++;
    at = skip_space(at, end);
    return at < end && strchr(".\"'/-%", *at) != NULL;
}

/* set_config, at `at`: the same of its first argument, where anything but a plain constant hides.
 */
static bool config_is_dotted(const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at + strlen("set_config"), end);
    if (at == end || *at != '(')
        return true;
    at = skip_space(at + 1, end);
    const uint8_t *quote = at < end && *at == '\'' ? constant_end(at, end) : NULL;
    if (!quote || memchr(at, '.', (size_t)(quote - at)))
        return true;
    at = skip_space(quote + 1, end);
    return at == end || *at != ',';
}

static uint8_t hint_at(const uint8_t *at, const uint8_t *end)
{
    switch (*at | 0x20) {
    case 's':
        if (stands(at, end, "set_config", true) && !config_is_local(at, end))
            return config_is_dotted(at, end) ? GP_HINT_ASK | GP_HINT_NAME : GP_HINT_ASK;
        if (stands(at, end, "set", true) && !set_is_local(at, end))
            return set_is_dotted(at, end) ? GP_HINT_SET | GP_HINT_NAME : GP_HINT_SET;
        return 0;
    case 'h':
        return stands(at, end, "hold", true) ? GP_HINT_HOLD : 0;
    case 't':
        return stands(at, end, "temp", true) || stands(at, end, "temporary", true) ? GP_HINT_ASK
                                                                                   : 0;
    case 'p':
        return stands(at, end, "pg_advisory_", false) ||
                       stands(at, end, "pg_try_advisory_", false) ||
                       stands(at, end, "pg_temp", false) || stands(at, end, "pg_settings", true)
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
