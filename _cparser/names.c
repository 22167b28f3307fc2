/* Words for the numbers of engine_names.h: what logs and errors say. */
#include "engine.h"

#define GP_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define ADMINISTRATOR "terminating connection due to administrator command"
#define SERVER_CLOSED "server closed the connection unexpectedly"

/* What the end of a connection is called; and what a client is told whose end it is, if anything. */
static const struct {
    const char *text, *sqlstate, *words;
} reasons[] = {
    [GP_REASON_NONE] = {"no reason", NULL, NULL},
    [GP_REASON_CLIENT_TERMINATE] = {"client closed the connection", NULL, NULL},
    [GP_REASON_CLIENT_EOF] = {"client closed the connection unexpectedly", NULL, NULL},
    [GP_REASON_CLIENT_IO] = {"connection to client lost", NULL, NULL},
    [GP_REASON_CLIENT_PROTOCOL] = {"client broke the protocol", NULL, NULL},
    [GP_REASON_SERVER_EOF] = {"server closed the connection unexpectedly", "08006", SERVER_CLOSED},
    [GP_REASON_SERVER_IO] = {"connection to server lost", "08006", SERVER_CLOSED},
    [GP_REASON_SERVER_PROTOCOL] = {"server broke the protocol", "08006", SERVER_CLOSED},
    [GP_REASON_SERVER_FATAL] = {"server reported a fatal error", NULL, NULL},
    [GP_REASON_WAIT_TIMEOUT] = {"query_wait_timeout", NULL, NULL},
    [GP_REASON_CLIENT_IDLE] = {"client_idle_timeout", "57P05",
                               "terminating connection due to client_idle_timeout"},
    [GP_REASON_IDLE_TRANSACTION] = {"idle_transaction_timeout", "25P03",
                                    "terminating connection due to idle_transaction_timeout"},
    [GP_REASON_SHUTDOWN] = {"shutting down", "57P01", ADMINISTRATOR},
    [GP_REASON_KILLED] = {"killed by the administrator", "57P01", ADMINISTRATOR},
    [GP_REASON_LOGIN_FAILED] = {"server login failed", NULL, NULL},
    [GP_REASON_MODE] = {"transaction in statement mode", "0A000",
                        "transaction blocks are not allowed in statement pooling mode"},
    [GP_REASON_UNCLEAN] = {"server could not be made clean", "08006", SERVER_CLOSED},
    [GP_REASON_IDLE_TIMEOUT] = {"idle_timeout", NULL, NULL},
    [GP_REASON_LIFETIME] = {"server_lifetime", NULL, NULL},
    [GP_REASON_STALE] = {"pool was changed", NULL, NULL},
    [GP_REASON_REAPED] = {"worker died", "08006", SERVER_CLOSED},
    [GP_REASON_CANCEL_STUCK] = {"cancel_wait_timeout", NULL, NULL},
    [GP_REASON_MEMORY] = {"out of memory", "53200", "out of memory"},
    [GP_REASON_YIELDED] = {"given up for another worker's clients", NULL, NULL},
    [GP_REASON_REFUSED] = {"refused", NULL, NULL},
    [GP_REASON_LOGIN_LEFT] = {"gone during login", NULL, NULL},
    [GP_REASON_TRANSACTION_TIMEOUT] = {"transaction_timeout", "25P04",
                                       "terminating connection due to transaction timeout"},
    [GP_REASON_QUERY_TIMEOUT] = {"query_timeout", "57014",
                                 "terminating connection due to query_timeout"},
    [GP_REASON_COPY_TIMEOUT] = {"proxy_copy_data_timeout", "57014",
                                "terminating connection due to proxy_copy_data_timeout"},
    [GP_REASON_DATABASE_LIMIT] = {"max_db_connections", NULL, NULL},
    [GP_REASON_WRITE_TIMEOUT] = {"client_write_timeout", "57014",
                                 "terminating connection due to client_write_timeout"},
};
_Static_assert(GP_COUNT_OF(reasons) == GP_REASONS, "a text for each reason");

static const char *const results[] = {
    [GP_OK] = "done",
    [GP_NEED_MORE] = "more input is needed",
    [GP_AGAIN] = "not now",
    [GP_EOF] = "connection closed by peer",
    [GP_EPROTO] = "protocol violation",
    [GP_EIO] = "system call failed",
    [GP_EFULL] = "limit reached",
    [GP_ENOENT] = "no such thing",
};
_Static_assert(GP_COUNT_OF(results) == GP_ENOENT + 1, "a text for each result");

int32_t gp_abi_version(void)
{
    return GP_ABI_VERSION;
}

const char *gp_reason_text(uint32_t reason)
{
    return reason < GP_COUNT_OF(reasons) ? reasons[reason].text : "unknown reason";
}

const char *gp_reason_sqlstate(uint32_t reason)
{
    return reason < GP_COUNT_OF(reasons) ? reasons[reason].sqlstate : NULL;
}

const char *gp_reason_words(uint32_t reason)
{
    return reason < GP_COUNT_OF(reasons) ? reasons[reason].words : NULL;
}

const char *gp_result_text(uint32_t result)
{
    return result < GP_COUNT_OF(results) ? results[result] : "unknown result";
}
