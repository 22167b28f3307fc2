#include "session.h"

#include <string.h>

/* Of every byte of every text: tables and loops, no calls. A word that may_hint may mean something
 * wherever it stands (hint_at), others as the first of a statement only. */
static const bool word_bytes[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true,   ['0' ... '9'] = true,
    ['_'] = true,         [0x80 ... 0xff] = true,
};

static inline bool is_word(uint8_t c)
{
    return word_bytes[c];
}

/* Of a letter, either case. */
static inline bool may_hint(uint8_t c)
{
    static const uint32_t letters = 1u << ('c' & 31) | 1u << ('h' & 31) | 1u << ('l' & 31) |
                                    1u << ('n' & 31) | 1u << ('p' & 31) | 1u << ('s' & 31) |
                                    1u << ('t' & 31);

    return c >= 'A' && letters >> (c & 31) & 1;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Whether these letters stand at `at`; word: and no word goes on behind them. */
static inline bool stands(const uint8_t *at, const uint8_t *end, const char *letters, bool word)
{
    for (; *letters; letters++, at++) {
        if (at == end || (*at != (uint8_t)*letters &&
                          (*at < 'A' || *at > 'Z' || (*at | 0x20) != (uint8_t)*letters)))
            return false;
    }
    return !word || at == end || !is_word(*at);
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

bool gp_session_reads(const uint8_t *name, size_t len)
{
    static const char *const settings[] = {"search_path",
                                           "standard_conforming_strings",
                                           "backslash_quote",
                                           "transform_null_equals",
                                           "client_encoding",
                                           "session_authorization",
                                           "role",
                                           "datestyle",
                                           "intervalstyle",
                                           "timezone",
                                           "array_nulls",
                                           "lc_monetary",
                                           "xmloption",
                                           "timezone_abbreviations"};

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (len == strlen(settings[i]) && stands(name, name + len, settings[i], false))
            return true;
    return false;
}

/* SET, at `at`, as a statement: whether it is of such a setting, by any of its names. */
static uint16_t set_reads(const uint8_t *at, const uint8_t *end)
{
    static const char *const words[] = {"time", "names", "schema", "authorization", "xml"};
    const uint8_t *last;

    at = skip_space(at + strlen("set"), end);
    for (;; at = skip_space(last, end)) {
        for (last = at; last < end && is_word(*last);)
            last++;
        if (last == at)
            return GP_HINT_OWN; /* quoted, or behind a comment */
        if (!stands(at, end, "session", true) && !stands(at, end, "local", true))
            break;
        if (last < end && *last == '.')
            return 0;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (stands(at, end, words[i], true))
            return GP_HINT_READS;
    return gp_session_reads(at, (size_t)(last - at)) ? GP_HINT_READS : 0;
}

static uint16_t do_hints(const uint8_t *at, const uint8_t *end)
{
    for (; at < end; at++)
        if (!is_word(at[-1]) && (stands(at, end, "create", true) || stands(at, end, "alter", true)))
            return GP_HINT_OWN | GP_HINT_DEFINES;
    return GP_HINT_OWN;
}

/* The word that begins a statement. */
static uint16_t first_word(const uint8_t *at, const uint8_t *end)
{
    static const struct {
        const char *word;
        uint16_t hints;
    } words[] = {
        {"reset", GP_HINT_READS}, {"discard", GP_HINT_READS}, {"execute", GP_HINT_OWN},
        {"commit", GP_HINT_ENDS}, {"end", GP_HINT_ENDS},      {"prepare", GP_HINT_ENDS},
        {"abort", GP_HINT_ENDS},  {"rollback", GP_HINT_ENDS},
    };

    if (stands(at, end, "set", true))
        return set_reads(at, end);
    if (stands(at, end, "do", true))
        return do_hints(at + strlen("do"), end);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if ((*at | 0x20) == words[i].word[0] && stands(at, end, words[i].word, true))
            return words[i].hints;
    return 0;
}

/* SET, at `at`: where the setting's name begins. */
static const uint8_t *set_name(const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at + strlen("set"), end);
    if (stands(at, end, "session", true)) {
        const uint8_t *next = skip_space(at + strlen("session"), end);
        if (next < end && is_word(*next))
            return next;
    }
    return at;
}

/* Whether the name has a dot, or may have one that a comment, quotes or a format's % hide. */
static bool set_is_dotted(const uint8_t *at, const uint8_t *end)
{
    at = set_name(at, end);
    while (at < end && (is_word(*at) || *at == '$'))
        at++;
    at = skip_space(at, end);
    return at < end && strchr(".\"'/-%", *at) != NULL;
}

/* set_config, at `at`: its first argument, if that is a plain constant: its first quote, and its
 * last. */
static const uint8_t *config_name(const uint8_t *at, const uint8_t *end, const uint8_t **last)
{
    at = skip_space(at + strlen("set_config"), end);
    if (at == end || *at != '(')
        return NULL;
    at = skip_space(at + 1, end);
    *last = at < end && *at == '\'' ? constant_end(at, end) : NULL;
    if (!*last)
        return NULL;
    const uint8_t *next = skip_space(*last + 1, end);
    return next < end && *next == ',' ? at : NULL;
}

/* The same of its first argument, where anything but a plain constant hides. */
static bool config_is_dotted(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *last, *first = config_name(at, end, &last);

    return !first || memchr(first, '.', (size_t)(last - first)) != NULL;
}

static uint16_t config_hints(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *last, *first = config_name(at, end, &last);
    bool reads = !first || gp_session_reads(first + 1, (size_t)(last - first - 1));
    uint16_t hints = reads ? GP_HINT_OWN : 0;

    if (!config_is_local(at, end))
        hints |= config_is_dotted(at, end) ? GP_HINT_CONFIG | GP_HINT_NAME : GP_HINT_CONFIG;
    return hints;
}

static uint16_t hint_at(const uint8_t *at, const uint8_t *end)
{
    switch (*at | 0x20) {
    case 'c':
        return stands(at, end, "currval", true) ? GP_HINT_DRAWN : 0;
    case 'l':
        return stands(at, end, "lastval", true) ? GP_HINT_DRAWN : 0;
    case 'n':
        return stands(at, end, "nextval", true) ? GP_HINT_DRAWS : 0;
    case 's':
        if (stands(at, end, "setval", true))
            return GP_HINT_DRAWS;
        if (stands(at, end, "set_config", true))
            return config_hints(at, end);
        if (stands(at, end, "set", true) && !set_is_local(at, end))
            return set_is_dotted(at, end) ? GP_HINT_SET | GP_HINT_NAME : GP_HINT_SET;
        return 0;
    case 'h':
        return stands(at, end, "hold", true) ? GP_HINT_HOLD : 0;
    case 't':
        return stands(at, end, "temp", true) || stands(at, end, "temporary", true) ? GP_HINT_TEMP
                                                                                   : 0;
    case 'p':
        if (stands(at, end, "pg_advisory_", false) || stands(at, end, "pg_try_advisory_", false))
            return GP_HINT_LOCK;
        if (stands(at, end, "pg_temp", false))
            return GP_HINT_TEMP;
        return stands(at, end, "pg_settings", true) ? GP_HINT_CONFIG | GP_HINT_OWN : 0;
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

/* Of a word, `begins`: of the first of a statement. */
static uint16_t word_hints(const uint8_t *at, const uint8_t *end, bool begins)
{
    if (lock_is_local(at, end))
        return 0;
    return hint_at(at, end) | (begins ? first_word(at, end) : 0);
}

static const uint8_t *quoted_end(const uint8_t *at, const uint8_t *end)
{
    uint8_t quote = *at;

    for (at++; at < end; at++) {
        if (*at == '\0')
            return end;
        if (*at != quote)
            continue;
        if (quote == '\'' && at[-1] == '\\')
            return end; /* escaped or not: a setting of the session tells */
        if (at + 1 == end || at[1] != quote)
            return at + 1;
        at++;
    }
    return end;
}

static const uint8_t *comment_end(const uint8_t *at, const uint8_t *end)
{
    unsigned depth = 1;

    for (at += 2; end - at >= 2; at++) {
        if (at[0] == '*' && at[1] == '/') {
            if (--depth == 0)
                return at + 2;
            at++;
        } else if (at[0] == '/' && at[1] == '*') {
            depth++;
            at++;
        }
    }
    return end;
}

static const uint8_t *dollar_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *tag = at + 1;

    if (tag < end && *tag >= '0' && *tag <= '9')
        return at;
    while (tag < end && is_word(*tag))
        tag++;
    if (tag == end || *tag != '$')
        return at;
    size_t len = (size_t)(++tag - at);
    const uint8_t *last = memmem(tag, (size_t)(end - tag), at, len);
    return last ? last + len : end;
}

static const uint8_t *line_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    return at;
}

/* The end of what begins at `at` and is no SQL of the text: behind a comment. `at`: none begins. */
static const uint8_t *skip_comment(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2)
        return at;
    if (at[0] == '/' && at[1] == '*')
        return comment_end(at, end);
    return at[0] == '-' && at[1] == '-' ? line_end(at, end) : at;
}

/* The same of a comment, a constant, a quoted name. Where the end is uncertain, it is that of the
 * text. inside: `at` goes on with a word, where a dollar is a letter. */
static const uint8_t *skip_enclosed(const uint8_t *at, const uint8_t *end, bool inside)
{
    switch (*at) {
    case '\'':
    case '"':
        return quoted_end(at, end);
    case '$':
        return inside ? at : dollar_end(at, end);
    default:
        return skip_comment(at, end);
    }
}

#define NAME_PART_MAX 63u /* PostgreSQL cuts longer words */

/* The end of a setting's name with at least one dot, of plain characters. NULL: it is none. */
static const uint8_t *dotted_end(const uint8_t *at, const uint8_t *end)
{
    for (bool dotted = false;; dotted = true) {
        const uint8_t *part = at;
        if (at == end || !is_word(*at) || (*at >= '0' && *at <= '9'))
            return NULL;
        while (at < end && (is_word(*at) || *at == '$')) {
            if (*at++ >= 0x80)
                return NULL;
        }
        if ((size_t)(at - part) > NAME_PART_MAX)
            return NULL;
        if (at == end || *at != '.')
            return dotted ? at : NULL;
        at++;
    }
}

/* The name that SET or set_config at `at` sets: its length, 0 if it cannot be read. */
static size_t read_name(const uint8_t *at, const uint8_t *end, const uint8_t **name)
{
    const uint8_t *last;

    if (stands(at, end, "set_config", true)) {
        const uint8_t *first = config_name(at, end, &last);
        if (!first || dotted_end(first + 1, last) != last)
            return 0;
        *name = first + 1;
        return (size_t)(last - *name);
    }
    *name = set_name(at, end);
    last = dotted_end(*name, end);
    if (!last)
        return 0;
    const uint8_t *next = skip_space(last, end);
    bool sets = next < end && (*next == '=' || (next > last && stands(next, end, "to", true)));
    return sets ? (size_t)(last - *name) : 0;
}

/* Append ",name" in lower case. The new length; 0: there is no room. */
static size_t append(uint8_t *list, size_t used, size_t cap, const uint8_t *name, size_t len)
{
    if (len >= cap - used)
        return 0;
    list[used++] = ',';
    for (size_t i = 0; i < len; i++)
        list[used++] = name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i];
    return used;
}

size_t gp_session_names(const uint8_t *sql, size_t len, uint8_t *list, size_t cap)
{
    const uint8_t *end = sql + len, *name;
    const uint8_t *open = sql; /* from here on nothing is enclosed that has begun before */
    size_t used = 0;
    bool inside = false;

    for (const uint8_t *at = sql; at < end; at++) {
        bool word = is_word(*at);
        if (at >= open)
            open = skip_enclosed(at, end, inside);
        if (word && !inside && hint_at(at, end) & GP_HINT_NAME) {
            size_t name_len = at >= open ? read_name(at, end, &name) : 0;
            used = name_len ? append(list, used, cap, name, name_len) : 0;
            if (!used)
                return 0;
        }
        inside = word;
    }
    return used;
}

uint16_t gp_session_hints(const uint8_t *sql, size_t len)
{
    const uint8_t *end = sql + len, *comment = sql; /* the end of one before a statement's words */
    uint8_t names[GP_SESSION_NAMES_MAX];
    uint16_t hints = 0;
    bool first = true; /* nothing but space and comments since the statement began */

    for (const uint8_t *at = sql; at < end;) {
        bool begins = first;
        if (first) {
            if (at >= comment)
                comment = skip_comment(at, end);
            begins = at >= comment;
            first = !begins || is_space(*at);
        }
        if (!is_word(*at)) {
            first |= *at++ == ';';
            continue;
        }
        if (begins || may_hint(*at))
            hints |= word_hints(at, end, begins);
        while (at < end && is_word(*at))
            at++;
    }
    if (hints & GP_HINT_NAME && !gp_session_names(sql, len, names, sizeof(names)))
        hints ^= GP_HINT_NAME | GP_HINT_HIDDEN;
    return hints;
}
