"""The command line of `scripts/bench`: read options, start everyone, measure, print, save."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import click

from benchmarks import chart, fairness, figures, memory, pause, plan, record, table
from benchmarks.contenders import Contender
from benchmarks.plan import FULL, NULL, NULL_QUICK, QUICK, Case, Mode, Plan, Scenario, Wish
from benchmarks.sample import Sample
from benchmarks.speed import run_cases
from benchmarks.stage import (
    Cast,
    Stage,
    cores,
    greenpool_stage,
    newest_pgbouncer,
    null_stage,
    postgres_stage,
)
from greenpool.config.choices import IoBackend
from greenpool.errors import ExitCode, GreenpoolError

_MEMORY_STEPS = "1000,2000,3000,4000,5000"
_MEMORY_STEPS_QUICK = (500,)

_Command = Callable[..., None]


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
    """Measure greenpool beside other poolers and the server itself."""


def _options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Join options that several commands have."""

    def decorate(command: _Command) -> _Command:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


def _read_io_backends(
    context: click.Context, option: click.Parameter, text: str
) -> tuple[IoBackend, ...]:
    return plan.read_list(text, IoBackend, "back end")


_cast_options = _options(
    click.option("--workers", default=max(2, cores()), show_default=True,
                 type=click.IntRange(1, 64), help="Workers of greenpool, beside a run with one."),
    click.option("--pgbouncer", default=newest_pgbouncer, metavar="BINARY",
                 help="The PgBouncer to compare with: that of scripts/pgbouncer, or Debian's."),
    click.option("--odyssey", metavar="BINARY", help="An Odyssey to compare with."),
    click.option("--pgdoorman", metavar="BINARY", help="A PgDoorman to compare with."),
    click.option("--io-backends", default=str(IoBackend.AUTO), show_default=True,
                 metavar="BACKEND,...", callback=_read_io_backends,
                 help=f"On which greenpool takes part: {plan.names(IoBackend)}."),
)  # fmt: skip

_quick_option = click.option("--quick", is_flag=True, help="Fewer cases, and shorter.")
_postgres_option = click.option(
    "--postgres", default=15, show_default=True, metavar="MAJOR", help="PostgreSQL's version."
)
_wish_options = _options(
    click.option("--clients", metavar="N,...", help="Numbers of clients."),
    click.option("--modes", metavar="MODE,...", help=f"{plan.names(Mode)}."),
    click.option("--seconds", type=click.FloatRange(0.5), help="Measured time of each run."),
    click.option("--rounds", type=click.IntRange(1), help="Turns of each contender in each case."),
)


@cli.command(name="all")
@_quick_option
@_cast_options
@_postgres_option
def all_command(quick: bool, postgres: int, **cast: Any) -> None:
    """Run speed, memory and null, one after the other; --quick ends within three minutes."""
    steps = _MEMORY_STEPS_QUICK if quick else _steps(_MEMORY_STEPS)
    _speed((QUICK if quick else FULL).plan(), Cast(**cast), postgres)
    _memory(steps, Cast(**cast), postgres)
    _null((NULL_QUICK if quick else NULL).plan(), Cast(**cast))


@cli.command()
@_quick_option
@click.option("--scenarios", metavar="SCENARIO,...", help=f"{plan.names(Scenario)}.")
@_wish_options
@click.option("--rate", type=click.IntRange(1), help="Transactions a second of open-loop.")
@click.option("--megabytes", type=click.IntRange(1), help="What is copied by copy-in and -out.")
@_cast_options
@_postgres_option
def speed(
    quick: bool,
    scenarios: str | None,
    rate: int | None,
    megabytes: int | None,
    clients: str | None,
    modes: str | None,
    seconds: float | None,
    rounds: int | None,
    postgres: int,
    **cast: Any,
) -> None:
    """Compare transactions a second, latency, and CPU time per transaction."""
    wish = _wish(QUICK if quick else FULL, clients, modes, seconds, rounds)
    if scenarios:
        wish = replace(wish, scenarios=plan.read_list(scenarios, Scenario, "scenario"))
    wish = replace(wish, rate=rate or wish.rate, megabytes=megabytes or wish.megabytes)
    _speed(wish.plan(), Cast(**cast), postgres)


@cli.command()
@_quick_option
@_wish_options
@_cast_options
def null(
    quick: bool,
    clients: str | None,
    modes: str | None,
    seconds: float | None,
    rounds: int | None,
    **cast: Any,
) -> None:
    """Compare poolers in front of a server that answers at once: each one's own ceiling."""
    wish = _wish(NULL_QUICK if quick else NULL, clients, modes, seconds, rounds)
    _null(wish.plan(), Cast(**cast))


@cli.command(name="memory")
@click.option("--clients", default=_MEMORY_STEPS, show_default=True, metavar="N,...")
@_cast_options
@_postgres_option
def memory_command(clients: str, postgres: int, **cast: Any) -> None:
    """Compare the memory that idle clients add."""
    _memory(_steps(clients), Cast(**cast), postgres)


@cli.command()
@click.option(
    "--rate",
    default=1000,
    show_default=True,
    type=click.IntRange(1),
    help="Queries a second that are due.",
)
@click.option("--clients", default=20, show_default=True, type=click.IntRange(1))
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(5),
    help="Of each run: an upgrade must fit into it.",
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--workers", default=max(2, cores()), show_default=True, type=click.IntRange(1, 64))
@_postgres_option
def upgrade(
    rate: int, clients: int, seconds: float, rounds: int, workers: int, postgres: int
) -> None:
    """Measure the pause that clients feel while greenpool is upgraded."""
    case = Case(Scenario.OPEN, Mode.SIMPLE, clients, rate)
    with greenpool_stage(workers, postgres, clients) as stage, pause.lineage(*stage.poolers) as one:
        click.echo(f"{stage.about.text}\n\n{case.title}: latency in ms, worst and 99.9 %")
        pauses: list[pause.Pause] = []
        for number in range(1, rounds + 1):
            pauses.append(pause.measure(one, case, seconds))
            for name, found in (("quiet", pauses[-1].quiet), ("upgrade", pauses[-1].upgraded)):
                worst, rare = found.max_ms, found.p999_ms
                click.echo(f"  round {number}  {name:<8}{worst:>10.1f}{rare:>10.1f}")
        worst = max(each.upgraded.max_ms for each in pauses)
        click.echo(f"\nworst of {rounds} upgrades: {worst:.1f} ms")
        click.echo(f"samples: {record.save(stage.about, pauses)}\n")


@cli.command(name="fairness")
@click.option("--clients", default=500, show_default=True, type=click.IntRange(2))
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(1))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--workers", default=max(2, cores()), show_default=True, type=click.IntRange(1, 64))
@_postgres_option
def fairness_command(
    clients: int, seconds: float, rounds: int, workers: int, postgres: int
) -> None:
    """Measure whether clients that wait are served alike, by one worker and by more."""
    waits: list[fairness.Fairness] = []
    for count in sorted({1, workers}):
        with greenpool_stage(count, postgres, clients, fairness.POOL_SIZE) as stage:
            click.echo(f"{stage.about.text}\n\n{clients} clients: wait in ms, 50 % and 99 %")
            for number in range(1, rounds + 1):
                found = fairness.measure(stage.poolers[0], clients, seconds)
                waits.append(found)
                click.echo(
                    f"  {found.contender}  round {number}{found.p50_ms:>10.1f}{found.p99_ms:>10.1f}"
                    f"{found.ratio:>8.2f}"
                )
            about = stage.about
    worst = max(each.ratio for each in waits)
    click.echo(f"\nworst ratio: {worst:.2f} (promised: {fairness.RATIO_MAX})")
    click.echo(f"samples: {record.save(about, waits)}\n")


def _wish(
    preset: Wish, clients: str | None, modes: str | None, seconds: float | None, rounds: int | None
) -> Wish:
    """Replace in a preset what the options say; they also say it for what needs few clients."""
    wish = replace(preset, seconds=seconds or preset.seconds, rounds=rounds or preset.rounds)
    if clients:
        counts = plan.read_list(clients, plan.positive, "number of clients")
        wish = replace(wish, clients=counts, few_clients=counts)
    if modes:
        wish = replace(wish, modes=plan.read_list(modes, Mode, "mode"))
    return wish


def _steps(clients: str) -> Sequence[int]:
    return sorted(plan.read_list(clients, plan.positive, "number of clients"))


def _speed(cases: Plan, cast: Cast, postgres: int) -> None:
    with postgres_stage(cast, postgres, cases.clients_max) as stage:
        _compare(cases, stage, [stage.direct, *stage.poolers])


def _null(cases: Plan, cast: Cast) -> None:
    with null_stage(cast, cases.clients_max) as stage:
        _compare(cases, stage, [stage.direct, *stage.poolers])


def _memory(steps: Sequence[int], cast: Cast, postgres: int) -> None:
    with postgres_stage(cast, postgres, steps[-1]) as stage:
        click.echo(f"{stage.about.text}\n\nPss of all processes; added bytes per idle client")
        readings: list[memory.Reading] = []
        for pooler in stage.poolers:
            for each in memory.measure_memory(pooler, steps):
                readings.append(each)
                click.echo(
                    f"  {each.contender:<22}{each.clients:>6} clients"
                    f"{each.bytes_total / 1024:>12,.0f} KB{each.bytes_per_client:>10,.0f} B/client"
                )
        click.echo(f"\nsamples: {record.save(stage.about, readings)}\n")


def _compare(cases: Plan, stage: Stage, taking_part: Sequence[Contender]) -> None:
    """Print each case when it is done; save what there is, also when a run fails."""
    click.echo(f"{stage.about.text}\n\n{table.legend()}")
    samples: list[Sample] = []
    measured: dict[plan.Case, list[figures.Line]] = {}
    try:
        for case, found in run_cases(cases, taking_part, stage.measure):
            samples += found
            measured[case] = figures.lines(found)
            click.echo("\n" + table.render(case, measured[case]))
    finally:
        picture = record.place(stage.about, "svg")
        picture.write_text(chart.draw(measured, stage.about.text))
        click.echo(f"\nsamples: {record.save(stage.about, samples)}\nchart:   {picture}\n")
