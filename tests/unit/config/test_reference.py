import re
from dataclasses import replace
from pathlib import Path

import pytest

from greenpool.config import reference, sample
from greenpool.config.key import Section
from greenpool.config.table import KEYS, REWORDINGS

COMMENTED_KEY = re.compile(r"^( *)# (\w+:)", re.MULTILINE)


DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == reference(), (
        "run: .venv/bin/greenpool generate --reference > docs/configuration.md"
    )


def test_sample_is_a_configuration_that_works(files):
    config = files.load(sample())
    assert list(config.pools["app"].users) == ["app"]
    assert config.warnings == ()


def test_sample_comments_show_the_defaults(files):
    with_comments = files.load(COMMENTED_KEY.sub(r"\1\2", sample()), name="all.yaml")
    assert replace(with_comments, files=()) == replace(files.load(sample()), files=())


@pytest.mark.parametrize(
    ("indent", "homes"),
    [(2, (Section.GENERAL, Section.WEB)), (4, (Section.POOL,)), (8, (Section.USER,))],
)
def test_sample_has_every_supported_key_and_no_other(indent, homes):
    found = re.findall(rf"^ {{{indent}}}(?:# )?(\w+):", sample(), re.MULTILINE)
    expected = [key.name for key in KEYS if key.home in homes and key.is_built]
    assert [name for name in found if name not in ("users", "app")] == expected


def test_sample_fits_the_width():
    assert max(map(len, sample().splitlines())) <= 96


def test_reference_has_every_key_once_under_its_section():
    for title, section in zip(reference().split("\n## ")[1:], Section, strict=False):
        expected = [key.name for key in KEYS if key.home is section]
        assert re.findall(r"^### (\w+)$", title, re.MULTILINE) == expected


def test_reference_says_what_the_table_says():
    entry = reference().split("### server_lifetime\n")[1].split("\n### ")[0]
    assert entry == (
        "\nAge, give or take 20 %, at which a server connection is closed once it is idle; 0 "
        "means never.\n"
        "\n- type: duration\n"
        '- default: `"20m"`\n'
        "- range: 0 to 365d\n"
        "- takes effect: on reload (R)\n"
        "- may be overridden in: `pools.<name>`, `pools.<name>.users[]`\n"
    )


def test_reference_says_what_is_not_supported_yet():
    entry = reference().split("### io_backend\n")[1].split("\n### ")[0]
    assert "- type: one of `auto`, `io_uring`, `epoll`\n" in entry
    assert "not supported yet" not in entry
    entry = reference().split("### target_session_attrs\n")[1].split("\n### ")[0]
    assert '- not supported yet: today only `"any"`' in entry


def test_reference_names_the_other_spellings():
    text = reference()
    assert "- also called: `worker_threads`" in text
    assert "Also called `prometheus`." in text
    assert all(f"`{rewording.name}: " in text for rewording in REWORDINGS)
