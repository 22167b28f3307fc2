"""A part of a document that is written out of a table, between two marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between `<!-- name: begin -->` and `<!-- name: end -->`."""

    name: str
    lines: Callable[[], Iterator[str]]

    def text(self) -> str:
        """Return it as it is now."""
        return "\n".join(self.lines()) + "\n"

    def rewrite(self, document: Path) -> None:
        """Write it anew in a document. Raises: ValueError without its marks."""
        document.write_text(self.within(document.read_text()))

    def within(self, document: str) -> str:
        """Return a document with this part as it is now. Raises: ValueError without its marks."""
        begin, end = f"<!-- {self.name}: begin -->\n", f"<!-- {self.name}: end -->\n"
        before, found, rest = document.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"no {begin.strip()} ... {end.strip()}")
        return f"{before}{begin}{self.text()}{end}{after}"
