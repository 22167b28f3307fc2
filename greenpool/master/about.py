"""What this greenpool is made of: what a report of a fault should begin with."""

from __future__ import annotations

import platform
from importlib import metadata

import greenpool
from greenpool.config import IoBackend

_LIBRARIES = ("gevent", "cffi")


def render() -> str:
    """Name every version that counts, one a line, greenpool's own first."""
    facts = {
        "greenpool": greenpool.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{name: _version(name) for name in _LIBRARIES},
        "io backend": f"{_io_backend()} (Linux {platform.release()})",
    }
    return "\n".join(f"{name} {value}" for name, value in facts.items())


def _io_backend() -> str:
    """Say what `io_backend: auto` comes to here, and why it is not io_uring."""
    try:
        from greenpool.master import io_backend  # loads the engine, which may be what fails
    except ImportError as exc:
        return f"is unknown: {exc}"
    choice = io_backend.choose(IoBackend.AUTO)
    return str(choice.io) if choice.refusal is None else f"{choice.io}; io_uring: {choice.refusal}"


def _version(library: str) -> str:
    """Return a library's version without importing it: that takes long, or may be what fails."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "is not installed"
