"""What SHOW tells that workers have counted, or know alone: over two of them, whoever answers."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from tests.integration.conftest import MakePooler
from tests.integration.harness.pooler import Pooler
from tests.integration.harness.waiting import wait_for


def prepared(pooler: Pooler) -> list[dict[str, Any]]:
    return [
        row
        for row in pooler.admin("SHOW PREPARED_STATEMENTS")
        if row["query"] == "select $1::int as shown"
    ]


def kept(pooler: Pooler) -> int:
    return sum(row["entries"] for row in pooler.admin("SHOW INTERNER"))


def test_statements_of_all_workers_are_told(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2)
    with pooler.connect() as one, pooler.connect() as other:
        for connection in (one, other):
            for number in range(3):
                connection.execute("select %s::int as shown", (number,), prepare=True)
        [row] = prepared(pooler)
        assert (row["pool"], row["count_used"]) == ("app@app", 2)
        assert row["name"].startswith("g")
        assert 1 <= row["servers"] <= 2
        wait_for(lambda: kept(pooler) >= 1, "the sweep tells")
        texts = pooler.admin("SHOW INTERNER 200")
        [one_text, *_] = [text for text in texts if text["preview"] == row["query"]]
        assert (one_text["hash"], one_text["kind"]) == (row["hash"], "statement")
        assert one_text["bytes"] > len(row["query"])
        assert [text["bytes"] for text in texts] == sorted(
            (t["bytes"] for t in texts), reverse=True
        )
        told = {each["application_name"]: each for each in pooler.admin("SHOW CLIENTS")}
        assert all(each["bytes_sent"] > 0 for each in told.values() if each["xacts"])


def test_sockets_of_all_workers_are_told(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2)
    with pooler.connect() as connection, connection.transaction():
        connection.execute("select 1")
        rows = pooler.admin("SHOW FDS")
        tasks = {
            task: [row for row in rows if row["task"] == task] for task in ("pooler", "client")
        }
        assert {row["worker"] for row in tasks["pooler"]} == {0, 1}
        assert {row["port"] for row in tasks["pooler"]} == {pooler.port}
        [client] = tasks["client"]
        [server] = [row for row in rows if row["task"] == "server"]
        assert (client["user"], client["database"]) == ("app", "app")
        assert (server["link"], client["link"]) == (client["fd"], server["fd"])


def test_connections_are_counted_by_what_came_of_them(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2)

    def counts() -> dict[str, int]:
        [row] = pooler.admin("SHOW CONNECTIONS")
        return {name: int(value) for name, value in row.items()}

    before = counts()
    with pooler.connect() as connection:
        connection.execute("select 1")
        connection.cancel()
    with socket.create_connection(("127.0.0.1", pooler.port)):
        pass  # and gone

    def grown() -> dict[str, int]:
        return {name: value - before[name] for name, value in counts().items()}

    wait_for(lambda: grown()["errors"] >= 1, "the one who said nothing is counted")
    wait_for(lambda: grown()["cancel"] == 1, "the cancel is counted")
    assert grown()["plain"] >= 1
    assert grown()["tls"] == 0
    now = grown()
    assert now["total"] >= now["errors"] + now["plain"] + now["cancel"]


def test_the_dead_owe_no_answer(make_pooler: MakePooler) -> None:
    pooler = make_pooler(2)
    with pooler.connect() as connection:
        connection.execute("select %s::int as shown", (1,), prepare=True)
        assert len(prepared(pooler)) == 1
        client = next(row for row in pooler.admin("SHOW CLIENTS") if row["database"] == "app")
        other = next(
            row for row in pooler.admin("SHOW WORKERS") if row["worker"] != client["worker"]
        )
        os.kill(other["pid"], signal.SIGKILL)
        wait_for(lambda: len(prepared(pooler)) == 1, "the others answer")
    died = [row for row in pooler.admin("SHOW EVENTS") if row["event"] == "process_died"]
    assert [f"(pid {other['pid']})" in row["message"] for row in died] == [True]
