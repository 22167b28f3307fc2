"""Every SHOW: its columns, word for word, and what its rows say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenpool import __version__
from greenpool.admin.commands import COMMANDS
from greenpool.admin.connections import split_address
from greenpool.admin.show import COUNTED, INQUIRIES, SHOWS, Inquiry, Show
from greenpool.config import LOOKUP_USER, AuthQuery, Config
from greenpool.config.frozen_map import FrozenMap
from greenpool.protocol.backend import INT4, INT8, NUMERIC, TEXT
from greenpool.records import Hold, Pin, TimeKind
from greenpool.tallies import Tally
from tests.unit.admin.samples import Bench, FakeSegment, load_config, pool, worker

HBA = """# the rules
local "all",/^a "a b" peer
host all all 10.0.0.0/8 md5
host all all .example.org ldap ldapserver=x ldapbasedn=y ldapbindpasswd=hush-hush
"""

CONNECTION = (
    "type user database replication state addr port local_addr local_port connect_time "
    "request_time wait wait_us close_needed ptr link remote_pid tls application_name "
    "prepared_statements id"
)
BUFFERS = "recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail"
MEASURES = (
    "server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time "
    "wait_time client_parse_count server_parse_count bind_count"
)
# PgBouncer's columns | ours
COLUMNS = {
    "help": "command description |",
    "version": "version |",
    "pools": (
        "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active "
        "sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us "
        "pool_mode load_balance_hosts | cl_idle sv_closing pool_size min_pool_size "
        "paused disabled"
    ),
    # as in PgDoorman
    "pools_extended": (
        "database user cl_active cl_waiting sv_active sv_idle sv_used sv_login maxwait maxwait_us "
        "pool_mode bytes_recieved bytes_sent query_0.99 transaction_0.99 query_0.95 "
        "transaction_0.95 query_0.5 transaction_0.5 |"
    ),
    "startup_parameters": "user database parameter value source state |",
    "log_level": "log_level |",
    "connections": "total errors tls plain cancel |",
    "interner": "kind entries bytes | worker idle",
    "prepared_statements": "pool hash name query count_used | servers",
    "interner n": "hash kind bytes idle_ms preview | worker clients count_used",
    "fds": (
        "fd task user database addr port cancel link client_encoding std_strings datestyle "
        "timezone password scram_client_key scram_server_key | worker"
    ),
    "servers": f"{CONNECTION} | worker xacts age_s idle_ms",
    "clients": f"{CONNECTION} | worker xacts queries pinned pumped bytes_received bytes_sent "
    "buffer_bytes prepared_bytes",
    "mem": "name size used free memtotal |",
    # as in PgDoorman, and ours
    "pools_memory": (
        "database user pool_prepared_count pool_prepared_bytes client_prepared_count "
        "client_prepared_bytes client_named_count client_anonymous_count "
        "client_anonymous_evictions_total | buffer_bytes"
    ),
    "stats": (
        "database total_server_assignment_count total_xact_count total_query_count "
        "total_received total_sent total_xact_time total_query_time total_wait_time "
        "total_client_parse_count total_server_parse_count total_bind_count "
        "avg_server_assignment_count avg_xact_count avg_query_count avg_recv avg_sent "
        "avg_xact_time avg_query_time avg_wait_time avg_client_parse_count "
        "avg_server_parse_count avg_bind_count | total_requests total_wait_count total_error_count "
        "total_wait_timeout_count total_server_login_count total_server_login_failure_count "
        "total_taken_own_count total_taken_other_count total_handed_away_count "
        "total_session_look_count total_pin_count total_client_idle_timeout_count "
        "total_idle_transaction_timeout_count total_transaction_timeout_count "
        "total_query_timeout_count total_copy_timeout_count total_wait_notice_count "
        "total_write_timeout_count"
    ),
    "stats_totals": f"database {MEASURES} |",
    "stats_averages": (
        "database server_assignment_count xact_count query_count bytes_received bytes_sent "
        "xact_time query_time wait_time avg_client_parse_count avg_server_parse_count "
        "avg_bind_count |"
    ),
    "totals": "name value |",
    "sockets": f"{CONNECTION} {BUFFERS} | worker xacts",
    "active_sockets": f"{CONNECTION} {BUFFERS} | worker xacts",
    "dns_hosts": "hostname ttl addrs |",
    "dns_zones": "zonename serial count |",
    "peers": "peer_id host port pool_size |",
    "peer_pools": "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login |",
    "state": "key value |",
    "lists": "list items |",
    "config": "key value default changeable |",
    "databases": (
        "name host port database force_user pool_size min_pool_size reserve_pool_size "
        "server_lifetime pool_mode load_balance_hosts max_connections current_connections "
        "max_client_connections current_client_connections paused disabled | reserve_pool"
    ),
    "users": (
        "name pool_size reserve_pool_size pool_mode max_user_connections current_connections "
        "max_user_client_connections current_client_connections |"
    ),
    # as in PgDoorman, and ours
    "auth_query": (
        "database cache_entries cache_hits cache_misses cache_refetches rate_limited auth_success "
        "auth_failure executor_queries executor_errors | dynamic_pools dynamic_pools_created "
        "dynamic_pools_destroyed cache_unknown"
    ),
    "pool_scaling": (
        "user database inflight creates gate_waits burst_gate_budget_ex antic_notify antic_timeout "
        "create_fallback replenish_def | servers warm pool_size hasty_cold hasty_crowd "
        "hasty_lasting hasty_slow spared login_us"
    ),
    "events": "| number time event process pid message",
    "upgrades": "| time result generation from_version to_version pid message",
    "pool_coordinator": (
        "database max_db_conn current reserve_size reserve_used evictions reserve_acq exhaustions "
        "| cessions promotions pools cl_waiting"
    ),
    "pins": "| database user pinned clients total",
    # as in PostgreSQL's view pg_hba_file_rules
    "hba": (
        "| rule_number file_name line_number type database user_name address netmask auth_method "
        "options"
    ),
    "workers": "| worker pid state respawns clients busy_permille heartbeat_age_ms io_backend"
    " moved_in moved_out",
}


EVERYTHING: dict[str, Show | Inquiry] = {
    **SHOWS,
    **INQUIRIES,
    **{f"{name} n": inquiry for name, inquiry in COUNTED.items()},
}


def test_the_list_of_shows_is_complete() -> None:
    assert set(EVERYTHING) == set(COLUMNS)


def test_the_documentation_names_every_show() -> None:
    words = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
    assert [
        name for name in EVERYTHING if f"`SHOW {name.upper()}`".replace(" N`", " n`") not in words
    ] == []


@pytest.mark.parametrize("name", EVERYTHING)
def test_columns_are_as_written_here(name: str) -> None:
    assert [column.name for column in EVERYTHING[name].columns] == COLUMNS[name].replace(
        "|", ""
    ).split()


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("is_empty", [False, True], ids=["busy", "empty"])
def test_rows_fit_their_columns(config: Config, name: str, is_empty: bool) -> None:
    bench = Bench(config, FakeSegment() if is_empty else None)
    bench.console.sample()
    result = bench.execute(f"SHOW {name.replace(' n', ' 5')}")
    assert result.tag == "SHOW"
    limits = {INT4: 1 << 31, INT8: 1 << 63, NUMERIC: 1 << 96}
    for row in result.rows:
        for column, value in zip(result.columns, row, strict=True):
            if isinstance(value, int):
                assert -limits[column.type] <= value < limits[column.type], column
            else:
                assert value is None or column.type == TEXT, column


def test_pools(bench: Bench) -> None:
    app, bob, logs = bench.show("SHOW POOLS")
    assert (app["database"], app["user"], app["pool_mode"]) == ("app", "alice", "transaction")
    assert (app["cl_active"], app["cl_waiting"], app["cl_idle"]) == (3, 1, 2)
    servers = ("sv_active", "sv_idle", "sv_login", "sv_being_canceled", "sv_closing")
    assert [app[name] for name in servers] == [1, 1, 1, 1, 1]
    assert (app["maxwait"], app["maxwait_us"]) == (2, 345)
    assert (app["pool_size"], app["min_pool_size"], app["load_balance_hosts"]) == (10, 2, None)
    assert (bob["user"], logs["database"], logs["cl_active"]) == ("bob", "logs", 0)


def test_pools_extended_tells_recent_times(bench: Bench) -> None:
    pools, counts = bench.segment.pools, bench.segment.counts
    pools[0] = replace(pools[0], query_count=100, bytes_received=1 << 40, bytes_sent=7)
    counts[TimeKind.QUERY, 0] = {4: 98, 9: 2}
    [app, *_] = bench.show("SHOW POOLS_EXTENDED")
    assert (app["cl_active"], app["bytes_recieved"], app["bytes_sent"]) == (3, 1 << 40, 7)
    assert (app["query_0.99"], app["query_0.95"], app["query_0.5"]) == (10_000, 5_000, 5_000)
    assert app["transaction_0.99"] == 0  # none was measured
    bench.console.sample()
    bench.console.sample()
    counts[TimeKind.QUERY, 0] = {4: 98, 9: 3}
    assert bench.show("SHOW POOLS_EXTENDED")[0]["query_0.5"] == 10_000  # those before are old


def test_startup_parameters_tell_who_says_so(tmp_path: Path) -> None:
    config = load_config(tmp_path, "startup_parameters: {work_mem: 1MB, statement_timeout: 5s}")
    app = config.pools["app"]
    alice = app.users["alice"]
    inherited = alice.startup_parameters
    own = replace(alice, startup_parameters=(*inherited, ("jit", "off")))
    pool = replace(app, users=FrozenMap({"alice": own}))
    config = replace(config, pools=FrozenMap({"app": pool}))
    rows = Bench(config).show("SHOW STARTUP_PARAMETERS")
    assert [(row["parameter"], row["value"], row["source"]) for row in rows] == [
        ("work_mem", "1MB", "general"),
        ("statement_timeout", "5s", "general"),
        ("jit", "off", "user"),
        ("work_mem", "3MB", "auth_query"),
    ]
    assert [(row["user"], row["database"], row["state"]) for row in rows] == [
        *[("alice", "app", "applied")] * 3,
        ("found", "logs", "applied"),
    ]


def test_connections_and_statements_of_all_workers(config: Config) -> None:
    dead = worker(1, alive=0, visits=(5, 1, 1, 2, 1), statements=9)
    living = worker(
        0, visits=(10, 1, 2, 3, 4), statements=3, idle_statements=1, memory_bytes=(5, 7, 9)
    )
    bench = Bench(config, FakeSegment(workers=[living, dead]))
    assert bench.show("SHOW CONNECTIONS") == [
        {"total": 15, "errors": 2, "tls": 3, "plain": 5, "cancel": 5}
    ]
    assert bench.show("SHOW INTERNER") == [
        {"kind": "statement", "entries": 3, "bytes": 7, "worker": 0, "idle": 1}
    ]


def test_prepared_statements_are_added_up_over_workers(bench: Bench) -> None:
    rows = bench.show("SHOW PREPARED_STATEMENTS")
    assert [(row["pool"], row["name"], row["count_used"], row["servers"]) for row in rows] == [
        ("alice@app", "gB", 9, 1),
        ("alice@app", "gA", 7, 2),
        ("alice@logs", "gB", 1, 1),
    ]
    assert (rows[1]["hash"], rows[1]["query"]) == (1 << 64, "select $1")


def test_the_largest_texts_come_first(bench: Bench) -> None:
    rows = bench.show("SHOW INTERNER 2")
    assert [(row["bytes"], row["worker"], row["clients"]) for row in rows] == [
        (90, 0, 0),
        (40, 0, 2),
    ]
    assert (rows[1]["hash"], rows[1]["preview"], rows[1]["idle_ms"]) == (1 << 64, "select $1", None)
    assert len(bench.show("SHOW INTERNER 99")) == 3


def test_fds_tell_no_secret(bench: Bench) -> None:
    pooler, client, server = bench.show("SHOW FDS")
    assert (pooler["fd"], pooler["task"], pooler["port"]) == (5, "pooler", 6432)
    assert (client["link"], server["link"], server["worker"]) == (18, 17, 1)
    assert {server["cancel"], server["password"], server["scram_client_key"]} == {None}


def test_log_level(bench: Bench) -> None:
    assert bench.show("SHOW LOG_LEVEL") == [{"log_level": "info"}]


def test_state_is_paused_when_all_pools_are(bench: Bench) -> None:
    def state() -> dict[str, str]:
        return {row["key"]: row["value"] for row in bench.show("SHOW STATE")}

    assert state() == {"active": "yes", "paused": "no", "suspended": "no"}
    pools = bench.segment.pools
    pools[0] = replace(pools[0], held=Hold.PAUSED)
    assert state()["paused"] == "no"
    bench.segment.pools = [replace(each, held=Hold.PAUSED) for each in pools]
    assert state() == {"active": "no", "paused": "yes", "suspended": "no"}
    bench.segment.pools = pools
    bench.segment.suspend(True)
    assert state() == {"active": "no", "paused": "no", "suspended": "yes"}


def test_sockets_are_clients_and_servers(bench: Bench) -> None:
    names = [row["ptr"] for what in ("clients", "servers") for row in bench.show(f"SHOW {what}")]
    assert [row["ptr"] for row in bench.show("SHOW SOCKETS")] == names
    active = bench.show("SHOW ACTIVE_SOCKETS")
    assert [(row["type"], row["ptr"]) for row in active] == [
        ("C", "c3"),
        ("C", "c6"),  # in the console
        ("S", "s0.0"),
    ]


def test_found_users_are_shown_beside_the_configured_ones(config: Config) -> None:
    app = config.pools["app"]
    auth_query = AuthQuery(
        query="q",
        user="asker",
        password="hush-hush",
        database="app",
        workers=3,
        server_user=None,
        server_password=None,
        pool_size=7,
        min_pool_size=1,
        default_pool_size=None,
        cache_ttl_ms=0,
        cache_failure_ttl_ms=0,
        min_interval_ms=0,
    )
    pools = {**config.pools, "app": replace(app, auth_query=auth_query)}
    names = ("alice", "bob", LOOKUP_USER, "found")
    segment = FakeSegment(pools=[pool(index, user=name) for index, name in enumerate(names)])
    bench = Bench(replace(config, pools=pools), segment)
    for writer, count in ((0, 2), (1, 3)):  # two workers
        bench.tallies.add(2, writer, Tally.CACHE_HITS, count)
    bench.tallies.add(2, bench.tallies.master, Tally.POOLS_CREATED, 5)
    [row] = bench.show("SHOW AUTH_QUERY")
    assert (row["database"], row["cache_hits"], row["auth_success"]) == ("app", 5, 0)
    assert (row["dynamic_pools"], row["dynamic_pools_created"]) == (1, 5)
    [database] = [row for row in bench.show("SHOW DATABASES") if row["name"] == "app"]
    assert (database["pool_size"], database["min_pool_size"]) == (10 + 5 + 7, 2 + 0 + 1)
    users = {row["name"]: row for row in bench.show("SHOW USERS")}
    assert (set(users), users["found"]["pool_size"]) == ({"alice", "bob", "found"}, "7")


def test_servers(bench: Bench) -> None:
    active, idle, new, parked, closing = bench.show("SHOW SERVERS")
    states = [row["state"] for row in (active, idle, new, parked, closing)]
    assert states == ["active", "idle", "new", "being_canceled", "closing"]
    assert (active["type"], active["addr"], active["port"]) == ("S", "10.0.0.1", 5433)
    assert (active["ptr"], active["link"], active["remote_pid"]) == ("s0.0", "c3", 901)
    assert active["connect_time"] == "2023-11-14 22:12:20 UTC"
    assert active["request_time"] == "2023-11-14 22:13:19 UTC"  # its client's
    assert (active["application_name"], active["close_needed"]) == ("shop", 0)
    assert (active["id"], idle["id"], active["xacts"], active["age_s"]) == (1, 2, 7, 60)
    assert (idle["idle_ms"], idle["link"], idle["close_needed"]) == (10_000, "", 1)  # expired
    assert idle["request_time"] == "2023-11-14 22:13:10 UTC"
    assert idle["remote_pid"] == -0x7FFFFFFF  # as PgBouncer: 32 bits in an int4
    assert (new["addr"], new["connect_time"], new["age_s"]) == ("", "", 0)
    assert (parked["addr"], parked["port"]) == ("::1", 5432)
    assert (closing["addr"], closing["port"], closing["close_needed"]) == ("/run/postgresql", 0, 1)


def test_clients(bench: Bench) -> None:
    active, waiting, login, admin = bench.show("SHOW CLIENTS")
    assert (active["type"], active["state"], active["ptr"], active["link"]) == (
        "C", "active", "c3", "s0.0",
    )  # fmt: skip
    assert (active["addr"], active["port"], active["id"]) == ("127.0.0.1", 40000, 3)
    assert (active["application_name"], active["queries"], active["wait"]) == ("shop", 6, 0)
    assert active["pinned"] == "temp table, lock"
    assert (active["pumped"], waiting["pumped"]) == (1, 0)
    assert active["connect_time"] == "2023-11-14 22:11:20 UTC"
    assert (waiting["state"], waiting["addr"], waiting["link"]) == ("waiting", "2001:db8::1", "")
    assert (waiting["wait"], waiting["wait_us"]) == (3, 250_000)
    assert (login["state"], login["user"], login["database"]) == ("login", "(nouser)", "(nodb)")
    assert (admin["state"], admin["database"]) == ("active", "pgbouncer")


def test_lists(bench: Bench) -> None:
    assert {row["list"]: row["items"] for row in bench.show("SHOW LISTS")} == {
        "databases": 2, "users": 2, "peers": 0, "pools": 3, "peer_pools": 0,
        "free_clients": 96, "used_clients": 4, "login_clients": 0,
        "free_servers": 25, "used_servers": 5,
        "dns_names": 0, "dns_zones": 0, "dns_queries": 0, "dns_pending": 0,
        "workers": 2, "refused_clients": 0, "refused_addresses": 0,
    }  # fmt: skip


def test_databases(bench: Bench) -> None:
    app, logs = bench.show("SHOW DATABASES")
    assert (app["name"], app["host"], app["port"]) == ("app", "10.0.0.1", 5433)
    assert (app["database"], app["pool_size"], app["min_pool_size"]) == ("app_on_server", 15, 2)
    assert (app["current_connections"], app["current_client_connections"]) == (5, 4)
    assert (app["server_lifetime"], app["pool_mode"]) == (1200, "transaction")
    assert app["force_user"] is None  # one user has one, the other has not
    assert (logs["database"], logs["force_user"]) == ("logs", "logger")


def test_users(bench: Bench) -> None:
    alice, bob = bench.show("SHOW USERS")
    assert (alice["name"], alice["pool_size"], alice["pool_mode"]) == ("alice", "10", "transaction")
    assert (alice["current_connections"], alice["current_client_connections"]) == (5, 4)
    assert (bob["name"], bob["pool_mode"], bob["current_connections"]) == ("bob", "session", 0)


def test_hba_without_rules_says_what_holds(bench: Bench) -> None:
    local, host = bench.show("SHOW HBA")
    assert (local["type"], local["address"], local["file_name"]) == ("local", None, None)
    assert (host["type"], host["address"], host["line_number"]) == ("host", "all", None)
    assert (host["database"], host["user_name"]) == ("all", "all")
    assert host["auth_method"] == local["auth_method"] == "by secret"


def test_hba_shows_rules_without_their_secrets(tmp_path: Path) -> None:
    rules = tmp_path / "pg_hba.conf"
    rules.write_text(HBA)
    config = load_config(tmp_path, f"pg_hba: {{path: {rules}}}")
    first, second, third = Bench(config).show("SHOW HBA")
    assert (first["rule_number"], first["line_number"]) == (1, 2)
    assert first["file_name"] == str(rules)
    assert (first["database"], first["user_name"]) == ('"all",/^a', '"a b"')
    assert (second["address"], second["netmask"]) == ("10.0.0.0", "255.0.0.0")
    assert (third["address"], third["netmask"]) == (".example.org", None)
    assert "ldapbindpasswd=********" in str(third["options"])
    assert "hush-hush" not in str(third)


def test_workers(config: Config) -> None:
    # Places where nobody lives, any more or yet, are no workers.
    places = [worker(0, busy_permille=420, moved_in=7), worker(1, alive=0), worker(2, births=3)]
    segment = FakeSegment(workers=places)
    first, second = Bench(config, segment).show("SHOW WORKERS")
    assert (first["pid"], first["state"], first["respawns"]) == (4000, "alive", 0)
    assert (first["busy_permille"], first["heartbeat_age_ms"]) == (420, 0)
    assert first["io_backend"] == "io_uring"
    assert (first["moved_in"], first["moved_out"]) == (7, 0)
    assert (second["worker"], second["respawns"]) == (2, 2)


def test_pins(config: Config) -> None:
    totals, now = (0, 0, 5, 6, 0, 0, 0, 0), (0, 0, 1, 2, 0, 0, 0, 0)
    segment = FakeSegment(
        pools=[pool(0, pins_of=totals, cl_pinned=now), pool(1, user="bob")],
    )
    rows = Bench(config, segment).show("SHOW PINS")
    assert len(rows) == 2 * len(Pin)
    told = {row["pinned"]: (row["clients"], row["total"]) for row in rows if row["user"] != "bob"}
    assert {name: counts for name, counts in told.items() if any(counts)} == {
        "temp table": (1, 5),
        "lock": (2, 6),
    }
    assert not any(row["clients"] or row["total"] for row in rows if row["user"] == "bob")


def test_events_and_upgrades(bench: Bench) -> None:
    ready, upgraded, unknown = bench.show("SHOW EVENTS")
    assert (ready["number"], ready["event"], ready["process"]) == (1, "ready", "master")
    assert (ready["time"], ready["pid"]) == ("2023-11-14 22:13:10 UTC", 70)
    assert (upgraded["event"], upgraded["message"]) == ("upgraded", "taken over")
    assert (unknown["event"], unknown["process"]) == ("31", "worker 2")
    [upgrade] = bench.show("SHOW UPGRADES")
    assert (upgrade["result"], upgrade["generation"], upgrade["pid"]) == ("done", "2", 71)
    assert (upgrade["from_version"], upgrade["to_version"]) == ("1.0", "1.1")


def test_version_and_help(bench: Bench) -> None:
    assert bench.show("SHOW VERSION") == [{"version": f"greenpool {__version__}"}]
    commands = [row["command"] for row in bench.show("SHOW HELP")]
    shows = [f"SHOW {name.upper()}" for name in EVERYTHING]
    controls = [form for form, _ in COMMANDS.values()]
    assert [each.lower() for each in commands] == [
        *(each.lower() for each in (*shows, *controls)),
        *("set name = value", "reload", "upgrade", "shutdown"),
    ]
    assert all(row["description"] for row in bench.show("SHOW HELP"))


def test_secrets_are_shown_nowhere(bench: Bench) -> None:
    text = "".join(str(bench.show(f"SHOW {name}")) for name in SHOWS)
    assert "hush-hush" not in text
    assert "secret-cancel-key" not in text
    settings: dict[str, Any] = {row["key"]: row["value"] for row in bench.show("SHOW CONFIG")}
    assert settings["port"] == "6500"
    assert settings["admin_password"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5432", ("127.0.0.1", 5432)),
        ("[::1]:5432", ("::1", 5432)),
        ("db.example.org:1", ("db.example.org", 1)),
        ("/run/postgresql", ("/run/postgresql", 0)),
        ("unix", ("unix", 0)),
        ("a:٣", ("a:٣", 0)),
        ("", ("", 0)),
    ],
)
def test_addresses_are_cut(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected
