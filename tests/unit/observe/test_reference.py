"""docs/metrics.md says what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenpool.observe.families import FAMILIES
from greenpool.observe.reference import families, with_families

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_document_is_up_to_date() -> None:
    text = DOCUMENT.read_text()
    assert text == with_families(text), (
        "run: .venv/bin/python -m greenpool.observe.reference docs/metrics.md"
    )


def test_every_family_is_in_the_reference() -> None:
    text = families()
    assert all(f"| `{family.name}` | {family.kind.value} |" in text for family in FAMILIES)
    assert not any("|" in family.doc for family in FAMILIES)


def test_document_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="families"):
        with_families("# Metrics\n")
