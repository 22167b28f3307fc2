"""Start a server and all poolers in front of it, and end them on every way out."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import configs, memory, record
from benchmarks.contenders import Direct, Pooler
from benchmarks.drivers import Measure, before_null_server, before_postgres
from benchmarks.errors import BenchError
from benchmarks.plan import DIRECT_CLIENTS_MAX, POOL_SIZE
from benchmarks.server import Backend, backend_of, start_null, start_postgres, target
from greenpool.config.choices import IoBackend
from greenpool.demo.ending import undisturbed_stack


@dataclass(frozen=True, slots=True)
class Cast:
    """Hold which poolers take part: greenpool with one worker and with `workers`, and others."""

    workers: int
    pgbouncer: str
    odyssey: str | None
    pgdoorman: str | None
    io_backends: tuple[IoBackend, ...] = (IoBackend.AUTO,)

    @property
    def binaries(self) -> dict[str, str]:
        """Find the others' programs, by the options that name them. Raises: BenchError."""
        named = {
            "pgbouncer": self.pgbouncer,
            "odyssey": self.odyssey,
            "pgdoorman": self.pgdoorman,
        }
        return {name: _program(name, path) for name, path in named.items() if path is not None}

    def poolers(self, backend: Backend) -> list[Pooler]:
        """Configure all of them in front of a backend."""
        binaries = self.binaries
        poolers = [configs.pgbouncer(backend, binaries["pgbouncer"])]
        if "odyssey" in binaries:
            poolers.append(configs.odyssey(backend, binaries["odyssey"], self.workers))
        if "pgdoorman" in binaries:
            poolers.append(configs.pgdoorman(backend, binaries["pgdoorman"], self.workers))
        return poolers + [
            configs.greenpool(backend, workers, io_backend)
            for io_backend in self.io_backends
            for workers in sorted({1, self.workers})
        ]


@dataclass(frozen=True, slots=True)
class Stage:
    """Hold what runs: the poolers, the server without one, and how they are measured."""

    poolers: list[Pooler]
    direct: Direct
    measure: Measure
    about: record.Facts


@contextmanager
def postgres_stage(cast: Cast, postgres: int, clients: int) -> Iterator[Stage]:
    """Run everyone in front of PostgreSQL, for so many clients."""
    with _directory(clients) as (stack, directory):
        direct = min(clients, DIRECT_CLIENTS_MAX)
        cluster = start_postgres(stack, directory, postgres, direct)
        measure = before_postgres(partial(target, cluster))
        yield _start(stack, cast, backend_of(cluster), measure)


@contextmanager
def null_stage(cast: Cast, clients: int) -> Iterator[Stage]:
    """Run everyone in front of a null server."""
    with _directory(clients) as (stack, directory):
        yield _start(stack, cast, start_null(stack, directory), before_null_server())


@contextmanager
def greenpool_stage(
    workers: int, postgres: int, clients: int, pool_size: int = POOL_SIZE
) -> Iterator[Stage]:
    """Run greenpool alone in front of PostgreSQL."""
    with _directory(clients) as (stack, directory):
        cluster = start_postgres(stack, directory, postgres, 0)
        backend = backend_of(cluster)
        measure = before_postgres(partial(target, cluster))
        yield _begin(
            stack, [configs.greenpool(backend, workers, pool_size=pool_size)], [], backend, measure
        )


def _start(stack: ExitStack, cast: Cast, backend: Backend, measure: Measure) -> Stage:
    versions = [record.program_version(path) for path in cast.binaries.values()]
    return _begin(stack, cast.poolers(backend), versions, backend, measure)


def _begin(
    stack: ExitStack,
    poolers: list[Pooler],
    versions: list[str],
    backend: Backend,
    measure: Measure,
) -> Stage:
    about = record.facts(sys.argv[1:], [*versions, backend.title])
    for each in poolers:
        stack.callback(each.stop)
        each.start()
    return Stage(poolers, Direct(backend.port), measure, about)


@contextmanager
def _directory(clients: int) -> Iterator[tuple[ExitStack, Path]]:
    """Give a directory and a stack; when it has unwound, undisturbed, the directory is removed."""
    memory.raise_file_limit(clients)
    with undisturbed_stack(KeyboardInterrupt) as stack:
        directory = Path(tempfile.mkdtemp(prefix="greenpool-bench-"))
        stack.callback(shutil.rmtree, directory)
        yield stack, directory


def _program(name: str, path: str) -> str:
    """Find a program, from whatever directory it is started later."""
    found = shutil.which(path)
    if found is None:
        raise BenchError(f'no program at "{path}": install it, or name it by --{name}')
    return str(Path(found).absolute())


def newest_pgbouncer() -> str:
    """Name the PgBouncer that scripts/pgbouncer has built, or else the system's."""
    built = record.ROOT / "build" / "pgbouncer" / "pgbouncer"
    return str(built) if built.exists() else "/usr/sbin/pgbouncer"


def cores() -> int:
    return len(os.sched_getaffinity(0))
