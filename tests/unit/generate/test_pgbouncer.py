"""A pgbouncer.ini becomes a configuration that loads; what has no equal is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool import config as configuration
from greenpool.config import Config, PoolMode, ServerTlsMode
from greenpool.errors import ConfigError
from greenpool.generate.outline import Outline
from greenpool.generate.pgbouncer import translate
from greenpool.generate.pgbouncer_keys import KEYS, Means
from greenpool.generate.text import render, unsupported
from tests.unit.generate.samples import SECRET

SCRAM = "SCRAM-SHA-256$4096:" + "A" * 22 + "==$" + "B" * 43 + "=:" + "C" * 43 + "="


class Machine:
    """A directory with PgBouncer's files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ini = directory / "pgbouncer.ini"
        self.write("userlist.txt", f'"app" "{SECRET}"\n"web" "plain"\n')

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def translate(self, general: str = "", databases: str = "shop = host=db", users: str = ""):
        self.ini.write_text(
            f"[databases]\n{databases}\n[users]\n{users}\n[pgbouncer]\n"
            f"unix_socket_dir = {self.directory}\nauth_file = userlist.txt\n{general}\n"
        )
        return translate(self.ini)

    def load(self, outline: Outline) -> Config:
        self.write("greenpool.yaml", render(outline, None))
        return configuration.load(self.directory / "greenpool.yaml", {})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_defaults_are_pgbouncers(machine: Machine):
    config = machine.load(machine.translate())
    general, pool = config.general, config.pools["shop"]
    assert (general.host, general.max_connections) == ((), 100)
    assert (general.query_wait_timeout_ms, general.connect_timeout_ms) == (120_000, 15_000)
    assert (pool.server_host, pool.pool_mode) == ("db", PoolMode.SESSION)
    assert pool.server_tls_mode is ServerTlsMode.PREFER
    assert [user.pool_size for user in pool.users.values()] == [20, 20]


def test_users_of_statistics_bring_their_secrets(machine: Machine):
    outline = machine.translate("stats_users = app, web,app, nobody")
    found = machine.load(outline).general.stats_users
    assert [(user.username, user.password) for user in found] == [("app", SECRET), ("web", "plain")]
    [left_out] = outline.left_out
    assert 'there is no password of "nobody"' in left_out


def test_settings_are_translated(machine: Machine):
    outline = machine.translate(
        "listen_addr = *, ::1\nlisten_port = 7000\npool_mode = transaction\ndefault_pool_size = 7\n"
        "client_idle_timeout = 1.5\nlog_connections = 0\nmax_prepared_statements = 50\n"
        "tcp_keepalive = 0\nadmin_users = web\nsyslog = 1\n",
    )
    config = machine.load(outline)
    general = config.general
    assert (general.host, general.port) == (("0.0.0.0", "::1"), 7000)
    assert (general.client_idle_timeout_ms, general.log_client_connections) == (1500, False)
    assert (general.prepared_statements_cache_size, general.tcp_keepalives_idle_s) == (50, 0)
    assert (general.admin_username, general.admin_password) == ("web", "plain")
    assert general.syslog_prog_name == "pgbouncer"
    assert config.pools["shop"].users["app"].pool_size == 7
    assert outline.left_out == ()


def test_setting_that_is_empty_is_not_the_default(machine: Machine):
    config = machine.load(machine.translate("unix_socket_dir =\nlisten_addr = localhost"))
    assert config.general.unix_socket_dir is None
    assert config.general.host == ("127.0.0.1",)


def test_databases_are_pools_of_all_users(machine: Machine):
    config = machine.load(
        machine.translate(
            databases="shop = host=/run port=5433 dbname=store pool_size=3 timezone='Europe/Rome'\n"
            "\"odd \"\"name\" = host=db user=owner password='it''s' pool_mode=statement",
            users="app = pool_mode=transaction max_user_client_connections=9",
        )
    )
    shop, odd = config.pools["shop"], config.pools['odd "name']
    assert (shop.server_host, shop.server_port, shop.server_database) == ("/run", 5433, "store")
    assert shop.startup_parameters == (("timezone", "Europe/Rome"),)
    app, web = shop.users["app"], shop.users["web"]
    assert (app.password, app.pool_size, app.pool_mode) == (SECRET, 3, PoolMode.TRANSACTION)
    assert (app.max_client_connections, web.pool_mode) == (9, PoolMode.SESSION)
    assert odd.pool_mode is PoolMode.STATEMENT
    assert (odd.users["web"].server_username, odd.users["web"].server_password) == ("owner", "it's")


def test_auth_query_takes_columns_by_their_places(machine: Machine):
    outline = machine.translate(
        "auth_user = web\nauth_query = SELECT * FROM get_auth($1);",
        databases="shop = host=db auth_dbname=auth user=owner password=x",
    )
    found = machine.load(outline).pools["shop"].auth_query
    assert found is not None
    assert found.query == (
        "SELECT found.password FROM (SELECT * FROM get_auth($1)) AS found (username, password)"
    )
    assert (found.user, found.password, found.database) == ("web", "plain", "auth")
    assert (found.server_user, found.server_password) == ("owner", "x")


@pytest.mark.parametrize(
    ("kind", "methods"),
    [("trust", ["trust"]), ("scram-sha-256", ["scram-sha-256"]), ("pam", ["pam"]), ("md5", None)],
)
def test_auth_type_is_a_rule(machine: Machine, kind: str, methods: list[str] | None):
    config = machine.load(machine.translate(f"auth_type = {kind}"))
    rules = config.general.pg_hba
    assert (rules and sorted({str(rule.method) for rule in rules})) == methods


def test_users_without_a_password_come_in_only_where_nothing_is_asked(machine: Machine):
    machine.write("userlist.txt", '"app" ""\n"web" "x"\n')
    assert list(machine.load(machine.translate()).pools["shop"].users) == ["web"]
    trusting = machine.load(machine.translate("auth_type = trust"))
    assert list(trusting.pools["shop"].users) == ["app", "web"]


def test_includes_are_followed(machine: Machine):
    machine.write("more.ini", "listen_port = 7001\n")
    assert machine.load(machine.translate("%include more.ini")).general.port == 7001
    machine.write("more.ini", "%include more.ini\n")
    with pytest.raises(ConfigError, match="files include each other"):
        machine.translate("%include more.ini")


@pytest.mark.parametrize(
    ("general", "databases", "what"),
    [
        ("logfile = /x", "shop = host=db", "8: logfile: the log goes to"),
        ("nonsense = 1", "shop = host=db", "8: nonsense: not known to"),
        ("auth_type = any", "shop = host=db", "8: auth_type any: no rule says the same"),
        ("", "pgbouncer = host=db", '2: database "pgbouncer": it is greenpool\'s console'),
        ("", "shop = host=db connect_query='x'", '2: database "shop": connect_query has no equal'),
        ("[peers]\n1 = host=x", "shop = host=db", "section [peers]: it has no equal"),
    ],
)
def test_what_has_no_equal_is_named_with_its_place(
    machine: Machine, general: str, databases: str, what: str
):
    outline = machine.translate(general, databases)
    assert len(outline.left_out) == 1
    assert what in outline.left_out[0]
    assert what.partition(" (")[0] in render(outline, None).replace("\n#   ", " ")


def test_every_other_database_stays_one(machine: Machine):
    config = machine.load(machine.translate(databases="shop = host=db\n* = host=other port=5433"))
    template = config.pools["*"]
    assert (template.server_host, template.server_port) == ("other", 5433)
    assert list(template.users) == ["app", "web"]
    asking = machine.load(machine.translate("auth_user = web", "* = host=db")).pools["*"].auth_query
    assert asking is not None
    assert asking.database == "postgres"


def test_scram_secret_cannot_stand_for_a_password(machine: Machine):
    machine.write("userlist.txt", f'"app" "{SCRAM}"\n')
    outline = machine.translate(databases="shop = host=db user=app")
    assert [what.partition(": ")[2] for what in outline.left_out] == [
        'user "app": a SCRAM secret cannot log in, set server_password'
    ]
    assert machine.load(outline).pools["shop"].users["app"].server_password is None


def test_keys_that_are_not_supported_yet_are_comments_and_named(machine: Machine):
    outline = machine.translate("server_round_robin = 1\nreserve_pool_size = 5")
    assert any("reserve_pool_size: the reserve here is" in what for what in outline.left_out)
    machine.load(outline)
    text = render(outline, None)
    for path in unsupported(outline):
        assert f"# {path.partition(':')[0].rpartition('.')[2]}: " in text


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("client_idle_timeout = soon", "8: client_idle_timeout: could not convert"),
        ("log_connections = maybe", '8: log_connections: "maybe" is neither 0 nor 1'),
        ("default_pool_size = many", "8: default_pool_size: invalid literal"),
        ("tcp_keepalive = maybe", '8: tcp_keepalive: "maybe" is neither 0 nor 1'),
        ("what is this", "8: expected [section] or name = value"),
    ],
)
def test_what_pgbouncer_would_refuse_is_refused(machine: Machine, line: str, problem: str):
    with pytest.raises(ConfigError) as caught:
        machine.translate(line)
    assert caught.value.problems[0].startswith(f"{machine.ini}:{problem}")


def test_table_names_keys_that_there_are():
    for rule in KEYS.values():
        if isinstance(rule, Means):
            configuration.is_supported(rule.section, rule.key, "")  # raises for one there is not
