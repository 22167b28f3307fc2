"""What a transaction may cost the relay: figures counted by callgrind, compared with budgets.

    gauge (C) --callgrind--> instructions, system calls --+
          \\--------------------> allocations --------------+--> Cost --> Verdict <-- budgets.toml

Each exchange is run twice, and the cost is the difference of the long run and the short one: what
comes before the steady state is in both. Nothing here depends on time or on the machine's load; it
does depend on the compiler, so budgets name theirs, and another's figures are shown, not judged.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.record import ROOT
from greenpool.errors import ExitCode, GreenpoolError

BUDGETS = ROOT / "benchmarks" / "budgets.toml"
GAUGE = ROOT / "build" / "bench-tools" / "gauge"

TOLERANCE = 0.02
"""A figure may be so much above its budget: what a change elsewhere does to the code's layout."""

SMALL = 0.005
"""Nor does a difference count that is less than this: budgets are written with two decimals."""

_SHORT = 1000
_LONG = 3000
"""Transactions of the two runs; what happens once in a thousand is still seen."""

# The library would choose its memcpy by the processor that it finds.
_PLAIN_PROCESSOR = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX2_Usable,-ERMS,-FSRM,"
    "-AVX_Fast_Unaligned_Load"
}

_HEAD = """\
# What a transaction may cost the relay; scripts/budget counts and compares, `scripts/budget write`
# writes this file. A higher figure needs its reason in the commit's message.
"""


class Crowd(Enum):
    """How many workers, how many clients, how many servers that they share."""

    ALONE = (1, 1, 1)  # one event a wait
    PACKED = (2, 1, 1)  # ... beside a worker that has nothing to do
    CROWD = (1, 40, 20)  # batches; who asks finds an idle server
    QUEUE = (1, 100, 20)  # ... none: hand-overs within the worker
    SHARED = (2, 40, 20)  # ... and between workers

    @property
    def key(self) -> str:
        return self.name.lower()


LOGIN = "login"
"""A client comes, logs in by SCRAM, is welcomed and leaves; nobody else is there."""

_COUNTED = (
    "gp_engine_step",
    "play_aside",
)
"""Where counting is switched on, and within it off: the step, and the peers' turn."""

EXCHANGES = ("simple", "extended", "prepared", "pipelined", "transaction")


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what one transaction costs, or may cost."""

    instructions: float
    system_calls: float
    allocations: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Hold what one run of the gauge has used up."""

    transactions: int
    instructions: int
    system_calls: int
    allocations: int


@dataclass(frozen=True, slots=True)
class Budgets:
    """Hold the costs by "crowd.exchange", and the compiler that they are good for."""

    compiler: str
    costs: Mapping[str, Cost]


class Verdict(Enum):
    """What a figure is, beside its budget."""

    WITHIN = "within"
    ABOVE = "ABOVE"
    BELOW = "below"


def judge(figure: float, budget: float) -> Verdict:
    """Compare one figure with its budget."""
    room = max(TOLERANCE * budget, SMALL)
    if figure > budget + room:
        return Verdict.ABOVE
    return Verdict.BELOW if figure < budget - room else Verdict.WITHIN


def cost_between(short: Totals, long: Totals) -> Cost:
    """Return the cost of one of the transactions that the long run has more."""
    count = long.transactions - short.transactions
    return Cost(
        round((long.instructions - short.instructions) / count),
        round((long.system_calls - short.system_calls) / count, 2),
        round((long.allocations - short.allocations) / count, 2),
    )


def read_budgets(text: str) -> Budgets:
    """Read budgets.toml. Raises: BenchError when it is not as `write_budgets` makes it."""
    try:
        content = tomllib.loads(text)
        compiler = str(content.pop("compiler"))
        costs = {
            f"{crowd}.{exchange}": Cost(**cost)
            for crowd, exchanges in content.items()
            for exchange, cost in exchanges.items()
        }
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise BenchError(f"{BUDGETS.name} cannot be read: {exc}") from exc
    return Budgets(compiler, costs)


def write_budgets(budgets: Budgets) -> str:
    """Write them as `read_budgets` reads them."""
    lines = [_HEAD, f'compiler = "{budgets.compiler}"']
    for key, cost in budgets.costs.items():
        lines += ["", f"[{key}]", *(f"{name} = {each:g}" for name, each in asdict(cost).items())]
    return "\n".join(lines) + "\n"


def report(measured: Mapping[str, Cost], budgets: Budgets) -> tuple[list[str], bool]:
    """Draw the table; False: a figure is above its budget, or has none, or a budget no figure."""
    lines = [f"{'':<22}{'instructions':>24}{'system calls':>24}{'allocations':>24}"]
    good = measured.keys() == budgets.costs.keys()
    for key, cost in measured.items():
        budget = budgets.costs.get(key)
        cells = [_cell(figure, budget, name) for name, figure in asdict(cost).items()]
        good = good and not any(verdict is Verdict.ABOVE for _, verdict in cells)
        lines.append(f"{key:<22}" + "".join(f"{text:>24}" for text, _ in cells))
    lines += [f"{key}: measured no more" for key in budgets.costs.keys() - measured.keys()]
    return lines, good


def _cell(figure: float, budget: Cost | None, name: str) -> tuple[str, Verdict]:
    if budget is None:
        return f"{figure:g} (no budget)", Verdict.ABOVE
    allowed = getattr(budget, name)
    verdict = judge(figure, allowed)
    if verdict is Verdict.WITHIN:
        return f"{figure:g}", verdict
    return f"{figure:g} {verdict.value} {allowed:g}", verdict


def main(arguments: Sequence[str]) -> ExitCode:
    """Measure everything, then check or write."""
    if len(arguments) != 1 or arguments[0] not in ("check", "write"):
        print("usage: scripts/budget [check|write]", file=sys.stderr)
        return ExitCode.USAGE
    compiler = _compiler()
    measured = measure_all()
    if arguments[0] == "write":
        BUDGETS.write_text(write_budgets(Budgets(compiler, measured)))
    return _check(measured, compiler)


def _check(measured: Mapping[str, Cost], compiler: str) -> ExitCode:
    budgets = read_budgets(BUDGETS.read_text())
    lines, good = report(measured, budgets)
    print("\n".join(lines))
    where = BUDGETS.relative_to(ROOT)
    if compiler != budgets.compiler:
        print(f"budget: not judged: made with {compiler}, {where} is for {budgets.compiler}")
        return ExitCode.DONE
    if not good:
        print(f"budget: the relay costs more than {where} allows")
        return ExitCode.FAILED
    if any(Verdict.BELOW.value in line for line in lines):
        print(f"budget: well below {where}: keep what was gained by `scripts/budget write`")
    return ExitCode.DONE


def cases_of_all() -> list[tuple[Crowd, str]]:
    """List what is counted."""
    cases = [(crowd, exchange) for crowd in Crowd for exchange in EXCHANGES]
    return [*cases, (Crowd.ALONE, LOGIN)]


def measure_all() -> dict[str, Cost]:
    """Count every exchange, as many at a time as there are cores. Raises: BenchError."""
    cases = cases_of_all()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        costs = threads.map(lambda case: measure(*case), cases)
        return {f"{c.key}.{x}": cost for (c, x), cost in zip(cases, costs, strict=True)}


def measure(crowd: Crowd, exchange: str) -> Cost:
    """Count one exchange. Raises: BenchError with what the gauge said."""
    return cost_between(_run(crowd, exchange, _SHORT), _run(crowd, exchange, _LONG))


def _run(crowd: Crowd, exchange: str, transactions: int) -> Totals:
    with tempfile.TemporaryDirectory(prefix="greenpool-budget-") as name:
        out = Path(name) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}"]
        command += ["--collect-systime=yes"]
        command += [f"--toggle-collect={each}" for each in _COUNTED]
        command += [str(GAUGE), exchange, *map(str, crowd.value), str(transactions)]
        done = subprocess.run(
            command, env={**os.environ, **_PLAIN_PROCESSOR}, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise BenchError(f"{exchange}, {crowd.key}: {done.stderr.strip()}")
        return read_totals(out.read_text().splitlines(), done.stdout)


def read_totals(callgrind: Iterable[str], said: str) -> Totals:
    """Read callgrind's file and what the gauge printed. Source: Valgrind, "Callgrind Format"."""
    fields = dict(each.split(": ", 1) for each in callgrind if ": " in each)
    counted = dict(zip(fields["events"].split(), map(int, fields["summary"].split()), strict=True))
    printed = {name: int(count) for name, count in (each.split("=") for each in said.split())}
    return Totals(
        transactions=printed["transactions"],
        instructions=counted["Ir"],
        system_calls=counted["sysCount"] - printed["others"],
        allocations=printed["allocations"],
    )


def _compiler() -> str:
    """Name the compiler as far as its code depends on it: the program and its major version."""
    name = os.environ.get("CC", "gcc")
    done = subprocess.run([name, "-dumpversion"], check=True, capture_output=True, text=True)
    return f"{name} {done.stdout.strip().partition('.')[0]}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except GreenpoolError as exc:
        print(f"budget: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
