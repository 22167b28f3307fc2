/* What this worker has in its hands, one thing after the other, for whoever asks (SHOW
 * PREPARED_STATEMENTS, SHOW FDS): the texts that it keeps, and the numbers of its descriptors. Nothing
 * here changes anything. A list is true for each of its lines alone: between two calls the world goes
 * on, and a table that has grown meanwhile may give a line twice or not at all. */
#include <string.h>

#include "relay.h"

/* place: bucket << 32 | how far along its chain */
static struct gp_statement *statement_at(const struct gp_interner *interner, uint64_t place)
{
    struct gp_statement *statement = interner->buckets[place >> 32];

    for (uint32_t i = (uint32_t)place; statement && i > 0; i--)
        statement = statement->next;
    return statement;
}

static void describe(const struct gp_statement *statement, struct gp_statement_row *row)
{
    row->high = statement->id.high;
    row->low = statement->id.low;
    row->refs = statement->refs;
    row->length = statement->length;
    row->uses = statement->uses;
    memcpy(row->name, statement->name, sizeof(row->name));
    row->query = statement->parse + GP_STATEMENT_TEXT;
}

uint64_t gp_statement_next(struct gp_engine *e, uint64_t place, struct gp_statement_row *row)
{
    const struct gp_interner *interner = &e->interner;

    while (place >> 32 < interner->cap) {
        const struct gp_statement *statement = statement_at(interner, place);
        if (statement) {
            describe(statement, row);
            return place + 1;
        }
        place = ((place >> 32) + 1) << 32;
    }
    return 0;
}

uint32_t gp_statement_holders(struct gp_segment *seg, uint32_t pool, uint64_t high, uint64_t low)
{
    struct gp_sid id = {.high = high, .low = low};
    uint32_t count = 0;

    for (uint32_t slot = 0, slots = gp_slots_high(seg, pool); slot < slots; slot++) {
        if (gp_slot_word(seg, pool, slot).state != GP_SLOT_FREE)
            count += gp_holding_shows(gp_holding_at(seg, pool, slot), id);
    }
    return count;
}

int32_t gp_client_fd(struct gp_engine *e, uint32_t client)
{
    const struct gp_client *c = gp_client_find(e, client);

    return c ? c->conn.fd : -1;
}

int32_t gp_server_fd(struct gp_engine *e, uint32_t pool, uint32_t slot)
{
    const struct gp_server *s =
        pool < e->seg->pools_max && slot < GP_SLOTS_MAX ? gp_server_find(e, pool, slot) : NULL;

    return s ? s->conn.fd : -1;
}
