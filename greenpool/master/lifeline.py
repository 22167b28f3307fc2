"""A pipe by which others see that a generation is gone: its master and all of its workers.

Every process of the generation holds the end to write to, and none ever writes. The kernel closes
what a dead process held, however it died; so whoever reads gets end of file when the last is gone,
and no pid is ever taken for another's.
"""

from __future__ import annotations

import os
import select
from dataclasses import dataclass


@dataclass(slots=True)
class Lifeline:
    """Both ends of the pipe, as far as this process has them."""

    read_fd: int
    write_fd: int

    @classmethod
    def make(cls) -> Lifeline:
        return cls(*os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the generation is gone."""
        return self.read_fd

    @property
    def is_cut(self) -> bool:
        """Whether no process of the generation is left."""
        return bool(select.select([self.read_fd], [], [], 0)[0])

    def watch_only(self) -> None:
        """Let go of the end that the generation holds: this process is of another."""
        os.close(self.write_fd)
        self.write_fd = -1

    def close(self) -> None:
        for fd in (self.read_fd, self.write_fd):
            if fd != -1:
                os.close(fd)
        self.read_fd = self.write_fd = -1
