"""docs/metrics.md and docs/logs.md say what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool.observe import log_reference, reference
from greenpool.observe.document import Part
from greenpool.observe.events import EVENTS
from greenpool.observe.families import FAMILIES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("part", "name", "program"),
    [
        (reference.PART, "metrics.md", "greenpool.observe.reference"),
        (log_reference.PART, "logs.md", "greenpool.observe.log_reference"),
    ],
)
def test_document_is_up_to_date(part: Part, name: str, program: str) -> None:
    text = (DOCS / name).read_text()
    assert text == part.within(text), f"run: .venv/bin/python -m {program} docs/{name}"


def test_rewriting_changes_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "metrics.md"
    document.write_text("before\n<!-- families: begin -->\nold\n<!-- families: end -->\nafter\n")
    reference.PART.rewrite(document)
    text = document.read_text()
    assert text.startswith("before\n<!-- families: begin -->\n")
    assert text.endswith("<!-- families: end -->\nafter\n")
    assert "| `greenpool_draining` |" in text
    assert "old" not in text.splitlines()


def test_every_family_is_in_the_reference() -> None:
    text = reference.PART.text()
    assert all(f"| `{family.name}` | {family.kind.value} |" in text for family in FAMILIES)
    assert not any("|" in family.doc for family in FAMILIES)


def test_every_event_is_in_the_reference() -> None:
    text = log_reference.PART.text()
    assert all(f"| `{event.name}`" in text for event in EVENTS)


def test_document_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="families"):
        reference.PART.within("# Metrics\n")
