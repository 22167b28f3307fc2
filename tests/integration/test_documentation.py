"""What the documentation says to do works, and its links lead somewhere: tests/integration/walk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.conftest import ANY_POSTGRESQL
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.tls import House
from tests.integration.walk.pages import (
    BEGINS_WITH_NOTHING,
    PAGES,
    QUICK_START,
    READ,
    README,
    RUN,
    Block,
    blocks,
    broken_links,
)
from tests.integration.walk.sandbox import Sandbox, shop

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
to_be_followed = pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(each.is_run for each in blocks(page))],
    ids=lambda page: page.stem,
)


@pytest.fixture
def sandbox(pg: PostgreSQL, house: House, page: Path) -> Iterator[Sandbox]:
    """Return a sandbox in which the quick start has been done, unless the page does without."""
    begins_with_nothing = BEGINS_WITH_NOTHING in page.read_text()
    with shop(pg, is_there=not begins_with_nothing) as database:
        sandbox = Sandbox(pg, database, house)
        try:
            if (
                not begins_with_nothing
                and page != README
                and any(map(_needs_greenpool, blocks(page)))
            ):
                _follow(sandbox, blocks(README, QUICK_START))
            yield sandbox
        finally:
            left = sandbox.close()
        assert not left


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_page_is_in_the_index() -> None:
    index = README.read_text()
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name})" not in index] == []


@every_page
def test_languages_of_blocks_are_known(page: Path) -> None:
    assert [str(each) for each in blocks(page) if each.language not in RUN + READ] == []


@ANY_POSTGRESQL
@pytest.mark.slow
@to_be_followed
def test_page_can_be_followed(sandbox: Sandbox, page: Path) -> None:
    _follow(sandbox, blocks(page))


@ANY_POSTGRESQL
@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "greenpool chekc greenpool.yaml\ntrue\n"),
        ("yaml", "general: {prot: 6432}\n"),
        ("sql", "selct 1;\nselect 1;\n"),
    ],
)
def test_walk_notices_what_does_not_work(
    pg: PostgreSQL, database: str, house: House, language: str, text: str
) -> None:
    sandbox = Sandbox(pg, database, house)
    try:
        with pytest.raises(AssertionError, match=r"^somewhere\.md:1: "):
            sandbox.do(Block(Path("somewhere.md"), 1, language, text))
    finally:
        sandbox.close()


def test_remark_that_is_misspelt_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- not ran: why -->\n```sh\nfalse\n```\n")
    with pytest.raises(AssertionError, match="no remark that pages"):
        blocks(page)


def _needs_greenpool(block: Block) -> bool:
    return block.is_run and (block.language == "sh" or block.remark == "on the admin console")


def _follow(sandbox: Sandbox, blocks: Sequence[Block]) -> None:
    for block in blocks:
        if block.is_run:
            sandbox.do(block)
