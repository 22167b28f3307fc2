"""The table against the dataclasses, against CONFIG's promises, and against itself."""

import re
import typing
from enum import StrEnum
from pathlib import Path

import pytest

from greenpool.config import model
from greenpool.config.key import Key, Reload, Section
from greenpool.config.table import KEYS, REWORDINGS, keys_of

CLASSES = {
    Section.GENERAL: model.General,
    Section.POOL: model.Pool,
    Section.USER: model.User,
    Section.AUTH_QUERY: model.AuthQuery,
    Section.WEB: model.Web,
}
# Attributes that are not keys, and those that resolution fills in, so that None never remains.
STRUCTURE = {Section.POOL: {"name", "users", "auth_query"}}
FILLED_IN = {"server_database", "database"}


def key_id(key):
    return f"{key.home.name.lower()}.{key.name}" if isinstance(key, Key) else None


def named(name, home=Section.GENERAL):
    return next(key for key in KEYS if key.name == name and key.home is home)


@pytest.mark.parametrize("section", Section, ids=lambda section: section.name)
def test_dataclass_has_the_keys_of_its_section(section):
    attributes = {key.attribute for key in keys_of(section)}
    hints = set(typing.get_type_hints(CLASSES[section]))
    assert hints - STRUCTURE.get(section, set()) == attributes


@pytest.mark.parametrize("key", KEYS, ids=key_id)
def test_defaults_have_the_type_that_the_dataclass_says(key):
    hint = typing.get_type_hints(CLASSES[key.home])[key.attribute]
    types = typing.get_args(hint) or (hint,)
    for value in (key.literal(key.default), key.effective_default()):
        if value is None:
            assert key.name in FILLED_IN or key.required or type(None) in types
        elif isinstance(value, tuple):
            assert typing.get_origin(hint) is tuple
        else:
            assert type(value) in types


@pytest.mark.parametrize("key", KEYS, ids=key_id)
def test_default_is_within_the_bounds_and_reads_back(key):
    value = key.literal(key.default)
    if key.bounds and value is not None:
        assert key.bounds[0] <= value <= key.bounds[1]


@pytest.mark.parametrize("key", [key for key in KEYS if isinstance(key.today, tuple)], ids=key_id)
def test_value_of_today_is_accepted_and_stands_for_a_key_not_set(key):
    assert key.accepts(key.effective_default())
    assert key.effective_default() == key.literal(key.today[0])


@pytest.mark.parametrize("key", KEYS, ids=key_id)
def test_every_key_has_a_sentence(key):
    assert re.fullmatch(r"[A-Z$a-z].*\.", key.doc), key.doc
    assert issubclass(key.choices or StrEnum, StrEnum)


@pytest.mark.parametrize("section", Section, ids=lambda section: section.name)
def test_names_and_aliases_of_a_section_are_unique(section):
    names = [name for key in keys_of(section) for name in (key.name, *key.aliases)]
    names += [rewording.name for rewording in REWORDINGS if section is Section.GENERAL]
    assert len(names) == len(set(names))


def test_keys_that_need_a_restart():
    restart = {key.name for key in keys_of(Section.GENERAL) if key.reload is Reload.RESTART}
    assert restart == {
        "host",
        "port",
        "unix_socket_dir",
        "unix_socket_mode",
        "backlog",
        "workers",
        "worker_cpu_affinity_pinning",
        "io_backend",
        "pid_file",
        "user",
        "core_dumps",
    }


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("port", 6432),
        ("max_connections", 8192),
        ("max_startup_packet_bytes", 10 << 10),
        ("connect_timeout_ms", 3_000),
        ("client_login_timeout_ms", 60_000),
        ("query_wait_timeout_ms", 5_000),
        ("idle_timeout_ms", 600_000),
        ("server_lifetime_ms", 1_200_000),
        ("shutdown_timeout_ms", 10_000),
        ("cancel_wait_timeout_ms", 10_000),
        ("tcp_keepalives_idle_s", 5),
        ("tcp_user_timeout_s", 60),
        ("unix_socket_buffer_size_bytes", 1 << 20),
        ("unix_socket_mode", 0o600),
    ],
)
def test_default_is_the_promised_one(attribute, value):
    key = next(key for key in keys_of(Section.GENERAL) if key.attribute == attribute)
    assert key.effective_default() == value


def test_overridable_keys_come_in_the_documented_places():
    assert named("server_lifetime").where == "GPU"
    assert named("pool_mode", Section.POOL).where == "PU"
    assert named("shutdown_timeout").where == "G"
    assert all(set(key.where) <= set("GPUAW") for key in KEYS)


def test_paths_in_the_dataclasses_are_paths():
    hints = typing.get_type_hints(model.General)
    assert hints["pid_file"] == Path | None


@pytest.mark.parametrize(
    ("constant", "name", "home"),
    [
        ("GP_WORKERS_MAX", "workers", Section.GENERAL),
        ("GP_SLOTS_MAX", "pool_size", Section.USER),
        ("GP_CREATES_MAX", "max_concurrent_creates", Section.GENERAL),
        ("GP_CREATES_MAX", "scaling_max_parallel_creates", Section.GENERAL),
    ],
)
def test_bound_is_what_the_shared_segment_has_room_for(constant, name, home):
    header = (Path(__file__).parents[3] / "_cparser" / "layout.h").read_text()
    match = re.search(rf"#define {constant} +(\d+)u", header)
    assert match is not None
    assert named(name, home).bounds == (1, int(match[1]))
