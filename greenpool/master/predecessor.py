"""The master before this one, as this one sees it: from being started by it until it is gone.

    STARTED ──our workers are up──► READY ──"commit"──► RELIEVED ──its processes are gone──► GONE
       │                              │                    ▲
       └──────────the old master is dead, which leaves us──┘

A dead old master takes its workers with it, so there is nothing to wait for: this one takes over as
soon as it can. Law: `_set` is the one mutator of the state. Partner: `upgrade`, the other side.
"""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable, Collection
from enum import Enum, auto

from greenpool.config import PoolKey
from greenpool.master.handoff import Handoff
from greenpool.master.inheritance import Inheritance
from greenpool.master.lifeline import Lifeline
from greenpool.observe import events
from greenpool.worker.control import Made, NotMade

log = logging.getLogger(__name__)


class PredecessorState(Enum):
    """How far it has got with leaving."""

    STARTED = auto()
    READY = auto()
    RELIEVED = auto()
    GONE = auto()


_S = PredecessorState
_NEXT = {
    _S.STARTED: {_S.READY, _S.RELIEVED},
    _S.READY: {_S.RELIEVED},
    _S.RELIEVED: {_S.GONE},
    _S.GONE: set[PredecessorState](),
}


class Predecessor:
    """Own the conversation with the old master, and watch its generation."""

    def __init__(self, handoff: Handoff, lifeline: Lifeline, left: Inheritance) -> None:
        self.state = PredecessorState.STARTED
        self.places = left.elder_places
        self.pool_marks = left.pool_marks
        self.program = left.program
        self._handoff = handoff
        self._lifeline = lifeline
        self._selector: selectors.BaseSelector | None = None
        self._relieve: Callable[[], None] = _nothing
        self._want: Callable[[PoolKey], None] = _want_nothing
        self._is_dead = False
        self._has_ended_well = False

    def watch(
        self,
        selector: selectors.BaseSelector,
        relieve: Callable[[], None],
        want: Callable[[PoolKey], None],
    ) -> None:
        """Hear it within the master's selector; `relieve` is called when it is to be relieved.

        `want` is called when one of its logins needs the pool of a found user: `tell` it.
        """
        self._selector = selector
        self._relieve = relieve
        self._want = want
        selector.register(self._handoff, selectors.EVENT_READ, self._hear)

    @property
    def is_gone(self) -> bool:
        return self.state is PredecessorState.GONE

    def failed(self, why: str) -> None:
        """Tell it that this process cannot take over."""
        self._handoff.say("failed", why=why)

    def ready(self, places: Collection[int]) -> None:
        """Tell it that the workers in these places are up; it says when to take over."""
        self._set(PredecessorState.READY)
        self._handoff.say("ready", places=list(places))
        if self._is_dead:
            self._relieve()

    def taken(self, listening: Collection[str]) -> None:
        """Tell it that this master has taken over, and listens there."""
        self._set(PredecessorState.RELIEVED)
        self._handoff.say("taken", listening=list(listening))
        assert self._selector is not None
        self._selector.register(self._lifeline, selectors.EVENT_READ, _nothing)

    def stop(self, timeout_s: float) -> None:
        """Have what is left of it end, too, if it was this master that took over."""
        if self.state is PredecessorState.RELIEVED:
            self._handoff.say("stop", timeout_s=timeout_s)

    def tell(self, message: Made | NotMade) -> None:
        """Tell it what came of a pool that it wanted."""
        match message:
            case Made(key, index):
                self._handoff.say("made", key=key, index=index)
            case NotMade(key, why):
                self._handoff.say("not made", key=key, why=why)

    def succeeded(self) -> None:
        """Tell it that it is never to come back, whatever becomes of this master."""
        self._handoff.say("succeeded")

    def has_just_gone(self) -> bool:
        """Say once that nothing is left of the generation before; to be asked in every round."""
        if self.state is not PredecessorState.RELIEVED or not self._lifeline.is_cut:
            return False
        self._hear_last_words()
        self._set(PredecessorState.GONE)
        self.close()
        return True

    @property
    def died(self) -> bool:
        """Whether it was killed, and could not put right what its workers left."""
        return not self._has_ended_well

    def close(self) -> None:
        """Hear and watch no more."""
        watched = self._selector.get_map() if self._selector is not None else {}
        for each in (self._handoff, self._lifeline):
            if self._selector is not None and each in watched:
                self._selector.unregister(each)
            each.close()

    def close_in_child(self) -> None:
        """Close the conversation, which is the master's. Runs after fork, in a worker."""
        self._handoff.close()

    def _hear(self) -> None:
        words = self._handoff.hear()
        if words is None:
            self._note_death()
            return
        for word in words:
            match word:
                case {"word": "commit"}:
                    self._relieve()
                case {"word": "want", "key": [str(database), str(user)]}:
                    self._want((database, user))
                case {"word": "gone"}:
                    self._has_ended_well = True

    def _hear_last_words(self) -> None:
        while words := self._handoff.hear():
            self._has_ended_well |= any(word["word"] == "gone" for word in words)

    def _note_death(self) -> None:
        assert self._selector is not None
        self._selector.unregister(self._handoff)
        self._is_dead = True
        if self.state is PredecessorState.READY:
            events.PREDECESSOR_DIED.tell(log)
            self._relieve()

    def _set(self, state: PredecessorState) -> None:
        if state not in _NEXT[self.state]:
            raise AssertionError(f"predecessor: {self.state.name} -> {state.name}")
        self.state = state


def _nothing() -> None:
    """Wake the loop, which asks in every round."""


def _want_nothing(_: PoolKey) -> None:
    """Hear nothing: the conversation has not begun."""
