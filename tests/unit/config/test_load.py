"""What a good file becomes: types, units, overrides, secrets, warnings."""

import os
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from greenpool.config import IoBackend, LogFormat, PoolMode, changes, load
from tests.unit.config.conftest import POOLS_YAML

SCRAM = (
    "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA="
)

YAML = """
general:
  host: ["127.0.0.1", "::1"]
  port: 7000
  workers: 3
  io_backend: epoll
  log_format: structured
  query_wait_timeout: "2s"
  server_lifetime: 1h
  startup_parameters: {work_mem: 64MB, jit: off}
  max_startup_packet: 20KB
  tcp_user_timeout: 30
pools:
  app:
    server_host: /run/postgresql
    server_port: 5433
    query_wait_timeout: 250
    startup_parameters: {work_mem: 1GB, statement_timeout: 5000}
    users:
      - username: ann
        password: "md5dd9a0f26a4302744db881776a09bbfad"
      - username: bob
        password: "@SCRAM@"
        pool_size: 7
        min_pool_size: 2
        pool_mode: session
        server_lifetime: 30m
        server_username: robert
        server_password: hidden
        startup_parameters: {jit: on}
  other:
    server_database: app
    pool_mode: statement
    application_name: ""
    users:
      - {username: ann, password: plain}
""".replace("@SCRAM@", SCRAM)

TOML = """
[general]
host = ["127.0.0.1", "::1"]
port = 7000
workers = 3
io_backend = "epoll"
log_format = "structured"
query_wait_timeout = "2s"
server_lifetime = "1h"
startup_parameters = {work_mem = "64MB", jit = "off"}
max_startup_packet = "20KB"
tcp_user_timeout = 30

[pools.app]
server_host = "/run/postgresql"
server_port = 5433
query_wait_timeout = 250
startup_parameters = {work_mem = "1GB", statement_timeout = 5000}

[pools.app.users.1]
username = "bob"
password = "@SCRAM@"
pool_size = 7
min_pool_size = 2
pool_mode = "session"
server_lifetime = "30m"
server_username = "robert"
server_password = "hidden"
startup_parameters.jit = "on"

[pools.app.users.0]
username = "ann"
password = "md5dd9a0f26a4302744db881776a09bbfad"

[pools.other]
server_database = "app"
pool_mode = "statement"
application_name = ""
[[pools.other.users]]
username = "ann"
password = "plain"
""".replace("@SCRAM@", SCRAM)


def test_general_is_typed_and_in_units(files):
    general = files.load(YAML).general
    assert general.host == ("127.0.0.1", "::1")
    assert (general.port, general.workers) == (7000, 3)
    assert general.io_backend is IoBackend.EPOLL
    assert general.log_format is LogFormat.STRUCTURED
    assert general.query_wait_timeout_ms == 2000
    assert general.max_startup_packet_bytes == 20480
    assert general.tcp_user_timeout_s == 30
    assert general.startup_parameters == (("work_mem", "64MB"), ("jit", "off"))


def test_pool_overrides_general_and_inherits_the_rest(files):
    config = files.load(YAML)
    app, other = config.pools["app"], config.pools["other"]
    assert (app.query_wait_timeout_ms, other.query_wait_timeout_ms) == (250, 2000)
    assert app.server_lifetime_ms == other.server_lifetime_ms == 3_600_000
    assert (app.server_database, other.server_database) == ("app", "app")
    assert (app.name, other.name) == ("app", "other")
    assert (app.application_name, other.application_name) == (None, "")


def test_user_overrides_its_pool(files):
    users = files.load(YAML).pools["app"].users
    assert list(users) == ["ann", "bob"]
    assert (users["ann"].pool_mode, users["bob"].pool_mode) == (
        PoolMode.TRANSACTION,
        PoolMode.SESSION,
    )
    assert users["bob"].server_lifetime_ms == 1_800_000
    assert (users["ann"].pool_size, users["bob"].pool_size) == (40, 7)
    assert users["bob"].password == SCRAM


def test_startup_parameters_are_merged_setting_by_setting(files):
    app = files.load(YAML).pools["app"]
    assert dict(app.startup_parameters) == {
        "work_mem": "1GB",
        "jit": "off",
        "statement_timeout": "5000",
    }
    assert app.users["ann"].startup_parameters == app.startup_parameters
    assert dict(app.users["bob"].startup_parameters)["jit"] == "on"


def test_yaml_and_toml_say_the_same(files):
    from_yaml = files.load(YAML)
    from_toml = files.load(TOML, name="greenpool.toml")
    assert from_yaml.general == from_toml.general
    assert from_yaml.pools == from_toml.pools
    assert from_yaml.web == from_toml.web


def test_file_of_pools_alone_takes_every_default(files):
    config = files.load(POOLS_YAML)
    assert config.general.workers == len(os.sched_getaffinity(0))
    assert config.general.listen_backlog == config.general.max_connections == 8192
    assert config.warnings == ()
    assert config.files == (files.directory / "greenpool.yaml",)


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (64, 64), (96, 64)])
def test_automatic_workers_stay_within_the_bound(files, monkeypatch, cores, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    assert files.load(POOLS_YAML).general.workers == workers


def test_result_is_frozen(files):
    config = files.load(POOLS_YAML)
    with pytest.raises(FrozenInstanceError):
        config.general.port = 1
    with pytest.raises(TypeError):
        config.pools["x"] = config.pools["app"]


def test_secrets_are_not_in_the_repr(files):
    text = YAML.replace("port: 7000", "port: 7000\n  admin_password: swordfish")
    config = files.load(text)
    assert config.general.admin_password == "swordfish"
    for secret in ("md5dd9a0f26a43", "c2FsdHNhbHRzYWx0", "hidden", "plain", "swordfish"):
        assert secret not in repr(config)


@pytest.mark.parametrize("suffix", ["\n", "\r\n", ""])
def test_password_file_stands_for_password(files, suffix):
    files.write("secrets/ann", f" s3cret {suffix}")
    files.write("admin", "root")
    config = files.load(
        "general: {admin_password_file: admin}\n"
        "pools: {app: {users: [{username: ann, password_file: secrets/ann}]}}\n"
    )
    assert config.pools["app"].users["ann"].password == " s3cret "
    assert config.general.admin_password == "root"


def test_alias_means_the_key(files):
    assert files.load(f"general: {{worker_threads: 2}}\n{POOLS_YAML}").general.workers == 2
    assert files.load(f"prometheus: {{port: 9999}}\n{POOLS_YAML}").web.port == 9999


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("host: '::1'", "host", ("::1",)),
        ("unix_socket_mode: 0660", "unix_socket_mode", 0o660),
        ("unix_socket_mode: '0o640'", "unix_socket_mode", 0o640),
        ("tcp_keepalives_idle: 1m", "tcp_keepalives_idle_s", 60),
        ("query_wait_timeout: 0", "query_wait_timeout_ms", 0),
        ("query_wait_timeout:", "query_wait_timeout_ms", 5000),
        ("tcp_no_delay: no", "tcp_no_delay", False),
        ("io_backend: auto", "io_backend", IoBackend.AUTO),
        ("session_state: off", "session_state", "off"),
        ("tls_mode: allow", "tls_mode", "allow"),
        ("tls_min_version: 1.2", "tls_min_version", "1.2"),
        ("hba: []", "hba", ()),
        ("cleanup_server_connections: false", "session_state", "off"),
        ("server_tls: false", "server_tls_mode", "disable"),
        ("sync_server_parameters: false", "session_state", "track"),
        ("backlog: 100", "listen_backlog", 100),
    ],
)
def test_value_is_read_as_it_is_meant(general, line, attribute, value):
    assert getattr(general(line).general, attribute) == value


def test_path_is_relative_to_the_file_that_says_it(files):
    files.write("conf.d/more.yaml", "general: {pid_file: run/pid}\n")
    config = files.load(f"include: {{files: [conf.d/more.yaml]}}\n{POOLS_YAML}")
    assert config.general.pid_file == files.directory / "conf.d/run/pid"


def test_relative_path_becomes_absolute(files, monkeypatch):
    files.write("greenpool.yaml", f"general: {{pid_file: gp.pid}}\n{POOLS_YAML}")
    monkeypatch.chdir(files.directory)
    assert load(Path("greenpool.yaml"), {}).general.pid_file == files.directory / "gp.pid"


def test_warning_names_pgdoormans_own_keys_once(general):
    text = "worker_stack_size: 8MB\n  daemon_pid_file: /tmp/x\n  tokio_event_interval: 1"
    assert general(text).warnings == (
        "ignored, because they have no meaning here: general.worker_stack_size, "
        "general.daemon_pid_file, general.tokio_event_interval",
    )


@pytest.mark.parametrize(("host", "count"), [("0.0.0.0", 1), ("127.0.0.1", 0), ("::1", 0)])
def test_warning_of_the_default_admin_password_over_the_network(general, host, count):
    warnings = general(f"host: '{host}'\n  admin_password: admin").warnings
    assert [w for w in warnings if w.startswith("general.admin_password is")] == list(warnings)
    assert len(warnings) == count


def test_warning_of_users_without_password(files):
    text = "pools: {app: {users: [{username: ann}, {username: bob, password: x}, {username: cy}]}}"
    assert files.load(text).warnings == (
        "pools.app: anyone who can connect can log in as these users, who have no password: "
        "ann, cy",
    )
    assert files.load(f"general: {{host: 127.0.0.1}}\n{text}").warnings == ()


def test_rules_that_nobody_can_meet_are_warned_of(files):
    files.write("pg_hba.conf", "host all all all md5\nhostssl all all all trust")
    config = files.load("general: {pg_hba: {path: pg_hba.conf}}\n" + POOLS_YAML)
    [warning] = config.warnings
    assert warning == (
        f"{files.directory}/pg_hba.conf:2: a hostssl rule matches nobody while tls_certificate is "
        "not set"
    )


def test_same_rules_are_no_change(files):
    files.write("pg_hba.conf", "host all,/^a all samenet ldap ldapserver=x ldapbasedn=y\n")
    text = "general: {pg_hba: {path: pg_hba.conf}, pg_ident: 'a /b c'}\n" + POOLS_YAML
    before = files.load(text)
    assert not changes(before, files.load(text))
    assert pickle.loads(pickle.dumps(before)) == before
    files.write("pg_hba.conf", "host all,/^b all samenet ldap ldapserver=x ldapbasedn=y\n")
    assert changes(before, files.load(text)).live == ("general.pg_hba",)


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ("reserve_pool_size: 5", "reserve_pool_size means nothing without max_db_connections"),
        (
            "max_db_connections: 9, min_guaranteed_pool_size: 5",
            "max_db_connections 9 does not hold min_guaranteed_pool_size 5 for each of 2 users",
        ),
        ("max_db_connections: 9, min_guaranteed_pool_size: 4, reserve_pool_size: 1", ""),
    ],
)
def test_limits_of_a_database_that_do_nothing_are_named(files, settings, warning):
    users = "users: [{username: ann, password: x}, {username: bob, password: x}]"
    config = files.load(f"pools: {{app: {{{settings}, {users}}}}}")
    assert config.warnings == ((f"pools.app: {warning}",) if warning else ())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("[vault, read, a b]", ("vault", "read", "a b")),
        ("vault read x | tail -1", ("/bin/sh", "-c", "vault read x | tail -1")),
    ],
)
def test_command_is_a_list_of_words_or_a_line_for_the_shell(files, command, words):
    user = f"username: ann, server_password_ttl: 14m, server_password_command: {command}"
    ann = files.load(f"pools: {{app: {{users: [{{{user}}}]}}}}\n").pools["app"].users["ann"]
    assert ann.server_password_command == words
    assert ann.server_password_ttl_ms == 14 * 60_000


def test_secret_of_a_file_knows_where_it_may_be_read_again(files):
    files.write("one", "hidden\n")
    files.write("two", "hidden\n")
    text = "pools: {app: {users: [{username: ann, server_password_file: one}]}}\n"
    first, again, other = (files.load(each) for each in (text, text, text.replace("one", "two")))
    secret = first.pools["app"].users["ann"].server_password
    assert secret == "hidden"
    assert secret.path == files.directory / "one"
    assert pickle.loads(pickle.dumps(secret)).path == secret.path
    assert first == again
    assert first != other
