"""The client's side of logging in: what to answer to each Authentication message.

Source: PostgreSQL, "Message Flow > Start-up" and "SASL Authentication"; RFC 5802.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Generator

from tests.integration.harness import messages

OK, CLEARTEXT, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12

Answers = Generator[bytes, bytes, None]
"""Takes the body of each Authentication message, gives the bytes to send; ends at Ok."""


def answers(user: str, password: str) -> Answers:
    """Log in as `user`, in whatever way is asked for. Prime it with next()."""
    body = yield b""
    code = _code(body)
    if code == CLEARTEXT:
        body = yield messages.password(password.encode() + b"\0")
    elif code == MD5:
        body = yield messages.password(_md5(user, password, body[4:8]) + b"\0")
    elif code == SASL:
        body = yield from _scram(password)
    assert _code(body) == OK, f"unexpected Authentication message {body!r}"


def _code(body: bytes) -> int:
    code: int = struct.unpack_from("!I", body)[0]
    return code


def _md5(user: str, password: str, salt: bytes) -> bytes:
    inner = hashlib.md5(password.encode() + user.encode()).hexdigest().encode()
    return b"md5" + hashlib.md5(inner + salt).hexdigest().encode()


def _scram(password: str) -> Generator[bytes, bytes, bytes]:
    nonce = base64.b64encode(os.urandom(18))
    first_bare = b"n=,r=" + nonce
    body = yield messages.sasl_initial_response("SCRAM-SHA-256", b"n,," + first_bare)
    assert _code(body) == SASL_CONTINUE, f"unexpected Authentication message {body!r}"
    server_first = body[4:]
    fields = dict(part.split(b"=", 1) for part in server_first.split(b","))
    assert fields[b"r"].startswith(nonce), "the server does not know our nonce"
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(fields[b"s"]), int(fields[b"i"])
    )
    without_proof = b"c=biws,r=" + fields[b"r"]
    auth_message = b",".join((first_bare, server_first, without_proof))
    body = yield messages.password(without_proof + b",p=" + _proof(salted, auth_message))
    assert _code(body) == SASL_FINAL, f"unexpected Authentication message {body!r}"
    assert body[4:] == b"v=" + _signature(salted, auth_message), "the server does not know us"
    return (yield b"")


def _proof(salted: bytes, auth_message: bytes) -> bytes:
    client_key = _hmac(salted, b"Client Key")
    signature = _hmac(hashlib.sha256(client_key).digest(), auth_message)
    return base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True)))


def _signature(salted: bytes, auth_message: bytes) -> bytes:
    return base64.b64encode(_hmac(_hmac(salted, b"Server Key"), auth_message))


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "sha256").digest()
