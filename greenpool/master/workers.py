"""All workers: spawn, listen to, tell, reap, and spawn again. Partner: `slot`, one of them.

A worker's death, by whatever cause, ends here: waitpid, then the segment is reclaimed, and only
then its place is given to another process. Workers are found by their own pids, so children of
other parts of this process are left alone.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable

from greenpool.errors import ControlError, ExitCode
from greenpool.master.fork import fork_worker
from greenpool.master.link import WorkerLink
from greenpool.master.slot import WorkerSlot, WorkerState
from greenpool.observe import events
from greenpool.worker.control import ControlMessage, Listen, Ready

log = logging.getLogger(__name__)

Life = Callable[[int, socket.socket], int]
OnMessage = Callable[[WorkerSlot, ControlMessage], None]


class Workers:
    """The slots of all workers, within the master's selector.

    `life(index, control)` is what a new process does; `accept(index)` has clients passed to it;
    `reclaim(index)` puts right what a dead one left; `disinherit` closes in a child what is the
    master's alone; `on_message` gets everything but Ready; `title(index)` is what a log calls it.
    """

    def __init__(
        self,
        places: Iterable[int],
        selector: selectors.BaseSelector,
        life: Life,
        accept: Callable[[int], None],
        reclaim: Callable[[int], None],
        disinherit: Callable[[], None],
        on_message: OnMessage,
        title: Callable[[int], str] = "worker {}".format,
    ) -> None:
        self.slots = [WorkerSlot(place) for place in places]
        self._selector = selector
        self._life = life
        self._accept = accept
        self._reclaim = reclaim
        self._disinherit = disinherit
        self._on_message = on_message
        self._title = title
        self._pid = os.getpid()
        self._are_listening = False

    # ---- facts -----------------------------------------------------------------------------

    @property
    def are_ready(self) -> bool:
        return all(slot.state is WorkerState.READY for slot in self.slots)

    @property
    def are_gone(self) -> bool:
        """Say that no process is left and none will come."""
        return all(slot.state is WorkerState.RETIRED for slot in self.slots)

    def alive(self) -> list[WorkerSlot]:
        return [slot for slot in self.slots if slot.is_alive]

    def next_due(self) -> float | None:
        """Return when (time.monotonic) a slot is to be filled; None: nothing is to come."""
        due = [slot.respawn_at for slot in self.slots if slot.state is WorkerState.EMPTY]
        return min(due, default=None)

    # ---- spawn and reap --------------------------------------------------------------------

    def spawn_due(self) -> None:
        """Fill every slot whose time has come."""
        now = time.monotonic()
        for slot in self.slots:
            if slot.state is WorkerState.EMPTY and slot.respawn_at <= now:
                self._spawn(slot, now)

    def reap(self) -> None:
        """Take leave of every worker that has ended."""
        for slot in self.alive():
            pid, wait_status = os.waitpid(slot.pid, os.WNOHANG)
            if pid:
                self._bury(slot, os.waitstatus_to_exitcode(wait_status))

    def add(self, places: Iterable[int]) -> None:
        """Have workers in further places, too."""
        self.slots += [WorkerSlot(place) for place in places]

    def retire_empty(self) -> None:
        """Have nobody follow where nobody lives now."""
        for slot in self.slots:
            if slot.state is WorkerState.EMPTY:
                slot.set_state(WorkerState.RETIRED)

    # ---- tell ------------------------------------------------------------------------------

    def send(self, slot: WorkerSlot, message: ControlMessage) -> bool:
        """Send to one worker; False: it has ended, or was stuck and is killed."""
        if slot.link is None:
            return False
        try:
            slot.link.send(message)
        except TimeoutError:
            self.kill(slot, "is stuck")
            return False
        except OSError as exc:
            log.debug("%s is ending: %s", self._title(slot.index), exc)
            return False
        return True

    def listen(self) -> None:
        """Have every worker accept clients, those of later too, as soon as it is ready.

        All may be passed clients before the first one accepts any: else the first clients would
        stay with whoever listened first, not where they belong.
        """
        self._are_listening = True
        ready = [slot for slot in self.slots if slot.state is WorkerState.READY]
        for slot in ready:
            self._accept(slot.index)
        for slot in ready:
            self.send(slot, Listen())

    def drain(self, message: ControlMessage) -> None:
        """Have every worker end in its own time, by this message; nobody follows."""
        self._are_listening = False
        self.retire_empty()
        for slot in self.alive():
            if slot.state is not WorkerState.DRAINING:
                slot.set_state(WorkerState.DRAINING)
            self.send(slot, message)

    def end(self) -> None:
        """End all of them, at once and without a word; nobody follows."""
        self.retire_empty()
        for slot in self.alive():
            _kill(slot)
            os.waitpid(slot.pid, 0)
            self._forget_link(slot)
            slot.leave(time.monotonic(), will_return=False)

    def kill(self, slot: WorkerSlot, why: str) -> None:
        """Kill one that does not do as it should; `why` follows its name in the log."""
        process = self._title(slot.index)
        events.PROCESS_KILLED.tell(log, process=process, process_pid=slot.pid, why=why)
        _kill(slot)

    # ---- private ---------------------------------------------------------------------------

    def _spawn(self, slot: WorkerSlot, now: float) -> None:
        link, theirs = WorkerLink.pair()

        def life() -> int:
            link.close()
            return self._life(slot.index, theirs)

        try:
            pid = fork_worker(life, self._disinherit_all, self._pid)
        except OSError as exc:
            link.close()
            slot.respawn_at = now + 1.0
            name = self._title(slot.index)
            events.FORK_FAILED.tell(log, process=name, error=exc.strerror)
            return
        finally:
            theirs.close()
        slot.enter(pid, link, now)
        self._selector.register(link, selectors.EVENT_READ, lambda: self._hear(slot, link))
        log.debug("%s has pid %d", self._title(slot.index), pid)

    def close_in_child(self) -> None:
        """Close the master's ends of the conversations with the workers. After fork."""
        for slot in self.slots:
            if slot.link is not None:
                slot.link.close()

    def _disinherit_all(self) -> None:
        self.close_in_child()
        self._disinherit()

    def _hear(self, slot: WorkerSlot, link: WorkerLink) -> None:
        try:
            messages = link.receive()
        except ControlError as exc:
            self.kill(slot, f"talks nonsense ({exc})")
            messages = None
        if messages is None:
            self._selector.unregister(link)  # its exit comes by SIGCHLD
            return
        for message in messages:
            if not isinstance(message, Ready):
                self._on_message(slot, message)
            elif slot.state is WorkerState.STARTING:
                slot.set_state(WorkerState.READY)
                if self._are_listening:
                    self._accept(slot.index)
                    self.send(slot, Listen())

    def _bury(self, slot: WorkerSlot, status: int) -> None:
        pid, was_draining = slot.pid, slot.state is WorkerState.DRAINING
        self._forget_link(slot)
        self._reclaim(slot.index)
        will_return = not was_draining and status != ExitCode.DO_NOT_RESPAWN
        delay_s = slot.leave(time.monotonic(), will_return)
        if was_draining and status == ExitCode.DONE:
            log.debug("%s (pid %d) has ended", self._title(slot.index), pid)
            return
        then = "no other follows" if not will_return else f"another follows in {delay_s:.1f} s"
        process, fate = self._title(slot.index), _fate(status)
        events.PROCESS_DIED.tell(log, process=process, process_pid=pid, fate=fate, then=then)

    def _forget_link(self, slot: WorkerSlot) -> None:
        link = slot.link
        if link is None:
            return
        if link in self._selector.get_map():
            self._selector.unregister(link)
        link.close()


def _kill(slot: WorkerSlot) -> None:
    os.kill(slot.pid, signal.SIGKILL)  # not reaped yet, so the pid is still its own


def _fate(status: int) -> str:
    """Put an exit code of os.waitstatus_to_exitcode into words."""
    if status >= 0:
        return f"has exited with status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
    return f"was killed by {name}"
