"""A mapping that nobody can change, in the form in which a configuration travels.

The standard library's read-only view (types.MappingProxyType) cannot be pickled, and a
configuration is sent from the master to its workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMap(Mapping[K, V]):
    """The items of another mapping, copied, in their order; equal to any mapping with them."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    def __reduce__(self) -> tuple[Callable[..., FrozenMap[Any, Any]], tuple[dict[Any, Any]]]:
        return FrozenMap, (self._items,)
