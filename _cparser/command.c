#include "command.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct scan {
    const uint8_t *at, *end;
    bool failed; /* something that is not certain */
};

/* Behind a comment of two dashes, or a nested one between slashes and stars. NULL: it has no end. */
static const uint8_t *comment_end(const uint8_t *at, const uint8_t *end)
{
    unsigned depth = 0;

    if (*at == '-') {
        while (at < end && *at != '\n' && *at != '\r')
            at++;
        return at;
    }
    while (end - at >= 2) {
        bool opens = at[0] == '/' && at[1] == '*', closes = at[0] == '*' && at[1] == '/';
        at += opens || closes ? 2 : 1;
        depth += opens ? 1u : 0u;
        if (closes && --depth == 0)
            return at;
    }
    return NULL;
}

static void skip_space(struct scan *in)
{
    while (in->at < in->end && !in->failed) {
        bool comment = in->end - in->at >= 2 && ((in->at[0] == '-' && in->at[1] == '-') ||
                                                 (in->at[0] == '/' && in->at[1] == '*'));
        if (comment) {
            const uint8_t *behind = comment_end(in->at, in->end);
            in->failed = !behind;
            in->at = behind ? behind : in->end;
        } else if (*in->at == ' ' || (*in->at >= '\t' && *in->at <= '\r' && *in->at != '\v')) {
            in->at++;
        } else {
            return;
        }
    }
}

static bool in_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c >= 0x80;
}

static size_t word_len(const struct scan *in)
{
    const uint8_t *at = in->at;

    while (at < in->end && in_word(*at))
        at++;
    return (size_t)(at - in->at);
}

/* Take the word if it stands here. */
static bool take(struct scan *in, const char *word)
{
    const uint8_t *at = in->at;

    for (; *word; word++, at++)
        if (at == in->end || (*at | 0x20) != (uint8_t)*word) /* words are of letters alone */
            return false;
    if (at < in->end && in_word(*at))
        return false;
    in->at = at;
    skip_space(in);
    return true;
}

/* The second word must follow the first. */
static bool take_two(struct scan *in, const char *first, const char *second)
{
    if (!take(in, first))
        return false;
    in->failed |= !take(in, second);
    return true;
}

static bool take_sign(struct scan *in, char sign)
{
    if (in->at == in->end || *in->at != sign)
        return false;
    in->at++;
    skip_space(in);
    return true;
}

/* Nothing more but semicolons. */
static bool at_end(struct scan *in)
{
    while (take_sign(in, ';'))
        ;
    return in->at == in->end && !in->failed;
}

/* ---- BEGIN ---- */

#define ISOLATION (GP_BEGIN_READ_UNCOMMITTED | GP_BEGIN_READ_COMMITTED | GP_BEGIN_REPEATABLE_READ)

static uint8_t take_level(struct scan *in)
{
    if (take_two(in, "repeatable", "read"))
        return GP_BEGIN_REPEATABLE_READ;
    if (take(in, "read")) {
        if (take(in, "committed"))
            return GP_BEGIN_READ_COMMITTED;
        if (take(in, "uncommitted"))
            return GP_BEGIN_READ_UNCOMMITTED;
    }
    in->failed = true;
    return 0;
}

/* One mode; of two that contradict each other the later counts. False: none stands here. */
static bool take_mode(struct scan *in, uint8_t *modes)
{
    if (take_two(in, "isolation", "level"))
        *modes = (uint8_t)((*modes & ~ISOLATION) | take_level(in));
    else if (take_two(in, "read", "only"))
        *modes |= GP_BEGIN_READ_ONLY;
    else if (take_two(in, "not", "deferrable"))
        *modes = (uint8_t)((*modes & ~GP_BEGIN_DEFERRABLE) | GP_BEGIN_NOT_DEFERRABLE);
    else if (take(in, "deferrable"))
        *modes = (uint8_t)((*modes & ~GP_BEGIN_NOT_DEFERRABLE) | GP_BEGIN_DEFERRABLE);
    else
        return false;
    return !in->failed;
}

static uint8_t take_modes(struct scan *in)
{
    uint8_t modes = GP_BEGIN_PLAIN;

    if (!take_mode(in, &modes))
        return modes;
    for (;;) {
        bool comma = take_sign(in, ',');
        if (!take_mode(in, &modes)) {
            in->failed |= comma;
            return modes;
        }
    }
}

size_t gp_begin_text(uint8_t modes, char text[GP_BEGIN_TEXT])
{
    const char *level = modes & GP_BEGIN_REPEATABLE_READ    ? " ISOLATION LEVEL REPEATABLE READ"
                        : modes & GP_BEGIN_READ_COMMITTED   ? " ISOLATION LEVEL READ COMMITTED"
                        : modes & GP_BEGIN_READ_UNCOMMITTED ? " ISOLATION LEVEL READ UNCOMMITTED"
                                                            : "";
    const char *deferrable = modes & GP_BEGIN_DEFERRABLE       ? " DEFERRABLE"
                             : modes & GP_BEGIN_NOT_DEFERRABLE ? " NOT DEFERRABLE"
                                                               : "";

    return (size_t)snprintf(text, GP_BEGIN_TEXT, "BEGIN%s%s%s", level,
                            modes & GP_BEGIN_READ_ONLY ? " READ ONLY" : "", deferrable);
}

/* ---- DEALLOCATE ---- */

/* A name without quotes: folded, ASCII only (how other letters fold depends on the database). */
static void take_plain_name(struct scan *in, struct gp_command *command)
{
    size_t len = word_len(in);

    in->failed |=
        len == 0 || len > GP_COMMAND_NAME || *in->at == '$' || (*in->at >= '0' && *in->at <= '9');
    for (size_t i = 0; i < len && !in->failed; i++) {
        uint8_t c = in->at[i];
        in->failed |= c >= 0x80;
        command->name[i] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    }
    command->name_len = (uint8_t)len;
    in->at += len;
}

static void take_quoted_name(struct scan *in, struct gp_command *command)
{
    size_t len = 0;

    for (in->at++; in->at < in->end; in->at++) {
        bool quote = *in->at == '"';
        if (quote && !(in->at + 1 < in->end && in->at[1] == '"'))
            break;
        in->at += quote; /* two of them stand for one */
        if (len < GP_COMMAND_NAME)
            command->name[len] = *in->at;
        len++;
    }
    in->failed |= in->at == in->end || len == 0 || len > GP_COMMAND_NAME;
    command->name_len = (uint8_t)len;
    in->at += in->at < in->end;
}

static void take_name(struct scan *in, struct gp_command *command)
{
    if (in->at < in->end && *in->at == '"')
        take_quoted_name(in, command);
    else
        take_plain_name(in, command);
    skip_space(in);
}

/* `prepare` may be the word or the name. ALL is none, and a name alone is not the end. */
static void take_deallocate(struct scan *in, struct gp_command *command)
{
    struct scan behind = *in;

    if (take(&behind, "prepare") && behind.at < behind.end && *behind.at != ';')
        *in = behind;
    struct scan all = *in;
    in->failed |= take(&all, "all");
    take_name(in, command);
}

/* A word that may name something: without quotes, ASCII. Not certain otherwise. */
static struct gp_span take_word(struct scan *in)
{
    struct gp_command word = {.kind = GP_COMMAND_OTHER};
    const uint8_t *begin = in->at;

    take_plain_name(in, &word);
    skip_space(in);
    return (struct gp_span){begin, word.name_len};
}

/* SAVEPOINT a; DEALLOCATE ...; RELEASE a, behind the first word. */
static void take_guarded(struct scan *in, struct gp_command *command)
{
    struct gp_span savepoint = take_word(in);

    in->failed |= !take_sign(in, ';') || !take(in, "deallocate");
    if (in->failed)
        return;
    take_deallocate(in, command);
    in->failed |= !take_sign(in, ';') || !take(in, "release");
    struct gp_span released = take_word(in);
    if (in->failed || released.len != savepoint.len ||
        memcmp(released.at, savepoint.at, savepoint.len) != 0) {
        in->failed = true;
        return;
    }
    memcpy(command->savepoint, savepoint.at, savepoint.len);
    command->savepoint_len = (uint8_t)savepoint.len;
}

/* ---- all of them ---- */

static enum gp_command_kind take_kind(struct scan *in)
{
    switch (in->at < in->end ? *in->at | 0x20 : 0) {
    case 'b':
        return take(in, "begin") ? GP_COMMAND_BEGIN : GP_COMMAND_OTHER;
    case 's':
        if (take(in, "savepoint"))
            return GP_COMMAND_DEALLOCATE; /* or what is not certain */
        return take_two(in, "start", "transaction") ? GP_COMMAND_START_TRANSACTION
                                                    : GP_COMMAND_OTHER;
    case 'c':
        return take(in, "commit") ? GP_COMMAND_COMMIT : GP_COMMAND_OTHER;
    case 'e':
        return take(in, "end") ? GP_COMMAND_COMMIT : GP_COMMAND_OTHER;
    case 'r':
        return take(in, "rollback") ? GP_COMMAND_ROLLBACK : GP_COMMAND_OTHER;
    case 'a':
        return take(in, "abort") ? GP_COMMAND_ROLLBACK : GP_COMMAND_OTHER;
    case 'd':
        return take(in, "deallocate") ? GP_COMMAND_DEALLOCATE : GP_COMMAND_OTHER;
    default:
        return GP_COMMAND_OTHER;
    }
}

struct gp_command gp_command_of(const uint8_t *sql, size_t len)
{
    struct gp_command command = {.kind = GP_COMMAND_OTHER};
    struct scan in = {sql, sql + len, false};

    if (len > GP_COMMAND_MAX)
        return command;
    skip_space(&in);
    const uint8_t *first = in.at;
    enum gp_command_kind kind = take_kind(&in);
    if (kind == GP_COMMAND_OTHER)
        return command;
    if (kind == GP_COMMAND_DEALLOCATE && (*first | 0x20) == 's')
        take_guarded(&in, &command);
    else if (kind == GP_COMMAND_DEALLOCATE)
        take_deallocate(&in, &command);
    else if (kind != GP_COMMAND_START_TRANSACTION && !take(&in, "work"))
        (void)take(&in, "transaction");
    if (kind == GP_COMMAND_BEGIN || kind == GP_COMMAND_START_TRANSACTION)
        command.modes = take_modes(&in);
    if (at_end(&in))
        command.kind = kind;
    return command;
}
