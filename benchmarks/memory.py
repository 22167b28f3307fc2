"""What an idle client costs: resident memory added to all processes of a pooler, per client.

Every client logs in and runs one query, so that it has been through all of the pooler, and then
stays idle. Memory is the proportional set size (Pss of /proc/PID/smaps_rollup): pages that the
processes share count once, which the sum of their resident set sizes would not do.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender
from benchmarks.errors import BenchError
from benchmarks.server import DATABASE, USER
from greenpool.protocol import frontend
from greenpool.protocol.message import TransactionStatus

_DEADLINE_S = 30.0
_SPARE_FILES = 100
_READY = b"Z\0\0\0\x05" + TransactionStatus.IDLE.value


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold the memory of one pooler with so many idle clients."""

    contender: str
    clients: int
    bytes_total: int
    bytes_per_client: float


def raise_file_limit(clients: int) -> None:
    """Let this process and its children have as many files as the hard limit allows.

    Raises: BenchError when that is too few for so many clients.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < clients + _SPARE_FILES:
        raise BenchError(f"{clients} clients need more files than the hard limit of {hard} allows")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def measure_memory(pooler: Contender, steps: Sequence[int]) -> Iterator[Reading]:
    """Connect up to each number of clients in turn and read the memory. Raises: BenchError."""
    with ExitStack() as stack:
        _connect(pooler, stack)  # what the first client alone brings about is no client's cost
        empty, connected = pss_bytes(pooler), 0
        for step in steps:
            while connected < step:
                _connect(pooler, stack)
                connected += 1
            total = pss_bytes(pooler)
            yield Reading(pooler.name, step, total, (total - empty) / step)


def _connect(pooler: Contender, stack: ExitStack) -> None:
    try:
        client = socket.create_connection(("127.0.0.1", pooler.port), timeout=_DEADLINE_S)
        stack.callback(client.close)
        client.sendall(frontend.startup_message({"user": USER, "database": DATABASE}))
        _read_until_ready(client)
        client.sendall(frontend.query("select 1"))
        _read_until_ready(client)
    except OSError as exc:
        raise BenchError(f"{pooler.name}: {exc}\n{pooler.log_tail()}") from exc


def _read_until_ready(client: socket.socket) -> None:
    received = b""
    while not received.endswith(_READY):
        chunk = client.recv(65536)
        if not chunk:
            raise ConnectionError(f"the pooler closed the connection after {received[-200:]!r}")
        received += chunk


def pss_bytes(pooler: Contender) -> int:
    """Sum up the proportional set sizes of its processes. Raises: BenchError when one has ended."""
    return sum(_pss_of(pid) for pid in pooler.usage())


def _pss_of(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError) as exc:
        raise BenchError(f"process {pid} has ended") from exc
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"/proc/{pid}/smaps_rollup has no Pss")
