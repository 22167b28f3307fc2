"""What `io_backend` comes to, whatever this machine allows."""

from __future__ import annotations

import errno

import pytest

from greenpool.config import IoBackend
from greenpool.errors import StartupError
from greenpool.master import about, io_backend
from greenpool.master.io_backend import IoChoice, choose
from greenpool.records import EngineIo


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes io_uring be refused with an errno; 0: it may be used."""
    return lambda number: monkeypatch.setattr(io_backend, "io_uring_refusal", lambda: number)


def test_best_that_is_allowed_is_taken(refuse):
    refuse(0)
    assert choose(IoBackend.AUTO) == IoChoice(EngineIo.URING)
    assert choose(IoBackend.IO_URING) == IoChoice(EngineIo.URING)
    refuse(errno.EPERM)
    choice = choose(IoBackend.AUTO)
    assert choice.io is EngineIo.EPOLL
    assert choice.refusal == "forbidden by kernel.io_uring_disabled or a seccomp profile"
    assert "io backend epoll; io_uring: forbidden by " in about.render()


def test_epoll_by_name_asks_nothing(refuse):
    refuse(0)
    assert choose(IoBackend.EPOLL) == IoChoice(EngineIo.EPOLL)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENOSYS, "this kernel has none, or a seccomp profile hides it"),
        (errno.EINVAL, "Linux 6.1 or newer is needed"),
        (errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_io_uring_by_name_fails_where_it_cannot_be_had(refuse, number, why):
    refuse(number)
    with pytest.raises(StartupError, match=f"^general.io_backend: io_uring cannot be used: {why}$"):
        choose(IoBackend.IO_URING)
