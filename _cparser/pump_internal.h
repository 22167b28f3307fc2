/* What pump.c and pump_process.c share. */
#ifndef GP_PUMP_INTERNAL_H
#define GP_PUMP_INTERNAL_H

#include "pump.h"

struct gp_pump_end {
    struct gp_conn conn;
    struct gp_buffer *unsent, *held; /* at rest: as they were on the wire */
    bool has_ended;                  /* nothing more comes from there */
    bool is_dead;                    /* nothing can be said there any more */
    bool is_told;                    /* ... that nothing more comes, by TLS, ... */
    bool is_shut;                    /* ... and by the socket, behind all else */
};

struct gp_pump {
    struct gp_pump_end client, worker;
    struct gp_pump *before, *behind; /* in the engine's list; behind: of those that are over, too */
    uint64_t since_ns;               /* when the worker had said its last; 0: not yet */
    bool is_over;
};

/* Stop; it is out of the list. False: it is over. */
bool gp_pump_rest(struct gp_engine *e, struct gp_pump *pump);

#endif
