"""One setting of a running greenpool, changed without its file: SET of the admin console.

Only what is general's own can be SET: what pools inherit has been written into each of them, and
whoever reads one value here and another there would not know which is in force. Words and numbers
only: files, rules and secrets stay in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from greenpool.config.key import Invalid, Key, Literal, Reload, Section
from greenpool.config.kinds import BOOL, CHOICE, DURATION, INT, SECONDS, SIZE
from greenpool.config.model import Config
from greenpool.config.table import keys_of
from greenpool.config.tree import Problems
from greenpool.config.yaml_source import read_yaml
from greenpool.errors import ConfigError

_KINDS = (BOOL, CHOICE, DURATION, INT, SECONDS, SIZE)
# What these say depends on other keys, which the file has.
_TOGETHER = frozenset(("tls_mode", "tls_min_version"))

SETTABLE: Mapping[str, Key] = {
    key.name: key
    for key in keys_of(Section.GENERAL)
    if key.where == "G"
    and key.reload is Reload.LIVE
    and key.is_built
    and key.kind in _KINDS
    and key.name not in _TOGETHER
}
"""The keys that SET knows, by name."""


def parse_setting(name: str, text: str) -> Any:
    """Return the value of a key as the configuration holds it. Raises: ConfigError."""
    if name not in SETTABLE:
        raise ConfigError([f"{name} cannot be SET: change the configuration file, then RELOAD"])
    try:
        return SETTABLE[name].literal(_literal(text))
    except Invalid as exc:
        raise ConfigError([f"{name}: {exc}"]) from None


def with_setting(config: Config, name: str, text: str) -> Config:
    """Return the configuration with another value of one key. Raises: ConfigError."""
    value = parse_setting(name, text)
    return replace(config, general=replace(config.general, **{SETTABLE[name].attribute: value}))


def setting_of(config: Config, name: str) -> Any:
    """Return the value that is in force."""
    return getattr(config.general, SETTABLE[name].attribute)


def _literal(text: str) -> Literal:
    """Read a value as a configuration file would have it; what is no word and no number is text."""
    value = read_yaml(text, "SET", Problems()).value
    return value if isinstance(value, str | int) else text
