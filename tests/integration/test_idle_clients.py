"""Thousands of clients that want nothing cost next to nothing."""

from __future__ import annotations

import re
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import QUIET, Pooler, user
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

CLIENTS = 5000
WARM_UP = 200  # those who come first also pay for what is made once
FILES = CLIENTS + 1000
BOUND_BYTES = 8192


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process have as many sockets as there are clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"the hard limit of open files is {hard}, {FILES} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize("_server", [18], indirect=True)  # its version does not matter to them
def test_thousands_of_idle_clients_stay(many_files: None, make_pooler: MakePooler) -> None:
    users = [user("app_trust", password=None)]
    pooler = make_pooler(2, pools={"app": {"users": users}}, max_connections=CLIENTS + 50, **QUIET)
    with ExitStack() as stack:
        wires = [_login(pooler, stack) for _ in range(WARM_UP)]
        before = _memory_bytes(pooler)
        wires += [_login(pooler, stack) for _ in range(CLIENTS - WARM_UP)]
        each = (_memory_bytes(pooler) - before) / (CLIENTS - WARM_UP)
        print(f"an idle client adds {each / 1024:.2f} KB of resident memory")
        rows = [row for row in pooler.admin("show clients") if row["user"] == "app_trust"]
        served = Counter(row["worker"] for row in rows)
        assert served.total() == CLIENTS
        assert min(served.values()) >= CLIENTS // 4, served
        for wire in wires[:: CLIENTS // 50]:
            assert wire.rows("select 1") == [[b"1"]]
        assert each <= BOUND_BYTES
    wait_for(lambda: len(pooler.admin("show clients")) == 1, "all have left but the admin")


def _login(pooler: Pooler, stack: ExitStack) -> Wire:
    wire = stack.enter_context(Wire.connect(pooler.host, pooler.port))
    wire.login("app_trust")
    return wire


def _memory_bytes(pooler: Pooler) -> int:
    """Sum up what the processes hold in memory; pages that several share count once."""
    return sum(_share_bytes(pid) for pid in (pooler.master_pid, *pooler.worker_pids()))


def _share_bytes(pid: int) -> int:
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    assert found
    return int(found[1]) * 1024
