"""What a worker is born with: made by the master, read by `main.run`."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from greenpool.config import Config, PoolKey
from greenpool.records import EngineIo
from greenpool.tallies import Tallies

if TYPE_CHECKING:  # the master's side of this package can be tested without the compiled engine
    from greenpool.segment import Segment


@dataclass(slots=True)
class WorkerContext:
    """The inheritance of a worker process.

    `listeners` are listening already and shared by all workers; `pools` says where in the segment
    each pool is, those of found users among them; `tallies` count what auth_query does; `control`
    is the worker's end of its conversation with the master; `boot_secret` are 32 random bytes, the
    same for all workers of this start.
    """

    index: int
    io: EngineIo
    segment: Segment
    listeners: list[socket.socket]
    config: Config
    pools: dict[PoolKey, int]
    control: socket.socket
    tallies: Tallies
    boot_secret: bytes = field(repr=False)
