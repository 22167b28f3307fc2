/* sources: login.c plan.c scram.c digest.c protocol.c */
/* libraries: -lcrypto */
/* A login fed with anything, whole and in pieces: both end alike, nothing is taken behind the end,
 * and nobody is let in without the one right proof.
 *
 * An input:  | method, and whether there is a certificate | piece | bytes of the client ... | */
#include <stdio.h>
#include <stdlib.h>

#include "../login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct outcome {
    enum gp_result result;
    size_t taken, answered;
    struct gp_fault fault;
};

static struct gp_plan *plan_of(uint8_t how)
{
    struct gp_plan_settings settings = {
        .method = how & 1 ? GP_LOGIN_SCRAM : GP_LOGIN_MD5,
        .user = "joe",
        .md5 = "md50123456789abcdef0123456789abcdef",
        .binding_length = how & 2 ? 32 : 0,
        .scram = {.iterations = 4096, .salt_length = 16, .doomed = how & 4},
    };

    return gp_plan_new(&settings);
}

static struct outcome run(struct gp_plan *plan, const uint8_t *data, size_t size, size_t piece)
{
    static const uint8_t random[GP_LOGIN_RANDOM_BYTES];
    struct gp_login *login = gp_login_new(plan, random);
    struct outcome outcome = {.result = GP_AGAIN};
    struct gp_login_out out;

    CHECK(login && gp_login_first(login, &out) == GP_AGAIN);
    for (size_t at = 0; at < size && outcome.result == GP_AGAIN; at += piece) {
        size_t len = size - at < piece ? size - at : piece, taken;
        outcome.result = gp_login_next(login, data + at, len, &taken, &out);
        CHECK(taken <= len && (taken == len || outcome.result != GP_AGAIN));
        CHECK(out.len <= sizeof(out.bytes));
        outcome.taken += taken;
        outcome.answered += out.len;
    }
    gp_login_fault(login, &outcome.fault);
    CHECK((outcome.result == GP_EPROTO) == (outcome.fault.message[0] != '\0'));
    gp_login_free(login);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct gp_plan *plan = plan_of(data[0]);
    CHECK(plan != NULL);
    struct outcome whole = run(plan, data + 2, size - 2, size);
    struct outcome cut = run(plan, data + 2, size - 2, 1 + data[1] % 16);
    CHECK(whole.result == cut.result && whole.taken == cut.taken);
    CHECK(whole.answered == cut.answered);
    CHECK(memcmp(&whole.fault, &cut.fault, sizeof(whole.fault)) == 0);
    CHECK(whole.result != GP_OK || !(data[0] & 4) || !(data[0] & 1)); /* the doomed */
    gp_plan_free(plan);
    return 0;
}
