import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.config.toml_marks import scan_marks
from greenpool.config.toml_source import read_toml
from greenpool.config.tree import Mark, Problems
from greenpool.errors import ConfigError

DOCUMENT = '''\
# comment with [brackets] and "quotes"
title = "a # no comment"   # a comment
[general]  # header
port = 6432
host = [
  "127.0.0.1",  # first
  '::1',
]
text = """
[not.a.header]
port = 1 \\""" still text"""
raw = \'\'\'
it's raw \'\'\'
dotted.key . "with.dot" = {a = 1, b = {c = [2, {d = 3}]}}
date = 2024-01-01T00:00:00Z
[pools."my app".users.0]
username = "ann"
[[list.of]]
x = 1
[[list.of]]
  x = 2
  [list.of.sub]
  y = 3
  [[list.of.deep]]
  z = 4
'''

PLACES = {
    ("title",): (2, 1),
    ("general",): (3, 1),
    ("general", "port"): (4, 1),
    ("general", "host"): (5, 1),
    ("general", "host", 0): (6, 3),
    ("general", "host", 1): (7, 3),
    ("general", "text"): (9, 1),
    ("general", "raw"): (12, 1),
    ("general", "dotted"): (14, 1),
    ("general", "dotted", "key", "with.dot"): (14, 1),
    ("general", "dotted", "key", "with.dot", "a"): (14, 28),
    ("general", "dotted", "key", "with.dot", "b"): (14, 35),
    ("general", "dotted", "key", "with.dot", "b", "c", 1, "d"): (14, 49),
    ("general", "date"): (15, 1),
    ("pools", "my app", "users", "0"): (16, 1),
    ("pools", "my app", "users", "0", "username"): (17, 1),
    ("list", "of", 0): (18, 1),
    ("list", "of", 0, "x"): (19, 1),
    ("list", "of", 1): (20, 1),
    ("list", "of", 1, "x"): (21, 3),
    ("list", "of", 1, "sub", "y"): (23, 3),
    ("list", "of", 1, "deep", 0, "z"): (25, 3),
}


def paths_of(value, path=()):
    """Yield the path of every key and list item."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in members:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from paths_of(item, (*path, key))


def read(text):
    problems = Problems()
    root = read_toml(text, "f.toml", problems)
    problems.raise_if_any()
    return root


@pytest.mark.parametrize(("path", "place"), PLACES.items())
def test_scanner_knows_the_place(path, place):
    assert scan_marks(DOCUMENT)[path] == place


def test_scanner_knows_every_key_and_item_of_the_document():
    assert set(paths_of(tomllib.loads(DOCUMENT))) <= set(scan_marks(DOCUMENT))


def write_value(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{write_key(k)} = {write_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",\n# ]\n".join(write_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return write_key(value) if isinstance(value, str) else str(value)


def write_key(text):
    return '"' + "".join(f"\\U{ord(c):08X}" if c in '"\\' else c for c in text) + '"'


TEXTS = st.text(st.sampled_from("ab\"'\\[]{}#=,. -0é"), max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers(-9, 99) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_scanner_follows_any_document(values):
    text = "".join(f"{write_key(key)} = {write_value(value)}\n" for key, value in values.items())
    assert tomllib.loads(text) == values
    assert set(paths_of(values)) == set(scan_marks(text))


def test_node_carries_the_place():
    root = read('[general]\n  port = "x"\r\n')
    assert root.value["general"].value["port"].mark == Mark("f.toml", 2, 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = 1\na = 2\n", "f.toml:2:6: duplicate key"),
        ("[a]\n[a]\n", "f.toml:2:3: duplicate key"),
        ("a = 1\na.b = 2\n", "f.toml:2:8: duplicate key"),
        ("a = {b = 1}\na.c = 2\n", "f.toml:2:8: duplicate key"),
        ("a = \n", "f.toml:1:5: invalid value"),
        ("a\n", "f.toml:1:2: expected '=' after a key in a key/value pair"),
        ('a = "x', "f.toml:1:7: unterminated string"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, problem):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert list(caught.value.problems) == [problem]
