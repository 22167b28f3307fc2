/* How many clients are in under one name, how many one address has, and how often it tries to log in:
 * what limits over all workers are held against.
 *
 * Counting. A client that has proved who it is writes the tags of its user and database into its
 * row and then counts the rows that have the same. Both are seq_cst, so of two that come at once at
 * least one sees the other: a limit is never exceeded, though both may find it reached, as in
 * PostgreSQL. A tag is a keyed hash: the count reads two words of each row and no name that is
 * being written. Nothing is to be put right after a death: a row that is vacated has no tags, and one
 * that goes to another worker keeps them. The tag of its address is counted the same way, but from
 * the claim of the row on: whoever has proved nothing can take places from nobody but its neighbours.
 *
 * Rates. A table of GP_RATE_LINES cache lines with eight words each; the hash of an address says
 * which line. A word is one address and the time at which it has paid for all its logins:
 *
 *    63      48 47                                    0
 *   | tag: 16  | microseconds since the segment's boot |      0: nobody
 *
 * Each login pays a second divided by the rate, in advance, and may owe one second. So an address
 * that has been quiet may try `rate` times at once, and then as often in each second. A word whose
 * time is past says nothing any more and is taken by whoever needs one; when all eight of a line
 * are in use the one that is free first is forgotten. One word, changed by compare-and-swap: there
 * is no state in which a worker can die. */
#ifndef GP_ADMISSION_H
#define GP_ADMISSION_H

#include "pool.h"

#define GP_RATE_LINES 2048u /* 128 KB: 16384 addresses at a time */
#define GP_RATE_WAYS  8u

struct gp_rate_line {
    _Alignas(64) _Atomic uint64_t words[GP_RATE_WAYS];
};
_Static_assert(sizeof(struct gp_rate_line) == 64, "a line is a line");
_Static_assert((GP_RATE_LINES & (GP_RATE_LINES - 1)) == 0, "a hash is cut by a mask");

/* Count this client from now on, under its names: it has proved who it is. */
void gp_client_admit(struct gp_segment *seg, uint32_t client);
/* How many clients that were admitted, this one included, have its user, its database, both. */
struct gp_client_counts {
    uint32_t user, database, both;
};
void gp_client_counts(struct gp_segment *seg, uint32_t client, struct gp_client_counts *counts);

struct gp_rate_line *gp_rate_line_at(struct gp_segment *seg, uint32_t line);

#endif
