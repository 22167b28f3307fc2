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
from typing import Any, Self
from xml.etree import ElementTree

import pytest
import yaml

from benchmarks import chart, configs, cpu, figures, load, pgbench, record, table
from benchmarks.contenders import Direct, Pooler, Settings
from benchmarks.drivers import before_postgres
from benchmarks.errors import BenchError, PlanError
from benchmarks.memory import measure_memory
from benchmarks.plan import (
    FULL,
    NULL_QUICK,
    QUICK,
    Case,
    Mode,
    Scenario,
    positive,
    read_list,
)
from benchmarks.sample import Latency, Outcome, Sample, Window, make_sample, percentile
from benchmarks.server import SCRAM_SECRET, Backend
from benchmarks.speed import order
from benchmarks.stage import Cast
from greenpool.config.choices import IoBackend
from greenpool.demo.load import Target

CASE = Case(Scenario.SELECT_X, Mode.SIMPLE, 20)
COPY = Case(Scenario.COPY_OUT, Mode.SIMPLE, 1, 64)

SAMPLE = Sample(
    contender="pgbouncer",
    scenario="select-x",
    mode="simple",
    clients=20,
    size=0,
    round=0,
    seconds=1.0,
    count=1000,
    per_s=1000.0,
    latency=Latency(mean_ms=2.0, p50_ms=1.0, p99_ms=4.0, p999_ms=5.0, max_ms=6.0),
    cpu_us=20.0,
    cpu_s=(0.02,),
)


def _with_mean(sample: Sample, mean_ms: float, **changes: Any) -> Sample:
    assert sample.latency is not None
    return replace(sample, latency=replace(sample.latency, mean_ms=mean_ms), **changes)


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

    def takes_part(self, case: Case) -> bool:
        return True

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


def test_plan_keeps_client_counts_together() -> None:
    wish = replace(
        QUICK, scenarios=(Scenario.SELECT_X, Scenario.COPY_IN), clients=(1, 20), megabytes=5
    )
    assert wish.plan().cases == (
        Case(Scenario.SELECT_X, Mode.SIMPLE, 1),
        Case(Scenario.SELECT_X, Mode.SIMPLE, 20),
        Case(Scenario.SELECT_X, Mode.EXTENDED, 1),
        Case(Scenario.SELECT_X, Mode.EXTENDED, 20),
        Case(Scenario.COPY_IN, Mode.SIMPLE, 1, 5),
    )
    assert wish.plan().clients_max == 20


def test_builtin_script_has_no_pipelines() -> None:
    wish = replace(FULL, scenarios=(Scenario.SELECT_ONLY,), clients=(1,))
    assert [each.mode for each in wish.plan().cases] == [m for m in Mode if m is not Mode.PIPELINED]


def test_quick_ends_within_three_minutes() -> None:
    """Four contenders; half a second around each run; copies, and starting everyone, 25 s."""
    turns = [case for wish in (QUICK, NULL_QUICK) for case in wish.plan().cases * wish.rounds]
    runs = 4 * sum(not case.scenario.is_copy for case in turns)
    assert 25 + runs * (pgbench.WARM_UP_S + QUICK.seconds + 0.5) < 180


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
    assert pgbench.read_latencies(iter(lines), 1000.0, 1001.5) == [200, 300]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_percentile_of_one_value() -> None:
    assert percentile([7], 0.5) == percentile([7], 0.99) == 7


def test_sample_relates_to_time_and_cpu() -> None:
    window = Window(10.0, 12.0, {1: 1.0, 2: 0.0}, {1: 1.5, 2: 0.5})
    sample = make_sample("pgbouncer", CASE, 1, Outcome(window, 8, None, log_share=0.5))
    assert (sample.count, sample.per_s, sample.latency, sample.case) == (8, 4.0, None, CASE)
    assert sample.cpu_us == pytest.approx(1e6 / 8)
    assert sample.cpu_s == (0.5, 0.5)


def test_sample_leaves_the_cpu_out_where_nobody_pools() -> None:
    assert make_sample("direct", CASE, 0, Outcome(Window(0, 1, {}, {}), 1, None)).cpu_us is None


def test_pgbench_counts_only_the_window(tmp_path: Path) -> None:
    """The fake pgbench logs a slow transaction before the window, then one every 2 ms."""
    outcome = pgbench.measure(Idle(os.getpid()), _target(tmp_path), CASE, 0.2)
    assert outcome.window.seconds >= 0.2
    assert 1 <= outcome.count <= outcome.window.seconds * 500 + 1
    assert outcome.latency is not None
    assert outcome.latency.p50_ms == outcome.latency.max_ms == outcome.latency.mean_ms == 1.5
    assert cpu.spent(outcome.window.before, outcome.window.after) > 0


def test_failure_tells_what_both_sides_said(tmp_path: Path) -> None:
    measure = before_postgres(lambda port, user: _target(tmp_path, fails=True))
    with pytest.raises(BenchError, match=r"(?s)idle, select-x.*client 3 aborted.*the log of idle"):
        measure(Idle(os.getpid()), CASE, 0.2, 0)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (CASE, ["\\set x", "select :x;"]),
        (Case(Scenario.SELECT_X, Mode.PIPELINED, 1), ["\\startpipeline", "\\endpipeline"]),
        (Case(Scenario.RESULT, Mode.SIMPLE, 1), ["repeat('x', 1048576)"]),
    ],
)
def test_script_of_a_case(case: Case, words: list[str]) -> None:
    text = pgbench.script_of(case)
    assert text is not None
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    ("clients", "expected"), [(100, (1.0, 2.0)), (4000, (2.0, 4.0)), (10_000, (5.0, 10.0))]
)
def test_many_clients_are_measured_for_longer(clients: int, expected: tuple[float, float]) -> None:
    assert load.stretch(clients, 2.0) == expected


def test_load_without_an_answer_is_an_error() -> None:
    with pytest.raises(BenchError, match="no transaction"):
        load.read_outcome('{"transactions": 0}', Window(0, 1, {}, {}))


# -- who takes part -------------------------------------------------------------------------------


def test_encrypted_clients_are_as_many_as_pgbench_drives() -> None:
    wish = replace(
        QUICK, scenarios=(Scenario.SELECT_X_TLS,), modes=(Mode.PIPELINED,), clients=(1, 500, 2000)
    )
    cases = wish.plan().cases
    assert cases == tuple(Case(Scenario.SELECT_X_TLS, Mode.PIPELINED, n) for n in (1, 500))
    assert not any(Direct(5).takes_part(each) for each in cases)


def test_direct_takes_no_more_clients_than_postgres_has_connections() -> None:
    direct = Direct(5)
    assert direct.takes_part(CASE)
    assert not direct.takes_part(replace(CASE, scenario=Scenario.RECONNECT_TLS))
    assert not direct.takes_part(replace(CASE, clients=2000))


def test_pooler_without_prepared_statements_leaves_them_out(tmp_path: Path) -> None:
    modes = frozenset({Mode.SIMPLE})
    pooler = Pooler(Settings("old", ("true",), tmp_path, 1, modes=modes))
    assert pooler.takes_part(CASE)
    assert not pooler.takes_part(replace(CASE, scenario=Scenario.RECONNECT_TLS))
    assert not pooler.takes_part(replace(CASE, mode=Mode.PREPARED))


@pytest.mark.parametrize(
    ("title", "prepares"), [("PgBouncer 1.18.0", False), ("PgBouncer 1.24.1", True)]
)
def test_pgbouncer_prepares_from_1_21_on(title: str, prepares: bool, tmp_path: Path) -> None:
    program = tmp_path / "pgbouncer"
    program.write_text(f"#!/bin/sh\necho {title}\n")
    program.chmod(0o755)
    pooler = configs.pgbouncer(Backend("null", 1, tmp_path), str(program))
    assert pooler.takes_part(replace(CASE, mode=Mode.PREPARED)) == prepares
    assert ("max_prepared_statements" in (tmp_path / "pgbouncer.ini").read_text()) == prepares


def test_every_pooler_knows_both_users_the_server_and_its_port(tmp_path: Path) -> None:
    backend = Backend("null", 5433, tmp_path)
    poolers = [
        configs.odyssey(backend, "/bin/true", 2),
        configs.pgdoorman(backend, "/bin/true", 2),
        configs.pgbouncer(backend, "/bin/true"),
        configs.greenpool(backend, 2),
    ]
    files = "".join(path.read_text() for path in tmp_path.iterdir())
    assert files.count(SCRAM_SECRET) == len(poolers)
    for pooler in poolers:
        (config,) = [each for each in pooler.settings.command if str(tmp_path) in each]
        text = Path(config).read_text()
        assert all(
            word in text for word in (str(pooler.port), "5433", "bench", "transaction", "20")
        )


def test_greenpool_takes_part_on_each_back_end_with_each_number_of_workers(tmp_path: Path) -> None:
    backends = (IoBackend.AUTO, IoBackend.EPOLL)
    cast = Cast(2, "/bin/true", odyssey=None, pgdoorman=None, io_backends=backends)
    poolers = cast.poolers(Backend("null", 5433, tmp_path))[1:]
    names = [each.name for each in poolers]
    assert names == [
        *("greenpool-1w", "greenpool-2w"),
        *("greenpool-1w-epoll", "greenpool-2w-epoll"),
    ]
    configured = [yaml.safe_load((tmp_path / f"{name}.yaml").read_text()) for name in names]
    chosen = [each["general"]["io_backend"] for each in configured]
    assert chosen == ["auto", "auto", "epoll", "epoll"]


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
    ours = _with_mean(SAMPLE, 1.0, contender="greenpool-2w", per_s=1500.0, cpu_us=10.0)
    samples = [
        SAMPLE,
        _with_mean(SAMPLE, 4.0, per_s=500.0, cpu_us=40.0, round=1),
        ours,
        _with_mean(ours, 2.0, per_s=750.0, cpu_us=20.0, round=1),
    ]
    reference, line = figures.lines(samples)
    assert reference.per_s_ratio is None
    assert reference.per_s == figures.Spread(750.0, 1 / 3)
    assert line.per_s_ratio == figures.Spread(1.5, 0.0)
    assert line.mean_ratio == figures.Spread(0.5, 0.0)
    assert line.cpu_ratio == figures.Spread(0.5, 0.0)


def test_lines_without_a_reference_have_no_ratios() -> None:
    (line,) = figures.lines([replace(SAMPLE, contender="greenpool-1w")])
    assert (line.per_s_ratio, line.cpu_ratio) == (None, None)


def test_latency_is_added_to_that_of_the_server_alone_within_rounds() -> None:
    direct = _with_mean(SAMPLE, 0.1, contender="direct", cpu_us=None)
    samples = [
        direct,
        _with_mean(direct, 0.3, round=1),
        _with_mean(SAMPLE, 0.15, cpu_us=12.0),
        _with_mean(SAMPLE, 0.37, cpu_us=12.0, round=1),
    ]
    alone, line = figures.lines(samples)
    assert (alone.added_us, alone.cores) == (None, None)
    assert line.added_us is not None
    assert line.added_us.median == pytest.approx(60.0)
    assert line.cores is not None
    assert line.cores.median == pytest.approx(0.12)


def test_table_aligns_and_marks_what_is_missing() -> None:
    direct = replace(SAMPLE, contender="direct", per_s=2000.0, cpu_us=None)
    text = table.render(CASE, figures.lines([direct, SAMPLE]))
    title, head, first, second = text.splitlines()
    assert title == "select-x, simple, 20 clients"
    assert len(head) == len(first) == len(second)
    assert "2,000" in first
    assert "2.00" in first
    assert first.split()[-1] == "-"


def test_table_of_a_copy_has_megabytes_and_memory() -> None:
    sample = replace(SAMPLE, latency=None, per_s=300.0, cpu_us=600.0, grown_bytes=3 << 20)
    _, head, line = table.render(COPY, figures.lines([sample])).splitlines()
    assert head.split() == ["MB/s", "CPU", "us/MB", "MB", "more", "x", "MB/s", "x", "CPU"]
    assert line.split() == [
        "pgbouncer",
        "300",
        "±",
        "0%",
        "600",
        "±",
        "0%",
        "3.0",
        "±",
        "0%",
        "-",
        "-",
    ]


def test_table_tells_what_was_not_answered() -> None:
    (line,) = figures.lines([replace(SAMPLE, unanswered=1234)])
    assert table.render(CASE, [line]).endswith("1,234 unanswered")


def test_chart_has_a_panel_for_each_mode_and_none_for_copies() -> None:
    pictures = {
        replace(CASE, mode=mode, clients=clients): figures.lines([SAMPLE])
        for mode in (Mode.SIMPLE, Mode.PREPARED)
        for clients in (1, 20)
    }
    root = ElementTree.fromstring(chart.draw({**pictures, COPY: []}, "a <b>\nc"))
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:2] == ["a <b>", "c"]
    assert [each for each in texts if each and "select-x" in each] == [
        "select-x, simple",
        "select-x, prepared",
    ]
    lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2 * 3
    assert all(len((line.get("points") or "").split()) == 2 for line in lines)


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.013, 0.02), (1, 1), (5, 6), (61, 80), (81, 100), (25417, 40000)]
)
def test_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert chart.nice_top(value) == pytest.approx(top)


def test_record_keeps_every_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "DIRECTORY", tmp_path / "build" / "bench")
    about = record.facts(["speed", "--quick"], ["PgBouncer 1.18.0"])
    assert "scripts/bench speed --quick" in about.text
    assert "PgBouncer 1.18.0" in about.text
    path = record.save(about, [SAMPLE])
    assert path.suffix == ".json"
    assert '"contender": "pgbouncer"' in path.read_text()
