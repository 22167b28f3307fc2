"""Tables of the console laid out for people and for programs."""

from __future__ import annotations

import json

from greenpool.admin.table import render, to_json
from greenpool.inquiry import Table
from greenpool.protocol.backend import INT4, INT8, Column

COLUMNS = (Column("user"), Column("cl_active", INT4), Column("xacts", INT8))


def test_columns_are_aligned_and_numbers_stand_to_the_right():
    table = Table(COLUMNS, (("al", "1", "12345678"), ("alexander", "20", None)))
    assert render(table).splitlines() == [
        "   user   | cl_active |  xacts",
        "----------+-----------+---------",
        "al        |         1 | 12345678",
        "alexander |        20 |",
        "(2 rows)",
    ]


def test_table_without_rows_shows_its_columns():
    assert render(Table(COLUMNS, ())).splitlines() == [
        "user | cl_active | xacts",
        "-----+-----------+------",
        "(0 rows)",
    ]
    assert render(Table(COLUMNS, (("a", "1", "2"),))).endswith("(1 row)")


def test_value_cannot_speak_to_the_terminal():
    text = render(Table((Column("name"),), (("a\nb\x1b[2J\x85\udc80ü",),)))
    assert text.splitlines()[2] == r"a\nb\x1b[2J\x85\udc80ü"
    assert len(text.splitlines()) == 4
    text.encode()


def test_json_has_numbers_and_null():
    table = Table(COLUMNS, (("a\nü", "1", "12345678901"), ("b", "2", None)))
    text = to_json(table)
    assert json.loads(text) == [
        {"user": "a\nü", "cl_active": 1, "xacts": 12345678901},
        {"user": "b", "cl_active": 2, "xacts": None},
    ]
    assert len(text.splitlines()) == 2
    assert text.isascii()
    assert json.loads(to_json(Table(COLUMNS, ()))) == []
