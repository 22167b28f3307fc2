/* What has happened to the house, for SHOW EVENTS: the last GP_CHRONICLE_KEPT events, and how many
 * there ever were of each kind. What kinds there are, and what the bytes of an event mean, is
 * Python's business (greenpool/observe/events.py, greenpool/chronicle.py).
 *
 *   +-----------+----------------+--------+--------+-----+
 *   | next: 8   | counts: 8 x 32 | line 0 | line 1 | ... |    event n is in line n % GP_CHRONICLE_KEPT
 *   +-----------+----------------+--------+--------+-----+
 *
 *   line: | sum: 8 | number: 8 | time: 8 | kind, worker, pid, length: 4 each | text ... |
 *
 * Any process writes, at any time: it takes the next number, which is also its line, and fills that.
 * Nothing is locked and nothing is reclaimed: a line is true if its sum fits what is in it. One that
 * somebody is filling at the moment, that a killed process has left half filled, or that two have
 * written over each other (one of them having slept while all others were filled) does not, and is
 * left out. It lives as long as the segment, so what one generation tells the next can show. */
#ifndef GP_CHRONICLE_H
#define GP_CHRONICLE_H

#include "pool.h"

struct gp_chronicle_line {
    uint64_t sum; /* of all that follows */
    struct gp_chronicle_row row;
};

struct gp_chronicle {
    _Alignas(64) _Atomic uint64_t next; /* the number of the next event; the first is 1 */
    _Atomic uint64_t counts[GP_CHRONICLE_KINDS];
    _Alignas(64) struct gp_chronicle_line lines[GP_CHRONICLE_KEPT];
};
_Static_assert(sizeof(struct gp_chronicle) == 131392, "what is common keeps its shape: layout.h");

#endif
