"""What a page says to do: its blocks of code, in order, and what is remarked about each.

The language of a block says what becomes of it; `sandbox.py` does it:

    sh         run by sh, which stops at the first command that fails
    yaml       a part of a configuration, which `greenpool check` must find good
    sql        run by PostgreSQL, as its superuser
    console, ini, text, none    read, not run

A comment on the line before the block says otherwise:

    <!-- not run: REASON -->            nothing is done
    <!-- stays until it says: TEXT -->  its last command goes on; it must say so much soon
    <!-- on the admin console -->       SQL for greenpool itself
    <!-- below: pools.shop -->          YAML for that place of the configuration

A page is walked by somebody who has done the quick start of README.md, unless the page says

    <!-- begins with nothing -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))

RUN = ("sh", "yaml", "sql")
READ = ("console", "ini", "text", "")
BEGINS_WITH_NOTHING = "<!-- begins with nothing -->"
QUICK_START = "## Quick start"

_FENCE = re.compile(r"^```(\w*)$")
_REMARK = re.compile(
    r"^<!-- (?:(not run|stays until it says|below): (\S.*)|(on the admin console)) -->$"
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code. `remark` is one of the words above, or empty; `detail` what it is given."""

    page: Path
    line: int
    language: str
    text: str
    remark: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in RUN and self.remark != "not run"


def blocks(page: Path, section: str = "") -> list[Block]:
    """Return the blocks of a page, or of one section of it."""
    found = list(_blocks(page))
    if not section:
        return found
    lines = page.read_text().splitlines()
    begin = lines.index(section)
    end = next((n for n in range(begin + 1, len(lines)) if lines[n].startswith("## ")), len(lines))
    return [each for each in found if begin < each.line <= end]


def broken_links(page: Path) -> list[str]:
    """List the links of a page to files and headings of this project that are not there."""
    broken = []
    for link in _LINK.findall(_prose(page)):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    return broken


def _blocks(page: Path) -> Iterator[Block]:
    lines = iter(enumerate(page.read_text().splitlines(), 1))
    before = ""
    for number, line in lines:
        if fence := _FENCE.match(line):
            text = []
            for _, inner in lines:
                if inner == "```":
                    break
                text.append(inner)
            yield Block(page, number, fence[1], "\n".join(text) + "\n", *_remark(before))
        before = line


def _remark(line: str) -> tuple[str, str]:
    if line == BEGINS_WITH_NOTHING or not line.startswith("<!--"):
        return "", ""
    found = _REMARK.match(line)
    assert found, f"{line}: no remark that pages.py knows"
    return found[1] or found[3], found[2] or ""


def _prose(page: Path) -> str:
    """Return the page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Return the names that the usual viewers of Markdown give to headings."""
    headings = _HEADING.findall(_prose(page))
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
