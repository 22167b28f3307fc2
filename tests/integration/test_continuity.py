"""Session continuity, case by case: what follows a client, what pins it, what it leaves behind."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Connection, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for


def make(make_pooler: MakePooler, size: int = 1, **settings: Any) -> Pooler:
    pools = {"app": {"query_wait_timeout": "10s", **settings, "users": [user(pool_size=size)]}}
    return make_pooler(workers=2, pools=pools)


def value(client: Connection, query: str) -> Any:
    row = client.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def others(pooler: Pooler, count: int = 1) -> list[Connection]:
    return [pooler.connect() for _ in range(count)]


def test_settings_follow_over_one_server(make_pooler: MakePooler):
    pooler = make(make_pooler)
    clients = others(pooler, 3)
    for number, client in enumerate(clients, 5):
        client.execute(f"set work_mem = '{number}MB'".encode())
    assert [value(client, "show work_mem") for client in clients] == ["5MB", "6MB", "7MB"]
    with clients[0].transaction():
        clients[0].execute("set local work_mem = '9MB'")
    assert value(clients[0], "show work_mem") == "5MB"
    for client in clients:
        client.close()


def test_long_value_is_replayed(make_pooler: MakePooler):
    pooler = make(make_pooler)
    first, second = others(pooler, 2)
    path = ", ".join(f"schema_{number:05}" for number in range(1500))
    first.execute("select set_config('search_path', %s, false)", [path])
    assert value(second, "show search_path") == '"$user", public'
    assert value(first, "show search_path") == path
    first.close()
    second.close()


@pytest.mark.parametrize(
    "undone",
    [
        "begin; set work_mem = '9MB'; rollback",
        "begin; savepoint a; set work_mem = '9MB'; rollback to a; commit",
        "begin; set work_mem = '9MB'; select 1/0",
    ],
)
def test_set_that_was_rolled_back_never_happened(make_pooler: MakePooler, undone: str):
    pooler = make(make_pooler)
    first, second = others(pooler, 2)
    first.execute("set work_mem = '5MB'")
    try:
        first.execute(undone.encode())
    except psycopg.errors.DivisionByZero:
        first.execute("rollback")
    assert value(second, "show work_mem") == "4MB"
    assert value(first, "show work_mem") == "5MB"
    first.close()
    second.close()


@pytest.mark.parametrize("undo", ["reset timezone", "reset all", "discard all"])
@pytest.mark.parametrize("pin", ["select 1", "listen news"])
def test_reset_goes_back_to_the_startup_packet(make_pooler: MakePooler, undo: str, pin: str):
    # The client was told PostgreSQL's own default, and a pinned one kept it.
    pooler = make(make_pooler)
    client = pooler.connect(options="-c timezone=Asia/Tokyo")
    client.execute(pin.encode())
    client.execute("set timezone = 'America/Lima'")
    client.execute(undo.encode())
    assert value(client, "show timezone") == "Asia/Tokyo"
    assert client.info.parameter_status("TimeZone") == "Asia/Tokyo"
    client.close()


def test_set_is_reported_to_its_client_alone(make_pooler: MakePooler):
    pooler = make(make_pooler)
    first, second = others(pooler, 2)
    first.execute("set timezone = 'America/Lima'; set application_name = ''")
    assert first.info.parameter_status("TimeZone") == "America/Lima"
    assert second.execute("select 1").fetchone() == (1,)
    assert second.info.parameter_status("TimeZone") != "America/Lima"
    assert value(first, "select current_setting('application_name')") == ""
    first.close()
    second.close()


SET_APP_X = {
    "set": ("set app.x = 'mine'", []),
    "session": ("set session App.X to mine; select 1", []),
    "function": ("select set_config('app.x', 'mine', false)", []),
    "parameter": ("select set_config('app.x', %s, false)", ["mine"]),
    "transaction": ("begin; set local app.x = 'other'; set app.x = 'mine'; commit", []),
    "hidden": ("select set_config('app.' || 'x', 'mine', false)", []),
    "do": ("do $$ begin set app.x = 'mine'; end $$", []),
}
SHOW_APP_X = "select coalesce(current_setting('app.x', true), '')"


@pytest.mark.parametrize(("text", "values"), SET_APP_X.values(), ids=SET_APP_X)
def test_setting_that_no_view_lists_stays_with_its_client(
    make_pooler: MakePooler, text: str, values: list[str]
):
    # Such settings are not in pg_settings: they were lost, or went to the next client.
    pooler = make(make_pooler, size=2)
    first, second = others(pooler, 2)
    first.execute(text.encode(), values or None)
    for _ in range(3):
        assert value(second, SHOW_APP_X) == ""
        assert value(first, "show app.x") == "mine"
    first.execute("discard all")
    third, fourth = others(pooler, 2)
    for client in (second, third, fourth):
        assert value(client, SHOW_APP_X) == ""
    for client in (first, second, third, fourth):
        client.close()


def test_dotted_settings_follow_over_one_server(make_pooler: MakePooler):
    pooler = make(make_pooler)
    clients = others(pooler, 3)
    for number, client in enumerate(clients):
        client.execute("select set_config('app.tenant', %s, false)", [f"it's \\ {number} é"])
    for client in clients[:2]:
        client.execute("set app.role = 'guest'; set work_mem = '5MB'")
    for _ in range(2):
        seen = [value(client, "show app.tenant") for client in clients]
        assert seen == ["it's \\ 0 é", "it's \\ 1 é", "it's \\ 2 é"]
    assert value(clients[2], "select coalesce(current_setting('app.role', true), '')") == ""
    assert value(clients[1], "show app.role") == "guest"
    with pytest.raises(psycopg.errors.DivisionByZero):
        clients[0].execute("set app.tenant = 'nobody'; select 1/0")
    assert value(clients[1], "show app.tenant") == "it's \\ 1 é"
    assert value(clients[0], "show app.tenant") == "it's \\ 0 é"
    assert pins(pooler) == {""}
    for client in clients:
        client.close()


def test_setting_that_was_reset_is_empty_on_any_server(make_pooler: MakePooler, pg: PostgreSQL):
    # As on a direct connection, where it is not unknown again.
    pooler = make(make_pooler)
    client = pooler.connect()
    for text in ("set app.x = 'mine'; reset app.x", "begin; set app.y = 'mine'; rollback"):
        client.execute(text.encode())
    before = value(client, "select pg_backend_pid()")
    pg.terminate()
    assert [value(client, f"show app.{name}") for name in "xy"] == ["", ""]
    assert value(client, "select pg_backend_pid()") != before
    client.close()


def test_startup_setting_that_is_reset_comes_back_beside_others(make_pooler: MakePooler):
    pooler = make(make_pooler)
    client = pooler.connect(options="-c timezone=Asia/Tokyo -c app.y=begun")
    client.execute("set app.x = 'mine'; set app.y = 'mine'")
    client.execute("set timezone = 'America/Lima'")
    client.execute("reset timezone; reset app.y")
    assert value(client, "show timezone") == "Asia/Tokyo"
    assert value(client, "show app.y") == "begun"
    assert value(client, "show app.x") == "mine"
    client.close()


def test_more_settings_than_can_be_asked_for_pin(make_pooler: MakePooler):
    pooler = make(make_pooler, size=2)
    first, second = others(pooler, 2)
    for number in range(100):
        first.execute(f"set app.{'x' * 50}{number:03} = '{number}'".encode())
    wait_for(lambda: "setting" in pins(pooler), "the pin")
    for number in (0, 99):
        assert value(first, f"show app.{'x' * 50}{number:03}") == str(number)
        missing = f"select coalesce(current_setting('app.{'x' * 50}{number:03}', true), '')"
        assert value(second, missing) == ""
    first.execute("discard all")
    wait_for(lambda: pins(pooler) == {""}, "no pin")
    first.close()
    second.close()


@pytest.mark.parametrize(
    "text",
    [
        "do $$ begin execute concat('se', 't app.x = 1'); end $$",
        f"select 1 /* {'x' * 100_000} */; select set_config('app.x', 'mine', false)",
        f"select set_config('work_mem', '5MB', false), '{'x' * 100_000}'; set app.x = 'mine'",
    ],
    ids=["do", "function", "set"],
)
def test_setting_of_a_text_that_is_not_read_reaches_nobody_else(make_pooler: MakePooler, text: str):
    pooler = make(make_pooler)
    first = pooler.connect()
    first.execute(text.encode())
    first.close()
    second = pooler.connect()
    assert value(second, SHOW_APP_X) == ""
    second.close()


PINS = {
    "create temp table mine (a int)": "drop table mine",
    "select pg_advisory_lock(1)": "select pg_advisory_unlock(1)",
    "listen news": "unlisten news",
    "prepare mine as select 1": "deallocate mine",
    "declare held cursor with hold for select 1": "close held",
    "select set_config('app.' || 'x', 'mine', false)": "discard all",
}


WORDS = ("temp table", "lock", "listen", "prepare", "cursor", "setting")
PINNED = dict(zip(PINS, WORDS, strict=True))


def pins(pooler: Pooler) -> set[str]:
    """Why clients keep their servers; a client is answered before PostgreSQL is asked for it."""
    return {row["pinned"] for row in pooler.admin("show clients")}


@pytest.mark.parametrize("path", ["pg_temp, public", '"$user", pg_temp'])
@pytest.mark.parametrize("made", ["create table mine (a int)", "select 1 as a into mine"])
@pytest.mark.parametrize("startup", [False, True])
def test_relation_is_temporary_by_its_search_path(
    make_pooler: MakePooler, path: str, made: str, startup: bool
):
    # It was not seen, and the next client had it.
    pooler = make(make_pooler)
    first = pooler.connect(options=f"-c search_path={path.replace(' ', '')}" if startup else "")
    if not startup:
        first.execute(f"set search_path = {path}".encode())
    first.execute(made.encode())
    wait_for(lambda: "temp table" in pins(pooler), "the pin")
    first.close()
    second = pooler.connect()
    assert value(second, LEFT) == 0
    second.close()


def counted(pooler: Pooler) -> dict[str, tuple[int, int]]:
    """How many clients have, and had, which reasons; those that none ever had left out."""
    rows = pooler.admin("show pins")
    return {row["pinned"]: (row["clients"], row["total"]) for row in rows if row["total"]}


@pytest.mark.parametrize(("pin", "end"), PINS.items())
def test_pinned_server_is_shared_again(make_pooler: MakePooler, pin: str, end: str):
    pooler = make(make_pooler, query_wait_timeout="1s")
    first, second = others(pooler, 2)
    first.execute(pin.encode())
    wait_for(lambda: PINNED[pin] in pins(pooler), "the pin")
    assert counted(pooler) == {PINNED[pin]: (1, 1)}
    with pytest.raises(psycopg.OperationalError):
        second.execute("select 1")
    first.execute(end.encode())
    wait_for(lambda: pins(pooler) == {""}, "no pin")
    assert counted(pooler) == {PINNED[pin]: (0, 1)}
    third = pooler.connect()
    assert value(third, "select 1") == 1
    assert value(first, "select 2") == 2
    for client in (first, second, third):
        client.close()


@pytest.mark.parametrize("text", [*PINS, "set work_mem = '9MB'"])
def test_who_vanishes_leaves_nothing(make_pooler: MakePooler, text: str):
    pooler = make(make_pooler)
    first = pooler.connect()
    first.pgconn.send_query(text.encode())  # its answer is not waited for
    first.close()
    second = pooler.connect()
    assert value(second, "show work_mem") == "4MB"
    assert value(second, "select coalesce(current_setting('app.x', true), '')") == ""
    assert value(second, LEFT) == 0
    second.close()


LEFT = """
    select (select count(*) from pg_listening_channels())
        + (select count(*) from pg_prepared_statements where from_sql)
        + (select count(*) from pg_cursors where is_holdable)
        + (select count(*) from pg_class where relnamespace = pg_my_temp_schema())
        + (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())
"""


def test_notification_reaches_a_pinned_listener(make_pooler: MakePooler):
    pooler = make(make_pooler, size=2)
    listener, teller = others(pooler, 2)
    listener.execute("listen news")
    teller.execute("notify news, 'hello'")
    heard = next(listener.notifies(timeout=5, stop_after=1))
    assert (heard.channel, heard.payload) == ("news", "hello")
    listener.close()
    teller.close()


LEAVES = (
    *PINS,
    "set work_mem = '9MB'",
    "set app.x = 'mine'",
    "set role app_trust",
    "begin; set local work_mem = '9MB'; declare held cursor with hold for select 1; commit",
    "begin; prepare mine as select 1; listen news; select pg_advisory_lock(2); rollback",
    "begin; create temp table mine (a int); commit; select pg_advisory_lock(2)",
    "do $$ begin execute concat('se', 't app.x = 1'); execute concat('lis', 'ten news'); end $$",
    "do $$ begin perform set_config('work_mem', '9MB', false); end $$",
)
SETTINGS = "select array[current_setting('work_mem'), current_user, " + SHOW_APP_X[7:] + "]"


@pytest.mark.parametrize("extended", [False, True])
def test_reset_mode_leaves_the_server_as_it_was(
    make_pooler: MakePooler, pg: PostgreSQL, extended: bool
):
    pooler = make(make_pooler, session_state="reset")
    first, second = others(pooler, 2)
    pg.sql("grant app_trust to app")
    for text in LEAVES:
        if extended and (";" not in text or text.startswith("do")):
            first.execute(text.encode(), prepare=True)
        elif not extended:
            first.execute(text.encode())
        assert value(second, SETTINGS) == ["4MB", "app", ""]
        assert value(second, LEFT) == 0
    pg.sql("revoke app_trust from app")
    assert pins(pooler) == {""}
    first.close()
    second.close()


PREPARED = "select count(*) from pg_prepared_statements"


@pytest.mark.parametrize(
    ("text", "survives"),
    [
        ("set work_mem = '9MB'", True),
        ("listen news", True),
        ("select pg_advisory_lock(1)", True),
        ("create temp table mine (a int)", True),
        ("prepare mine as select 1", False),
        ("do $$ begin end $$", False),
    ],
)
def test_reset_mode_undoes_no_more_than_was_done(
    make_pooler: MakePooler, text: str, survives: bool
):
    # Prepared statements of the protocol were all lost with every SET.
    pooler = make(make_pooler, session_state="reset")
    first, second = others(pooler, 2)
    assert second.execute("select 42", prepare=True).fetchone() == (42,)
    first.execute(text.encode())
    assert value(first, PREPARED) == survives
    assert second.execute("select 42", prepare=True).fetchone() == (42,)
    assert value(first, PREPARED) == 1
    first.close()
    second.close()


def test_reset_mode_keeps_startup_parameters(make_pooler: MakePooler):
    pooler = make(make_pooler, session_state="reset")
    first = pooler.connect(options="-c work_mem=77MB -c app.x=begun")
    second = pooler.connect()
    for text in ("select 1", "set work_mem = '9MB'", "reset all", "discard all", "listen news"):
        first.execute(text.encode())
        assert value(first, SETTINGS) == ["77MB", "app", "begun"]
        assert value(second, SETTINGS) == ["4MB", "app", ""]
    first.close()
    second.close()


@pytest.mark.parametrize(
    "settings", [{"session_state": "off"}, {"cleanup_server_connections": False}], ids=str
)
def test_off_leaves_what_was_done(make_pooler: MakePooler, settings: dict[str, Any]):
    pooler = make(make_pooler, **settings)
    first, second = others(pooler, 2)
    first.execute("set work_mem = '9MB'")
    first.execute("set app.x = 'mine'")
    first.execute("create temp table mine (a int)")
    first.execute("prepare mine as select 7")
    assert value(second, SETTINGS) == ["9MB", "app", "mine"]
    assert value(second, "select count(*) from mine") == 0
    assert value(second, "execute mine") == 7
    assert pins(pooler) == {""}
    first.execute("begin; set local work_mem = '5MB'")
    first.close()
    assert value(second, SETTINGS) == ["9MB", "app", "mine"]
    assert [int(row["total_session_look_count"]) for row in pooler.admin("show stats")] == [0]
    second.close()


def test_session_mode_is_a_direct_connection(make_pooler: MakePooler):
    pooler = make(make_pooler, pool_mode="session")
    first = pooler.connect()
    first.execute("set work_mem = '9MB'")
    first.execute("create temp table mine (a int)")
    assert value(first, "show work_mem") == "9MB"
    first.close()
    wait_for(lambda: pooler.admin("show servers")[0]["state"] == "idle", "the server is idle")
    second = pooler.connect()
    assert value(second, "show work_mem") == "4MB"
    assert value(second, LEFT) == 0
    second.close()
