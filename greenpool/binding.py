"""The compiled engine (`greenpool._engine`), found and known to be of this program's version.

The one module that imports it. Partners: `engine.py` and `tls.py`, which wrap all of it; nobody
else uses `ffi` and `lib`.
"""

from __future__ import annotations

from greenpool.records import GP_ABI_VERSION

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

__all__ = ["ffi", "lib"]
