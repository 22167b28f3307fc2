from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from greenpool.demo.errors import DemoError
from greenpool.demo.load import Figures, Target, fill, read_figures, running_load


def _target(directory: Path, script: str) -> Target:
    """Return a target whose pgbench is a Python script."""
    program = directory / "pgbench"
    program.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    program.chmod(0o755)
    return Target(str(program), "127.0.0.1", 1, "demo", "secret", "demo")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "progress: 2.0 s, 15312.4 tps, lat 1.304 ms stddev 0.611, 0 failed",
            Figures(2.0, 15312.4, 1.304),
        ),
        ("progress: 1.0 s, 77.0 tps, lat 0.9 ms stddev 0.1", Figures(1.0, 77.0, 0.9)),
        ("pgbench (18.6)", None),
        ("pgbench: error: progress: 1.0 s", None),
        ("", None),
    ],
)
def test_read_figures_takes_progress_reports_only(line: str, expected: Figures | None) -> None:
    assert read_figures(line) == expected


def test_read_figures_of_a_second_without_transactions() -> None:
    figures = read_figures("progress: 3.0 s, 0.0 tps, lat NaN ms stddev NaN, 0 failed")
    assert figures is not None
    assert figures.transactions_per_s == 0
    assert math.isnan(figures.latency_ms)


def test_running_load_yields_each_report(tmp_path: Path) -> None:
    report = "progress: 1.0 s, 10.0 tps, lat 1.0 ms stddev 0.1, 0 failed"
    target = _target(
        tmp_path, f"print('starting', file=sys.stderr)\nprint({report!r}, file=sys.stderr)"
    )
    with running_load(target, clients=2, seconds=1) as reports:
        assert list(reports) == [Figures(1.0, 10.0, 1.0)]


def test_running_load_tells_why_pgbench_failed(tmp_path: Path) -> None:
    target = _target(tmp_path, "sys.exit('pgbench: error: no such table')")
    with (
        pytest.raises(DemoError, match="no such table"),
        running_load(target, clients=2, seconds=1) as reports,
    ):
        list(reports)


def test_running_load_ends_pgbench_with_its_block(tmp_path: Path) -> None:
    script = f"""
import os, time
print('progress: 1.0 s, 1.0 tps, lat 1.0 ms', file=sys.stderr, flush=True)
open({str(tmp_path / "pid")!r}, 'w').write(str(os.getpid()))
print('progress: 2.0 s, 1.0 tps, lat 1.0 ms', file=sys.stderr, flush=True)
time.sleep(60)
"""
    with running_load(_target(tmp_path, script), clients=2, seconds=60) as reports:
        assert [next(reports).at_s, next(reports).at_s] == [1.0, 2.0]
        pid = int((tmp_path / "pid").read_text())
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_fill_tells_why_pgbench_failed(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="connection refused"):
        fill(_target(tmp_path, "sys.exit('connection refused')"))
