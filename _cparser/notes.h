/* What workers tell each other about a pool: small notes for each, written by whichever worker
 * has learned something, read by all.
 *
 *   GP_NOTE_WELCOME   what fresh servers report at their login, so that a client can be greeted
 *                     although no server is free to be asked
 *   GP_NOTE_KEYS      what logs in at PostgreSQL where the configuration holds no such thing, as a
 *                     client's proof gave it away. All of these lie together, on pages that are in
 *                     no core dump; nothing shows them, and they are overwritten when they end
 *
 *   GP_NOTE_SUSPECTS  which functions of its database change sessions in secret: suspects.h
 *   GP_NOTE_OUTAGE    why its last login failed: outage.h
 *
 * What the bytes of the first two mean is the workers' business (greenpool/worker/notes.py).
 *
 *   +---------+------------------------+------------------------+
 *   | word: 8 | copy 0                 | copy 1                 |    copy: | length: 8 | data ... |
 *   +---------+------------------------+------------------------+
 *
 *    63                             8 7        6                0
 *   | version: 56                    | wiping: 1 | writer + 1: 7 |    the word; low byte 0: at rest
 *
 * The copy with the index version % 2 is valid. A writer puts its name into the word, fills the
 * other copy and lets go with the next version, so readers are never in its way nor it in theirs:
 *
 *   at rest v  -> held v by w    gp_note_write      compare-and-swap; who loses has nothing to add
 *   held v     -> at rest v + 1  gp_note_write      published
 *   held v     -> at rest v      gp_note_write, gp_notes_reclaim   given up; w wrote or w is dead
 *   at rest v  -> wiping v -> at rest v + 1         gp_notes_wipe  both copies are empty then
 *   held v     -> held v, wiping                    gp_notes_wipe  whoever lets go wipes instead
 *
 * A reader takes a copy for good if the version is the same after it as before and nobody was
 * wiping: the valid copy is otherwise left alone until the version has changed. A writer that is
 * killed leaves its name, and until the master has reclaimed it the note can be read and not
 * written. */
#ifndef GP_NOTES_H
#define GP_NOTES_H

#include "pool.h"

/* The layout, for mapping.c; nobody else looks inside. */
#define GP_WELCOME_BYTES  4096u /* PostgreSQL reports 15 parameters, some 400 bytes in all */
#define GP_KEYS_BYTES     112u  /* two keys of 32 bytes and their mark */
#define GP_OUTAGE_BYTES   272u  /* struct gp_outage_words */
#define GP_SUSPECTS_BYTES 8192u /* some 2,000 words; of a database with more, all are suspect */

struct gp_welcome_note {
    _Alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t copies[2][1 + GP_WELCOME_BYTES / 8];
};

struct gp_suspects_note {
    _Alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t copies[2][1 + GP_SUSPECTS_BYTES / 8];
};

struct gp_outage_note {
    _Alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t copies[2][1 + GP_OUTAGE_BYTES / 8];
};

struct gp_keys_note {
    _Alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t copies[2][1 + GP_KEYS_BYTES / 8];
};
_Static_assert(sizeof(struct gp_keys_note) == 256, "four lines: a page holds those of 16 pools");
_Static_assert(sizeof(struct gp_welcome_note) == 8256 && sizeof(struct gp_suspects_note) == 16448 &&
                   sizeof(struct gp_outage_note) == 576,
               "what is common keeps its shape: layout.h");

/* Empty all notes of a pool, and have its list of suspects asked for anew. The master, when the pool is removed or its servers are to be
 * replaced: what was learned about them need not be true of the next ones. */
void gp_notes_wipe(struct gp_segment *seg, uint32_t pool);

/* Let go of what a dead worker was writing. The master. */
void gp_notes_reclaim(struct gp_segment *seg, uint32_t pool, uint32_t dead);

#endif
