"""How `greenpool top` is to show it: what the command line says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Order(StrEnum):
    """What pools are sorted by; names decide where that is the same."""

    WAITING = "waiting"
    ACTIVE = "active"
    SERVERS = "servers"
    NAME = "name"

    @property
    def next(self) -> Order:
        """The order after this one, round about."""
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


@dataclass(frozen=True, slots=True)
class Wishes:
    """`count`: pictures until the end, where it is not live."""

    interval_s: float
    count: int
    order: Order
    as_json: bool
    is_live: bool
