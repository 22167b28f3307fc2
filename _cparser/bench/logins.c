#include "logins.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../digest.h"

#define FIRST_BARE "n=,r=c"
#define INITIAL    "p\0\0\0\x1fSCRAM-SHA-256\0\0\0\0\x09n,," FIRST_BARE
#define STATUSES                                                                                   \
    "S\0\0\0\x19"                                                                                  \
    "client_encoding\0UTF8\0" /* as much of a welcome as does no harm */
#define EVENTS    16
#define STEPS_MAX 8 /* that one answer may take */

static uint8_t stored_key[GP_SHA256_BYTES]; /* of a ClientKey of zeros: a proof is a signature */

static struct gp_plan *make_plan(uint32_t pool)
{
    static const char sql[] = "RESET ALL";
    struct gp_plan_settings settings = {
        .method = GP_LOGIN_SCRAM,
        .timeout_ms = 60000,
        .user = "bench",
        .database = "bench",
        .scram = {.iterations = 4096, .salt_length = 16},
        .terms = {.pool = pool,
                  .key_length = 4,
                  .state_sql = (const uint8_t *)sql,
                  .state_length = sizeof(sql) - 1,
                  .statuses = (const uint8_t *)STATUSES,
                  .statuses_length = sizeof(STATUSES) - 1},
    };

    if (!gp_sha256(stored_key, sizeof(stored_key), stored_key))
        return NULL;
    memcpy(settings.scram.stored_key, stored_key, sizeof(stored_key));
    return gp_plan_new(&settings);
}

/* Step until the client has something to read. Gives its length; 0: nothing came. */
static size_t hear(struct gp_engine *engine, int fd, uint8_t *data, size_t cap)
{
    struct gp_event events[EVENTS];

    for (int i = 0; i < STEPS_MAX; i++) {
        ssize_t len = recv(fd, data, cap, MSG_DONTWAIT);
        if (len > 0)
            return (size_t)len;
        if (gp_engine_step(engine, events, EVENTS))
            return 0;
    }
    return 0;
}

/* client-final, for the server-first of an AuthenticationSASLContinue. */
static size_t build_final(const uint8_t *challenge, size_t len, uint8_t *message)
{
    const struct gp_span server_first = {challenge + 9, len - 9};
    const uint8_t *comma = memchr(server_first.at, ',', server_first.len);
    char without[128], proof[GP_BASE64_CHARS(GP_SHA256_BYTES)];
    uint8_t signature[GP_SHA256_BYTES];

    if (!comma)
        return 0;
    int n = snprintf(without, sizeof(without), "c=biws,%.*s", (int)(comma - server_first.at),
                     (const char *)server_first.at);
    const struct gp_span pieces[] = {{(const uint8_t *)FIRST_BARE, strlen(FIRST_BARE)},
                                     {(const uint8_t *)",", 1},
                                     server_first,
                                     {(const uint8_t *)",", 1},
                                     {(const uint8_t *)without, (size_t)n}};
    if (!gp_hmac_sha256(stored_key, pieces, 5, signature))
        return 0;
    gp_base64_encode(signature, sizeof(signature), proof);
    int body = snprintf((char *)message + GP_HEADER_SIZE, 256, "%s,p=%.*s", without,
                        (int)sizeof(proof), proof);
    message[0] = GP_PASSWORD;
    gp_put_u32be(message + 1, (uint32_t)body + 4);
    return GP_HEADER_SIZE + (size_t)body;
}

/* The client's side, up to ReadyForQuery. */
static bool prove(struct gp_engine *engine, int fd)
{
    uint8_t heard[1024], final[512];
    size_t len = hear(engine, fd, heard, sizeof(heard));

    if (len == 0 || send(fd, INITIAL, sizeof(INITIAL) - 1, 0) != (ssize_t)sizeof(INITIAL) - 1)
        return false;
    len = hear(engine, fd, heard, sizeof(heard));
    size_t said = len > 9 ? build_final(heard, len, final) : 0;
    if (said == 0 || send(fd, final, said, 0) != (ssize_t)said)
        return false;
    len = hear(engine, fd, heard, sizeof(heard));
    return len > GP_READY_TOTAL && heard[len - GP_READY_TOTAL] == GP_READY_FOR_QUERY;
}

static bool leave(struct gp_engine *engine, int fd)
{
    struct gp_event events[EVENTS];

    if (send(fd, "X\0\0\0\4", 5, 0) != 5)
        return false;
    for (int i = 0; i < STEPS_MAX; i++)
        if (gp_engine_step(engine, events, EVENTS))
            return events[0].kind == GP_EVENT_GOODBYE;
    return false;
}

static bool log_in(struct gp_engine *engine, struct gp_plan *plan)
{
    int ends[2];
    uint32_t client = gp_client_enter(engine, false, "gauge");

    if (!client || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == -1)
        return false;
    bool done = gp_client_login(engine, client, plan, ends[0], NULL, 0, NULL, 0) == GP_OK &&
                prove(engine, ends[1]) && leave(engine, ends[1]);
    (void)gp_client_forget(engine, client);
    close(ends[0]);
    close(ends[1]);
    return done;
}

bool logins_run(struct gp_engine *engine, uint32_t pool, uint64_t wanted)
{
    struct gp_plan *plan = make_plan(pool);
    bool good = plan != NULL;

    for (uint64_t i = 0; good && i < wanted; i++)
        good = log_in(engine, plan);
    gp_plan_free(plan);
    return good;
}
