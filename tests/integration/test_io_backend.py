"""Which back end workers use: as configured, as found, as refused by the kernel's own means."""

from __future__ import annotations

import subprocess
import sys

import pytest

from greenpool.engine import io_uring_refusal
from tests.integration.conftest import MakePooler

PROGRAM = """
import ctypes, runpy, struct, sys

# Refuse io_uring_setup with EPERM, as Docker's profile does: a filter of four instructions.
libc = ctypes.CDLL(None, use_errno=True)
code = b"".join(struct.pack("HBBI", *each) for each in [
    (0x20, 0, 0, 0),             # load the number of the call
    (0x15, 0, 1, 425),           # io_uring_setup?
    (0x06, 0, 0, 0x00050001),    # fail: EPERM
    (0x06, 0, 0, 0x7FFF0000),    # allow
])
program = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer := ctypes.create_string_buffer(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program) == 0, ctypes.get_errno()
sys.argv = ["greenpool", *sys.argv[1:]]
runpy.run_module("greenpool", run_name="__main__")
"""


@pytest.mark.parametrize("wanted", ["epoll", "io_uring"])
def test_configured_back_end_is_used_and_shown(make_pooler: MakePooler, wanted: str) -> None:
    if wanted == "io_uring" and io_uring_refusal():
        pytest.skip("this machine has no io_uring")
    pooler = make_pooler(2, io_backend=wanted)
    assert [row["io_backend"] for row in pooler.admin("SHOW WORKERS")] == [wanted, wanted]
    assert f"workers: 2 ({wanted})" in pooler.log()
    with pooler.connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def _forbidden(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_forbidden_io_uring_is_said_and_by_name_refused(make_pooler: MakePooler) -> None:
    done = _forbidden("version")
    assert done.returncode == 0, done.stderr
    assert "io backend epoll; io_uring: forbidden by kernel.io_uring_disabled" in done.stdout
    pooler = make_pooler(1, io_backend="epoll")
    pooler.stop()
    text = pooler.config_path.read_text()
    pooler.config_path.write_text(text.replace("io_backend: epoll", "io_backend: io_uring"))
    done = _forbidden("start", "-c", str(pooler.config_path))
    assert done.returncode == 1
    assert "general.io_backend: io_uring cannot be used: forbidden by" in done.stderr
