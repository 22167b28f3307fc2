"""Fixtures of the master's tests."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.master.house import House

MakeHouse = Callable[[str], House]


@pytest.fixture
def port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def make_house(tmp_path: Path, port: int) -> Iterator[MakeHouse]:
    """Return a function that starts a master whose workers behave as it is told."""
    houses: list[House] = []

    def make(behaviour: str = "serve") -> House:
        house = House(tmp_path, port, behaviour)
        houses.append(house)
        house.configure()
        return house

    yield make
    for house in houses:
        house.close()


@pytest.fixture
def house(make_house: MakeHouse) -> House:
    """Return a running master with two workers that serve."""
    house = make_house("serve")
    house.start()
    house.workers = house.expect_serving()
    return house
