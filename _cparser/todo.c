/* What waits for the end of the batch: connections that are to be looked at again (gp_turn), and what
 * Python is to be told. */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

void gp_todo(struct gp_engine *e, struct gp_conn *conn)
{
    bool client = conn->kind == GP_CONN_CLIENT;
    struct gp_client *c = (struct gp_client *)conn;
    struct gp_server *s = (struct gp_server *)conn;

    if (client ? c->todo : s->todo)
        return;
    if (client) {
        c->todo = 1;
        c->next_todo = NULL;
    } else {
        s->todo = 1;
        s->next_todo = NULL;
    }
    if (!e->todo_last)
        e->todo_first = conn;
    else if (e->todo_last->kind == GP_CONN_CLIENT)
        ((struct gp_client *)e->todo_last)->next_todo = conn;
    else
        ((struct gp_server *)e->todo_last)->next_todo = conn;
    e->todo_last = conn;
}

void gp_event_push(struct gp_engine *e, enum gp_event_kind kind, uint32_t client, uint32_t pool,
                   uint32_t slot, uint64_t detail)
{
    if (e->events_first + e->events_count == e->events_cap) {
        uint32_t cap = e->events_cap * 2;
        struct gp_event *grown = malloc(cap * sizeof(*grown));
        if (!grown)
            abort(); /* a lost event is a lost place or a client that never ends */
        memcpy(grown, e->events + e->events_first, e->events_count * sizeof(*grown));
        free(e->events);
        e->events = grown;
        e->events_cap = cap;
        e->events_first = 0;
    }
    e->events[e->events_first + e->events_count++] = (struct gp_event){
        .kind = kind, .client = client, .pool = pool, .slot = slot, .detail = detail};
}
