#include "continuity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sequences.h"
#include "session.h"
#include "suspects.h"

void gp_continuity_pin(struct gp_engine *e, struct gp_client *c, uint8_t pins)
{
    struct gp_counters *counters = gp_counters_of(e, c->pool);

    if (pins == c->pins)
        return;
    if (pins && !c->pins)
        gp_count(&counters->pins, 1);
    for (unsigned i = 0; i < GP_PINS; i++)
        if (pins & ~c->pins & 1 << i)
            gp_count(&counters->pins_of[i], 1);
    atomic_store_explicit(&gp_client_at(e->seg, c->id)->pins, pins, memory_order_relaxed);
    c->pins = pins;
}

/* name: with the comma before it, as in the list. */
static bool has_name(const struct gp_buffer *list, const uint8_t *name, size_t len)
{
    const uint8_t *at = list ? gp_buffer_at(list) : NULL, *end = at + gp_buffer_len(list);

    while (at && at < end) {
        at = memmem(at, (size_t)(end - at), name, len);
        if (at && (at + len == end || at[len] == ','))
            return true;
        at = at ? at + len : NULL;
    }
    return false;
}

static bool append_name(struct gp_server *s, const uint8_t *name, const uint8_t *end)
{
    size_t len = (size_t)(end - name), have = gp_buffer_len(s->said);

    return have + s->client->params->names_length + len < GP_SETTINGS_MAX &&
           gp_buffer_append(&s->said, name, len);
}

/* Note dotted settings. Those that are noted already are not noted twice, so that a long transaction
 * does not run out of room. */
static void note_names(struct gp_server *s, const uint8_t *list, size_t len)
{
    const uint8_t *end = list + len, *next;

    for (const uint8_t *name = list; name < end; name = next) {
        next = memchr(name + 1, ',', (size_t)(end - name - 1));
        next = next ? next : end;
        if (!has_name(s->said, name, (size_t)(next - name)) && !append_name(s, name, next))
            s->hides = 1;
    }
}

/* Those of a text. */
static void note_said(struct gp_server *s, const uint8_t *sql, size_t len)
{
    uint8_t list[GP_SESSION_NAMES_MAX];

    note_names(s, list, gp_session_names(sql, len, list, sizeof(list)));
}

/* A number that no worker has made before. */
static uint64_t make_own(struct gp_engine *e)
{
    const uint64_t seed[] = {e->reads_made++, e->now, e->worker, (uint64_t)getpid()};

    return gp_sid_make(gp_common_of(e->seg)->hash_key, 1, (const uint8_t *)seed, sizeof(seed))
               .high |
           1;
}

/* A text that may change how later ones are parsed: the same texts after the same state do it in the
 * same way, those apart whose effect depends on more. */
static void note_reads(struct gp_engine *e, struct gp_server *s, uint16_t hints, const uint8_t *sql,
                       size_t len)
{
    if (hints & GP_HINT_OWN) {
        s->own = 1;
        s->reads = make_own(e);
    } else if (hints & GP_HINT_READS || (s->reads && hints & GP_HINT_ENDS)) {
        uint64_t before = s->reads ? s->reads : s->client->params->parse_hash;
        s->reads = gp_sid_make(gp_common_of(e->seg)->hash_key, before, sql, len).high | 1;
    }
}

uint64_t gp_continuity_reads(struct gp_engine *e, struct gp_server *s, bool *own)
{
    *own = s->own;
    if (!s->reads)
        return s->client->params->parse_hash;
    if (!gp_replies_owes_ready(&s->replies))
        return s->reads;
    *own = true; /* what is still to be answered may fail, and what it set with it */
    return make_own(e);
}

/* ---- texts ---- */

/* What the text says itself. */
static inline void note_hints(struct gp_engine *e, struct gp_server *s, uint16_t hints,
                              const uint8_t *sql, size_t len)
{
    note_reads(e, s, hints, sql, len);
    s->hints |= hints;
    s->left |= hints & GP_HINT_CONFIG ? GP_PIN_SETTING : 0;
    s->left |= hints & GP_HINT_LOCK ? GP_PIN_LOCK : 0;
    s->left |= hints & GP_HINT_TEMP ? GP_PIN_TEMPORARY : 0;
    s->hides |= hints & GP_HINT_HIDDEN && hints & GP_HINT_CONFIG;
    s->unsure |= (hints & GP_HINT_UNREAD) == GP_HINT_UNREAD;
    if (hints & GP_HINT_NAME && s->session == GP_SESSION_TRACK)
        note_said(s, sql, len);
}

/* It may run a function that changes the session: that is asked, as after a DO. */
static void note_suspect(struct gp_server *s, const struct gp_suspects *list)
{
    s->left |= GP_PIN_UNKNOWN;
    s->unsure |= !list->known || list->flags & GP_SUSPECTS_HIDE;
    if (s->session == GP_SESSION_TRACK)
        note_names(s, list->names, list->names_length);
}

bool gp_continuity_text(struct gp_engine *e, struct gp_server *s, const uint8_t *sql, size_t len,
                        bool whole)
{
    uint16_t hints = gp_session_hints(sql, len) | (whole ? 0 : GP_HINT_UNREAD);

    if (hints & (GP_HINT_DRAWN | GP_HINT_DRAWS) && gp_sequences_hold(e, s, hints))
        return false;
    note_hints(e, s, hints, sql, len);
    if (!s->judges)
        return true;
    const struct gp_suspects *list = gp_suspects_of(e, s->pool);
    if (!whole || gp_suspects_in(list, sql, len))
        note_suspect(s, list);
    return true;
}

void gp_continuity_statement(struct gp_engine *e, struct gp_server *s,
                             struct gp_statement *statement)
{
    const uint8_t *sql = statement->parse + GP_STATEMENT_TEXT;
    size_t len = statement->length - GP_STATEMENT_TEXT;

    note_hints(e, s, statement->hints, sql, len);
    if (!s->judges)
        return;
    const struct gp_suspects *list = gp_suspects_of(e, s->pool);
    if (statement->judged != list->mark || !list->known) {
        statement->suspect = gp_suspects_in(list, sql, len);
        statement->judged = list->mark;
    }
    if (statement->suspect)
        note_suspect(s, list);
}

void gp_continuity_unseen(struct gp_engine *e, struct gp_server *s)
{
    note_hints(e, s, GP_HINT_SET | GP_HINT_HOLD, NULL, 0);
    if (s->judges)
        note_suspect(s, gp_suspects_of(e, s->pool));
}

void gp_continuity_call(struct gp_server *s, const uint8_t *body, size_t len)
{
    /* Large objects, whose descriptors end with the transaction. Source: pg_proc.dat, "lo_". */
    static const uint32_t harmless[] = {715, 952, 953,  954,  955,  956, 957,
                                        958, 964, 1004, 3170, 3171, 3172};

    for (size_t i = 0; len >= 4 && i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (gp_get_u32be(body) == harmless[i])
            return;
    s->left |= GP_PIN_UNKNOWN;
    s->unsure = 1;
}

/* ---- tags ---- */

static bool begins(const struct gp_tag *tag, const char *word)
{
    return tag->text.len >= strlen(word) && memcmp(tag->text.at, word, strlen(word)) == 0;
}

/* What commands other than those with a tag of their own may do: a DO anything its text hides; a
 * pin may go with a DROP. */
static uint8_t left_by_other(struct gp_server *s, const struct gp_tag *tag)
{
    if (gp_span_is(tag->text, "DO")) {
        s->hides |= (s->hints & GP_HINT_HIDDEN) != 0;
        s->unsure = 1;
        return GP_PIN_UNKNOWN;
    }
    if (s->client->params->temporary && begins(tag, "SELECT")) /* INTO, perhaps */
        return GP_PIN_TEMPORARY;
    return begins(tag, "DROP") ? s->client->pins : 0;
}

/* Whether a CREATE or ALTER may make suspects. Only of others can a table or an index become one, or
 * by words of its own text: so those that programs make every day are passed over. */
static bool defines(const struct gp_server *s, const struct gp_tag *tag)
{
    static const char *const daily[] = {
        "CREATE TABLE", "CREATE INDEX",   "CREATE SEQUENCE",         "ALTER TABLE",
        "ALTER INDEX",  "ALTER SEQUENCE", "CREATE MATERIALIZED VIEW"};

    if (s->left & (GP_PIN_SETTING | GP_PIN_LOCK | GP_PIN_UNKNOWN))
        return true;
    for (size_t i = 0; i < sizeof(daily) / sizeof(daily[0]); i++)
        if (begins(tag, daily[i]))
            return false;
    return true;
}

void gp_continuity_defined(struct gp_server *s, const struct gp_tag *tag)
{
    if (tag->kind == GP_TAG_CREATE || (*tag->text.at == 'A' && begins(tag, "ALTER ")))
        s->defines |= defines(s, tag);
    else if (s->hints & GP_HINT_DEFINES)
        s->defines |= gp_span_is(tag->text, "DO");
}

void gp_continuity_tag(struct gp_engine *e, struct gp_server *s, const struct gp_tag *tag)
{
    struct gp_client *c = s->client;

    if (*tag->text.at != 'S') /* nor SELECT, by its tag */
        gp_sequences_tag(e, s, tag);
    switch (tag->kind) {
    case GP_TAG_SET:
        s->left |= s->hints & GP_HINT_SET ? GP_PIN_SETTING : 0;
        s->hides |= s->hints & GP_HINT_HIDDEN || (s->hints & GP_HINT_UNREAD) == GP_HINT_UNREAD;
        return;
    case GP_TAG_CREATE:
        s->left |= c->params->temporary ? GP_PIN_TEMPORARY : 0;
        return;
    case GP_TAG_RESET:
        s->left |= GP_PIN_SETTING;
        return;
    case GP_TAG_DECLARE_CURSOR:
        s->left |= s->hints & GP_HINT_HOLD ? GP_PIN_CURSOR : 0;
        return;
    case GP_TAG_PREPARE:
        s->left |= GP_PIN_PREPARED;
        return;
    case GP_TAG_LISTEN:
        s->left |= GP_PIN_LISTEN;
        return;
    case GP_TAG_DISCARD_ALL:
        gp_continuity_pin(e, c, c->pins & (uint8_t)~GP_PIN_SETTING);
        s->forgets = 1;
        s->left |= c->pins | GP_PIN_SETTING;
        return;
    case GP_TAG_DEALLOCATE:
    case GP_TAG_DEALLOCATE_ALL:
    case GP_TAG_DISCARD:
    case GP_TAG_UNLISTEN:
    case GP_TAG_CLOSE_CURSOR:
        s->left |= c->pins; /* one of them may be gone */
        return;
    default:
        s->left |= left_by_other(s, tag);
    }
}

void gp_continuity_begin(struct gp_engine *e, struct gp_server *s)
{
    const struct gp_suspects *list = gp_suspects_of(e, s->pool);

    s->left = 0;
    s->hints = 0;
    s->forgets = s->hides = s->unsure = s->own = s->defines = s->draws = 0;
    s->reads = 0;
    s->suspects = list->word;
    s->judges = list->active;
    gp_buffer_free(&s->said);
}

void gp_continuity_publish(struct gp_engine *e, struct gp_server *s)
{
    if (s->defines)
        gp_suspects_redefined(e, s->pool);
    s->defines = 0;
}

static void add(struct gp_buffer **question, const void *data, size_t len)
{
    if (len && !gp_buffer_insist(question, data, len))
        abort(); /* what is not asked for would be left to the next client */
}

/* A Query message that asks for the dotted settings by name, and for all else. */
static struct gp_buffer *make_question(struct gp_server *s)
{
    static const char head[] = "WITH named(name) AS (SELECT pg_catalog.unnest('{";
    static const char tail[] = "}'::pg_catalog.text[])), ";
    const struct gp_state *base = s->client->base, *params = s->client->params;
    const uint8_t header[GP_HEADER_SIZE] = {GP_QUERY};
    size_t said = gp_buffer_len(s->said), known = s->forgets ? 0 : params->names_length;
    struct gp_buffer *question = NULL;

    add(&question, header, sizeof(header));
    add(&question, head, strlen(head));
    add(&question, params->data + params->length + params->look_length, known);
    if (said)
        add(&question, gp_buffer_at(s->said) + !known, said - !known);
    add(&question, tail, strlen(tail));
    add(&question, base->data + base->length, base->look_length);
    add(&question, "", 1);
    gp_put_u32be(question->data + question->start + 1, (uint32_t)gp_buffer_len(question) - 1);
    return question;
}

void gp_continuity_end(struct gp_engine *e, struct gp_server *s)
{
    gp_continuity_publish(e, s);
    if (s->draws)
        gp_sequences_end(e, s);
    if (s->session == GP_SESSION_OFF || s->suspects == gp_suspects_word(e, s->pool))
        return;
    s->left |= GP_PIN_UNKNOWN; /* its texts were judged by a list that is no longer true */
    s->unsure = 1;
}

bool gp_continuity_look(struct gp_engine *e, struct gp_server *s)
{
    if (s->session != GP_SESSION_TRACK || s->client->base->look_length == 0)
        return false;
    if (!gp_replies_push(&s->replies, GP_REPLY_QUERY, GP_REPLY_SWALLOW))
        return false;
    struct gp_buffer *question = make_question(s);
    gp_server_enter(e, s, GP_SERVER_LOOK);
    gp_count(&gp_counters_of(e, s->pool)->looks, 1);
    s->status = 0;
    s->failed = 0;
    gp_conn_send(e->transport, &s->conn, gp_buffer_at(question), gp_buffer_len(question));
    gp_buffer_free(&question);
    if (s->conn.broken)
        gp_todo(e, &s->conn);
    return true;
}

void gp_continuity_row(struct gp_server *s, const uint8_t *body, size_t len)
{
    gp_buffer_free(&s->answer);
    s->client->conn.starved |= !gp_buffer_append(&s->answer, body, len);
}

struct answer {
    uint8_t pins;
    bool missing; /* this server lacks a setting of the startup packet */
    bool others;  /* it has others than those */
    struct gp_span state, names;
};

/* One column: a length and its bytes. */
static bool column(const uint8_t **at, const uint8_t *end, struct gp_span *value)
{
    if (end - *at < 4)
        return false;
    uint32_t len = gp_get_u32be(*at);
    *at += 4;
    if (len > (size_t)(end - *at)) /* NULL has the greatest length */
        return false;
    *value = (struct gp_span){*at, len};
    *at += len;
    return true;
}

static uint32_t number(struct gp_span text)
{
    uint32_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n = n * 10 + (text.at[i] - '0');
    return n;
}

static bool read_answer(const struct gp_buffer *buffer, struct answer *answer)
{
    struct gp_span pins, like;

    if (gp_buffer_len(buffer) < 2)
        return false;
    const uint8_t *at = gp_buffer_at(buffer), *end = at + gp_buffer_len(buffer);
    at += 2; /* the number of columns is ours */
    if (!column(&at, end, &pins) || !column(&at, end, &like) || !column(&at, end, &answer->state) ||
        !column(&at, end, &answer->names))
        return false;
    answer->pins = (uint8_t)number(pins);
    answer->missing = number(like) & 1;
    answer->others = number(like) & 2;
    return true;
}

/* Which dotted settings no look finds: as before, and those of this transaction. */
static uint8_t hidden_settings(const struct gp_server *s, bool asked)
{
    return s->hides || (!asked && s->said) ? GP_PIN_SETTING : s->client->pins & GP_PIN_SETTING;
}

bool gp_continuity_seen(struct gp_engine *e, struct gp_server *s)
{
    struct gp_client *c = s->client;
    struct gp_slot *slot = gp_slot_at(e->seg, s->pool, s->slot);
    struct gp_state *state = NULL;
    struct answer answer = {0};

    if (!s->failed && read_answer(s->answer, &answer))
        state = answer.others ? gp_state_of_text(e, answer.state, answer.names, GP_ASK)
                              : gp_state_share(c->base);
    if (answer.others && !state)
        c->conn.starved = 1;
    if (c->conn.starved)
        gp_todo(e, &c->conn); /* nobody knows any more what its session is */
    if (state) {
        gp_state_release(e, c->params);
        c->params = state;
        atomic_store_explicit(&slot->state_hash,
                              answer.missing || s->unsure ? GP_STATE_UNKNOWN : state->hash,
                              memory_order_relaxed);
    }
    uint8_t hidden = hidden_settings(s, state != NULL) | (c->pins & GP_PIN_SEQUENCE);
    gp_continuity_pin(e, c, (state ? answer.pins : GP_PIN_UNKNOWN) | hidden);
    s->undo = c->pins;
    gp_buffer_free(&s->answer);
    gp_continuity_begin(e, s);
    return state && answer.missing && !(hidden & GP_PIN_SETTING); /* a RESET ALL would take those */
}

void gp_continuity_undo(struct gp_engine *e, struct gp_server *s, char sql[GP_UNDO_BYTES])
{
    static const struct {
        uint8_t what;
        const char *sql;
    } undo[] = {
        {GP_PIN_SETTING, "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; "},
        {GP_PIN_CURSOR, "CLOSE ALL; "},
        {GP_PIN_PREPARED, "DEALLOCATE ALL; "},
        {GP_PIN_LISTEN, "UNLISTEN *; "},
        {GP_PIN_TEMPORARY, "DISCARD TEMP; "},
        {GP_PIN_SEQUENCE, "DISCARD SEQUENCES; "},
        {GP_PIN_LOCK, "SELECT pg_catalog.pg_advisory_unlock_all(); "},
    };
    bool anything = s->undo & GP_PIN_UNKNOWN;
    size_t len = 0;

    if (anything)
        len = (size_t)snprintf(sql, GP_UNDO_BYTES, "DISCARD ALL");
    for (size_t i = 0; !anything && i < sizeof(undo) / sizeof(undo[0]); i++)
        if (s->undo & undo[i].what)
            len += (size_t)snprintf(sql + len, GP_UNDO_BYTES - len, "%s", undo[i].sql);
    if (s->undo & (GP_PIN_SETTING | GP_PIN_UNKNOWN))
        atomic_store_explicit(&gp_slot_at(e->seg, s->pool, s->slot)->state_hash, GP_STATE_FRESH,
                              memory_order_relaxed);
    s->undo = 0;
}
