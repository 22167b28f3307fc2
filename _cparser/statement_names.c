/* What each client calls its statements: gp_names of statements.h. */
#include "statements.h"

#include <stdlib.h>
#include <string.h>

#define GP_NAMES_FIRST 8u

struct gp_name {
    struct gp_name *next;
    struct gp_statement *statement;
    uint32_t hash;
    uint32_t len;
    uint8_t text[];
};

/* FNV-1a: a client that chooses colliding names slows only itself down. */
static uint32_t name_hash(const uint8_t *name, size_t len)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ name[i]) * 16777619u;
    return hash;
}

/* Where the entry of that name hangs, or where a new one would be hung. */
static struct gp_name **name_link(const struct gp_names *names, uint32_t hash, const uint8_t *name,
                                  size_t len)
{
    struct gp_name **link = &names->buckets[hash & (names->cap - 1)];

    while (*link &&
           ((*link)->hash != hash || (*link)->len != len || memcmp((*link)->text, name, len) != 0))
        link = &(*link)->next;
    return link;
}

/* With its share of the buckets. */
static size_t name_bytes(size_t len)
{
    return sizeof(struct gp_name) + len + 2 * sizeof(struct gp_name *);
}

/* What an entry adds to what its client has prepared. */
static size_t weight(const struct gp_name *entry)
{
    return name_bytes(entry->len) + entry->statement->length;
}

static void free_name(struct gp_name *entry)
{
    size_t bytes = name_bytes(entry->len);

    free(entry);
    gp_memory_give(GP_MEMORY_STATEMENTS, bytes);
}

/* NULL: no memory. */
static struct gp_name *make_name(const uint8_t *name, size_t len, uint32_t hash,
                                 struct gp_statement *statement, enum gp_claim claim)
{
    struct gp_name *entry;

    if (!gp_memory_take(GP_MEMORY_STATEMENTS, name_bytes(len), claim))
        return NULL;
    entry = malloc(sizeof(*entry) + len);
    if (!entry) {
        gp_memory_give(GP_MEMORY_STATEMENTS, name_bytes(len));
        return NULL;
    }
    *entry = (struct gp_name){.statement = statement, .hash = hash, .len = (uint32_t)len};
    memcpy(entry->text, name, len);
    return entry;
}

static bool names_grow(struct gp_names *names)
{
    uint32_t cap = names->cap ? names->cap * 2 : GP_NAMES_FIRST;
    struct gp_name **buckets = calloc(cap, sizeof(struct gp_name *));

    if (!buckets)
        return false;
    for (uint32_t i = 0; i < names->cap; i++) {
        struct gp_name *next;
        for (struct gp_name *each = names->buckets[i]; each; each = next) {
            next = each->next;
            each->next = buckets[each->hash & (cap - 1)];
            buckets[each->hash & (cap - 1)] = each;
        }
    }
    free(names->buckets);
    names->buckets = buckets;
    names->cap = cap;
    return true;
}

struct gp_statement *gp_names_find(const struct gp_names *names, const uint8_t *name, size_t len)
{
    if (len == 0)
        return names->unnamed;
    if (names->count == 0)
        return NULL;
    struct gp_name *entry = *name_link(names, name_hash(name, len), name, len);
    return entry ? entry->statement : NULL;
}

bool gp_names_set(struct gp_names *names, struct gp_interner *interner, const uint8_t *name,
                  size_t len, struct gp_statement *statement, enum gp_claim claim)
{
    uint32_t hash = name_hash(name, len);

    statement->refs++;
    if (len == 0) {
        if (names->unnamed)
            gp_statement_release(interner, names->unnamed);
        names->unnamed = statement;
        return true;
    }
    if (names->count >= names->cap && !names_grow(names)) {
        gp_statement_release(interner, statement);
        return false;
    }
    struct gp_name **link = name_link(names, hash, name, len);
    if (*link) {
        names->bytes -= weight(*link);
        gp_statement_release(interner, (*link)->statement);
        (*link)->statement = statement;
        names->bytes += weight(*link);
        return true;
    }
    *link = make_name(name, len, hash, statement, claim);
    if (!*link) {
        gp_statement_release(interner, statement);
        return false;
    }
    names->bytes += weight(*link);
    names->count++;
    return true;
}

void gp_names_drop(struct gp_names *names, struct gp_interner *interner, const uint8_t *name,
                   size_t len)
{
    if (len == 0) {
        if (names->unnamed)
            gp_statement_release(interner, names->unnamed);
        names->unnamed = NULL;
        return;
    }
    if (names->count == 0)
        return;
    struct gp_name **link = name_link(names, name_hash(name, len), name, len);
    struct gp_name *entry = *link;
    if (!entry)
        return;
    *link = entry->next;
    names->count--;
    names->bytes -= weight(entry);
    gp_statement_release(interner, entry->statement);
    free_name(entry);
}

bool gp_names_called(const struct gp_names *names, const uint8_t *server_name, const uint8_t **name,
                     size_t *len)
{
    *len = 0;
    *name = NULL;
    if (names->unnamed && memcmp(names->unnamed->name, server_name, GP_SERVER_NAME_BYTES - 1) == 0)
        return true;
    for (uint32_t i = 0; i < names->cap; i++)
        for (struct gp_name *each = names->buckets[i]; each; each = each->next)
            if (memcmp(each->statement->name, server_name, GP_SERVER_NAME_BYTES - 1) == 0) {
                *name = each->text;
                *len = each->len;
                return true;
            }
    return false;
}

void gp_names_clear(struct gp_names *names, struct gp_interner *interner)
{
    gp_names_drop(names, interner, NULL, 0);
    for (uint32_t i = 0; i < names->cap; i++) {
        struct gp_name *next;
        for (struct gp_name *each = names->buckets[i]; each; each = next) {
            next = each->next;
            gp_statement_release(interner, each->statement);
            free_name(each);
        }
    }
    free(names->buckets);
    memset(names, 0, sizeof(*names));
}

void gp_names_each(const struct gp_names *names,
                   void (*each)(void *context, const uint8_t *name, size_t len,
                                const struct gp_statement *statement),
                   void *context)
{
    if (names->unnamed)
        each(context, NULL, 0, names->unnamed);
    for (uint32_t i = 0; i < names->cap; i++)
        for (const struct gp_name *name = names->buckets[i]; name; name = name->next)
            each(context, name->text, name->len, name->statement);
}
