"""Lines, fields and tokens: quotes, commas, comments, continuation, files within files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.config.hba.tokens import INLINE, MAX_DEPTH, LineReader
from greenpool.config.tree import Mark


def words(text: str, directory: Path = Path("/nowhere")) -> list[list[list[str]]]:
    reader = LineReader()
    lines = reader.read_text(text, directory)
    assert reader.complaints == []
    return [[[token.text for token in field] for field in line] for line in lines]


def complaints(text: str, directory: Path = Path("/nowhere")) -> list[str]:
    reader = LineReader()
    reader.read_text(text, directory)
    return [
        f"{mark.file.removeprefix(f'{directory}/')}:{mark.line}:{mark.column}: "
        + what.replace(f"{directory}/", "")
        for mark, what in reader.complaints
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \t\r\n\n", []),
        ("# all of it", []),
        ("a b\tc\r\n", [[["a"], ["b"], ["c"]]]),
        ("a,b c", [[["a", "b"], ["c"]]]),
        ("a, b c", [[["a", "b"], ["c"]]]),
        ("a ,b c", [[["a"], ["b"], ["c"]]]),
        ("a,,b", [[["a", "b"]]]),
        (",a", [[["a"]]]),
        ("a#b c", [[["a"]]]),
        ('"a b","c,d" "#"', [[["a b", "c,d"], ["#"]]]),
        ('"say ""hi""" ""', [[['say "hi"'], [""]]]),
        ('a"b c"d', [[["ab cd"]]]),
        ("a \\\nb", [[["a"], ["b"]]]),
        ("a\\\nb", [[["ab"]]]),
        ("# so on \\\nand on\nb", [[["b"]]]),
        ('"a\\\nb"', [[["ab"]]]),
        ("a \\", [[["a"]]]),
        ("a\\b", [[["a\\b"]]]),
    ],
)
def test_lines_are_cut_as_postgresql_cuts_them(text, expected):
    assert words(text) == expected


def test_tokens_know_their_places_and_quotes():
    reader = LineReader()
    [[first, second]] = reader.read_text('# x\nab,"all" \\\n  "c"', Path("/"))
    assert [(token.mark, token.is_quoted) for token in (*first, *second)] == [
        (Mark(INLINE, 2, 1), False),
        (Mark(INLINE, 2, 4), True),
        (Mark(INLINE, 3, 3), True),
    ]
    assert not first[1].is_keyword("all")


def test_quotes_that_do_not_end_are_complained_of():
    assert complaints('a "b\nc') == [":1:3: the quotes do not end"]


def test_zero_byte_is_complained_of():
    assert complaints("a\nb\0c") == [":2:2: a zero byte"]


def test_names_may_stand_in_a_file(tmp_path):
    (tmp_path / "names").write_text('# ours\nann, bob\n"c d" @more\n')
    (tmp_path / "more").write_text("eve")
    assert words("@names,fay x", tmp_path) == [[["ann", "bob", "c d", "eve", "fay"], ["x"]]]
    assert words('"@names" @', tmp_path) == [[["@names"], ["@"]]]


def test_files_are_included_where_they_are_named(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one").write_text("1\ninclude two\n3")
    (tmp_path / "sub" / "two").write_text("2")
    text = "0\ninclude sub/one\ninclude_if_exists nothing\ninclude_if_exists sub/two\n4"
    assert words(text, tmp_path) == [[["0"]], [["1"]], [["2"]], [["3"]], [["2"]], [["4"]]]


def test_directory_is_included_in_order(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("b.conf", "a.conf", ".hidden.conf", "c.txt"):
        (tmp_path / "d" / name).write_text(name)
    assert words("include_dir d", tmp_path) == [[["a.conf"]], [["b.conf"]]]


def test_places_in_files_name_the_file(tmp_path):
    (tmp_path / "one").write_text("\ninclude none\n")
    (tmp_path / "self").write_text("include self")
    assert complaints("include one\ninclude self\ninclude\n@no\ninclude_dir d", tmp_path) == [
        'one:2:9: cannot read "none": No such file or directory',
        'self:1:9: "self" includes itself',
        ':3:1: "include" takes one file name',
        ':4:1: cannot read "no": No such file or directory',
        ':5:13: cannot read "d": No such file or directory',
    ]


def test_files_are_included_to_a_depth(tmp_path):
    for number in range(MAX_DEPTH + 1):
        (tmp_path / f"f{number}").write_text(f"include f{number + 1}")
    assert len(complaints("include f0", tmp_path)) == 1
    (tmp_path / f"f{MAX_DEPTH - 1}").write_text("end")
    assert words("include f0", tmp_path) == [[["end"]]]


def test_file_that_is_no_text(tmp_path):
    (tmp_path / "one").write_bytes(b"\xff")
    assert complaints("include one", tmp_path) == [':1:9: "one" is not UTF-8']


@given(st.text('ab"\\,#@ \t\r\n\0/', max_size=40))
def test_any_text_gives_lines_without_empty_fields(text):
    reader = LineReader()
    for line in reader.read_text(text, Path("/nowhere")):
        assert line
        for field in line:
            assert field
            for token in field:
                assert 1 <= token.mark.line <= text.count("\n") + 1
                assert token.mark.column >= 1


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\\"), max_size=8)))
def test_whatever_is_quoted_is_read_back(names):
    quoted = " ".join('"' + name.replace('"', '""') + '"' for name in names)
    expected = [[[name] for name in names]] if names else []
    assert words(quoted) == expected
