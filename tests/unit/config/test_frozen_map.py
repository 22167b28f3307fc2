"""The mappings of a configuration: nobody changes them, and they travel."""

from __future__ import annotations

import pickle

import pytest

from greenpool.config import FrozenMap
from tests.unit.config.conftest import POOLS_YAML, Files


def test_items_are_those_of_the_mapping_in_its_order():
    items = {"b": 1, "a": 2}
    frozen = FrozenMap(items)
    assert list(frozen.items()) == [("b", 1), ("a", 2)]
    assert frozen == items
    assert frozen != {"b": 1}
    assert repr(frozen) == "FrozenMap({'b': 1, 'a': 2})"


def test_nobody_changes_it():
    items = {"a": 1}
    frozen = FrozenMap(items)
    items["a"] = 2
    assert frozen["a"] == 1
    with pytest.raises(TypeError):
        frozen["a"] = 2  # type: ignore[index]  # that is what is tested
    with pytest.raises(AttributeError):
        frozen.other = 2  # type: ignore[attr-defined]  # likewise


def test_configuration_survives_pickle_and_stays_read_only(files: Files):
    config = files.load(POOLS_YAML)
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert copy.pools["app"].users["ann"].password == "secret"
    with pytest.raises(TypeError):
        copy.pools["app"].users["eve"] = copy.pools["app"].users["ann"]
