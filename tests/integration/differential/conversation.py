"""Play a script against one address and write down what each client was told."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from tests.integration.differential.script import Action, Script, Step
from tests.integration.harness import messages
from tests.integration.harness.waiting import DEADLINE_S
from tests.integration.harness.wire import ClosedByPeer, Message, Wire

SILENCE = Message(b"?", b"nothing came within the deadline")
CLOSED = Message(b".", b"")
RESET = Message(b"!", b"")

_EPILOGUE = messages.sync() + messages.query("select 'epilogue'")
_READING = {Action.READY, Action.TAKE, Action.UNTIL, Action.END}


@dataclass(frozen=True, slots=True)
class Address:
    """Name a server or a pooler, and the database there."""

    host: str
    port: int
    database: str
    user: str = "app"
    tls: ssl.SSLContext | None = None


class Speaker:
    """Own one client and what it has read. Everything after the end of its connection is void."""

    def __init__(self, address: Address) -> None:
        self.wire = Wire.connect(address.host, address.port, address.tls)
        self.wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire.login(address.user, address.database)
        self.heard: list[Message] = []
        self.is_over = False
        self.is_shut = False

    def play(self, step: Step) -> None:
        if self.is_over:
            return
        if step.action in _READING:
            self._read(step)
        else:
            self._say(step)

    def end(self) -> None:
        """Ask one thing more, then leave, and see that nothing is left over."""
        if not self.is_over and not self.is_shut:
            self.play(Step(Action.SAY, 0, _EPILOGUE))
            self._read_until(lambda: self.heard[-1].values == [b"epilogue"], b"D")
            self.play(Step(Action.READY, 0, count=1))
            self.play(Step(Action.SAY, 0, messages.terminate()))
        self.play(Step(Action.END, 0))

    def _say(self, step: Step) -> None:
        try:
            if step.action is Action.SHUT:
                self.is_shut = True
                self.wire.half_close()
            elif step.action is Action.SAY_SLOWLY:
                for at in range(len(step.data)):
                    self.wire.send(step.data[at : at + 1])
            else:
                self.wire.sock.settimeout(DEADLINE_S)
                self.wire.send(step.data)
        except TimeoutError:
            self._stop(SILENCE)
        except (ConnectionResetError, BrokenPipeError):
            self.is_shut = True  # it has been told why: read that

    def _read(self, step: Step) -> None:
        if step.action is Action.TAKE:
            for _ in range(step.count):
                self._hear()
        elif step.action is Action.READY:
            for _ in range(step.count):
                self._read_until(lambda: True, b"Z")
        elif step.action is Action.UNTIL:
            self._read_until(lambda: True, step.data)
        else:
            while not self.is_over:
                self._hear()

    def _read_until(self, is_it: object, kind: bytes) -> None:
        assert callable(is_it)
        while not self.is_over:
            self._hear()
            if self.heard[-1].kind == kind and is_it():
                return

    def _hear(self) -> None:
        if self.is_over:
            return
        try:
            self.heard.append(self.wire.read(DEADLINE_S))
        except TimeoutError:
            self._stop(SILENCE)
        except ClosedByPeer:
            self._stop(CLOSED)
        except ConnectionResetError:
            self._stop(RESET)

    def _stop(self, why: Message) -> None:
        self.heard.append(why)
        self.is_over = True


def play(script: Script, address: Address) -> list[list[Message]]:
    """Return what each client heard, in order."""
    speakers = [Speaker(address) for _ in range(script.clients)]
    try:
        for step in script.steps:
            speakers[step.client].play(step)
        for speaker in speakers:
            speaker.end()
    finally:
        for speaker in speakers:
            speaker.wire.sock.close()
    return [speaker.heard for speaker in speakers]
