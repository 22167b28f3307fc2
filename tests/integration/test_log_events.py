"""What a structured log tells of a client and its server, from coming to going."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.waiting import wait_for


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
