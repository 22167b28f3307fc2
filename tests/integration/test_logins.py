"""Logins by the dozen: a client whose like has been there is let in as the first one was.

The first login with a startup packet is decided in Python, the next ones follow the plan that was
made for it. Nobody may see which of them it is, and a reload decides anew.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.integration.conftest import ANY_POSTGRESQL, MakePooler
from tests.integration.harness import messages
from tests.integration.harness.accounts import wait_for_balance
from tests.integration.harness.login import answers
from tests.integration.harness.pooler import Pooler, user
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import wait_for
from tests.integration.harness.wire import Message, Wire

pytestmark = ANY_POSTGRESQL

STARTUP = messages.startup({"user": "app", "database": "app"})
WRONG = 'password authentication failed for user "{}"'

Seen = list[tuple[bytes, bytes]]


def _connect(pooler: Pooler) -> Wire:
    return Wire.connect(pooler.host, pooler.port)


def _seen(pooler: Pooler, name: str = "app", password: str = PASSWORD, **more: str) -> Seen:
    """Log in; return all that is said but for what differs each time: nonces, keys."""
    with _connect(pooler) as wire:
        wire.send(messages.startup({"user": name, "database": "app", **more}))
        answer = answers(name, password)
        next(answer)
        found: list[Message] = []
        while not found or found[-1].kind not in (b"Z", b"E"):
            found.append(wire.read())
            if found[-1].kind == b"R" and found[-1].body != b"\0\0\0\0":
                wire.send(answer.send(found[-1].body))
        fixed = found[-1].kind == b"E"
        return [(each.kind, b"" if each.kind in b"RK" else each.body) for each in found] + (
            [(b"", b"")] if fixed else []
        )


@pytest.mark.parametrize("more", [{}, {"application_name": "till"}, {"options": "-c work_mem=5MB"}])
def test_every_login_sees_what_the_first_saw(pooler: Pooler, more: dict[str, str]) -> None:
    logins = [_seen(pooler, **more) for _ in range(4)]
    assert logins[0][-1] == (b"Z", b"I")
    assert all(each == logins[0] for each in logins)
    wait_for_balance(pooler, 0)


@pytest.mark.parametrize("name", ["app", "nobody"])
def test_every_failure_is_like_the_first(pooler: Pooler, name: str) -> None:
    _seen(pooler)
    logins = [_seen(pooler, name, "wrong") for _ in range(3)]
    assert all(each == logins[0] for each in logins)
    assert WRONG.format(name).encode() in logins[0][-2][1]
    assert _seen(pooler)[-1] == (b"Z", b"I")
    wait_for_balance(pooler, 0)


def _to_the_end(wire: Wire, send: Callable[[bytes], None], behind: bytes = b"") -> list[Message]:
    """Log in by `send`; `behind`: what follows the last message of the exchange at once."""
    send(STARTUP)
    answer = answers("app", PASSWORD)
    next(answer)
    for last in (b"", behind):
        send(answer.send(wire.read().body) + last)
    return wire.read_until(b"Z")


def test_a_query_may_come_with_the_proof(pooler: Pooler) -> None:
    for _ in range(3):
        with _connect(pooler) as wire:
            _to_the_end(wire, wire.send, messages.query("select 7"))
            found = wire.read_until(b"Z")
            assert [each.values for each in found if each.kind == b"D"] == [[b"7"]]


def test_every_byte_may_come_alone(pooler: Pooler) -> None:
    for _ in range(3):
        with _connect(pooler) as wire:
            wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def send(data: bytes, wire: Wire = wire) -> None:
                for at in range(len(data)):
                    wire.send(data[at : at + 1])

            _to_the_end(wire, send)
            assert wire.rows("select 7") == [[b"7"]]


def test_a_reload_decides_anew(make_pooler: MakePooler) -> None:
    pools = {"app": {"users": [user()]}}
    pooler = make_pooler(1, pools=pools)
    assert _seen(pooler)[-1] == _seen(pooler)[-1] == (b"Z", b"I")
    pooler.reload(pools={"app": {"users": [user(password="another")]}})
    assert WRONG.format("app").encode() in _seen(pooler)[-2][1]
    pooler.reload(pools=pools, pg_hba="host all app all reject")
    with _connect(pooler) as wire:
        wire.send(STARTUP)
        assert "pg_hba.conf rejects" in wire.read().fields["M"]
    pooler.reload(pg_hba="host all app all scram-sha-256")
    assert _seen(pooler)[-1] == (b"Z", b"I")


def test_limits_hold_for_those_who_are_known(make_pooler: MakePooler) -> None:
    pools = {"app": {"users": [user(max_client_connections=1)]}}
    pooler = make_pooler(1, pools=pools)
    for _ in range(3):
        _seen(pooler)
        wait_for_balance(pooler, 0)
        with _connect(pooler) as first:
            first.login()
            kind, body = _seen(pooler)[-2]
            assert kind == b"E"
            assert b'too many connections for role "app"' in body


@pytest.mark.parametrize("is_known", [False, True])
def test_half_a_login_ends_in_words_or_without_a_trace(
    make_pooler: MakePooler, is_known: bool
) -> None:
    pooler = make_pooler(1, client_login_timeout="700ms")
    if is_known:
        _seen(pooler)
    with _connect(pooler) as gone, _connect(pooler) as slow:
        for wire in (gone, slow):
            wire.send(STARTUP)
            assert wire.read().kind == b"R"
        gone.sock.close()
        (error,) = slow.read_to_end()
        assert error.fields["C"] == "57014"
    wait_for(lambda: pooler.admin("SHOW CLIENTS")[1:] == [], "only the admin is left")


@pytest.mark.parametrize("is_known", [False, True])
def test_stop_ends_half_a_login_with_words(make_pooler: MakePooler, is_known: bool) -> None:
    pooler = make_pooler(1)
    if is_known:
        _seen(pooler)
    with _connect(pooler) as wire:
        wire.send(STARTUP)
        assert wire.read().kind == b"R"
        pooler.stop()
        (error,) = wire.read_to_end()
        assert (error.fields["S"], error.fields["C"]) == ("FATAL", "57P01")


def test_logs_tell_of_logins_and_refusals(make_pooler: MakePooler) -> None:
    pooler = make_pooler(1, log_client_connections=True)
    for _ in range(2):
        with pooler.log_contains(r"client app@app 127\.0\.0\.1:\d+: logged in as \d+, applic"):
            _seen(pooler)
        with pooler.log_contains(r"refused: password authentication failed .* \(28P01\)"):
            _seen(pooler, password="wrong")
    assert PASSWORD not in pooler.log()
