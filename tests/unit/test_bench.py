"""The benchmarks' arithmetic, and one run of theirs against programs that only pretend.

What a figure is made of must be right before anybody compares it: which transactions belong to the
measured window, whose CPU time counts, what a ratio is a ratio of.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from benchmarks import cpu, figures, record, table
from benchmarks.errors import BenchError, PlanError
from benchmarks.memory import measure_memory
from benchmarks.plan import QUICK, Case, Mode, Script, make_plan, positive, read_list
from benchmarks.run import WARM_UP_S, Sample, Window, measure, percentile, read_latencies, summarize
from benchmarks.speed import order
from greenpool.demo.load import Target

CASE = Case(Script.SELECT_X, Mode.SIMPLE, 20)

SAMPLE = Sample(
    contender="pgbouncer",
    script="select-x",
    mode="simple",
    clients=20,
    round=0,
    seconds=1.0,
    transactions=1000,
    tps=1000.0,
    mean_ms=2.0,
    p50_ms=1.0,
    p99_ms=4.0,
    p999_ms=5.0,
    max_ms=6.0,
    cpu_us=20.0,
    cpu_s=(0.02,),
    log_share=1.0,
)

FAKE_PGBENCH = """\
#!{python}
import signal, sys, time
options = sys.argv[1:]
if {fails}:
    sys.exit("pgbench: error: client 3 aborted: the server has gone")
stopped = []
signal.signal(signal.SIGALRM, lambda *_: stopped.append(True))
prefix = options[options.index("--log-prefix") + 1]
print("pgbench (15.18)", file=sys.stderr)
print("progress: 1.0 s, 100.0 tps, lat 1.000 ms stddev 0.1", file=sys.stderr, flush=True)
with open(prefix + ".1", "w") as log:
    print(0, 0, 9999999, 0, int(time.time()) - 2, 0, file=log)  # while it warmed up
    number = 0
    while not stopped:
        number += 1
        now = time.time()
        print(0, number, 1500, 0, int(now), int(now % 1 * 1e6), file=log)
        time.sleep(0.002)
"""


class Idle:
    """A contender that is a process which does nothing."""

    name = "idle"
    port = 1

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def usage(self) -> cpu.Usage:
        return cpu.usage(self.pid)

    def log_tail(self) -> str:
        return "the log of idle"


def _target(tmp_path: Path, fails: bool = False) -> Target:
    program = tmp_path / "pgbench"
    program.write_text(FAKE_PGBENCH.format(python=sys.executable, fails=fails))
    program.chmod(0o755)
    return Target(str(program), "127.0.0.1", 1, "bench", "", "bench")


# -- plan -----------------------------------------------------------------------------------------


def test_plan_combines_everything_and_keeps_client_counts_together() -> None:
    plan = make_plan([Script.SELECT_X], [Mode.SIMPLE, Mode.EXTENDED], [1, 20], 2, 3)
    assert [(each.mode, each.clients) for each in plan.cases] == [
        (Mode.SIMPLE, 1),
        (Mode.SIMPLE, 20),
        (Mode.EXTENDED, 1),
        (Mode.EXTENDED, 20),
    ]
    assert plan.clients_max == 20


def test_quick_ends_within_three_minutes() -> None:
    """Four contenders; half a second around each run, and ten to start everything."""
    runs = len(QUICK.scripts) * len(QUICK.modes) * len(QUICK.clients) * QUICK.rounds * 4
    assert 10 + runs * (WARM_UP_S + QUICK.seconds + 0.5) < 150


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1,,2"])
def test_read_list_names_what_is_wrong(text: str) -> None:
    with pytest.raises(PlanError, match="is no number of clients"):
        read_list(text, positive, "number of clients")


def test_read_list_reads_enums() -> None:
    assert read_list("extended, simple", Mode, "mode") == (Mode.EXTENDED, Mode.SIMPLE)


def test_order_is_reversed_in_every_second_round() -> None:
    assert order("AB", 0) == ["A", "B"]
    assert order("AB", 1) == ["B", "A"]


# -- CPU ------------------------------------------------------------------------------------------


def test_usage_counts_a_process_and_its_children() -> None:
    """The child burns 0.2 s of CPU by its own clock; the parent waits for it."""
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = cpu.usage(process.pid)
        process.communicate(b"\n")
    assert len(used) == 2
    assert 0.2 <= sum(used.values()) < 1
    assert used[process.pid] < 0.2


def test_usage_agrees_with_the_processs_own_clock() -> None:
    before = time.process_time()
    used = cpu.usage(os.getpid())[os.getpid()]
    assert before <= used <= time.process_time()


def test_usage_refuses_a_process_that_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(BenchError, match="has ended"):
        cpu.usage(process.pid)


def test_spent_refuses_when_a_process_was_replaced() -> None:
    assert cpu.spent({1: 1.0, 2: 5.0}, {1: 1.5, 2: 5.25}) == 0.75
    with pytest.raises(BenchError, match="came or went"):
        cpu.spent({1: 1.0, 2: 5.0}, {1: 1.5, 3: 0.25})


# -- one run --------------------------------------------------------------------------------------


def test_read_latencies_takes_what_ended_within_the_window() -> None:
    lines = [
        "0 1 100 0 999 999999",
        "1 1 300 0 1000 0",
        "0 2 200 0 1001 499999",
        "0 3 400 0 1001 500000",
        "0 4 500 0 1001 600000 7",  # a run with a fixed rate logs a seventh field
    ]
    assert read_latencies(iter(lines), 1000.0, 1001.5) == [200, 300]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_percentile_of_one_value() -> None:
    assert percentile([7], 0.5) == percentile([7], 0.99) == 7


def test_summarize_scales_a_sampled_log_to_all_transactions() -> None:
    window = Window(10.0, 12.0, {1: 1.0, 2: 0.0}, {1: 1.5, 2: 0.5})
    sample = summarize("pgbouncer", CASE, 1, window, [1000, 2000, 3000, 4000], share=0.5)
    assert (sample.transactions, sample.tps, sample.mean_ms) == (8, 4.0, 2.5)
    assert sample.cpu_us == pytest.approx(1e6 / 8)
    assert sample.cpu_s == (0.5, 0.5)


def test_summarize_leaves_the_cpu_out_where_nobody_pools() -> None:
    sample = summarize("direct", CASE, 0, Window(0, 1, {}, {}), [1000], share=1)
    assert sample.cpu_us is None


def test_measure_counts_only_the_window(tmp_path: Path) -> None:
    """The fake pgbench logs a slow transaction before the window, then one every 2 ms."""
    sample = measure(Idle(os.getpid()), _target(tmp_path), CASE, 0.2, 0)
    assert sample.seconds >= 0.2
    assert 1 <= sample.transactions <= sample.seconds * 500 + 1
    assert sample.p50_ms == sample.max_ms == sample.mean_ms == 1.5
    assert sample.cpu_us is not None
    assert sample.cpu_us > 0


def test_measure_tells_what_both_sides_said(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"(?s)idle, select-x.*client 3 aborted.*the log of idle"):
        measure(Idle(os.getpid()), _target(tmp_path, fails=True), CASE, 0.2, 0)


# -- memory ---------------------------------------------------------------------------------------


class Pretending(Idle):
    """A contender in this process: accepts everybody and is always ready."""

    def __init__(self, says: bytes = b"Z\0\0\0\x05I", pid: int | None = None) -> None:
        super().__init__(pid or os.getpid())
        self._says = says
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=20)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def usage(self) -> cpu.Usage:
        return {self.pid: 0.0}  # without the servers of other tests, which are below us too

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listener, *self.connections):
            each.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener has been shut down
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                for _ in ("login", "query"):
                    connection.recv(4096)
                    connection.sendall(self._says)


def test_memory_is_read_at_each_number_of_clients() -> None:
    with Pretending() as pooler:
        readings = list(measure_memory(pooler, [2, 5]))
    assert [each.clients for each in readings] == [2, 5]
    assert len(pooler.connections) == 6  # the first one is part of what is there without clients
    assert all(each.bytes_total > 1_000_000 for each in readings)


def test_memory_tells_when_a_process_has_ended() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie until we wait for it
    with Pretending(pid=child.pid) as pooler, pytest.raises(BenchError, match="has ended"):
        list(measure_memory(pooler, [1]))
    child.wait()


def test_memory_tells_when_a_client_is_refused() -> None:
    class Refusing(Pretending):
        def _serve(self) -> None:
            self.connections.append(self._listener.accept()[0])
            self.connections[0].recv(4096)
            self.connections[0].close()

    with Refusing() as pooler, pytest.raises(BenchError, match=r"(?s)idle: .*closed.*log of idle"):
        list(measure_memory(pooler, [1]))


# -- what is said ---------------------------------------------------------------------------------


def test_ratios_are_taken_within_rounds() -> None:
    """A machine half as fast in the second round changes no ratio."""
    ours = replace(SAMPLE, contender="greenpool-2w", tps=1500.0, mean_ms=1.0, cpu_us=10.0)
    samples = [
        SAMPLE,
        replace(SAMPLE, tps=500.0, mean_ms=4.0, cpu_us=40.0, round=1),
        ours,
        replace(ours, tps=750.0, mean_ms=2.0, cpu_us=20.0, round=1),
    ]
    reference, line = figures.lines(samples)
    assert reference.tps_ratio is None
    assert reference.tps == figures.Spread(750.0, 1 / 3)
    assert line.tps_ratio == figures.Spread(1.5, 0.0)
    assert line.mean_ratio == figures.Spread(0.5, 0.0)
    assert line.cpu_ratio == figures.Spread(0.5, 0.0)


def test_lines_without_a_reference_have_no_ratios() -> None:
    (line,) = figures.lines([replace(SAMPLE, contender="greenpool-1w")])
    assert (line.tps_ratio, line.cpu_ratio) == (None, None)


def test_table_aligns_and_marks_what_is_missing() -> None:
    direct = replace(SAMPLE, contender="direct", tps=2000.0, cpu_us=None)
    text = table.render(CASE, figures.lines([direct, SAMPLE]))
    title, head, first, second = text.splitlines()
    assert title == "select-x, simple, 20 clients"
    assert len(head) == len(first) == len(second)
    assert "2,000" in first
    assert "2.00" in first
    assert first.split()[-1] == "-"


def test_record_keeps_every_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "DIRECTORY", tmp_path / "build" / "bench")
    about = record.facts(["speed", "--quick"], ["PgBouncer 1.18.0"])
    assert "scripts/bench speed --quick" in about.text
    assert "PgBouncer 1.18.0" in about.text
    path = record.save(about, [SAMPLE])
    assert path.suffix == ".json"
    assert '"contender": "pgbouncer"' in path.read_text()
