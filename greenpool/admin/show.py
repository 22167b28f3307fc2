"""The table of everything that SHOW can show: columns, rows, a sentence for HELP.

To show something new is to add a row here. Parsing, HELP, the suggestions for misspelt names and
the tests all read this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from greenpool.admin.asked import (
    FDS_COLUMNS,
    STATEMENTS_COLUMNS,
    TEXTS_COLUMNS,
    fds_rows,
    statements_rows,
    texts_rows,
)
from greenpool.admin.auth_query import AUTH_QUERY_COLUMNS, auth_query_rows
from greenpool.admin.commands import COMMANDS
from greenpool.admin.connections import (
    CLIENTS_COLUMNS,
    SERVERS_COLUMNS,
    SOCKETS_COLUMNS,
    active_sockets_rows,
    clients_rows,
    servers_rows,
    sockets_rows,
)
from greenpool.admin.coordinator import COORDINATOR_COLUMNS, coordinator_rows
from greenpool.admin.counts import (
    CONNECTIONS_COLUMNS,
    INTERNER_COLUMNS,
    connections_rows,
    interner_rows,
)
from greenpool.admin.extended import EXTENDED_COLUMNS, extended_rows
from greenpool.admin.happenings import (
    EVENTS_COLUMNS,
    UPGRADES_COLUMNS,
    events_rows,
    upgrades_rows,
)
from greenpool.admin.hba import HBA_COLUMNS, hba_rows
from greenpool.admin.memory import (
    MEM_COLUMNS,
    POOLS_MEMORY_COLUMNS,
    mem_rows,
    pools_memory_rows,
)
from greenpool.admin.parameters import (
    LOG_LEVEL_COLUMNS,
    PARAMETERS_COLUMNS,
    log_level_rows,
    parameters_rows,
)
from greenpool.admin.pins import PINS_COLUMNS, pins_rows
from greenpool.admin.pools import (
    DATABASES_COLUMNS,
    LISTS_COLUMNS,
    POOLS_COLUMNS,
    STATE_COLUMNS,
    USERS_COLUMNS,
    databases_rows,
    lists_rows,
    pools_rows,
    state_rows,
    users_rows,
)
from greenpool.admin.question import MAX_TEXTS, Told, Topic
from greenpool.admin.result import Row
from greenpool.admin.scaling import SCALING_COLUMNS, scaling_rows
from greenpool.admin.stats import (
    STATS_AVERAGES_COLUMNS,
    STATS_COLUMNS,
    STATS_TOTALS_COLUMNS,
    TOTALS_COLUMNS,
    StatsWindow,
)
from greenpool.admin.strangers import (
    DNS_HOSTS_COLUMNS,
    DNS_ZONES_COLUMNS,
    PEER_POOLS_COLUMNS,
    PEERS_COLUMNS,
    none_rows,
)
from greenpool.admin.view import View
from greenpool.admin.welcome import VERSION
from greenpool.config import show_rows
from greenpool.protocol.backend import INT8, Column
from greenpool.records import EngineIo
from greenpool.rows import PoolRow

RowMaker = Callable[[View], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Show:
    """One thing to show: its columns, who makes its rows, and what HELP says."""

    columns: tuple[Column, ...]
    rows: RowMaker
    help: str


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One thing to show that all workers must be asked for; `is_admins`: by the admin alone."""

    columns: tuple[Column, ...]
    topic: Topic
    rows: Callable[[View, Sequence[Told]], Iterable[Row]]
    help: str
    is_admins: bool = True


def _version_rows(view: View) -> Iterable[Row]:
    yield (VERSION,)


def _stats(rows: Callable[[StatsWindow, Iterable[PoolRow], int], Iterable[Row]]) -> RowMaker:
    return lambda view: rows(view.window, view.segment.pool_rows(), view.now.monotonic_ns)


def _config_rows(view: View) -> Iterable[Row]:
    return show_rows(view.config)


def _workers_rows(view: View) -> Iterable[Row]:
    for worker in view.segment.worker_rows():
        if not worker.alive:
            continue  # a place for a later generation, or of one before; or its next is on its way
        yield (
            worker.index,
            worker.pid,
            "alive",
            max(0, worker.births - 1),
            worker.clients,
            worker.busy_permille,
            view.now.age_ns(worker.beat_ns) // 1_000_000,
            str(EngineIo(worker.io_backend)),
            worker.moved_in,
            worker.moved_out,
        )


def _help_rows(view: View) -> Iterable[Row]:
    for name, show in SHOWS.items():
        yield f"SHOW {name.upper()}", show.help
    for name, inquiry in INQUIRIES.items():
        yield f"SHOW {name.upper()}", inquiry.help
    for name, inquiry in COUNTED.items():
        yield f"SHOW {name.upper()} n", inquiry.help
    yield from COMMANDS.values()
    yield from COMMAND_HELP


COMMAND_HELP: tuple[Row, ...] = (
    ("SET name = value", "change one of the general settings until the next RELOAD: SHOW CONFIG"),
    ("RELOAD", "read the configuration files again and apply what may change while running"),
    ("UPGRADE", "start the installed version, hand over to it, and end"),
    ("SHUTDOWN", "finish transactions for shutdown_timeout, then exit"),
)

SHOWS: Mapping[str, Show] = {
    "help": Show(
        (Column("command"), Column("description")), _help_rows, "the commands of this console"
    ),
    "version": Show((Column("version"),), _version_rows, "the version of greenpool"),
    "pools": Show(
        POOLS_COLUMNS, pools_rows, "clients, servers and the longest wait of each database and user"
    ),
    "pools_extended": Show(
        EXTENDED_COLUMNS,
        extended_rows,
        "the same with bytes and, in us, percentiles of recent queries and transactions",
    ),
    "pools_memory": Show(
        POOLS_MEMORY_COLUMNS, pools_memory_rows, "what the clients of each pool make greenpool hold"
    ),
    "mem": Show(MEM_COLUMNS, mem_rows, "what all clients and servers make it hold, by kind"),
    "servers": Show(SERVERS_COLUMNS, servers_rows, "every connection to PostgreSQL"),
    "clients": Show(CLIENTS_COLUMNS, clients_rows, "every connection of a client"),
    "stats": Show(
        STATS_COLUMNS,
        _stats(StatsWindow.stats_rows),
        "counters of each database and their averages; times in us",
    ),
    "stats_totals": Show(
        STATS_TOTALS_COLUMNS, _stats(StatsWindow.totals_rows), "the counters alone"
    ),
    "stats_averages": Show(
        STATS_AVERAGES_COLUMNS, _stats(StatsWindow.averages_rows), "the averages alone"
    ),
    "totals": Show(
        TOTALS_COLUMNS, _stats(StatsWindow.sum_rows), "counters and averages of all databases"
    ),
    "sockets": Show(SOCKETS_COLUMNS, sockets_rows, "every connection, as PgBouncer shows it"),
    "active_sockets": Show(SOCKETS_COLUMNS, active_sockets_rows, "those that are active"),
    "connections": Show(
        CONNECTIONS_COLUMNS, connections_rows, "what came of all connections so far"
    ),
    "interner": Show(
        INTERNER_COLUMNS, interner_rows, "the texts of statements that the workers keep"
    ),
    "pins": Show(PINS_COLUMNS, pins_rows, "what keeps clients on their servers, now and in total"),
    "pool_scaling": Show(
        SCALING_COLUMNS, scaling_rows, "how each pool grows, and what keeps it from growing"
    ),
    "state": Show(STATE_COLUMNS, state_rows, "whether clients are served, or PAUSE holds them all"),
    "lists": Show(LISTS_COLUMNS, lists_rows, "how many there are of everything"),
    "config": Show(
        (Column("key"), Column("value"), Column("default"), Column("changeable")),
        _config_rows,
        "the general settings; changeable ones take effect with RELOAD",
    ),
    "log_level": Show(LOG_LEVEL_COLUMNS, log_level_rows, "the least severe that is logged"),
    "databases": Show(DATABASES_COLUMNS, databases_rows, "the configured databases"),
    "pool_coordinator": Show(
        COORDINATOR_COLUMNS, coordinator_rows, "databases whose users share max_db_connections"
    ),
    "hba": Show(HBA_COLUMNS, hba_rows, "the rules that decide who may come in"),
    "users": Show(USERS_COLUMNS, users_rows, "the users: configured, and found by auth_query"),
    "auth_query": Show(
        AUTH_QUERY_COLUMNS, auth_query_rows, "what looking users up has come to, by database"
    ),
    "workers": Show(
        (
            Column("worker", INT8),
            Column("pid", INT8),
            Column("state"),
            Column("respawns", INT8),
            Column("clients", INT8),
            Column("busy_permille", INT8),
            Column("heartbeat_age_ms", INT8),
            Column("io_backend"),
            Column("moved_in", INT8),
            Column("moved_out", INT8),
        ),
        _workers_rows,
        "the worker processes",
    ),
    "events": Show(EVENTS_COLUMNS, events_rows, "what has happened to the house lately"),
    "upgrades": Show(UPGRADES_COLUMNS, upgrades_rows, "the upgrades among that"),
    "dns_hosts": Show(DNS_HOSTS_COLUMNS, none_rows, "nothing: names are not kept"),
    "dns_zones": Show(DNS_ZONES_COLUMNS, none_rows, "nothing: zones are not watched"),
    "peers": Show(PEERS_COLUMNS, none_rows, "nothing: there are no peers"),
    "peer_pools": Show(PEER_POOLS_COLUMNS, none_rows, "nothing: there are no peers"),
}

INQUIRIES: Mapping[str, Inquiry] = {
    "prepared_statements": Inquiry(
        STATEMENTS_COLUMNS,
        Topic.STATEMENTS,
        statements_rows,
        "the prepared statements that servers hold, by pool",
    ),
    "startup_parameters": Inquiry(
        PARAMETERS_COLUMNS,
        Topic.PARAMETERS,
        parameters_rows,
        "what servers begin with, by user and database, and who says so",
        is_admins=False,
    ),
    "fds": Inquiry(
        FDS_COLUMNS, Topic.DESCRIPTORS, fds_rows, "the sockets of the workers; none is passed on"
    ),
}

COUNTED: Mapping[str, Inquiry] = {
    "interner": Inquiry(
        TEXTS_COLUMNS, Topic.TEXTS, texts_rows, f"the n largest of them, {MAX_TEXTS} at most"
    ),
}
"""What is shown when a number stands behind the name: so many rows."""
