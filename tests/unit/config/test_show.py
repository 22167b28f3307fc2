from greenpool.config import show_rows
from greenpool.config.key import Section
from greenpool.config.table import keys_of
from tests.unit.config.conftest import POOLS_YAML


def rows_of(files, general="{}"):
    config = files.load(f"general: {general}\n{POOLS_YAML}")
    return {key: rest for key, *rest in show_rows(config)}


def test_row_has_value_default_and_whether_reload_changes_it(files):
    rows = rows_of(files, "{port: 7000, idle_timeout: 90000, host: ['::1', 127.0.0.1]}")
    assert rows["port"] == ["7000", "6432", "no"]
    assert rows["idle_timeout"] == ["90s", "10m", "yes"]
    assert rows["host"] == ["::1, 127.0.0.1", "0.0.0.0", "no"]
    assert rows["unix_socket_mode"] == ["0600", "0600", "no"]
    assert rows["pid_file"] == ["", "", "no"]
    assert rows["tcp_user_timeout"] == ["1m", "1m", "yes"]
    assert rows["max_startup_packet"] == ["10KB", "10KB", "yes"]
    assert rows["web.port"] == ["9127", "9127", "no"]


def test_every_key_has_a_row(files):
    expected = [key.name for key in keys_of(Section.GENERAL)]
    expected += [f"web.{key.name}" for key in keys_of(Section.WEB)]
    assert list(rows_of(files)) == expected


def test_secret_is_masked(files):
    assert rows_of(files, "{admin_password: swordfish}")["admin_password"][0] == "********"
    assert rows_of(files)["admin_password"][0] == ""


def test_parameters_are_shown_in_one_cell(files):
    rows = rows_of(files, "{startup_parameters: {work_mem: 1MB, jit: off}}")
    assert rows["startup_parameters"][0] == "work_mem=1MB, jit=off"
