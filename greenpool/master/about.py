"""What this greenpool is made of: what a report of a fault should begin with."""

from __future__ import annotations

import platform
from importlib import metadata

import greenpool
from greenpool.config import IoBackend

_LIBRARIES = ("gevent", "cffi")


def io_backend(wanted: IoBackend) -> IoBackend:
    """Return how workers will wait for sockets; epoll is the best of those that are built."""
    return IoBackend.EPOLL if wanted is IoBackend.AUTO else wanted


def render() -> str:
    """Name every version that counts, one a line, greenpool's own first."""
    facts = {
        "greenpool": greenpool.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{name: _version(name) for name in _LIBRARIES},
        "io backend": f"{io_backend(IoBackend.AUTO)} (Linux {platform.release()})",
    }
    return "\n".join(f"{name} {value}" for name, value in facts.items())


def _version(library: str) -> str:
    """Return a library's version without importing it: that takes long, or may be what fails."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "is not installed"
