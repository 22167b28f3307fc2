"""Spellings of startup parameters; that PostgreSQL agrees is seen in test_startup_parameters."""

from __future__ import annotations

import pytest

from greenpool.worker.canonical import spell

DEFAULTS = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "default_transaction_read_only": "off",
    "IntervalStyle": "postgres",
    "standard_conforming_strings": "on",
    "TimeZone": "Europe/Berlin",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_encoding", "utf8"),
        ("client_encoding", "'utf-8'"),
        ("CLIENT_ENCODING", "Unicode"),
        ("DateStyle", "ISO"),
        ("datestyle", "mdy"),
        ("datestyle", "iso , MDY"),
        ("datestyle", "mdy,iso"),
        ("IntervalStyle", "POSTGRES"),
        ("timezone", "europe/berlin"),
        ("standard_conforming_strings", "TRUE"),
        ("default_transaction_read_only", "0"),
    ],
)
def test_wish_for_what_servers_have_is_seen_to_be_none(name: str, value: str):
    wanted = {each.lower(): default for each, default in DEFAULTS.items()}[name.lower()]
    assert spell({name: value}, DEFAULTS) == {name: wanted}


@pytest.mark.parametrize(
    ("name", "value", "spelled"),
    [
        ("client_encoding", "iso-8859-1", "LATIN1"),
        ("DateStyle", "sql", "SQL, MDY"),
        ("DateStyle", "dmy", "ISO, DMY"),
        ("standard_conforming_strings", "no", "off"),
    ],
)
def test_other_values_are_spelled_where_that_is_certain(name: str, value: str, spelled: str):
    assert spell({name: value}, DEFAULTS) == {name: spelled}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_encoding", "UNICODE"),
        ("client_encoding", "klingon"),
        ("DateStyle", "german"),
        ("DateStyle", "iso, iso"),
        ("DateStyle", "iso, mdy, mdy"),
        ("DateStyle", '"ISO"'),
        ("DateStyle", ""),
        ("TimeZone", "Mars"),
        ("standard_conforming_strings", "tru"),
        ("application_name", "UTF8"),
        ("work_mem", "1MB"),
    ],
)
def test_what_is_not_certain_is_left_as_it_is(name: str, value: str):
    assert spell({name: value}, DEFAULTS) == {name: value}


def test_nothing_is_certain_of_a_server_that_reports_nothing():
    assert spell({"client_encoding": "utf-8"}, {}) == {"client_encoding": "utf-8"}
