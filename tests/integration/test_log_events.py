"""What a structured log tells of a client and its server, from coming to going."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.waiting import wait_for

pytestmark = ANY_POSTGRESQL


def told(pooler: Pooler, event: str, database: str = "app") -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in pooler.log().splitlines() if line.startswith("{"))
    return [each for each in lines if each["event"] == event and each["database"] == database]


def test_every_coming_and_going_is_told(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2, log_format="structured")
    with pooler.connect(application_name="till") as connection:
        connection.execute("select repeat('x', 5000)")
    wait_for(lambda: told(pooler, "client_disconnected"), "the goodbye is told")
    [come], [gone] = told(pooler, "client_connected"), told(pooler, "client_disconnected")
    assert {come["client"]} == {gone["client"]}
    assert (come["application"], gone["application"]) == ("till", "till")
    assert come["address"] == gone["address"]
    assert gone["reason"] in ("client_terminate", "client_eof")
    assert gone["bytes_sent"] > 5000 > gone["bytes_received"] > 0
    assert (gone["queries"], gone["duration_s"] > 0) == (1, True)
    pooler.admin("RECONNECT")
    wait_for(lambda: told(pooler, "server_closed"), "the end of the server is told")
    closed = told(pooler, "server_closed")[0]
    pids = [each["backend_pid"] for each in told(pooler, "server_opened")]
    assert (closed["reason"], closed["backend_pid"] in pids) == ("stale", True)


def test_a_refusal_is_told_with_its_sqlstate(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, log_format="structured")
    with pytest.raises(psycopg.OperationalError):
        pooler.connect(dbname="nowhere").close()
    wait_for(lambda: told(pooler, "client_refused", "nowhere"), "the refusal is told")
    [refused] = told(pooler, "client_refused", "nowhere")
    assert refused["sqlstate"] in ("3D000", "28P01", "28000")
    assert refused["address"].startswith("127.0.0.1:")


def test_the_reason_of_every_end_is_told(make_pooler: MakePooler, pg: PostgreSQL) -> None:
    """A client's end and a server's, whichever side or whoever else has wanted it."""
    users = {"users": [user()]}
    pools = {"app": users, "bench": {**users, "idle_transaction_timeout": "100ms"}}
    pooler = make_pooler(1, pools=pools, log_format="structured")
    with closing(pooler.connect()) as dropped:
        dropped.execute("begin")
        dropped.execute("select 1")
        assert pg.terminate("app", "app")
        wait_for(lambda: _ends(pooler, "app"), "PostgreSQL has ended it")
    with closing(pooler.connect(dbname="bench")) as slow:
        slow.execute("begin")
        slow.execute("select 1")
        wait_for(lambda: _ends(pooler, "bench"), "idle_transaction_timeout has ended it")
    with closing(pooler.connect(application_name="killed")):
        number = told(pooler, "client_connected")[-1]["client"]
        pooler.admin(f"KILL_CLIENT {number}")
        wait_for(lambda: len(_ends(pooler, "app")) == 2, "the administrator has ended it")
    assert _ends(pooler, "app") == [["server_fatal", ""], ["killed", "killed"]]
    assert _ends(pooler, "bench") == [["idle_transaction", ""]]
    wait_for(lambda: told(pooler, "server_closed"), "the end of the server is told")
    [closed] = told(pooler, "server_closed")
    assert (closed["reason"], closed["address"]) == ("server_fatal", f"127.0.0.1:{pg.port}")
    assert closed["duration_s"] > 0
    assert closed["why"] in closed["message"]


def _ends(pooler: Pooler, database: str) -> list[list[str]]:
    """Return the reasons for which clients of a database have gone, and their applications."""
    gone = told(pooler, "client_disconnected", database)
    return [[each["reason"], each["application"].strip("-")] for each in gone]


def test_settings_that_clients_change_are_told_if_wanted(make_pooler: MakePooler) -> None:
    users = {"users": [user()]}
    pools = {"app": {**users, "log_client_parameter_status_changes": True}, "bench": users}
    pooler = make_pooler(1, pools=pools, log_format="structured")
    with pooler.connect() as chatty, pooler.connect(dbname="bench") as quiet:
        for connection in (quiet, chatty):
            connection.execute("set timezone to 'Asia/Tokyo'")
            connection.execute("set work_mem to '5MB'")  # PostgreSQL reports it to nobody
        connection.execute("set application_name to 'till'")
        wait_for(lambda: len(_changes(pooler, "app")) == 2, "both changes are told")
        assert _changes(pooler, "app") == {"TimeZone": "Asia/Tokyo", "application_name": "till"}
        assert _changes(pooler, "bench") == {}


def _changes(pooler: Pooler, database: str) -> dict[str, str]:
    lines = told(pooler, "client_setting_changed", database)
    return {each["parameter"]: each["value"] for each in lines}
