"""Functions that change the session in secret: their clients keep it, and nobody else sees it.

Everything goes over one server, so that what one client leaves another would find.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.messages import function_call
from tests.integration.harness.pooler import Connection, Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

SETS = "create function sets() returns int language plpgsql as $$ begin {} return 1; end $$"
WORK_MEM = "set work_mem = '5MB';"
TRIGGER = """
    create function sets() returns trigger language plpgsql as
        $$ begin perform set_config('work_mem', '5MB', false); return new; end $$;
    create table notes (a int);
    create trigger on_notes before insert on notes for each row execute function sets()
"""


class Case(NamedTuple):
    """What is defined, and the text that then says nothing of a SET."""

    defined: str
    runs: str


CASES = {
    "function": Case(SETS.format(WORK_MEM), "select sets()"),
    "quoted": Case(SETS.format(WORK_MEM).replace("sets()", '"Sets It"()'), 'select "Sets It"()'),
    "capitals": Case(SETS.format(WORK_MEM), "SELECT Public . SETS()"),
    "escaped": Case(SETS.format(WORK_MEM), 'select U&"s\\0065ts"()'),
    "letters": Case(
        SETS.format(WORK_MEM).replace("sets()", "setzt_größe()"), "select setzt_größe()"
    ),
    "sql": Case(
        "create function sets() returns text language sql as "
        "$$ select set_config('work_mem', '5MB', false) $$",
        "select sets()",
    ),
    "parsed": Case(
        "create function sets() returns text language sql begin atomic "
        "select set_config('work_mem', '5MB', false); end",
        "select sets()",
    ),
    "dynamic": Case(SETS.format("execute 'set ' || 'work_mem = ''5MB''';"), "select sets()"),
    "behind a comment": Case(SETS.format("/* x */ -- '\n set work_mem = '5MB';"), "select sets()"),
    "in another": Case(
        SETS.format(WORK_MEM) + "; create function calls() returns int language plpgsql as "
        "$$ begin return Sets(); end $$",
        "select calls()",
    ),
    "made up": Case(
        SETS.format(WORK_MEM) + "; create function calls(x text) returns int language plpgsql as "
        "$$ begin execute 'select ' || x; return 1; end $$",
        "select calls(concat('se', 'ts()'))",
    ),
    "procedure": Case(
        "create procedure sets() language plpgsql as $$ begin set work_mem = '5MB'; end $$",
        "call sets()",
    ),
    "trigger": Case(TRIGGER, "insert into notes values (1)"),
    "trigger of a partition": Case(
        TRIGGER.replace("notes (a int)", "notes (a int)").replace(
            "create trigger",
            "create table papers (a int) partition by list (a); "
            "alter table papers attach partition notes for values in (1); create trigger",
        ),
        "insert into papers values (1)",
    ),
    "trigger behind a foreign key": Case(
        TRIGGER.replace(
            "notes (a int)",
            "desks (a int primary key); create table notes (a int "
            "references desks on update cascade)",
        ).replace("before insert", "before update")
        + "; insert into desks values (1); insert into notes values (1)",
        "update desks set a = a + 1",
    ),
    "view": Case(
        SETS.format(WORK_MEM) + "; create view looks as select sets(); "
        "create view glances as select * from looks",
        "select * from glances",
    ),
    "view of what PostgreSQL has": Case(
        "create view looks as select pg_catalog.set_config('work_mem', '5MB', false)",
        "select * from looks",
    ),
    "default": Case(
        SETS.format(WORK_MEM) + "; create table notes (a int default sets())",
        "insert into notes values (default)",
    ),
    "rule": Case(
        SETS.format(WORK_MEM) + "; create table notes (a int); create rule on_notes as "
        "on insert to notes do also select sets()",
        "insert into notes values (3)",
    ),
    "domain": Case(
        SETS.format(WORK_MEM) + "; create domain small as int check (value > sets())",
        "select 5::small",
    ),
    "operator": Case(
        "create function sets(int, int) returns int language plpgsql as "
        "$$ begin set work_mem = '5MB'; return 1; end $$; "
        "create operator <=> (leftarg = int, rightarg = int, function = sets)",
        "select 1 <=> 2",
    ),
    "in a text that is made up": Case(
        SETS.format(WORK_MEM), "select ts_stat(concat('select to_tsvector(se', 'ts()::text)'))"
    ),
}


def make(make_pooler: MakePooler, database: str, **settings: Any) -> Pooler:
    pools = {database: {"query_wait_timeout": "10s", **settings, "users": [user(pool_size=1)]}}
    return make_pooler(workers=2, pools=pools)


def define(pg: PostgreSQL, database: str, text: str) -> None:
    """Say `text` past the pooler."""
    with pg.connect("app", database) as connection:
        connection.execute(text.encode())


def value(client: Connection, query: str) -> Any:
    row = client.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def pins(pooler: Pooler) -> list[str]:
    return [row["pinned"] for row in pooler.admin("SHOW CLIENTS") if row["user"] == "app"]


def looks(pooler: Pooler) -> int:
    return sum(row["total_session_look_count"] for row in pooler.admin("SHOW STATS"))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_a_function_sets_follows_its_client_alone(
    pg: PostgreSQL, database: str, make_pooler: MakePooler, case: Case
):
    """Or is undone, in reset mode; each in a pool of its own, with a server of its own."""
    define(pg, database, case.defined)
    one = {"server_database": database, "query_wait_timeout": "10s", "users": [user(pool_size=1)]}
    reset = {**one, "session_state": "reset"}
    pooler = make_pooler(workers=2, pools={"simple": one, "prepared": one, "reset": reset})
    for pool in ("simple", "prepared", "reset"):
        with pooler.connect(database=pool) as first, pooler.connect(database=pool) as second:
            first.execute(case.runs.encode(), prepare=pool == "prepared")
            assert value(second, "show work_mem") == "4MB", pool
            assert pool == "reset" or value(first, "show work_mem") == "5MB", pool


@pytest.mark.parametrize(
    ("does", "reason", "undo"),
    [
        ("perform pg_advisory_lock(1);", "lock", "select pg_advisory_unlock_all()"),
        ("create temp table mine (a int);", "temp table", "drop table mine"),
        ("listen news;", "listen", "unlisten *"),
        ("execute 'prepare mine as select 1';", "prepare", "deallocate mine"),
    ],
)
def test_what_a_function_makes_pins_its_client(
    pg: PostgreSQL, database: str, make_pooler: MakePooler, does: str, reason: str, undo: str
):
    define(pg, database, SETS.format(does))
    pooler = make(make_pooler, database)
    first = pooler.connect(database=database)
    first.execute("select sets()")
    wait_for(lambda: pins(pooler) == [reason], "its client is pinned")
    first.execute(undo.encode())
    wait_for(lambda: pins(pooler) == [""], "it is pinned no more")
    first.close()


def test_dotted_setting_of_a_function_follows_its_client_alone(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
):
    sets = "perform set_config('app.tenant', 'one', false); set app.nick to two;"
    define(pg, database, SETS.format(sets))
    pooler = make(make_pooler, database)
    first, second = (pooler.connect(database=database) for _ in range(2))
    first.execute("select sets()")
    for name, there in (("app.tenant", "one"), ("app.nick", "two")):
        assert not value(second, f"select current_setting('{name}', true)")
        assert value(first, f"select current_setting('{name}', true)") == there
    first.close()
    second.close()


def test_dotted_setting_that_cannot_be_read_is_nobody_elses(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
):
    sets = "perform set_config('app.' || 'tenant', 'one', false);"
    define(pg, database, SETS.format(sets))
    pooler = make(make_pooler, database)
    first, second = (pooler.connect(database=database) for _ in range(2))
    first.execute("select sets()")
    assert not value(second, "select current_setting('app.tenant', true)")
    first.close()
    second.close()


@pytest.mark.parametrize(
    "defined",
    [
        "create function f() returns int language plpgsql set work_mem = '5MB' as "
        "$$ begin return 1; end $$",
        SETS.format("update notes set a = 1; set local work_mem = '5MB';"),
        SETS.format("perform set_config('work_mem', '5MB', true);"),
        SETS.format("execute format('insert into %I values (1)', 'notes');"),
        "create view looks as select current_setting('work_mem')",
    ],
)
def test_what_changes_no_session_costs_no_question(
    pg: PostgreSQL, database: str, make_pooler: MakePooler, defined: str
):
    define(pg, database, f"create table notes (a int); {defined}")
    pooler = make(make_pooler, database)
    client = pooler.connect(database=database)
    for text in ("select 1", "update notes set a = 2", "select * from pg_proc limit 1"):
        client.execute(text.encode())
    client.close()
    assert looks(pooler) == 0


@pytest.mark.parametrize("in_block", [False, True])
@pytest.mark.parametrize("by_do", [False, True])
def test_function_that_is_made_by_a_client_is_known_at_once(
    database: str, make_pooler: MakePooler, in_block: bool, by_do: bool
):
    pooler = make(make_pooler, database)
    first, second, third = (pooler.connect(database=database) for _ in range(3))
    assert value(second, "select 1") == 1
    text = SETS.format(WORK_MEM)
    if by_do:
        text = f"do $do$ begin execute $t${text}$t$; end $do$"
    if in_block:
        text = f"begin; {text}; commit"
    third.execute(text.encode())
    first.execute("select sets()")
    assert value(second, "show work_mem") == "4MB"
    assert value(first, "show work_mem") == "5MB"
    for client in (first, second, third):
        client.close()


def test_texts_are_asked_after_until_the_list_is_there_again(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
):
    pooler = make(make_pooler, database)
    client = pooler.connect(database=database)
    client.execute("create view looks as select 1")

    def costs_nothing() -> bool:
        before = looks(pooler)
        client.execute("select 1")
        return looks(pooler) == before

    wait_for(costs_nothing, "a transaction without a question")
    client.close()


def test_function_that_is_made_elsewhere_is_found(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
):
    pooler = make(make_pooler, database)
    first, second = (pooler.connect(database=database) for _ in range(2))
    first.execute("select 1")
    define(pg, database, SETS.format(WORK_MEM))

    def is_found() -> bool:
        first.execute("select 1")  # lists that nobody uses are not asked for
        return "functions that change the session" in pooler.log()

    wait_for(is_found, "the function")
    second.execute("select sets()")
    assert value(first, "show work_mem") == "4MB"
    assert value(second, "show work_mem") == "5MB"
    first.close()
    second.close()


def test_function_call_of_the_protocol_is_asked_after(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
):
    define(pg, database, SETS.format(WORK_MEM))
    oid = pg.sql("select 'sets'::regproc::oid", database=database)[0][0]
    pooler = make(make_pooler, database)
    second = pooler.connect(database=database)
    with Wire.connect(pooler.host, pooler.port) as first:
        first.login("app", database)
        first.send(function_call(oid, []))
        first.read_until(b"Z")
        assert value(second, "show work_mem") == "4MB"
        assert first.rows("show work_mem") == [[b"5MB"]]
    second.close()


def test_database_where_any_text_may_is_left_alone_in_off_mode(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
):
    define(pg, database, SETS.format(WORK_MEM))
    pooler = make(make_pooler, database, session_state="off")
    client = pooler.connect(database=database)
    client.execute("select sets()")
    assert value(client, "show work_mem") == "5MB"
    client.close()
    assert looks(pooler) == 0


def test_error_in_such_a_function_changes_nothing(
    pg: PostgreSQL, database: str, make_pooler: MakePooler
):
    define(pg, database, SETS.format(WORK_MEM + " perform 1 / 0;"))
    pooler = make(make_pooler, database)
    client = pooler.connect(database=database)
    with pytest.raises(psycopg.errors.DivisionByZero):
        client.execute("select sets()")
    assert value(client, "show work_mem") == "4MB"
    client.close()
