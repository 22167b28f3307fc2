"""The command line of `scripts/bench`: read options, start everyone, measure, print, save."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from benchmarks import contenders, figures, memory, record, table
from benchmarks.contenders import Contender, Direct, Pooler
from benchmarks.errors import BenchError
from benchmarks.plan import (
    DIRECT_CLIENTS_MAX,
    FULL,
    QUICK,
    Mode,
    Plan,
    Script,
    make_plan,
    positive,
    read_list,
)
from benchmarks.run import Sample
from benchmarks.server import start_server, target
from benchmarks.speed import run_cases
from greenpool.demo.cluster import Cluster
from greenpool.errors import ExitCode, GreenpoolError

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CORES = len(os.sched_getaffinity(0))

_pgbouncer_option = click.option(
    "--pgbouncer", default="/usr/sbin/pgbouncer", show_default=True, metavar="BINARY",
    help="The PgBouncer to compare with.",
)  # fmt: skip
_postgres_option = click.option(
    "--postgres", default=15, show_default=True, metavar="MAJOR", help="PostgreSQL's version."
)
_workers_option = click.option(
    "--workers", default=max(2, _CORES), show_default=True, type=click.IntRange(1, 64),
    help="Workers of greenpool, beside a run with one.",
)  # fmt: skip


def main() -> NoReturn:
    """Run the command line and exit with greenpool's exit codes."""
    try:
        cli.main(prog_name="scripts/bench", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(ExitCode.FAILED)
    except GreenpoolError as exc:
        click.echo(f"bench: {exc}", err=True)
        sys.exit(exc.exit_code)
    sys.exit(ExitCode.DONE)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Measure greenpool beside PgBouncer and PostgreSQL itself."""


@cli.command()
@click.option("--quick", is_flag=True, help="Fewer cases, shorter: ends within three minutes.")
@click.option("--clients", metavar="N,...", help="Numbers of clients.")
@click.option("--modes", metavar="MODE,...", help="simple, extended.")
@click.option("--scripts", metavar="SCRIPT,...", help="select-only, select-x.")
@click.option("--seconds", type=click.FloatRange(0.5), help="Measured time of each run.")
@click.option("--rounds", type=click.IntRange(1), help="Turns of each contender in each case.")
@_workers_option
@_pgbouncer_option
@_postgres_option
def speed(
    quick: bool,
    clients: str | None,
    modes: str | None,
    scripts: str | None,
    seconds: float | None,
    rounds: int | None,
    workers: int,
    pgbouncer: str,
    postgres: int,
) -> None:
    """Compare transactions a second, latency, and CPU time per transaction."""
    preset = QUICK if quick else FULL
    plan = make_plan(
        read_list(scripts, Script, "script") if scripts else preset.scripts,
        read_list(modes, Mode, "mode") if modes else preset.modes,
        read_list(clients, positive, "number of clients") if clients else preset.clients,
        seconds or preset.seconds,
        rounds or preset.rounds,
    )
    with _contenders(workers, pgbouncer, postgres, plan.clients_max) as (cluster, poolers, about):
        click.echo(f"{about.text}\n\n{table.legend()}")
        _run_speed(plan, cluster, [Direct(cluster), *poolers], about)


@cli.command(name="memory")
@click.option("--clients", default="1000,2000,3000,4000,5000", show_default=True, metavar="N,...")
@_workers_option
@_pgbouncer_option
@_postgres_option
def memory_command(clients: str, workers: int, pgbouncer: str, postgres: int) -> None:
    """Compare the resident memory that idle clients add."""
    steps = sorted(read_list(clients, positive, "number of clients"))
    with _contenders(workers, pgbouncer, postgres, steps[-1]) as (_, poolers, about):
        click.echo(f"{about.text}\n\nPss of all processes; added bytes per idle client")
        readings: list[memory.Reading] = []
        for pooler in poolers:
            for each in memory.measure_memory(pooler, steps):
                readings.append(each)
                click.echo(
                    f"  {each.contender:<14}{each.clients:>6} clients"
                    f"{each.bytes_total / 1024:>12,.0f} KB{each.bytes_per_client:>10,.0f} B/client"
                )
        click.echo(f"\nsamples: {record.save(about, readings)}")


def _run_speed(
    plan: Plan, cluster: Cluster, taking_part: Sequence[Contender], about: record.Facts
) -> None:
    """Print each case when it is done; save what there is, also when a run fails."""
    samples: list[Sample] = []
    try:
        for case, measured in run_cases(plan, taking_part, partial(target, cluster)):
            samples += measured
            click.echo("\n" + table.render(case, figures.lines(measured)))
    finally:
        click.echo(f"\nsamples: {record.save(about, samples)}")


@contextmanager
def _contenders(
    workers: int, pgbouncer: str, postgres: int, clients: int
) -> Iterator[tuple[Cluster, list[Pooler], record.Facts]]:
    """Run PostgreSQL and all poolers; end them, and remove their files, on every way out."""
    memory.raise_file_limit(clients)
    if shutil.which(pgbouncer) is None:
        raise BenchError(f'no PgBouncer at "{pgbouncer}": install it, or name it by --pgbouncer')
    with _interruptible(), ExitStack() as stack:
        try:
            directory = Path(tempfile.mkdtemp(prefix="greenpool-bench-"))
            stack.callback(shutil.rmtree, directory)
            direct = min(clients, DIRECT_CLIENTS_MAX)
            cluster = start_server(stack, directory, postgres, direct)
            versions = [record.program_version(pgbouncer), cluster.installation.title]
            about = record.facts(sys.argv[1:], versions)
            poolers = [contenders.pgbouncer(cluster, pgbouncer)]
            poolers += [contenders.greenpool(cluster, count) for count in sorted({1, workers})]
            for each in poolers:
                stack.callback(each.stop)
                each.start()
            yield cluster, poolers, about
        finally:
            _ignore_signals()  # nothing disturbs the clean-up


@contextmanager
def _interruptible() -> Iterator[None]:
    """Unwind at SIGTERM and SIGHUP as at Ctrl-C: our children have sessions of their own."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {each: signal.signal(each, stop) for each in _STOP_SIGNALS}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def _ignore_signals() -> None:
    for each in _STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
