"""psql through the pool prints what psql prints on a direct connection: each script runs twice."""

from __future__ import annotations

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.postgres import PostgreSQL

SCRIPTS = {
    "values": """
        select 1, null, 'text', '', 1.5::numeric, '\\x00ff'::bytea, array[1, null, 3];
        select generate_series(1, 1000);
        select repeat('x', 100000);
        select;
        """,
    "several statements in one query": """
        select 1 \\; select 2 \\; select 3;
        select 1 \\; select 1 / 0 \\; select 3;
        select 4;
        """,
    "errors": """
        select * from missing_table;
        selec 1;
        select 'after the errors';
        select 1 / 0;
        select cast('x' as int);
        """,
    "transactions": """
        create table psql_t (a int primary key);
        begin;
        insert into psql_t values (1), (2);
        commit;
        begin;
        insert into psql_t values (3);
        rollback;
        begin;
        insert into psql_t values (1);
        select 'refused';
        commit;
        select * from psql_t order by a;
        drop table psql_t;
        """,
    "savepoints": """
        create table psql_t (a int);
        begin;
        insert into psql_t values (1);
        savepoint one;
        insert into psql_t values ('x');
        rollback to savepoint one;
        insert into psql_t values (2);
        savepoint two;
        insert into psql_t values (3);
        release savepoint two;
        rollback to savepoint one;
        insert into psql_t values (4);
        commit;
        select * from psql_t order by a;
        drop table psql_t;
        """,
    "copy": """
        create table psql_t (a int, b text);
        copy psql_t from stdin;
1\tone
2\t\\N
3\tthree
\\.
        copy psql_t to stdout with (format csv, header);
        copy psql_t from stdin;
not a number\tx
\\.
        select count(*) from psql_t;
        copy (select n, repeat('y', 100) from generate_series(1, 20000) n) to stdout;
        drop table psql_t;
        """,
    "notices": """
        do $$ begin raise notice 'one'; raise warning 'two'; end $$;
        drop table if exists psql_missing;
        """,
    "cursors": """
        begin;
        declare c cursor for select generate_series(1, 100);
        fetch 3 from c;
        move 50 in c;
        fetch 2 from c;
        close c;
        commit;
        """,
    "settings in a transaction": """
        begin;
        set local work_mem = '7MB';
        show work_mem;
        rollback;
        begin isolation level serializable read only;
        show transaction_isolation;
        create table psql_t (a int);
        rollback;
        """,
    "meta-commands": """
        create table psql_t (a int primary key, b text not null default 'x');
        \\d psql_t
        \\dt psql_*
        select 7 as seven \\gset
        select :seven + 1;
        select 'select ' || n from generate_series(1, 3) n \\gexec
        select 1 as a, 2 as b \\gdesc
        drop table psql_t;
        """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_psql_prints_what_it_prints_directly(pg: PostgreSQL, pooler: Pooler, name: str) -> None:
    direct = pg.psql(SCRIPTS[name])
    pooled = pooler.psql(SCRIPTS[name])
    assert pooled.stdout == direct.stdout
    assert pooled.stderr == direct.stderr
    assert pooled.returncode == direct.returncode


def test_psql_stops_at_an_error_like_directly(pg: PostgreSQL, pooler: Pooler) -> None:
    script, options = "select 1; select 1 / 0; select 2;", ("-v", "ON_ERROR_STOP=1")
    direct, pooled = pg.psql(script, *options), pooler.psql(script, *options)
    assert (pooled.returncode, pooled.stdout) == (direct.returncode, direct.stdout)
    assert pooled.returncode == 3


def test_psql_in_a_single_transaction(
    pg: PostgreSQL, make_pooler: MakePooler, database: str
) -> None:
    pooler = make_pooler(pools={database: {}})
    script = "create table t (a int); insert into t values (1); select 1 / 0;"
    assert pooler.psql(script, "-1", database=database).returncode == 0
    assert pg.sql("select to_regclass('t')", database=database) == [(None,)]
