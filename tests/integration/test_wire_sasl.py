"""SASL as an attacker speaks it: greenpool refuses it in the words in which PostgreSQL does."""

from __future__ import annotations

import base64
import ssl
import struct
from collections.abc import Callable

import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness import messages
from tests.integration.harness.login import SASL, SASL_CONTINUE
from tests.integration.harness.postgres import MAJORS, PostgreSQL
from tests.integration.harness.tls import House
from tests.integration.harness.wire import Wire

pytestmark = pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True)

MECHANISM = "SCRAM-SHA-256"
FIRST = b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"
PROOF = base64.b64encode(bytes(32))

Final = Callable[[bytes], bytes]
"""Makes the second message of the client, whatever it is, of the server's first."""


def _initial(data: bytes, length: int | None = None, mechanism: str = MECHANISM) -> bytes:
    """Build a SASLInitialResponse that may lie about its length."""
    told = len(data) if length is None else length
    return messages.password(mechanism.encode() + b"\0" + struct.pack("!i", told) + data)


FIRSTS = {
    "no data": _initial(b""),
    "no mechanism": messages.password(b""),
    "mechanism without end": messages.password(b"SCRAM-SHA-256"),
    "another mechanism": _initial(FIRST, mechanism="PLAIN"),
    "binding without TLS": _initial(b"p=tls-server-end-point,,n=,r=x", mechanism=MECHANISM),
    "plus without TLS": _initial(FIRST, mechanism="SCRAM-SHA-256-PLUS"),
    "length beyond its end": _initial(FIRST, len(FIRST) + 1),
    "length below its end": _initial(FIRST, len(FIRST) - 1),
    "negative length": _initial(FIRST, -2),
    "a flag that is none": _initial(b"x" + FIRST[1:]),
    "an authorization identity": _initial(b"n,a=root,n=,r=x"),
    "an extension that must be known": _initial(b"n,,m=x,n=,r=x"),
    "no nonce": _initial(b"n,,n="),
    "nonce that cannot be printed": _initial(b"n,,n=,r=\x01"),
    "cut in the header": _initial(b"n,"),
    "zero byte": _initial(FIRST[:9] + b"\0" + FIRST[9:]),
    "a query": messages.query("select 1"),
}


def _final(nonce: bytes, binding: bytes = b"biws", proof: bytes = PROOF) -> bytes:
    return messages.password(b"c=" + binding + b",r=" + nonce + b",p=" + proof)


def _cut(wanted: bytes) -> Final:
    return lambda nonce: messages.password(_final(nonce)[5:].partition(wanted)[0])


FINALS: dict[str, Final] = {
    "wrong proof": _final,
    "nonce of another exchange": lambda _: _final(b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj"),
    "our nonce alone": lambda _: _final(b"rOprNGfwEbeRWgbNEkqO"),
    "more nonce than there was": lambda nonce: _final(nonce + b"x"),
    "another binding": lambda nonce: _final(nonce, binding=base64.b64encode(b"y,,")),
    "proof of another length": lambda nonce: _final(nonce, proof=PROOF[:8]),
    "proof that is no base64": lambda nonce: _final(nonce, proof=b"!" * 44),
    "nothing": lambda _: messages.password(b""),
    "cut before the nonce": _cut(b",r="),
    "cut before the proof": _cut(b",p="),
    "something behind the proof": lambda nonce: _final(nonce, proof=PROOF + b",x=1"),
    "zero byte": lambda nonce: _final(nonce, proof=PROOF + b"\0"),
    "the first message again": lambda _: _initial(FIRST),
    "a query": lambda _: messages.query("select 1"),
}


def _answer(
    port: int, first: bytes, final: Final | None, tls: ssl.SSLContext | None = None
) -> list[tuple[str, str]]:
    """Return the fields of the error that ends this login."""
    with Wire.connect("127.0.0.1", port, tls) as wire:
        wire.send(messages.startup({"user": "app", "database": "app"}))
        assert wire.read().body.startswith(struct.pack("!I", SASL))
        wire.send(first)
        if final is not None:
            challenge = wire.read().body
            assert challenge.startswith(struct.pack("!I", SASL_CONTINUE))
            wire.send(final(challenge[4:].partition(b",")[0].removeprefix(b"r=")))
        said = wire.read_to_end()
    if not said:
        return []
    [error] = said
    assert error.kind == b"E"
    return [field for field in error.fields.items() if field[0] not in "FLR"]


@pytest.fixture(scope="module")
def attacks() -> list[tuple[str, bytes, Final | None]]:
    """Return all of them: what the client says first, and then."""
    firsts = [(f"first: {name}", first, None) for name, first in FIRSTS.items()]
    finals = [(f"final: {name}", _initial(FIRST), final) for name, final in FINALS.items()]
    return [*firsts, *finals]


def test_attacks_are_refused_as_by_postgresql(
    make_pooler: MakePooler, pg: PostgreSQL, attacks: list[tuple[str, bytes, Final | None]]
) -> None:
    pooler = make_pooler(1)
    for name, first, final in attacks:
        theirs = _answer(pg.port, first, final)
        assert _answer(pooler.port, first, final) == theirs, name


def test_somebody_between_is_found_out(make_pooler: MakePooler, house: House) -> None:
    """Who strips SCRAM-SHA-256-PLUS from the offer, or has a certificate of its own."""
    pooler = make_pooler(1, **house.settings())

    def told(first: bytes, final: Final | None = None) -> tuple[str, str]:
        error = dict(_answer(pooler.port, first, final, house.context()))
        return error["C"], error["M"]

    downgraded = _initial(b"y,,n=,r=x")
    assert told(downgraded) == ("28000", "SCRAM channel binding negotiation error")
    header = b"p=tls-server-end-point,,"
    binding = base64.b64encode(header + bytes(32))
    first = _initial(header + FIRST[3:], mechanism="SCRAM-SHA-256-PLUS")
    assert told(first, lambda nonce: _final(nonce, binding)) == (
        "28000",
        "SCRAM channel binding check failed",
    )


def test_replayed_proof_is_refused(make_pooler: MakePooler) -> None:
    """All that a client said in a login that succeeded is said again, to the same worker."""
    pooler = make_pooler(1)
    said: list[bytes] = []

    class Listening(Wire):
        def send(self, *parts: bytes) -> None:
            said.append(b"".join(parts))
            super().send(*parts)

    with Listening.connect(pooler.host, pooler.port) as wire:
        wire.login()
    startup, first, final = said[:3]
    with Wire.connect(pooler.host, pooler.port) as again:
        again.send(startup)
        again.read()
        again.send(first)
        again.read()
        again.send(final)
        [error] = again.read_to_end()
    assert error.fields["C"] in ("28P01", "08P01")
