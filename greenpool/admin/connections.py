"""Rows about single connections: SERVERS and CLIENTS, which share PgBouncer's columns.

`ptr` and `link` name a connection and its peer: `c7` is the client with id 7, `s2.5` the slot 5
of pool 2. Rows are read one by one while they are sent, so that thousands of them do not hold up
the worker; each is right for its own moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from greenpool.admin.pins import pin_words
from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.admin.welcome import ADMIN_DATABASES
from greenpool.protocol.backend import INT4, INT8, Column
from greenpool.records import ClientState, Pin, SlotState
from greenpool.rows import ClientRow, PoolRow, SlotRow

SLOTS_PER_POOL = 1024
"""Factor between pools in the ids of servers: the largest pool_size there is."""

_CONNECTION_COLUMNS = (
    Column("type"),
    Column("user"),
    Column("database"),
    Column("replication"),
    Column("state"),
    Column("addr"),
    Column("port", INT4),
    Column("local_addr"),
    Column("local_port", INT4),
    Column("connect_time"),
    Column("request_time"),
    Column("wait", INT4),
    Column("wait_us", INT4),
    Column("close_needed", INT4),
    Column("ptr"),
    Column("link"),
    Column("remote_pid", INT4),
    Column("tls"),
    Column("application_name"),
    Column("prepared_statements", INT4),
    Column("id", INT4),
)
# Ours, of all connections.
_MORE_COLUMNS = (Column("worker", INT8), Column("xacts", INT8))
SERVERS_COLUMNS = (
    *_CONNECTION_COLUMNS,
    *_MORE_COLUMNS,
    Column("age_s", INT8),
    Column("idle_ms", INT8),
)
CLIENTS_COLUMNS = (
    *_CONNECTION_COLUMNS,
    *_MORE_COLUMNS,
    Column("queries", INT8),
    Column("pinned"),
    Column("pumped", INT4),
    Column("bytes_received", INT8),
    Column("bytes_sent", INT8),
    Column("buffer_bytes", INT8),
    Column("prepared_bytes", INT8),
)

# PgBouncer's buffers: what it has read and not parsed, and what it has not sent.
_BUFFER_COLUMNS = tuple(
    Column(name, INT4)
    for name in (
        *("recv_pos", "pkt_pos", "pkt_remain", "send_pos", "send_remain"),
        *("pkt_avail", "send_avail"),
    )
)
_NO_BUFFERS = (0,) * len(_BUFFER_COLUMNS)
SOCKETS_COLUMNS = (*_CONNECTION_COLUMNS, *_BUFFER_COLUMNS, *_MORE_COLUMNS)

# PgBouncer's words where it has the state; closing is ours.
_SERVER_STATES = {
    SlotState.FREE: "free",
    SlotState.CONNECTING: "new",
    SlotState.IDLE: "idle",
    SlotState.ACTIVE: "active",
    SlotState.HANDOFF: "active",
    SlotState.PARKED: "being_canceled",
    SlotState.CLOSING: "closing",
    SlotState.REAP: "closing",
}
_CLIENT_STATES = {
    ClientState.FREE: "free",
    ClientState.LOGIN: "login",
    ClientState.IDLE: "idle",
    ClientState.WAITING: "waiting",
    ClientState.ACTIVE: "active",
    ClientState.CLOSING: "closing",
    ClientState.GONE: "closing",
}
_LEAVING = frozenset((SlotState.CLOSING, SlotState.REAP))
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_NS_PER_US = 1_000


def servers_rows(view: View) -> Iterable[Row]:
    """Make a row for each server connection, pools in order."""
    for pool in view.segment.pool_rows():
        for slot in view.segment.slot_rows(pool.index):
            client = view.segment.client_row(slot.client) if slot.client else None
            yield _server(view, pool, slot, client)


def clients_rows(view: View) -> Iterable[Row]:
    """Make a row for each client, those in login and in the admin console included."""
    for client in view.segment.client_rows():
        yield _client(view, client)


def sockets_rows(view: View) -> Iterable[Row]:
    """Make a row for each connection. Nothing is buffered between two steps of the engine."""
    at, end = len(_CONNECTION_COLUMNS), len(_CONNECTION_COLUMNS) + len(_MORE_COLUMNS)
    for row in chain(clients_rows(view), servers_rows(view)):
        yield *row[:at], *_NO_BUFFERS, *row[at:end]


def active_sockets_rows(view: View) -> Iterable[Row]:
    """Make a row for each connection on which something is under way."""
    state = [column.name for column in SOCKETS_COLUMNS].index("state")
    return (row for row in sockets_rows(view) if row[state] == "active")


def split_address(text: str) -> tuple[str, int]:
    """Cut `host:port` or `[host]:port`; a UNIX socket's path or anything else has port 0."""
    host, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        return host.removeprefix("[").removesuffix("]"), int(port)
    return text, 0


def _server(view: View, pool: PoolRow, slot: SlotRow, client: ClientRow | None) -> Row:
    now = view.now
    addr, port = split_address(slot.address)
    # What it does now its client asked for; an idle one has done so since its last request.
    request_ns = client.request_ns if client else slot.idle_since_ns
    is_due = slot.expires_ns != 0 and slot.expires_ns <= now.monotonic_ns
    idle_ns = now.age_ns(slot.idle_since_ns) if slot.state is SlotState.IDLE else 0
    return (
        "S",
        pool.user,
        pool.database,
        "none",
        _SERVER_STATES[slot.state],
        addr,
        port,
        "",
        0,
        now.calendar(slot.opened_ns),
        now.calendar(request_ns),
        0,
        0,
        1 if is_due or slot.stale or slot.state in _LEAVING else 0,
        _server_name(pool.index, slot.index),
        _client_name(slot.client),
        _signed(slot.backend_pid),
        slot.tls,
        client.application if client else "",
        slot.prepared,
        pool.index * SLOTS_PER_POOL + slot.index + 1,
        slot.worker,
        slot.xacts,
        now.age_ns(slot.opened_ns) // _NS_PER_S,
        idle_ns // _NS_PER_MS,
    )


def _client(view: View, client: ClientRow) -> Row:
    now = view.now
    addr, port = split_address(client.address)
    is_waiting = client.state is ClientState.WAITING
    wait_s, rest_ns = divmod(now.age_ns(client.wait_since_ns) if is_waiting else 0, _NS_PER_S)
    return (
        "C",
        client.user or "(nouser)",
        client.database or "(nodb)",
        "none",
        _client_state(client),
        addr,
        port,
        "",
        0,
        now.calendar(client.connected_ns),
        now.calendar(client.request_ns),
        wait_s,
        rest_ns // _NS_PER_US,
        0,
        _client_name(client.client),
        _server_name(client.pool - 1, client.slot - 1) if client.pool and client.slot else "",
        0,
        client.tls,
        client.application,
        client.prepared,
        client.client,
        client.worker,
        client.xacts,
        client.queries,
        _pinned(client.pins),
        client.pumped,
        client.bytes_received,
        client.bytes_sent,
        client.buffer_bytes,
        client.prepared_bytes,
    )


def _client_state(client: ClientRow) -> str:
    """Word a client's state; for the segment a client of the console stays in login."""
    in_console = not client.pool and client.database in ADMIN_DATABASES
    if in_console and client.state is ClientState.LOGIN:
        return "active"
    return _CLIENT_STATES[client.state]


def _pinned(pins: int) -> str:
    """Word why a client keeps its server: `temp table, lock`; empty when it does not."""
    return ", ".join(pin_words(pin) for pin in Pin if pins & pin)


def _client_name(client: int) -> str:
    return f"c{client}" if client else ""


def _server_name(pool: int, slot: int) -> str:
    return f"s{pool}.{slot}"


def _signed(pid: int) -> int:
    """Fit a process id into int4: another pooler in PostgreSQL's place sends any 32 bits."""
    return pid - (1 << 32) if pid >= 1 << 31 else pid
