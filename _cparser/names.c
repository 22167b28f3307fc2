/* Words for the numbers of engine_names.h: what logs and errors say. */
#include "engine.h"

#define GP_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const reasons[] = {
    [GP_REASON_NONE] = "no reason",
    [GP_REASON_CLIENT_TERMINATE] = "client closed the connection",
    [GP_REASON_CLIENT_EOF] = "client closed the connection unexpectedly",
    [GP_REASON_CLIENT_IO] = "connection to client lost",
    [GP_REASON_CLIENT_PROTOCOL] = "client broke the protocol",
    [GP_REASON_SERVER_EOF] = "server closed the connection unexpectedly",
    [GP_REASON_SERVER_IO] = "connection to server lost",
    [GP_REASON_SERVER_PROTOCOL] = "server broke the protocol",
    [GP_REASON_SERVER_FATAL] = "server reported a fatal error",
    [GP_REASON_WAIT_TIMEOUT] = "query_wait_timeout",
    [GP_REASON_CLIENT_IDLE] = "client_idle_timeout",
    [GP_REASON_IDLE_TRANSACTION] = "idle_transaction_timeout",
    [GP_REASON_SHUTDOWN] = "shutting down",
    [GP_REASON_KILLED] = "killed by the administrator",
    [GP_REASON_LOGIN_FAILED] = "server login failed",
    [GP_REASON_MODE] = "transaction in statement mode",
    [GP_REASON_UNCLEAN] = "server could not be made clean",
    [GP_REASON_IDLE_TIMEOUT] = "idle_timeout",
    [GP_REASON_LIFETIME] = "server_lifetime",
    [GP_REASON_STALE] = "pool was changed",
    [GP_REASON_REAPED] = "worker died",
    [GP_REASON_CANCEL_STUCK] = "cancel_wait_timeout",
    [GP_REASON_MEMORY] = "out of memory",
    [GP_REASON_YIELDED] = "given up for another worker's clients",
    [GP_REASON_REFUSED] = "refused",
    [GP_REASON_LOGIN_LEFT] = "gone during login",
    [GP_REASON_TRANSACTION_TIMEOUT] = "transaction_timeout",
    [GP_REASON_QUERY_TIMEOUT] = "query_timeout",
    [GP_REASON_COPY_TIMEOUT] = "proxy_copy_data_timeout",
    [GP_REASON_DATABASE_LIMIT] = "max_db_connections",
    [GP_REASON_WRITE_TIMEOUT] = "client_write_timeout",
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
    return reason < GP_COUNT_OF(reasons) ? reasons[reason] : "unknown reason";
}

const char *gp_result_text(uint32_t result)
{
    return result < GP_COUNT_OF(results) ? results[result] : "unknown result";
}
