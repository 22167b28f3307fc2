/* The record of a client that goes to another process: all that this one knows of it and of the
 * server it is linked with, and nobody else does. What stands in the segment (its row and key, the
 * slot, what is prepared there) stays where it is, and the descriptors travel beside the record.
 *
 *     | magic: 4 | version: 2 | field | field | ...                       numbers are big-endian
 *
 *     field:  | tag: 2 | length: 4 | length bytes |
 *
 * Fields stand in any order; one that is missing means zero, none, empty, as in a record of a version
 * that did not know it. A reader skips what it does not know, unless the tag has GP_FIELD_NEEDED:
 * without that the client would not be the same, so the record is refused whole. A field's meaning
 * never changes: what changes gets a new tag.
 *
 *     numbers        8 bytes; refused when they do not fit
 *     flags          the same, one bit each; refused when there is one that we do not know
 *     bytes          as they are
 *     base state     | hash: 8 | length: 4 | SQL | question |
 *     its state now  | length: 4 | SQL | names |                          missing: as the base
 *     a name         | statement | the client's name |                    one field each
 *     an intent      | kind: 1 | sent: 1 | segment: 4 | id: 16 | statement | name |   oldest first
 *     replies        one byte each, as in replies.h
 *     kept           | answered: 4 | segment: 4 | over: 4 | bytes |
 *
 *     statement:  | parsed as: 8 | own: 1 | length: 4 | text and types |  length 0: none
 *
 * A statement's identity is made again of its text, so writer and reader have the same segment.

 * Partners: record_fields.h, the fields themselves; move.c, which sends records and reads them. */
#ifndef GP_RECORD_H
#define GP_RECORD_H

#include "relay.h"

#define GP_RECORD_MAGIC   0x67706d76u /* "gpmv" */
#define GP_RECORD_VERSION 1u
#define GP_RECORD_HEADER  6u
#define GP_FIELD_HEADER   6u
#define GP_FIELD_NEEDED   0x8000u

/* A client on its way. The two structs have no connection of their own: fd, mode and port of `conn`
 * are not part of it. */
struct gp_luggage {
    struct gp_client *client;
    struct gp_server *server; /* NULL: it has none */
    /* received and not looked at, sent and not taken by the socket; NULL: nothing */
    struct gp_buffer *client_held, *client_out, *server_held, *server_out;
};

/* Append the record of what is borrowed. False: no memory. */
bool gp_record_write(const struct gp_luggage *luggage, struct gp_buffer **record);
/* Make of a record what the caller owns, and gp_luggage_drop frees. GP_EPROTO: it is none, or one
 * that this version does not understand. GP_EFULL: no memory. Then nothing is left. */
enum gp_result gp_record_read(struct gp_engine *e, const uint8_t *record, size_t len,
                              struct gp_luggage *luggage);
void gp_luggage_drop(struct gp_engine *e, struct gp_luggage *luggage);

#endif
