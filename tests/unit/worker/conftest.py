"""Fixtures: a worker whose engine is a fake, and no greenlet left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from greenpool.config import Config, load
from greenpool.worker import planning, probe
from tests.unit.worker.fake_login import FakePlan
from tests.unit.worker.fakes import FakedWorker, make_config, make_worker, served_fds


@pytest.fixture(autouse=True)
def plans_are_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (planning, probe):
        monkeypatch.setattr(module, "LoginPlan", FakePlan)


@pytest.fixture
def config(tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """Return the configuration of the test's module, its `CONFIG`, or else that of fakes.py."""
    text = getattr(request.module, "CONFIG", None)
    if text is None:
        return make_config(tmp_path)
    path = tmp_path / "greenpool.yaml"
    path.write_text(text)
    return load(path, {})


@pytest.fixture
def worker(config: Config) -> Iterator[FakedWorker]:
    worker = make_worker(config)
    with served_fds(worker):
        yield worker


@pytest.fixture(autouse=True)
def no_greenlet_is_left() -> Iterator[None]:
    spawned: list[gevent.Greenlet] = []
    gevent.Greenlet.add_spawn_callback(spawned.append)
    yield
    gevent.Greenlet.remove_spawn_callback(spawned.append)
    gevent.joinall(spawned, timeout=30)
    left = [each for each in spawned if not each.dead]
    gevent.killall(left)
    assert not left
