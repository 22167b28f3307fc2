"""The table of what the log tells. Names and fields never change: programs read them.

An event is a row here; docs/logs.md follows from it, and a test sees that each is told somewhere
and with the fields that it has. Numbers of kept events are never used twice (`event.py`).
(A table, therefore exempt from the limits on file size.)
"""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING

from greenpool.observe.event import Event

# fmt: off
# --- mistakes of greenpool itself -----------------------------------------------------------------
BUG = Event(
    "bug", ERROR, "{what}",
    "An error that nobody expected: please report it, with its traceback, which is there too.",
)
MESSAGE_UNKNOWN = Event(
    "message_unknown", WARNING, "{process} says what nobody understands: {what}",
    "Processes of greenpool talk past each other.",
)

# --- the house: its start and its end -------------------------------------------------------------
STARTING = Event(
    "starting", INFO, "greenpool {version} starts with {files} (Python {python})",
    "A master has read its configuration.",
)
START_FAILED = Event(
    "start_failed", ERROR, "{error}", "It cannot serve, and ends.",
)
LISTENING = Event(
    "listening", INFO, "listening on {address}", "Clients are accepted there.",
)
METRICS_SERVED = Event(
    "metrics_served", INFO, "metrics on {url}", "The observer answers there.",
)
CAPACITY = Event(
    "capacity", INFO,
    "workers: {workers} ({io_backend}); pools: {pools} ({servers_max} servers at most); "
    "clients: {clients_max} at most; open files: {files_max}",
    "For how much this greenpool is made.",
)
IO_URING_REFUSED = Event(
    "io_uring_refused", INFO, "io_uring cannot be used, epoll takes its place: {error}",
    "The kernel is too old for it, or forbids it.",
)
FILES_SHORT = Event(
    "files_short", WARNING,
    "the limit on open files is {files}, but max_connections and the pools need {files_needed}: "
    "raise the hard limit (LimitNOFILE= of the systemd unit, ulimit -Hn) or lower max_connections",
    "It serves fewer clients than configured.",
)
PLACES_SHORT = Event(
    "places_short", WARNING, "general.workers: {workers}, because no more places are free",
    "So many workers an upgrade can have beside those of the generation before.",
)
PID_FILE_REPLACED = Event(
    "pid_file_replaced", INFO, 'replacing the pid file "{path}" of pid {stale_pid}, which is gone',
    "The greenpool before was killed.",
)
NOTIFY_SOCKET_REFUSED = Event(
    "notify_socket_refused", WARNING,
    "NOTIFY_SOCKET is no address, the service manager is not told: {address}",
    "The environment says something odd.",
)
WORKER_PINNED = Event(
    "worker_pinned", INFO, "pinned to core {core}", "worker_cpu_affinity_pinning.",
)
CERTIFICATE_UNREADABLE = Event(
    "certificate_unreadable", WARNING,
    'cannot tell when the certificates of "{path}" end: {error}',
    "They are used, and no metric says until when.",
)
METRICS_CROWDED = Event(
    "metrics_crowded", WARNING, "cannot accept a connection: {error}",
    "The observer has no descriptor for who scrapes it, and tries again.", is_limited=True,
)
READY = Event(
    "ready", INFO, "ready", "All workers serve.", more=("version", "generation"), kept=0,
)
STOPPING = Event(
    "stopping", INFO, "stopping: transactions have {timeout_s:g} s to end",
    "It was told to end; who is idle is sent away.", kept=1,
)
STOPPING_AT_ONCE = Event(
    "stopping_at_once", INFO, "stopping at once", "Nobody is waited for.", kept=2,
)
STOPPED = Event("stopped", INFO, "stopped", "The master ends.")

# --- the configuration ----------------------------------------------------------------------------
CONFIG_WARNING = Event(
    "config_warning", WARNING, "{warning}", "The configuration says something odd.",
)
CONFIG_NOT_APPLIED = Event(
    "config_not_applied", WARNING, "not applied: {key}",
    "A value that takes an upgrade or a restart.",
)
CONFIG_RELOADED = Event(
    "config_reloaded", INFO, "configuration reloaded: {changes}",
    "RELOAD, SIGHUP or SET: what has changed.", kept=3,
)
CONFIG_ERROR = Event(
    "config_error", ERROR, "{problem}", "What is wrong with the configuration, a problem a line.",
)
CONFIG_RELOAD_FAILED = Event(
    "config_reload_failed", ERROR,
    "reload failed: the configuration in force stays as it is",
    "The problems were told before.", more=("problems",), kept=4,
)
CONFIG_REFUSED = Event(
    "config_refused", WARNING, "the configuration stays as it is: {why}",
    "No reload and no SET while greenpool stops or is upgraded.",
)
CONFIG_LATE = Event(
    "config_late", WARNING, "workers with pid {pids} have not taken the configuration over yet",
    "They still serve by the one before.",
)

# --- the administrator ----------------------------------------------------------------------------
COMMAND_GIVEN = Event(
    "command_given", INFO, "the admin says {statement}",
    "A command of the console: PAUSE, KILL, SET and the like.", kept=5,
)

# --- processes ------------------------------------------------------------------------------------
PROCESS_DIED = Event(
    "process_died", ERROR, "{process} (pid {process_pid}) {fate}: {then}",
    "A worker or the observer has ended without having been told to.", kept=6,
)
PROCESS_KILLED = Event(
    "process_killed", ERROR, "{process} (pid {process_pid}) {why}: killing it",
    "It did not do as it should.", kept=7,
)
PROCESS_FAILED = Event(
    "process_failed", ERROR, "{error}", "A worker or the observer cannot go on, and ends.",
)
MASTER_GONE = Event(
    "master_gone", ERROR, "the master is gone", "A worker has noticed it, and ends.",
)
COMMANDS_LOST = Event(
    "commands_lost", ERROR, "commands do not find this master any more: {error}",
    "It serves, but reload, upgrade and stop need its pid.",
)
FORK_FAILED = Event(
    "fork_failed", ERROR, "cannot fork {process}, trying again in 1 s: {error}",
    "The kernel has no room for another process.",
)

# --- upgrades -------------------------------------------------------------------------------------
UPGRADE_STEP = Event("upgrade_step", INFO, "upgrade: {step}", "How far it has come.")
UPGRADE_REFUSED = Event(
    "upgrade_refused", WARNING, "no upgrade: {why}", "Not now, or one is under way.",
)
UPGRADE_FAILED = Event(
    "upgrade_failed", ERROR, "upgrade failed: {why}; this generation goes on",
    "The new generation could not be started, or did not become ready.",
    more=("generation", "from_version"), kept=8,
)
UPGRADE_HANDED_OVER = Event(
    "upgrade_handed_over", INFO,
    "upgraded: the master is now pid {master_pid}; this one hands over and ends",
    "Told by the old generation.",
)
UPGRADED = Event(
    "upgraded", INFO,
    "greenpool {to_version} has taken over from {from_version}: generation {generation}",
    "Told by the new generation.", kept=9,
)
GENERATION_RETURNED = Event(
    "generation_returned", ERROR, "this generation comes back",
    "The new one was killed while it still needed the old one.",
    more=("generation", "from_version"), kept=10,
)
GENERATION_KILLED = Event(
    "generation_killed", ERROR, "the generation before was killed: taking back what it left",
    "Clients that had not moved yet are lost.", kept=11,
)
GENERATION_ENDED = Event(
    "generation_ended", INFO, "the generation before has ended",
    "All that it had has moved or is gone.",
)

LAYOUT_CHANGED = Event(
    "layout_changed", INFO,
    "greenpool {from_version} has another layout of the segment: what is common is shared with it, "
    "counters begin anew",
    "Told by the new generation.",
)
PREDECESSOR_DIED = Event(
    "predecessor_died", ERROR, "the old master is dead: taking over without it",
    "Told by the new generation; generation_killed follows.",
)
SUCCESSOR_DIED = Event(
    "successor_died", ERROR, "the new generation is dead",
    "Told by the old one; generation_returned follows.",
)
RETURN_INCOMPLETE = Event(
    "return_incomplete", ERROR, "what the new generation has changed in the segment stays: {error}",
    "Pools go on by the settings of the generation that died.",
)
TLS_SESSIONS_STAY = Event(
    "tls_sessions_stay", ERROR, "TLS sessions of {clients} clients stay here: {error}",
    "A worker that has handed over cannot leave them to another process, tries again, and lasts.",
)

# --- clients: what they can cause again and again is limited, but for who logs in ----------------
CLIENT_CONNECTED = Event(
    "client_connected", INFO,
    "client {user}@{database} {address}: logged in as {client}, application {application}, "
    "tls {tls}",
    "log_client_connections: a client was let in; client is its number in SHOW CLIENTS.",
)
CLIENT_DISCONNECTED = Event(
    "client_disconnected", INFO,
    "client {user}@{database} {address}: left: {why}; connected {duration_s:.3f} s, transactions "
    "{transactions}, queries {queries}, received {bytes_received} bytes, sent {bytes_sent}",
    "log_client_disconnections: a client that was let in has gone; reason is why's one word.",
    more=("client", "application", "reason"),
)
CLIENT_SETTING_CHANGED = Event(
    "client_setting_changed", INFO,
    'client {user}@{database} {address}: {parameter} is now "{value}"',
    "log_client_parameter_status_changes: PostgreSQL has reported it to the client, whatever has "
    "changed it; a long value is cut.", more=("client",), is_limited=True,
)
CLIENT_REFUSED = Event(
    "client_refused", INFO, "{who}: refused: {error} ({sqlstate})",
    "A client was not let in, and told why.", more=("user", "database", "address"), is_limited=True,
)
CLIENT_SILENT = Event(
    "client_silent", INFO, "{who}: no startup packet within client_login_timeout",
    "A client that said nothing was closed.", is_limited=True,
)
CLIENT_TLS_FAILED = Event(
    "client_tls_failed", INFO, "{who}: TLS failed: {error}", "A handshake came to nothing.",
    is_limited=True,
)
CLIENT_UNPROVEN = Event(
    "client_unproven", INFO, 'user "{user}" from {host}: {why}',
    "What an authority said of a password or token; the client is told only that it failed.",
    is_limited=True,
)
CANCEL_UNKNOWN = Event(
    "cancel_unknown", DEBUG, "cancel request for client {client}: {why}",
    "A CancelRequest that was of no use.",
)
LOGINS_CROWDED = Event(
    "logins_crowded", WARNING, "{limit} clients are logging in: closing another unheard",
    "Too many logins at a time for max_connections.", is_limited=True,
)
ADDRESS_CROWDED = Event(
    "address_crowded", INFO,
    "{limit} clients of one address are logging in: closing another unheard",
    "The same of one address (max_address_client_connections).", is_limited=True,
)
LOG_AWAY = Event(
    "log_away", WARNING, "cannot log to {service}: {error}: logging here until it can be reached",
    "Said on standard error, once for each outage of syslog or the journal.",
)
WITHHELD = Event(
    "withheld", INFO, "{count} more events {withheld} were not logged",
    "Of a limited event each process logs twenty lines in ten seconds.",
)

# --- servers --------------------------------------------------------------------------------------
SERVER_OPENED = Event(
    "server_opened", INFO, "{user}@{database}: server {slot} open, backend {backend_pid}",
    "A connection to PostgreSQL was opened.", more=("address", "tls"),
)
SERVER_CLOSED = Event(
    "server_closed", INFO,
    "{user}@{database}: server {slot} closed: {why}; backend {backend_pid}, open "
    "{duration_s:.3f} s, transactions {transactions}",
    "A connection to PostgreSQL was given up, by whichever side.", more=("address", "reason"),
)
SERVERS_FAILING = Event(
    "servers_failing", ERROR, "{user}@{database}: cannot open a server: {error}",
    "The same error is told again after a while only.", kept=12,
)
SERVERS_BACK = Event(
    "servers_back", INFO, "{user}@{database}: servers can be opened again",
    "The first success of a worker after its failures.", kept=13,
)
SERVER_UNUSABLE = Event(
    "server_unusable", ERROR, "{user}@{database}: cannot use a new server: {error}",
    "It has logged in and is closed again.",
)
PROTOCOL_LOWERED = Event(
    "protocol_lowered", INFO, "{user}@{database}: asking for protocol 3.0, because of: {error}",
    "PostgreSQL, or what stands before it, does not negotiate.",
)
PASSWORD_REPLACED = Event(
    "password_replaced", INFO, "{user}@{database}: the password has been replaced",
    "PostgreSQL has refused the one before; with the new one the login is tried again.",
)
PASSWORD_UNKNOWN = Event(
    "password_unknown", ERROR, "{user}@{database}: {error}",
    "There is none to log in with; why is not what it is.",
)
CANCEL_FAILED = Event(
    "cancel_failed", WARNING, "cannot cancel backend {backend_pid} of {user}@{database}: {error}",
    "Its query may go on until it ends by itself.", more=("slot",),
)

# --- what greenpool asks PostgreSQL for itself ----------------------------------------------------
LOOKUP_FAILED = Event(
    "lookup_failed", ERROR, "{database}: auth_query failed: {error}",
    "A user could not be looked up; the same error is told again after a while only.",
)
LOOKUP_UNUSABLE = Event(
    "lookup_unusable", ERROR, '{database}: auth_query: user "{user}": {error}',
    "What PostgreSQL says of a user lets nobody in.", is_limited=True,
)
POOL_REFUSED = Event(
    "pool_refused", ERROR, 'there can be no pool for user "{user}" of "{database}": {error}',
    "Of a user that was looked up, or of a database that a template stands for.", is_limited=True,
)
FUNCTIONS_FOUND = Event(
    "functions_found", INFO,
    "{user}@{database}: functions that change the session: {functions} names",
    "Calls of them are looked after: docs/sessions.md.",
)
FUNCTIONS_ANY = Event(
    "functions_any", INFO,
    "{user}@{database}: any text may run a function that changes the session",
    "PostgreSQL is asked after every transaction: docs/sessions.md.",
)
FUNCTIONS_UNKNOWN = Event(
    "functions_unknown", WARNING,
    "{user}@{database}: cannot ask which functions change sessions: {error}",
    "Until it can be asked, any text may.",
)
CHECK_QUERY_LEFT = Event(
    "check_query_left", WARNING,
    "{user}@{database}: pooler_check_query is left to PostgreSQL: no short answer",
    "It is not answered here: what PostgreSQL says to it is too long.",
)

# fmt: on

EVENTS: tuple[Event, ...] = tuple(
    each for each in list(globals().values()) if isinstance(each, Event)
)
KEPT = {event.kept: event for event in EVENTS if event.kept is not None}
"""Those that the house remembers, by number."""
