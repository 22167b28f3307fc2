#include "record_fields.h"

#define IN(tag, part, type, member)                                                                \
    {                                                                                              \
        tag, part, sizeof(((struct type *)0)->member), offsetof(struct type, member)               \
    }

const struct gp_place gp_place_numbers[] = {
    IN(CLIENT_ID, CLIENT, gp_client, id),
    IN(CLIENT_POOL, CLIENT, gp_client, pool),
    IN(CLIENT_STATE, CLIENT, gp_client, state),
    IN(CLIENT_LEAVING, CLIENT, gp_client, leaving),
    IN(CLIENT_BREACH, CLIENT, gp_client, breach),
    IN(CLIENT_LEFT, CLIENT, gp_client, msg_left),
    IN(CLIENT_PINS, CLIENT, gp_client, pins),
    IN(CLIENT_BEGUN, CLIENT, gp_client, begun),
    IN(CLIENT_SINCE, CLIENT, gp_client, since_ns),
    IN(SERVER_SLOT, SERVER, gp_server, slot),
    IN(SERVER_GENERATION, SERVER, gp_server, generation),
    IN(SERVER_TXN, SERVER, gp_server, txn),
    IN(SERVER_STATUS, SERVER, gp_server, status),
    IN(SERVER_BEGAN, SERVER, gp_server, began),
    IN(SERVER_DESCRIBED, SERVER, gp_server, described),
    IN(SERVER_SESSION, SERVER, gp_server, session),
    IN(SERVER_PINS_LEFT, SERVER, gp_server, left),
    IN(SERVER_UNDO, SERVER, gp_server, undo),
    IN(SERVER_HINTS, SERVER, gp_server, hints),
    IN(SERVER_LEFT, SERVER, gp_server, msg_left),
    IN(SERVER_SEGMENT, SERVER, gp_server, segment),
    IN(SERVER_OPENED, SERVER, gp_server, opened),
    IN(SERVER_READS, SERVER, gp_server, reads),
    IN(SERVER_SINCE, SERVER, gp_server, since_ns),
    IN(SERVER_QUERY, SERVER, gp_server, query_ns),
    IN(SERVER_STALE_HIGH, SERVER, gp_server, stale.high),
    IN(SERVER_STALE_LOW, SERVER, gp_server, stale.low),
    IN(SERVER_SUSPECTS, SERVER, gp_server, suspects),
    IN(SERVER_MOVED, SERVER, gp_server, moved_ns),
    IN(SERVER_LAY, SERVER, gp_server, lay),
    IN(SERVER_OVERDUE, SERVER, gp_server, overdue_ns),
};

const struct gp_place gp_place_buffers[] = {
    IN(CLIENT_IN, CLIENT, gp_client, in),
    IN(CLIENT_HELD, LUGGAGE, gp_luggage, client_held),
    IN(CLIENT_OUT, LUGGAGE, gp_luggage, client_out),
    IN(SERVER_IN, SERVER, gp_server, in),
    IN(SERVER_HELD, LUGGAGE, gp_luggage, server_held),
    IN(SERVER_OUT, LUGGAGE, gp_luggage, server_out),
    IN(SERVER_SAID, SERVER, gp_server, said),
};

const size_t gp_place_numbers_count = sizeof(gp_place_numbers) / sizeof(gp_place_numbers[0]);
const size_t gp_place_buffers_count = sizeof(gp_place_buffers) / sizeof(gp_place_buffers[0]);

/* Their order is that of the bits: append only. */
#define CLIENT_BITS(X) X(skipping) X(msg_forward) X(parted) X(told)
#define SERVER_BITS(X)                                                                             \
    X(in_copy)                                                                                     \
    X(client_copies)                                                                               \
    X(early)                                                                                       \
    X(doubtful)                                                                                    \
    X(begun)                                                                                       \
    X(skipping)                                                                                    \
    X(msg_forward)                                                                                 \
    X(said_fatal)                                                                                  \
    X(failed)                                                                                      \
    X(renames)                                                                                     \
    X(mends)                                                                                       \
    X(forgets)                                                                                     \
    X(hides)                                                                                       \
    X(unsure)                                                                                      \
    X(own)                                                                                         \
    X(opening)                                                                                     \
    X(stale_known)                                                                                 \
    X(renew)                                                                                       \
    X(defines)                                                                                     \
    X(judges)                                                                                      \
    X(draws)                                                                                       \
    X(copies_out)

#define GET(name) bits |= (uint64_t)of->name << at++;
#define SET(name) of->name = bits >> at++ & 1;

uint64_t gp_client_flags(const struct gp_client *of)
{
    uint64_t bits = 0;
    unsigned at = 0;

    CLIENT_BITS(GET)
    return bits;
}

bool gp_client_set_flags(struct gp_client *of, uint64_t bits)
{
    unsigned at = 0;

    CLIENT_BITS(SET)
    return bits >> at == 0;
}

uint64_t gp_server_flags(const struct gp_server *of)
{
    uint64_t bits = 0;
    unsigned at = 0;

    SERVER_BITS(GET)
    return bits;
}

bool gp_server_set_flags(struct gp_server *of, uint64_t bits)
{
    unsigned at = 0;

    SERVER_BITS(SET)
    return bits >> at == 0;
}

#undef GET
#undef SET

uint8_t *gp_place_of(const struct gp_luggage *luggage, const struct gp_place *place)
{
    uint8_t *const parts[] = {[CLIENT] = (uint8_t *)luggage->client,
                              [SERVER] = (uint8_t *)luggage->server,
                              [LUGGAGE] = (uint8_t *)luggage};

    return parts[place->part] ? parts[place->part] + place->offset : NULL;
}
