#include "outage.h"

#include <stdio.h>
#include <string.h>

#include "notes.h"
#include "pool_internal.h"

#define MS 1000000ull

_Static_assert(sizeof(struct gp_outage_words) == GP_OUTAGE_BYTES, "the words are the note");

/* The first delay and the longest, before jitter. A server's are short: it is one attempt, refused by
 * the kernel more often than not, and its return is to be noticed at once. What PostgreSQL refuses
 * ends up in its log, and may lock an account. */
static const struct pace {
    uint64_t first_ns, longest_ns;
} paces[] = {
    [GP_AILS_POOL] = {100 * MS, 1000 * MS},
    [GP_AILS_SERVER] = {50 * MS, 250 * MS},
};

static struct gp_outage *of_pool(struct gp_segment *seg, uint32_t pool)
{
    return &gp_common_pool_at(seg, pool)->outage;
}

static uint32_t server_index(struct gp_segment *seg, uint32_t pool)
{
    return atomic_load_explicit(&gp_common_pool_at(seg, pool)->server, memory_order_relaxed);
}

static struct gp_outage *of_server(struct gp_segment *seg, uint32_t pool)
{
    return (struct gp_outage *)gp_segment_at(seg, seg->servers_off) + server_index(seg, pool);
}

/* acquire: pairs with the release in fall_ill, so the time that was set before is visible. */
static bool ails(struct gp_outage *o)
{
    return atomic_load_explicit(&o->failures, memory_order_acquire) != 0;
}

bool gp_pool_ailing(struct gp_segment *seg, uint32_t pool)
{
    return ails(of_pool(seg, pool)) || ails(of_server(seg, pool));
}

/* ---- which server ---- */

static bool pool_in_use(struct gp_segment *seg, uint32_t pool)
{
    return atomic_load_explicit(&gp_common_pool_at(seg, pool)->in_use, memory_order_relaxed) != 0;
}

/* Whether a pool other than this one is at that server. */
static bool server_used(struct gp_segment *seg, uint32_t server, uint32_t pool)
{
    for (uint32_t i = 0, high = gp_pools_high(seg); i < high; i++) {
        if (i != pool && pool_in_use(seg, i) && server_index(seg, i) == server)
            return true;
    }
    return false;
}

/* One that nobody else uses, the pool's own index first: there are as many as pools. */
static uint32_t server_new(struct gp_segment *seg, uint32_t pool)
{
    uint32_t server = pool;

    while (server_used(seg, server, pool))
        server = (server + 1) % seg->pools_max;
    return server;
}

static void outage_clear(struct gp_outage *o)
{
    atomic_store_explicit(&o->failures, 0, memory_order_relaxed);
    atomic_store_explicit(&o->slow, 0, memory_order_relaxed);
    atomic_store_explicit(&o->retry_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&o->told_by, 0, memory_order_relaxed);
}

void gp_outage_attach(struct gp_segment *seg, uint32_t pool, uint64_t tag)
{
    struct gp_common_pool *p = gp_common_pool_at(seg, pool);

    if (pool_in_use(seg, pool) && p->server_tag == tag)
        return;
    p->server_tag = tag;
    for (uint32_t i = 0, high = gp_pools_high(seg); i < high; i++) {
        if (i != pool && pool_in_use(seg, i) && gp_common_pool_at(seg, i)->server_tag == tag) {
            atomic_store_explicit(&p->server, server_index(seg, i), memory_order_relaxed);
            return;
        }
    }
    atomic_store_explicit(&p->server, server_new(seg, pool), memory_order_relaxed);
    outage_clear(of_server(seg, pool));
}

/* ---- the turn ---- */

static bool too_early(struct gp_outage *o, uint64_t now)
{
    return ails(o) && now < atomic_load_explicit(&o->retry_ns, memory_order_relaxed);
}

bool gp_outage_bars(struct gp_segment *seg, uint32_t pool)
{
    struct gp_outage *own = of_pool(seg, pool), *server = of_server(seg, pool);
    uint64_t now;

    if (!ails(own) && !ails(server))
        return false;
    now = gp_now_ns();
    return too_early(own, now) || too_early(server, now);
}

bool gp_outage_slows(struct gp_segment *seg, uint32_t pool)
{
    uint32_t server = server_index(seg, pool), used = 0;
    uint32_t slow = atomic_load_explicit(&of_server(seg, pool)->slow, memory_order_relaxed);

    if (slow == 0)
        return false;
    for (uint32_t i = 0; i < GP_CREATES_MAX; i++) {
        uint64_t place = atomic_load_explicit(&gp_common_of(seg)->creates[i], memory_order_relaxed);
        used += place != 0 && server_index(seg, (uint32_t)(place >> 16)) == server;
    }
    return used >= slow;
}

static bool turn_take(struct gp_outage *o, uint64_t now, uint64_t until)
{
    uint64_t at = atomic_load_explicit(&o->retry_ns, memory_order_relaxed);

    return !ails(o) ||
           (at <= now && atomic_compare_exchange_strong_explicit(
                             &o->retry_ns, &at, until, memory_order_relaxed, memory_order_relaxed));
}

static void turn_return(struct gp_outage *o)
{
    atomic_store_explicit(&o->retry_ns, 0, memory_order_relaxed);
}

bool gp_outage_try(struct gp_segment *seg, uint32_t pool)
{
    uint32_t timeout_ms =
        atomic_load_explicit(&gp_pool_at(seg, pool)->connect_timeout_ms, memory_order_relaxed);
    uint64_t now = gp_now_ns(), until = now + timeout_ms * MS + 1000 * MS;

    if (!turn_take(of_server(seg, pool), now, until))
        return false;
    if (turn_take(of_pool(seg, pool), now, until))
        return true;
    turn_return(of_server(seg, pool));
    return false;
}

/* ---- into AILING and out of it ---- */

uint64_t gp_outage_delay_ns(uint32_t ailment, uint32_t failures, uint64_t chance)
{
    const struct pace *pace = &paces[ailment];
    uint32_t doublings = failures - 1 < 16 ? failures - 1 : 16;
    uint64_t delay = pace->first_ns << doublings;

    if (delay > pace->longest_ns)
        delay = pace->longest_ns;
    return delay / 4 * 3 + chance % (delay / 2);
}

/* As good as random: the low digits of the clock, stirred. */
static uint64_t chance(uint64_t now)
{
    now *= 0x9e3779b97f4a7c15ull;
    return now ^ now >> 29;
}

static void fall_ill(struct gp_outage *o, uint32_t ailment)
{
    uint64_t now = gp_now_ns();
    uint32_t failures = atomic_load_explicit(&o->failures, memory_order_relaxed) + 1;

    atomic_store_explicit(&o->slow, 0, memory_order_relaxed);
    atomic_store_explicit(&o->retry_ns, now + gp_outage_delay_ns(ailment, failures, chance(now)),
                          memory_order_relaxed);
    /* release: the time before the state; pairs with ails. Two at once may count as one. */
    atomic_store_explicit(&o->failures, failures ? failures : 1, memory_order_release);
}

/* AILING -> WELL. False: it was WELL. */
static bool recover(struct gp_outage *o)
{
    return ails(o) && atomic_exchange_explicit(&o->failures, 0, memory_order_acq_rel) != 0;
}

/* Wake whoever waits for this pool, or for any at its server. */
static void wake(struct gp_segment *seg, uint32_t pool, bool all)
{
    uint32_t server = server_index(seg, pool);

    for (uint32_t i = all ? 0 : pool, high = all ? gp_pools_high(seg) : pool + 1; i < high; i++) {
        if (server_index(seg, i) == server)
            workers_poke(seg, atomic_load_explicit(&gp_common_pool_at(seg, i)->waiters,
                                                   memory_order_acquire));
    }
}

/* So many logins at a time, or, when the house has no more anyway, all. */
static void slow_start(struct gp_segment *seg, struct gp_outage *o, uint32_t logins)
{
    uint32_t of_house = atomic_load_explicit(&seg->max_creates, memory_order_relaxed);

    atomic_store_explicit(&o->slow, logins < of_house ? logins : 0, memory_order_relaxed);
}

static void server_answers(struct gp_segment *seg, uint32_t pool)
{
    struct gp_outage *o = of_server(seg, pool);
    uint32_t slow = atomic_load_explicit(&o->slow, memory_order_relaxed);

    if (slow != 0)
        slow_start(seg, o, 2 * slow);
    if (!ails(o))
        return;
    slow_start(seg, o, 2); /* first: who sees it WELL sees that */
    if (recover(o))
        wake(seg, pool, true);
}

void gp_outage_failed(struct gp_segment *seg, uint32_t pool, uint32_t ailment)
{
    struct gp_outage *own = of_pool(seg, pool), *server = of_server(seg, pool);

    if (ailment != GP_AILS_POOL)
        turn_return(own);
    if (ailment == GP_AILS_SERVER)
        fall_ill(server, ailment);
    else if (ailment == GP_AILS_NOTHING)
        turn_return(server);
    else {
        server_answers(seg, pool);
        fall_ill(own, ailment);
    }
}

void gp_outage_ended(struct gp_segment *seg, uint32_t pool)
{
    server_answers(seg, pool);
    if (recover(of_pool(seg, pool)))
        wake(seg, pool, false);
}

void gp_outage_forget(struct gp_segment *seg, uint32_t pool)
{
    outage_clear(of_pool(seg, pool));
}

/* ---- the words ---- */

static void text_copy(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
}

void gp_outage_tell(struct gp_segment *seg, uint32_t pool, uint32_t worker, uint32_t ailment,
                    const char *sqlstate, const char *text)
{
    struct gp_outage_words words = {.at_ns = gp_now_ns()};

    text_copy(words.sqlstate, sizeof(words.sqlstate), sqlstate);
    text_copy(words.text, sizeof(words.text), text);
    /* When it cannot be written, somebody else just has something to say. */
    if (gp_note_write(seg, pool, GP_NOTE_OUTAGE, worker, (const uint8_t *)&words, sizeof(words)) ==
            GP_OK &&
        ailment == GP_AILS_SERVER)
        atomic_store_explicit(&of_server(seg, pool)->told_by, pool + 1, memory_order_release);
}

bool gp_outage_said(struct gp_segment *seg, uint32_t pool, struct gp_outage_words *words)
{
    uint64_t version;

    return gp_note_read(seg, pool, GP_NOTE_OUTAGE, (uint8_t *)words, sizeof(*words), &version) ==
           sizeof(*words);
}

bool gp_outage_why(struct gp_segment *seg, uint32_t pool, uint64_t since_ns,
                   struct gp_outage_words *words)
{
    uint32_t teller = atomic_load_explicit(&of_server(seg, pool)->told_by, memory_order_acquire);

    if (gp_outage_said(seg, pool, words) && words->at_ns >= since_ns)
        return true;
    return teller != 0 && gp_outage_said(seg, teller - 1, words) && words->at_ns >= since_ns;
}
