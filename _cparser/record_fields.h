/* The fields of a record (record.h), and where each is kept: what writer and reader must agree on.
 * Private to record_*.c. */
#ifndef GP_RECORD_FIELDS_H
#define GP_RECORD_FIELDS_H

#include "record.h"

/* What a number or a buffer is part of. */
enum gp_part { CLIENT, SERVER, LUGGAGE };

/* On the wire: append only, and never give a number that is out of use to another. */
enum gp_field {
    CLIENT_ID = GP_FIELD_NEEDED | 1,
    CLIENT_POOL,
    CLIENT_STATE,
    CLIENT_LEAVING,
    CLIENT_BREACH,
    CLIENT_FLAGS,
    CLIENT_LEFT,
    CLIENT_PINS,
    CLIENT_BEGUN,
    CLIENT_SINCE,
    CLIENT_IN,
    CLIENT_HELD,
    CLIENT_OUT,
    CLIENT_BASE,
    CLIENT_PARAMS,
    CLIENT_NAME,
    SERVER_SLOT = GP_FIELD_NEEDED | 0x100,
    SERVER_GENERATION,
    SERVER_TXN,
    SERVER_STATUS,
    SERVER_FLAGS,
    SERVER_BEGAN,
    SERVER_DESCRIBED,
    SERVER_SESSION,
    SERVER_PINS_LEFT,
    SERVER_UNDO,
    SERVER_HINTS,
    SERVER_LEFT,
    SERVER_SEGMENT,
    SERVER_OPENED,
    SERVER_READS,
    SERVER_SINCE,
    SERVER_QUERY,
    SERVER_STALE_HIGH,
    SERVER_STALE_LOW,
    SERVER_IN,
    SERVER_HELD,
    SERVER_OUT,
    SERVER_SAID,
    SERVER_REPLIES,
    SERVER_INTENT,
    SERVER_KEPT,
    SERVER_SUSPECTS,
    SERVER_MOVED,
    SERVER_LAY,
    SERVER_OVERDUE
};

/* A number, or a buffer, in one of the parts. */
struct gp_place {
    uint16_t tag;
    uint8_t part;
    uint8_t size;
    uint16_t offset;
};

extern const struct gp_place gp_place_numbers[];
extern const struct gp_place gp_place_buffers[];
extern const size_t gp_place_numbers_count, gp_place_buffers_count;

/* Where in the luggage it is; NULL: there is no server. */
uint8_t *gp_place_of(const struct gp_luggage *luggage, const struct gp_place *place);

/* The single bits of both, as one number. Setting: false when there are some that we do not know. */
uint64_t gp_client_flags(const struct gp_client *of);
uint64_t gp_server_flags(const struct gp_server *of);
bool gp_client_set_flags(struct gp_client *of, uint64_t bits);
bool gp_server_set_flags(struct gp_server *of, uint64_t bits);

#endif
