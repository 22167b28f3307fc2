#include "logins.h"

#include "../plans.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../digest.h"

#define PACKET     "\0\0\0\x23\0\3\0\0user\0bench\0database\0bench\0\0"
#define FIRST_BARE "n=,r=c"
#define INITIAL    "p\0\0\0\x1fSCRAM-SHA-256\0\0\0\0\x09n,," FIRST_BARE
#define STATUSES                                                                                   \
    "S\0\0\0\x19"                                                                                  \
    "client_encoding\0UTF8\0" /* as much of a welcome as does no harm */
#define EVENTS    16
#define STEPS_MAX 8 /* that one answer may take */

static uint64_t calls;                      /* system calls of the clients */
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
        calls++;
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
    for (int i = 0; i < STEPS_MAX && gp_clients_here(engine); i++)
        if (gp_engine_step(engine, events, EVENTS))
            return false;
    return gp_clients_here(engine) == 0;
}

static bool log_in(struct gp_engine *engine, const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    calls += 7; /* socket, connect, four of send, close */
    bool done = fd != -1 && connect(fd, (const struct sockaddr *)address, size) == 0 &&
                send(fd, PACKET, sizeof(PACKET) - 1, 0) == (ssize_t)sizeof(PACKET) - 1 &&
                prove(engine, fd) && leave(engine, fd);

    if (fd != -1)
        close(fd);
    return done;
}

/* Listening at an address that the kernel finds. */
static int open_door(struct sockaddr_un *address, socklen_t *size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    *size = sizeof(address->sun_family);
    if (fd == -1 || bind(fd, (struct sockaddr *)address, *size) == -1 || listen(fd, 8) == -1)
        return -1;
    *size = sizeof(*address);
    return getsockname(fd, (struct sockaddr *)address, size) == 0 ? fd : -1;
}

/* As a worker whose clients are all alike, and that logs nothing. */
static bool receive(struct gp_engine *engine, struct gp_plan *plan, int door)
{
    const struct gp_guest_settings settings = {.guests_max = 8, .welcome = true, .knows = true};

    gp_engine_guests(engine, &settings);
    gp_engine_farewells(engine, false);
    gp_segment_accept(engine->seg, 0, true);
    return plan && door != -1 &&
           gp_plan_know(engine, (const uint8_t *)"", 1, (const uint8_t *)PACKET, sizeof(PACKET) - 1,
                        plan, 0) == GP_OK &&
           gp_engine_listen(engine, door) == GP_OK;
}

bool logins_run(struct gp_engine *engine, uint32_t pool, uint64_t wanted, uint64_t *others)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct gp_plan *plan = make_plan(pool);
    socklen_t size;
    int door = open_door(&address, &size);
    bool good = receive(engine, plan, door);

    for (uint64_t i = 0; good && i < wanted; i++)
        good = log_in(engine, &address, size);
    gp_plan_free(plan);
    gp_engine_deafen(engine);
    if (door != -1)
        close(door);
    *others = calls;
    return good;
}
