/*
 * result.h: enum gp_result, for the layers that know nothing of the engine.
 *
 * One enum says what happened, in all layers, so that a result is passed up unchanged; it is never
 * a bare number and never ignored (GP_NODISCARD). Python reads it too, so the enumerators stand in
 * engine.h, between the marks that cffi sees; this file adds their names.
 */
#ifndef GP_RESULT_H
#define GP_RESULT_H

#include "engine.h"

/* The enumerator's name, for logs and failed checks; "GP_?" for a value that is none. */
static inline const char *gp_result_name(enum gp_result result)
{
    switch (result) {
    case GP_OK:
        return "GP_OK";
    case GP_NEED_MORE:
        return "GP_NEED_MORE";
    case GP_AGAIN:
        return "GP_AGAIN";
    case GP_EOF:
        return "GP_EOF";
    case GP_EPROTO:
        return "GP_EPROTO";
    case GP_EIO:
        return "GP_EIO";
    case GP_EFULL:
        return "GP_EFULL";
    case GP_ENOENT:
        return "GP_ENOENT";
    }
    return "GP_?";
}

#endif
