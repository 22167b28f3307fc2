"""The one error of the demonstration and of the private servers it runs."""

from __future__ import annotations

from greenpool.errors import GreenpoolError


class DemoError(GreenpoolError):
    """Say what kept a private PostgreSQL, or greenpool in front of it, from running."""
