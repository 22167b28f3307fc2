"""What startup parameters become: SQL that is safe, hashes that mean something, the welcome."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.protocol.backend import parameter_status
from greenpool.protocol.message import decode_text
from greenpool.worker.startup_state import (
    RESET,
    SessionState,
    StateCache,
    is_self_evident,
    make_state,
    question,
    reported,
    understood,
    wanted_settings,
)

DEFAULTS = {
    "application_name": "",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "server_version": "15.1",
}
SECRET = b"k" * 32
NONE: frozenset[str] = frozenset()


def state(wanted: dict[str, str]) -> SessionState:
    return make_state(wanted, DEFAULTS, SECRET)


def test_parameters_that_servers_have_anyway_are_not_wanted():
    assert wanted_settings({"CLIENT_ENCODING": "UTF8", "timezone": "UTC"}, DEFAULTS, NONE) == {}


def test_names_are_spelled_as_postgresql_reports_them():
    wanted = wanted_settings({"datestyle": "german", "Work_Mem": "1MB"}, DEFAULTS, NONE)
    assert wanted == {"DateStyle": "german", "work_mem": "1MB"}


def test_fixed_parameters_are_not_the_clients():
    fixed = frozenset({"application_name"})
    assert wanted_settings({"Application_Name": "x", "a.b": "1"}, DEFAULTS, fixed) == {"a.b": "1"}


@pytest.mark.parametrize(
    ("wanted", "evident"),
    [
        ({}, True),
        ({"application_name": "psql"}, True),
        ({"application_name": ""}, True),
        ({"application_name": "x" * 64}, False),
        ({"application_name": "ünï"}, False),
        ({"application_name": "tab\t"}, False),
        ({"DateStyle": "iso"}, False),
    ],
)
def test_only_plain_application_names_need_no_question(wanted: dict[str, str], evident: bool):
    assert is_self_evident(wanted) is evident


def test_no_wish_is_the_state_of_a_fresh_server():
    assert (state({}).hash, state({}).sql) == (0, RESET.encode())


def test_wish_that_turns_out_to_be_the_default_is_none():
    assert state({"client_encoding": "UTF8"}) == state({})


def test_state_is_one_query_that_begins_afresh():
    sql = state({"work_mem": "1MB", "application_name": "o'clock"}).sql.decode()
    assert sql == (
        f"{RESET}; SELECT pg_catalog.set_config('application_name'::pg_catalog.text, "
        "'o''clock'::pg_catalog.text, false), pg_catalog.set_config("
        "'work_mem'::pg_catalog.text, '1MB'::pg_catalog.text, false)"
    )


def test_search_path_is_passed_on_as_it_is():
    assert b"'\"$user\", a'::pg_catalog.text" in state({"search_path": '"$user", a'}).sql


@pytest.mark.parametrize("value", ["a\\", "\x81\\'", "ü", "\udc81", "a\nb", "\x7f"])
def test_value_that_encodings_could_change_goes_as_hex(value: str):
    sql = state({"application_name": value}).sql
    digits = value.encode("utf-8", "surrogateescape").hex().encode()
    assert b"decode('" + digits + b"', 'hex')" in sql
    assert b"\\" not in sql


@given(st.binary(max_size=50) | st.text(st.sampled_from("a'\\;-$ü"), max_size=20).map(str.encode))
def test_no_value_ends_its_constant(data: bytes):
    value = decode_text(data)
    sql = make_state({"application_name": value}, {}, SECRET).sql.decode("ascii")
    without_constants = re.sub(r"'(?:[^']|'')*'", "C", sql)
    assert re.fullmatch(
        RESET + r"; SELECT pg_catalog\.set_config\(C::pg_catalog\.text, "
        r"(C::pg_catalog\.text|pg_catalog\.convert_from\(pg_catalog\.decode\(C, C\), "
        r"pg_catalog\.getdatabaseencoding\(\)\)), false\)",
        without_constants,
    )


def test_hash_tells_states_apart_and_knows_equal_ones():
    one = state({"a.x": "1", "a.y": "2"})
    assert one.hash == state({"a.y": "2", "a.x": "1"}).hash
    others = [{"a.x": "2", "a.y": "1"}, {"a.x": "1"}, {"a.xa.y": "12"}, {"a.x": "12", "a.y": ""}]
    assert len({one.hash, *(state(other).hash for other in others)}) == 5
    assert 0 < one.hash < 1 << 64


def test_hash_depends_on_the_secret():
    assert make_state({"a.x": "1"}, {}, b"other").hash != state({"a.x": "1"}).hash


def test_client_is_told_defaults_and_its_own_values():
    told = state({"TimeZone": "America/Lima", "work_mem": "1MB"}).statuses
    assert parameter_status("TimeZone", "America/Lima") in told
    assert parameter_status("server_version", "15.1") in told
    assert b"work_mem" not in told  # PostgreSQL does not report it either


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("130004", set()),
        ("140000", {"in_hot_standby"}),
        ("160001", {"in_hot_standby", "scram_iterations"}),
        ("180000", {"in_hot_standby", "scram_iterations", "search_path"}),
    ],
)
def test_reported_are_those_of_that_version(version: str, expected: set[str]):
    rows = dict.fromkeys(("in_hot_standby", "scram_iterations", "search_path"), "x")
    assert set(reported({**rows, "server_version_num": version})) == expected


def test_understood_values_are_postgresqls():
    wanted = {"DateStyle": "iso", "a.b": "1"}
    assert understood(wanted, {"DateStyle": "ISO, MDY", "x": "y"}) == {
        "DateStyle": "ISO, MDY",
        "a.b": "1",
    }


def test_question_sets_for_its_transaction_only():
    sql = question({"DateStyle": "iso"})
    assert "set_config(name, value, true) FROM (VALUES ('DateStyle'" in sql
    assert question({}).count(";") == 0


def test_cache_forgets_the_oldest():
    cache = StateCache(capacity=2)
    for value in "123":
        cache.put({"a": value}, state({"a.a": value}))
    assert cache.get({"a": "1"}) is None
    assert cache.get({"a": "3"}) == state({"a.a": "3"})
