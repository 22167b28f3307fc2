/* Counting clients and rating logins; the picture is in admission.h. */
#include "admission.h"
#include "statements.h"

#include <string.h>

#define SECOND_US 1000000u
#define TIME_BITS 48u
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
#define TRIES     64u /* lost races before a login is let through: nobody loses that often */

static uint64_t tag_of(struct gp_segment *seg, const void *name, size_t length)
{
    /* 0 stands for a client that is not counted */
    return gp_sid_make(gp_common_of(seg)->hash_key, 0, name, length).high | 1;
}

static uint64_t tag_of_name(struct gp_segment *seg, const char *name)
{
    return tag_of(seg, name, strlen(name));
}

void gp_client_admit(struct gp_segment *seg, uint32_t client)
{
    struct gp_client_row *row = gp_client_at(seg, client);

    /* seq_cst: pairs with the loads of gp_client_counts; who admits itself later counts this one */
    atomic_store_explicit(&row->database_tag, tag_of_name(seg, row->database),
                          memory_order_seq_cst);
    atomic_store_explicit(&row->user_tag, tag_of_name(seg, row->user), memory_order_seq_cst);
}

void gp_client_counts(struct gp_segment *seg, uint32_t client, struct gp_client_counts *counts)
{
    struct gp_client_row *own = gp_client_at(seg, client);
    uint64_t user = atomic_load_explicit(&own->user_tag, memory_order_relaxed);
    uint64_t database = atomic_load_explicit(&own->database_tag, memory_order_relaxed);

    *counts = (struct gp_client_counts){0};
    for (uint32_t c = 1; c <= seg->clients_max; c++) {
        struct gp_client_row *row = gp_client_at(seg, c);
        bool same_user = atomic_load_explicit(&row->user_tag, memory_order_seq_cst) == user;
        bool same_database =
            atomic_load_explicit(&row->database_tag, memory_order_seq_cst) == database;
        counts->user += same_user;
        counts->database += same_database;
        counts->both += same_user && same_database;
    }
}

bool gp_client_from(struct gp_segment *seg, uint32_t client, const uint8_t *address,
                    uint32_t length, uint32_t limit)
{
    uint64_t tag = tag_of(seg, address, length);
    uint32_t count = 0;

    /* seq_cst: as in gp_client_admit */
    atomic_store_explicit(&gp_client_at(seg, client)->address_tag, tag, memory_order_seq_cst);
    for (uint32_t c = 1; limit && c <= seg->clients_max; c++)
        count +=
            atomic_load_explicit(&gp_client_at(seg, c)->address_tag, memory_order_seq_cst) == tag;
    return count <= limit;
}

/* The word of a line that an address has, or should take: its own, else one whose time is past,
 * else the one that is past first. */
static uint32_t way_of(struct gp_rate_line *line, uint64_t tag, uint64_t now_us, uint64_t *word)
{
    uint32_t best = 0;
    uint64_t best_time = UINT64_MAX;

    for (uint32_t way = 0; way < GP_RATE_WAYS; way++) {
        uint64_t found = atomic_load_explicit(&line->words[way], memory_order_relaxed);
        uint64_t time = found & TIME_MASK;
        if (found >> TIME_BITS == tag && time > now_us) {
            *word = found;
            return way;
        }
        if (time <= now_us)
            time = 0; /* all that are past are alike: the first of them */
        if (time < best_time) {
            best = way;
            best_time = time;
            *word = found;
        }
    }
    return best;
}

/* May this address try now? If so, it has paid. */
static bool rate_take(struct gp_rate_line *line, uint64_t tag, uint64_t now_us, uint32_t rate)
{
    uint64_t step = SECOND_US / rate;

    for (uint32_t tries = 0; tries < TRIES; tries++) {
        uint64_t word = 0, paid, next;
        uint32_t way = way_of(line, tag, now_us, &word);
        bool known = word >> TIME_BITS == tag && (word & TIME_MASK) > now_us;
        paid = known ? word & TIME_MASK : now_us;
        if (paid + step > now_us + SECOND_US)
            return false;
        next = tag << TIME_BITS | ((paid + step) & TIME_MASK);
        /* relaxed: the word is all there is to see */
        if (atomic_compare_exchange_strong_explicit(&line->words[way], &word, next,
                                                    memory_order_relaxed, memory_order_relaxed))
            return true;
    }
    return true;
}

bool gp_login_allowed(struct gp_segment *seg, const uint8_t *address, uint32_t length,
                      uint32_t rate)
{
    struct gp_sid hash = gp_sid_make(gp_common_of(seg)->hash_key, 0, address, length);
    uint64_t tag = (hash.low & 0xffff) | 1;
    uint64_t now_us = (gp_now_ns() - gp_common_of(seg)->boot_ns) / 1000;

    if (rate == 0)
        return true;
    if (rate > SECOND_US)
        rate = SECOND_US;
    return rate_take(gp_rate_line_at(seg, hash.high & (GP_RATE_LINES - 1)), tag, now_us, rate);
}
