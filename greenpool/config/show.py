"""Rows of SHOW CONFIG."""

from __future__ import annotations

from greenpool.config.key import Reload, Section
from greenpool.config.model import Config
from greenpool.config.table import keys_of

Row = tuple[str, str, str, str]  # key, value, default, changeable


def show_rows(config: Config) -> list[Row]:
    """Return every key of general, and of web with its prefix; secrets are masked.

    Values are what is in effect: a key whose feature is not built shows what the program does.
    """
    rows = _section(Section.GENERAL, "", config.general)
    return rows + _section(Section.WEB, "web.", config.web)


def _section(section: Section, prefix: str, values: object) -> list[Row]:
    return [
        (
            prefix + key.name,
            key.show(getattr(values, key.attribute)),
            key.show(key.effective_default()),
            "yes" if key.reload is Reload.LIVE else "no",
        )
        for key in keys_of(section)
    ]
