#include "changes.h"

#include <stdlib.h>
#include <string.h>

/* Texts are copied from the client's row as they are. */
#define SAME_SIZE(field)                                                                           \
    _Static_assert(sizeof(((struct gp_change *)0)->field) ==                                       \
                       sizeof(((struct gp_client_row *)0)->field),                                 \
                   #field)
SAME_SIZE(user);
SAME_SIZE(database);
SAME_SIZE(address);

struct gp_changes {
    uint32_t first, count;
    struct gp_change kept[GP_CHANGES_MAX];
};

static bool are_logged(struct gp_engine *e, const struct gp_server *s)
{
    return s->state == GP_SERVER_LINKED && s->client &&
           gp_load32(&gp_pool_at(e->seg, s->pool)->log_parameters) != 0;
}

/* Where the next one goes. NULL: there is no room. */
static struct gp_change *place_for(struct gp_engine *e)
{
    if (!e->changes)
        e->changes = calloc(1, sizeof(*e->changes));
    if (!e->changes || e->changes->count == GP_CHANGES_MAX)
        return NULL;
    return &e->changes->kept[(e->changes->first + e->changes->count++) % GP_CHANGES_MAX];
}

/* As much of it as there is room for, whole characters of UTF-8. */
static void text_copy(char *to, size_t size, struct gp_span from)
{
    size_t len = from.len < size ? from.len : size - 1;

    if (len < from.len)
        while (len > 0 && (from.at[len] & 0xc0) == 0x80)
            len--;
    if (len)
        memcpy(to, from.at, len);
    to[len] = '\0';
}

void gp_change_note(struct gp_engine *e, const struct gp_server *s, const uint8_t *body, size_t len)
{
    struct gp_parameter parameter;
    struct gp_change *change;

    if (!are_logged(e, s) || gp_parameter_status(body, len, &parameter) != GP_OK)
        return;
    change = place_for(e);
    if (!change)
        return;
    const struct gp_client_row *row = gp_client_at(e->seg, s->client->id);
    change->client = s->client->id;
    memcpy(change->user, row->user, sizeof(change->user));
    memcpy(change->database, row->database, sizeof(change->database));
    memcpy(change->address, row->address, sizeof(change->address));
    text_copy(change->name, sizeof(change->name), parameter.name);
    text_copy(change->value, sizeof(change->value), parameter.value);
    if (e->changes->count == 1)
        gp_event_push(e, GP_EVENT_CHANGED, 0, 0, 0, 0);
}

enum gp_result gp_change_take(struct gp_engine *e, struct gp_change *change)
{
    struct gp_changes *changes = e->changes;

    if (!changes || changes->count == 0)
        return GP_ENOENT;
    *change = changes->kept[changes->first];
    changes->first = (changes->first + 1) % GP_CHANGES_MAX;
    changes->count--;
    return GP_OK;
}

void gp_changes_free(struct gp_engine *e)
{
    free(e->changes);
}
