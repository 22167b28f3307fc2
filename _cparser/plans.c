#include "plans.h"

#include <stdlib.h>

#define BUCKETS 1024u

struct known {
    struct known *next;          /* of the same bucket */
    struct known *older, *newer; /* in the order in which they became known */
    struct gp_sid key;
    struct gp_plan *plan;
    uint64_t as_of; /* version of the pool's GP_NOTE_WELCOME */
};

struct gp_plans {
    struct known *buckets[BUCKETS];
    struct known *oldest, *newest;
    uint32_t count;
};

static struct gp_sid key_of(struct gp_engine *e, struct gp_span who, struct gp_span packet)
{
    uint64_t from = gp_sid_make(gp_common_of(e->seg)->hash_key, 0, who.at, who.len).high;

    return gp_sid_make(gp_common_of(e->seg)->hash_key, from, packet.at, packet.len);
}

static struct known **bucket_of(struct gp_plans *plans, struct gp_sid key)
{
    return &plans->buckets[key.high % BUCKETS];
}

static void forget(struct gp_plans *plans, struct known *known)
{
    struct known **link = bucket_of(plans, known->key);

    while (*link != known)
        link = &(*link)->next;
    *link = known->next;
    *(known->older ? &known->older->newer : &plans->oldest) = known->newer;
    *(known->newer ? &known->newer->older : &plans->newest) = known->older;
    plans->count--;
    gp_plan_free(known->plan);
    free(known);
}

static bool holds(struct gp_engine *e, const struct known *known)
{
    const struct gp_plan_settings *is = &known->plan->is;

    return is->open || gp_note_version(e->seg, is->terms.pool, GP_NOTE_WELCOME) == known->as_of;
}

/* NULL: there is none that holds. */
static struct known *find(struct gp_engine *e, struct gp_sid key)
{
    struct known *known = e->plans ? *bucket_of(e->plans, key) : NULL;

    while (known && !gp_sid_same(known->key, key))
        known = known->next;
    if (!known || holds(e, known))
        return known;
    forget(e->plans, known);
    return NULL;
}

struct gp_plan *gp_plans_find(struct gp_engine *e, struct gp_span who, struct gp_span packet)
{
    struct known *known = e->plans ? find(e, key_of(e, who, packet)) : NULL;

    return known ? known->plan : NULL;
}

void gp_plans_free(struct gp_engine *e)
{
    gp_plans_forget(e, GP_ALL);
    free(e->plans);
    e->plans = NULL;
}

/* ---- the public functions ---- */

enum gp_result gp_plan_know(struct gp_engine *e, const uint8_t *who, uint32_t who_length,
                            const uint8_t *packet, uint32_t packet_length, struct gp_plan *plan,
                            uint64_t as_of)
{
    struct gp_sid key =
        key_of(e, (struct gp_span){who, who_length}, (struct gp_span){packet, packet_length});
    struct known *known = malloc(sizeof(*known)), *before;

    if (!e->plans)
        e->plans = calloc(1, sizeof(*e->plans));
    if (!known || !e->plans) {
        free(known);
        return GP_EFULL;
    }
    struct gp_plans *plans = e->plans;
    if ((before = find(e, key)))
        forget(plans, before);
    if (plans->count == GP_PLANS_MAX)
        forget(plans, plans->oldest);
    struct known **bucket = bucket_of(plans, key);
    *known = (struct known){.next = *bucket,
                            .older = plans->newest,
                            .key = key,
                            .plan = gp_plan_share(plan),
                            .as_of = as_of};
    *bucket = known;
    *(plans->newest ? &plans->newest->newer : &plans->oldest) = known;
    plans->newest = known;
    plans->count++;
    return GP_OK;
}

uint64_t gp_plan_tag(struct gp_engine *e, const uint8_t *who, uint32_t who_length,
                     const uint8_t *packet, uint32_t packet_length)
{
    struct gp_plan *plan = gp_plans_find(e, (struct gp_span){who, who_length},
                                         (struct gp_span){packet, packet_length});

    return plan ? plan->is.tag : 0;
}

void gp_plans_forget(struct gp_engine *e, uint32_t pool)
{
    struct known *next;

    for (struct known *known = e->plans ? e->plans->oldest : NULL; known; known = next) {
        const struct gp_plan_settings *is = &known->plan->is;
        next = known->newer;
        if (pool == GP_ALL || (!is->open && is->terms.pool == pool))
            forget(e->plans, known);
    }
}
