"""The engine's side of SCRAM, fed with bare SASL messages: what `ScramClient` is tested against."""

from __future__ import annotations

from greenpool.auth.client_auth import as_client_error
from greenpool.auth.scram import MECHANISM, MECHANISM_PLUS, ScramState
from greenpool.auth.secret import ScramKeys, ScramSecret
from greenpool.login import RANDOM_BYTES, Challenge, LoginExchange, ScramVerifier
from greenpool.protocol import frontend
from greenpool.protocol.frame import FrameReader
from greenpool.protocol.message import BackendType
from greenpool.records import LoginMethod

NONCE = "A" * 24
"""What it adds to a client's nonce, unless told otherwise: the base64 of zero bytes."""

_WRONG = "28P01"


class ScramServer:
    """Frame what `feed` gets, unframe the answers; b"" and FAILED for a wrong proof."""

    def __init__(
        self,
        secret: ScramSecret,
        *,
        doomed: bool = False,
        binding: bytes = b"",
        is_bound: bool = False,
        random: bytes = bytes(RANDOM_BYTES),
    ) -> None:
        verifier = ScramVerifier(
            *(secret.iterations, secret.salt, secret.stored_key, secret.server_key), doomed
        )
        challenge = Challenge(LoginMethod.SCRAM, "joe", scram=verifier, binding=binding)
        self.state = ScramState.FIRST
        self.keys: ScramKeys | None = None
        self._secret = secret
        self._mechanism = MECHANISM_PLUS if is_bound else MECHANISM
        self._exchange = LoginExchange(challenge, random)
        self._exchange.start()

    def feed(self, message: bytes) -> bytes:
        """Take the client's next message. Raises: ClientError."""
        is_first = self.state is ScramState.FIRST
        wrap = frontend.sasl_response
        framed = frontend.sasl_initial_response(self._mechanism, message) if is_first else b""
        out = self._exchange.feed(framed or wrap(message))
        if (fault := self._exchange.fault) is not None:
            self.state = ScramState.FAILED
            if fault.sqlstate == _WRONG:
                return b""
            raise as_client_error(fault)
        self.state = ScramState.FINAL
        if self._exchange.is_proved:
            key = self._exchange.client_key()
            assert key is not None
            self.state, self.keys = ScramState.SUCCEEDED, ScramKeys(key, self._secret.server_key)
        return next(FrameReader(BackendType).feed(out)).body[4:]
