import pytest

from greenpool.config.tree import Mark, Problems
from greenpool.config.yaml_source import read_yaml
from greenpool.errors import ConfigError


def plain(node):
    """Return a tree as the Python values it stands for."""
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def read(text):
    problems = Problems()
    root = read_yaml(text, "f.yaml", problems)
    problems.raise_if_any()
    return root


def problems_of(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("text", "text"),
        ("'12'", "12"),
        ('"on"', "on"),
        ("!!str 12", "12"),
        ("0600", "0600"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_scalar_means_what_it_looks_like(scalar, value):
    assert plain(read(f"a: {scalar}")) == {"a": value}


@pytest.mark.parametrize(
    ("scalar", "text"), [("off", "off"), ("0600", "0600"), ("'off'", None), ("!!str 12", None)]
)
def test_scalar_without_quotes_keeps_its_text(scalar, text):
    assert read(f"a: {scalar}").value["a"].text == text


def test_member_stands_where_its_key_stands_and_item_where_it_begins():
    root = read("a:\n  b:\n    - 1\n    -   c: 2\n")
    list_node = root.value["a"].value["b"]
    assert list_node.mark == Mark("f.yaml", 2, 3)
    assert list_node.value[0].mark == Mark("f.yaml", 3, 7)
    assert list_node.value[1].value["c"].mark == Mark("f.yaml", 4, 9)


def test_empty_file_is_an_empty_mapping():
    assert plain(read("# nothing\n")) == {}


def test_merge_key_yields_to_the_mapping_itself():
    assert plain(read("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n"))["y"] == {"a": 1, "b": 3}


def test_alias_used_twice_with_a_merge_key_is_no_duplicate():
    text = "x: &x {a: 1}\ny: &y {<<: *x, a: 2}\nz: [*y, *y]\n"
    assert plain(read(text))["z"] == [{"a": 2}, {"a": 2}]


def test_nested_aliases_do_not_explode():
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    assert len(read("\n".join(lines)).value) == 60


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: duplicate key "a" (first given in line 1)'),
        ("a: {b: 1, b: 2}\n", 'f.yaml:1:11: duplicate key "b" (first given in line 1)'),
        ("a: b: c\n", "f.yaml:1:5: mapping values are not allowed here"),
        ("a: [1\n", "f.yaml:2:1: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2\n", "f.yaml:2:1: found character '\\t' that cannot start any token"),
        ("a: *x\n", "f.yaml:1:4: found undefined alias 'x'"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: but found another document"),
        ("a: !secret x\n", 'f.yaml:1:4: unknown tag "!secret"'),
        ("[1, 2]: 3\n", "f.yaml:1:1: a key must be a plain name"),
        ("a: &a [*a]\n", "f.yaml:1:4: an alias must not contain itself"),
        ("ab: 1\nb: \x07\n", "f.yaml:2:4: not valid YAML: special characters are not allowed"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, problem):
    assert problems_of(text) == [problem]
