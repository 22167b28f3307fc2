"""Users whom auth_query finds, their pools and who is in them, when greenpool is upgraded."""

from __future__ import annotations

import socket

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.found import (
    asking,
    log_in,
    pools_of,
    value,
    whoami,
)
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Wire

pytestmark = [ANY_POSTGRESQL, pytest.mark.usefixtures("found_users")]

SELF = "select pg_backend_pid()::text"


def test_found_users_work_on_and_keep_their_servers(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, pools=asking(default_pool_size=1))
    with log_in(pooler, "ann") as stays, log_in(pooler, "bob") as busy:
        ann, bob = value(stays, SELF), value(busy, SELF)
        busy.autocommit = False
        assert value(busy, SELF) == bob
        assert pooler.upgrade().returncode == 0
        assert value(stays, SELF) == ann
        with log_in(pooler, "ann") as comes:
            assert value(comes, SELF) == ann
        with log_in(pooler, "asker") as fresh:
            assert whoami(fresh) == "asker"
        assert value(busy, SELF) == bob
        busy.commit()
        wait_for(lambda: not pooler.elders(), "the old generation has ended")
        assert value(stays, SELF) == ann
        assert whoami(busy) == "bob"
        rows = pools_of(pooler)
        assert {*rows} >= {"app", "(auth_query)", "ann", "bob", "asker"}


def test_login_that_is_under_way_gets_its_pool_from_the_new_generation(
    make_pooler: MakePooler,
) -> None:
    """Bob proves who he is to the old generation, which makes no pools any more."""
    pooler = make_pooler(2, pools=asking())
    with log_in(pooler, "ann"), Wire.connect(pooler.host, pooler.port) as late:
        late.send(messages.startup({"user": "bob", "database": "app"}))
        late.sock.recv(1, socket.MSG_PEEK)  # it has been asked for its password
        assert pooler.upgrade().returncode == 0
        late.prove("bob")
        late.read_until(b"Z")
        assert late.rows("select current_user") == [[b"bob"]]
        with log_in(pooler, "bob") as another:
            assert whoami(another) == "bob"
    wait_for(lambda: not pooler.elders(), "the old generation has ended")


def test_pools_of_the_old_generation_are_given_up_by_the_new(
    make_pooler: MakePooler, pg: PostgreSQL
) -> None:
    pooler = make_pooler(2, pools=asking(), idle_timeout="500ms")
    with log_in(pooler, "ann") as stays:
        log_in(pooler, "bob").close()
        assert pooler.upgrade().returncode == 0
        wait_for(lambda: not pooler.elders(), "the old generation has ended")
        wait_for(lambda: "bob" not in pools_of(pooler), "the pool nobody uses is gone")
        assert whoami(stays) == "ann"
    wait_for(lambda: "ann" not in pools_of(pooler), "nor does anybody use this one")
    with log_in(pooler, "bob") as again:
        assert whoami(again) == "bob"
        assert len(pg.backends("bob")) == 1
