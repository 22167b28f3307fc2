"""The configuration: one table of keys (table.py), and what follows from it.

Others use what is named here and nothing else of this package.
"""

from greenpool.config.changes import Changes, changes
from greenpool.config.choices import IoBackend, LogFormat, LogLevel, PoolMode, SessionState
from greenpool.config.loading import load
from greenpool.config.model import Config, General, Parameters, Pool, User, Web
from greenpool.config.reference import reference, sample
from greenpool.config.show import show_rows

__all__ = [
    "Changes",
    "Config",
    "General",
    "IoBackend",
    "LogFormat",
    "LogLevel",
    "Parameters",
    "Pool",
    "PoolMode",
    "SessionState",
    "User",
    "Web",
    "changes",
    "load",
    "reference",
    "sample",
    "show_rows",
]
