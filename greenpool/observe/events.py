"""The table of what the log tells. Names and fields never change: programs read them.

An event is a row here; docs/logs.md follows from it, and a test sees that each is told somewhere
and with the fields that it has. Numbers of kept events are never used twice (`event.py`).
(A table, therefore exempt from the limits on file size.)
"""

from __future__ import annotations

from logging import ERROR, INFO, WARNING

from greenpool.observe.event import Event

# fmt: off
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
LOGINS_CROWDED = Event(
    "logins_crowded", WARNING, "{limit} clients are logging in: closing another unheard",
    "Too many logins at a time for max_connections.", is_limited=True,
)
ADDRESS_CROWDED = Event(
    "address_crowded", INFO,
    "{limit} clients of one address are logging in: closing another unheard",
    "The same of one address (max_address_client_connections).", is_limited=True,
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

# fmt: on

EVENTS: tuple[Event, ...] = tuple(
    each for each in list(globals().values()) if isinstance(each, Event)
)
KEPT = {event.kept: event for event in EVENTS if event.kept is not None}
"""Those that the house remembers, by number."""
