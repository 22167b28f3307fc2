"""Fixtures of the console's tests."""

from __future__ import annotations

import pytest

from greenpool.config import Config
from tests.unit.admin.samples import Bench, load_config


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load_config(tmp_path_factory.mktemp("config"))


@pytest.fixture
def bench(config: Config) -> Bench:
    return Bench(config)
