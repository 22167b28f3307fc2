/* The list of intents of a link: prepare.h says what they are. */
#include "prepare.h"

#include <stdlib.h>
#include <string.h>

static size_t bytes_for(size_t name_len)
{
    return sizeof(struct gp_intent) + (name_len > GP_INTENT_NAME ? name_len : GP_INTENT_NAME);
}

/* One for a name of that length. Those of short names are all of one size, and used again. */
static struct gp_intent *intent_make(struct gp_engine *e, size_t name_len)
{
    struct gp_intent *intent = e->spare_intents;

    if (intent && name_len <= GP_INTENT_NAME) {
        e->spare_intents = intent->newer;
        e->spare_intents_count--;
        return intent;
    }
    intent = malloc(bytes_for(name_len));
    if (!intent || !gp_memory_take(GP_MEMORY_STATEMENTS, bytes_for(name_len), GP_INSIST))
        abort(); /* a reply without its intent would name statements wrongly from here on */
    return intent;
}

static void intent_free(struct gp_engine *e, struct gp_intent *intent)
{
    if (intent->name_len > GP_INTENT_NAME || e->spare_intents_count == GP_INTENTS_SPARE) {
        size_t bytes = bytes_for(intent->name_len);
        free(intent);
        gp_memory_give(GP_MEMORY_STATEMENTS, bytes);
        return;
    }
    intent->newer = e->spare_intents;
    e->spare_intents = intent;
    e->spare_intents_count++;
}

void gp_intents_free(struct gp_engine *e)
{
    while (e->spare_intents) {
        struct gp_intent *intent = e->spare_intents;
        e->spare_intents = intent->newer;
        free(intent);
        gp_memory_give(GP_MEMORY_STATEMENTS, bytes_for(0));
    }
}

struct gp_intent *gp_intent_add(struct gp_engine *e, struct gp_server *s, enum gp_intent_kind kind,
                                struct gp_statement *statement, struct gp_span name)
{
    struct gp_intent *intent = intent_make(e, name.len);

    *intent = (struct gp_intent){.older = s->intents_last,
                                 .statement = statement,
                                 .kind = kind,
                                 .segment = s->segment,
                                 .name_len = (uint32_t)name.len};
    if (statement) {
        statement->refs++;
        intent->id = statement->id;
    }
    if (name.len)
        memcpy(intent->name, name.at, name.len);
    *(s->intents_last ? &s->intents_last->newer : &s->intents_first) = intent;
    s->intents_last = intent;
    return intent;
}

void gp_prepare_inject_first(struct gp_engine *e, struct gp_server *s,
                             struct gp_statement *statement)
{
    struct gp_span none = {NULL, 0};
    struct gp_intent *intent = gp_intent_add(e, s, GP_INTENT_INJECT, statement, none);

    if (!intent->older)
        return;
    s->intents_last = intent->older;
    s->intents_last->newer = NULL;
    intent->older = NULL;
    intent->newer = s->intents_first;
    s->intents_first->older = intent;
    s->intents_first = intent;
}

bool gp_prepare_duplicate(const struct gp_server *s)
{
    return gp_replies_intends(&s->replies) && s->intents_first->kind == GP_INTENT_DUPLICATE;
}

static void intent_end(struct gp_engine *e, struct gp_server *s)
{
    struct gp_intent *intent = s->intents_first;

    s->intents_first = intent->newer;
    *(intent->newer ? &intent->newer->older : &s->intents_last) = NULL;
    if (intent->statement)
        gp_statement_release(&e->interner, intent->statement);
    intent_free(e, intent);
}

void gp_intent_true(struct gp_engine *e, struct gp_server *s)
{
    struct gp_intent *intent = s->intents_first;
    struct gp_names *names = s->client ? &s->client->names : NULL;
    struct gp_holding *holding = gp_holding_at(e->seg, s->pool, s->slot);

    if ((intent->kind == GP_INTENT_PARSE && intent->sent) || intent->kind == GP_INTENT_INJECT)
        gp_holding_add(holding, intent->id);
    if (names && intent->kind == GP_INTENT_PARSE &&
        !gp_names_set(names, &e->interner, intent->name, intent->name_len, intent->statement,
                      GP_ASK)) {
        s->client->conn.starved = 1; /* without memory for the name the client cannot go on */
        gp_todo(e, &s->client->conn);
    }
    if (names && (intent->kind == GP_INTENT_CLOSE || intent->kind == GP_INTENT_UNNAME ||
                  (intent->kind == GP_INTENT_DEALLOCATE && intent->sent)))
        gp_names_drop(names, &e->interner, intent->name, intent->name_len);
    intent_end(e, s);
}

void gp_intents_drop(struct gp_engine *e, struct gp_server *s, uint32_t count)
{
    while (count-- > 0) {
        if (s->intents_first->kind == GP_INTENT_EVICT)
            gp_holding_add(gp_holding_at(e->seg, s->pool, s->slot), s->intents_first->id);
        intent_end(e, s);
    }
}

void gp_intents_forget(struct gp_engine *e, struct gp_server *s)
{
    while (s->intents_first)
        intent_end(e, s);
}

void gp_prepare_deallocated(struct gp_server *s)
{
    struct gp_intent *intent = s->intents_first;

    if (intent && intent->kind == GP_INTENT_DEALLOCATE && gp_replies_intends(&s->replies))
        intent->sent = true;
}
