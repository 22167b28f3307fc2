"""How commands find the master: the pid file, and the control socket beside it.

    claim           the file: where nobody is, by its name, where another master is, aside
    listen          the socket: likewise
    appear          put what was made aside in the place of the other master's
    close           be found no more; what a successor has put there stays

So at any instant each name leads to exactly one master. Whoever had connected to the old control
socket and was not heard is hung up on, and asks again (`command`).
"""

from __future__ import annotations

import selectors
from pathlib import Path

from greenpool.master.control import ControlServer, Handler
from greenpool.master.paths import control_path
from greenpool.master.pidfile import PidFile


class Presence:
    """Own the pid file and the control socket of one master."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_aside = False
        self._pid_file: PidFile | None = None
        self._control: ControlServer | None = None

    def claim(self, *, aside: bool) -> None:
        """Make the pid file; `aside`: another master is there and is to be replaced.

        Raises: StartupError, when one is there that is not.
        """
        self._is_aside = aside
        self._pid_file = PidFile.acquire(_aside(self.path) if aside else self.path)

    def listen(self, selector: selectors.BaseSelector, handle: Handler) -> None:
        """Have `handle` called within the master's selector. Raises: StartupError."""
        path = control_path(self.path)
        self._control = ControlServer(_aside(path) if self._is_aside else path, selector, handle)

    def appear(self) -> None:
        """Take the place of the other master. Raises: OSError."""
        if self._is_aside and self._pid_file is not None and self._control is not None:
            self._pid_file.move_to(self.path)
            self._control.move_to(control_path(self.path))
            self._is_aside = False

    def take_back(self, selector: selectors.BaseSelector, handle: Handler) -> None:
        """Be found again, after another master has tried to take the place, or has died there.

        Whoever waits since `pause` is hung up on, and asks again. Raises: StartupError, OSError.
        """
        self.close()
        self.claim(aside=True)
        self.listen(selector, handle)
        self.appear()

    def pause(self) -> None:
        """Hear no further commands; they wait, until `close` or `take_back` hangs up on them."""
        if self._control is not None:
            self._control.pause()

    def close(self) -> None:
        """Be found no more. What another master has put in its place stays."""
        if self._control is not None:
            self._control.close()
        if self._pid_file is not None:
            self._pid_file.release()
        self._control = self._pid_file = None

    def close_in_child(self) -> None:
        """Drop a worker's copies. Runs after fork."""
        if self._control is not None:
            self._control.close_in_child()
        if self._pid_file is not None:
            self._pid_file.close_in_child()


def _aside(path: Path) -> Path:
    return path.with_name(path.name + "~")  # one letter: a UNIX socket's path is short
