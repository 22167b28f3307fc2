/* Texts of simple queries that greenpool understands for certain: those that begin or end a
 * transaction block and cannot fail, whatever the server is, and DEALLOCATE of one statement, alone
 * or between SAVEPOINT and RELEASE in one text (psqlODBC's way within a transaction).
 * Whatever is not certain is OTHER, and PostgreSQL's to judge: a chained COMMIT; SERIALIZABLE and
 * READ WRITE, which a standby refuses; two commands in one text. Pure.
 * Source: PostgreSQL, gram.y (TransactionStmt, DeallocateStmt) and scan.l. */
#ifndef GP_COMMAND_H
#define GP_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

enum gp_command_kind {
    GP_COMMAND_OTHER = 0,
    GP_COMMAND_BEGIN,             /* BEGIN; modes */
    GP_COMMAND_START_TRANSACTION, /* the same, with its own command tag */
    GP_COMMAND_COMMIT,            /* COMMIT, END */
    GP_COMMAND_ROLLBACK,          /* ROLLBACK, ABORT */
    GP_COMMAND_DEALLOCATE         /* one statement; name */
};

/* How a transaction begins: one byte, 0 for none. */
enum gp_begin {
    GP_BEGIN_PLAIN = 0x01, /* set in all others */
    GP_BEGIN_READ_ONLY = 0x02,
    GP_BEGIN_DEFERRABLE = 0x04,
    GP_BEGIN_NOT_DEFERRABLE = 0x08,
    GP_BEGIN_READ_UNCOMMITTED = 0x10, /* of the isolation levels at most one */
    GP_BEGIN_READ_COMMITTED = 0x20,
    GP_BEGIN_REPEATABLE_READ = 0x40
};

#define GP_COMMAND_MAX  1024u /* bytes of text; longer ones are OTHER */
#define GP_COMMAND_NAME 63u   /* bytes of a name; PostgreSQL cuts longer ones */

struct gp_command {
    enum gp_command_kind kind;
    uint8_t modes; /* enum gp_begin */
    uint8_t name_len;
    uint8_t name[GP_COMMAND_NAME]; /* as PostgreSQL would fold it */
    uint8_t savepoint_len;         /* 0: DEALLOCATE stands alone */
    uint8_t savepoint[GP_COMMAND_NAME];
};

/* Read a text of len bytes, the NUL excluded. */
struct gp_command gp_command_of(const uint8_t *sql, size_t len);

#define GP_BEGIN_TEXT 80u
/* The text that begins a transaction so; at most GP_BEGIN_TEXT bytes with its NUL. Gives its
 * length. */
size_t gp_begin_text(uint8_t modes, char text[GP_BEGIN_TEXT]);

#endif
