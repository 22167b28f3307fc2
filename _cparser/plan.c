#include "plan.h"

#include <stdlib.h>

#include "digest.h"

static size_t texts_length(const struct gp_plan_settings *is)
{
    return (size_t)is->greeting_length + is->terms.state_length + is->terms.look_length +
           is->terms.statuses_length;
}

static void copy(uint8_t **to, const uint8_t **text, uint32_t len)
{
    if (len)
        memcpy(*to, *text, len);
    *text = *to;
    *to += len;
}

struct gp_plan *gp_plan_new(const struct gp_plan_settings *settings)
{
    struct gp_plan *plan = malloc(sizeof(*plan) + texts_length(settings));

    if (!plan)
        return NULL;
    atomic_init(&plan->refs, 1);
    plan->is = *settings;
    struct gp_terms *terms = &plan->is.terms;
    uint8_t *to = plan->texts;
    copy(&to, &plan->is.greeting, plan->is.greeting_length);
    copy(&to, &terms->state_sql, terms->state_length);
    copy(&to, &terms->look_sql, terms->look_length);
    copy(&to, &terms->statuses, terms->statuses_length);
    return plan;
}

struct gp_plan *gp_plan_share(struct gp_plan *plan)
{
    atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
    return plan;
}

void gp_plan_free(struct gp_plan *plan)
{
    /* acq_rel: the last one sees what the others did before they let go */
    if (!plan || atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) != 1)
        return;
    gp_wipe(plan, sizeof(*plan));
    free(plan);
}
