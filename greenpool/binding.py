"""The compiled engine (`greenpool._engine`), found and known to be of this program's version.

The one module that imports it. Partners: `segment.py`, `engine.py`, `login.py`, `tls.py`, which
wrap all of it (`tests/unit/test_imports.py` names them); nobody else uses `ffi` and `lib`.
"""

from __future__ import annotations

from typing import Any

from greenpool.errors import EngineError
from greenpool.records import GP_ABI_VERSION, Result

try:
    from greenpool._engine import ffi, lib
except ImportError as exc:
    raise ImportError(
        f"greenpool's C engine cannot be loaded ({exc}): build it with `pip install .`"
    ) from exc

if lib.gp_abi_version() != GP_ABI_VERSION:
    raise ImportError(
        f"greenpool's C engine has version {lib.gp_abi_version()}, this program needs "
        f"{GP_ABI_VERSION}: build it again with `pip install .`"
    )

__all__ = ["bytes_of", "check", "ffi", "lib", "optional", "text_of"]


def check(result: int, what: str) -> None:
    """Raise EngineError unless the result is OK."""
    if result != Result.OK:
        raise EngineError(f"{what}: {text_of(lib.gp_result_text(result))}")


def text_of(chars: Any) -> str:
    """Decode a `const char *`."""
    data: bytes = ffi.string(chars)
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Encode for a `const char *`: what follows a zero byte would be lost unseen."""
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"?")


def optional(text: str | None) -> Any:
    """Encode likewise; None is NULL."""
    return ffi.NULL if text is None else bytes_of(text)
