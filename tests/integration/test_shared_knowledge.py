"""What one worker has learned about a pool, all know: nobody waits to learn it again."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import Any

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = ANY_POSTGRESQL

# What drivers ask for that a server of the harness has anyway, and what needs no question.
COMMON: tuple[dict[str, Any], ...] = (
    {},
    {"application_name": "one of many"},
    {"client_encoding": "utf-8", "DateStyle": "ISO, MDY"},
    {"client_encoding": "'UTF8'", "DateStyle": "iso", "standard_conforming_strings": "true"},
)


def workers_of(pooler: Pooler) -> set[int]:
    """Return the workers that serve clients of the database app."""
    rows = pooler.admin("show clients")
    return {int(row["worker"]) for row in rows if row["database"] == "app"}


def test_login_waits_for_no_busy_server(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    """The first login of the second worker asked the pool's only server, which was not free."""
    pooler = make_pooler(2, pools={"app": {"users": [user(pool_size=1)]}}, query_wait_timeout="1h")
    with ExitStack() as stack:
        holder = stack.enter_context(Wire.connect(pooler.host, pooler.port))
        holder.login()
        holder.query("begin")
        holder.query("select 1")

        def join() -> bool:
            for wish in COMMON:
                pooled = stack.enter_context(Wire.connect(pooler.host, pooler.port))
                pooled.login(**wish)
                with Wire.connect(pg.host, pg.port) as direct:
                    direct.login(**wish)
                    assert pooled.parameters == direct.parameters
            return workers_of(pooler) == {0, 1}

        wait_for(join, "both workers have let clients in")


def test_md5_hash_in_the_file_is_enough_in_every_worker(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    [(secret,)] = pg.sql("select rolpassword from pg_authid where rolname = 'app_md5'")
    users = [user("app_md5", password=secret, min_pool_size=2)]
    pooler = make_pooler(2, pools={"app": {"users": users}})
    wait_for(lambda: len(pg.backends("app_md5")) == 2, "the pool is filled")
    before = set(pooler.worker_pids())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not before & set(pooler.worker_pids()), "others have taken their places")
    wait_for(lambda: len(pg.backends("app_md5")) == 2, "the pool is filled again")
    with pooler.connect("app_md5") as connection:
        assert connection.execute("select current_user").fetchone() == ("app_md5",)


def test_keys_of_a_client_open_servers_in_workers_that_never_saw_it(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    """A pool without a password in the configuration stayed empty until the next login."""
    [(secret,)] = pg.sql("select rolpassword from pg_authid where rolname = 'app'")
    users = [user(password=secret, min_pool_size=3)]
    pooler = make_pooler(2, pools={"app": {"users": users}})
    with Wire.connect(pooler.host, pooler.port) as wire:
        wire.login()
    wait_for(lambda: len(pg.backends("app")) == 3, "the pool is filled")
    before = {each.pid for each in pg.backends("app")}
    for pid in pooler.worker_pids():  # nobody is left who has seen the client
        os.kill(pid, signal.SIGKILL)

    def is_filled_again() -> bool:
        now = {each.pid for each in pg.backends("app")}
        return len(now) == 3 and not now & before

    wait_for(is_filled_again, "the pool is filled again")
