"""The database that scripts play on, and what must be true of it afterwards."""

from __future__ import annotations

from typing import Self

from tests.integration.differential.conversation import Address
from tests.integration.differential.script import Script
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

_SCENERY = """
    create table t (a int primary key, b text);
    create table strict (a int primary key, b int references t (a) deferrable initially deferred);
    create table guarded (a int);
    create function refuse() returns trigger language plpgsql as
        $$ begin raise exception 'refused by trigger'; end $$;
    create trigger guard before insert on guarded execute function refuse();
    create function remark(what text) returns int language plpgsql as
        $$ begin raise notice 'remark: %', what; return 1; end $$;
    create function scream() returns int language plpgsql as
        $$ begin raise exception 'scream'; end $$;
    create procedure commits(inout x int) language plpgsql as
        $$ begin insert into t values (900, 'kept'); commit; x := x + 1; end $$;
"""
_RESET = """
    truncate t, strict;
    insert into t values (1, 'one'), (2, 'two'), (3, 'three');
"""
_BUSY = """
    select pid, state, wait_event, query from pg_stat_activity
    where datname = current_database() and usename = 'app' and state <> 'idle'
"""
_LOCKS = """
    select locktype, mode from pg_locks join pg_stat_activity using (pid)
    where datname = current_database() and usename = 'app'
"""


class Stage:
    """Own the scenery of one database, and the connection that looks after it."""

    def __init__(self, pg: PostgreSQL, database: str) -> None:
        self.pg = pg
        self.database = database
        with pg.connect("app", database) as connection:
            connection.execute(_SCENERY.encode())
        self._connection = pg.connect("postgres", database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def address(self) -> Address:
        return Address(self.pg.host, self.pg.port, self.database)

    def reset(self) -> None:
        self._connection.execute(_RESET.encode())

    def contents(self) -> list[tuple[object, ...]]:
        """Return what a script has left in the tables."""
        return self._connection.execute(b"select a, b from t order by a").fetchall()

    def is_quiet(self) -> bool:
        """Say whether nobody is in a query or a transaction, and no lock is held."""
        busy = self._connection.execute(_BUSY.encode()).fetchall()
        return not busy and not self._connection.execute(_LOCKS.encode()).fetchall()

    def assert_quiet(self) -> None:
        wait_for(self.is_quiet, f"no transaction or lock is left in {self.database}")


def pool_of(size: int, mode: str = "transaction") -> dict[str, object]:
    """Compose the settings of a pool with `size` servers for the user app."""
    return {"pool_mode": mode, "users": [user(pool_size=size)]}


def address_of(pooler: Pooler, database: str) -> Address:
    return Address(pooler.host, pooler.port, database)


def discard(address: Address) -> None:
    """Forget the session of the pool's only server: what one script prepared, the next has not."""
    with Wire.connect(address.host, address.port) as wire:
        wire.login(address.user, address.database)
        wire.rows("discard all")


def playable(scripts: list[Script], pool_size: int) -> list[Script]:
    return [script for script in scripts if script.servers <= pool_size]
