"""What /proc tells."""

from __future__ import annotations

import os
from pathlib import Path

from greenpool.observe.processes import PUMP, process_rows


def test_this_process_is_seen() -> None:
    (row,) = process_rows({("observer", ""): os.getpid()})
    assert (row.role, row.worker) == ("observer", "")
    assert row.cpu_s > 0
    assert row.resident_bytes > 1 << 20
    assert row.open_files > 2


def test_process_that_is_gone_is_left_out(tmp_path: Path) -> None:
    assert process_rows({("worker", "0"): 4711}, proc=tmp_path) == []


def test_pid_of_a_pump_may_have_become_anothers() -> None:
    assert process_rows({(PUMP, "1"): os.getpid()}) == []


def test_name_of_a_process_may_hold_anything(tmp_path: Path) -> None:
    directory = tmp_path / "4711"
    (directory / "fd").mkdir(parents=True)
    (directory / "fd" / "0").touch()
    numbers = " ".join(str(field) for field in range(4, 53))
    (directory / "stat").write_text(f"4711 (a) S 9 b)) S {numbers}\n")
    (row,) = process_rows({("worker", "0"): 4711}, proc=tmp_path)
    assert row.cpu_s == (14 + 15) / os.sysconf("SC_CLK_TCK")
    assert row.resident_bytes == 24 * os.sysconf("SC_PAGE_SIZE")
    assert row.open_files == 1
