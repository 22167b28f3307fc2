"""Whatever a file says, loading it ends with a configuration or with ConfigError."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from greenpool.config import Config, load, show_rows
from greenpool.config.table import KEYS, REWORDINGS
from greenpool.errors import ConfigError

NAMES = st.sampled_from(
    sorted({key.name for key in KEYS} | {"users", "auth_query", "password_file"})
    + [rewording.name for rewording in REWORDINGS]
) | st.text(max_size=3)
TEXTS = st.sampled_from(["", "5s", "1MB", "auto", "::1", "a\0b", "\ud800", "${X}", "${", "*", "/x"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
SECTIONS = st.dictionaries(
    st.sampled_from(["general", "pools", "web", "prometheus", "include", "x"]),
    st.dictionaries(NAMES, VALUES, max_size=6) | VALUES,
    max_size=4,
)


def load_or_refuse(path):
    problems: tuple[str, ...] = ()
    try:
        config = load(path, {"X": "1\udcff"})
    except ConfigError as error:
        problems = error.problems
    else:
        assert isinstance(config, Config)
        assert show_rows(config)
    for problem in problems:
        assert problem.startswith(f"{path}:")
        assert problem.encode()


@settings(max_examples=300)
@given(SECTIONS)
def test_any_tree(tmp_path, sections):
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(sections), encoding="utf-8")
    load_or_refuse(path)


@settings(max_examples=300)
@given(st.text("ab:-[]{}&*!|>'\"#%@,.= \n\t\\0\ufeff\x00", max_size=40))
@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_any_text(tmp_path, suffix, text):
    path = tmp_path / f"any.{suffix}"
    path.write_text(text, encoding="utf-8")
    load_or_refuse(path)


@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_number_of_thousands_of_digits(tmp_path, suffix):
    path = tmp_path / f"any.{suffix}"
    path.write_text({"yaml": "general: {port: %s}", "toml": "port = %s"}[suffix] % ("9" * 5000))
    load_or_refuse(path)


def test_text_that_is_no_unicode(tmp_path):
    path = tmp_path / "any.yaml"
    path.write_text(f'general: {{user: {json.dumps(chr(0xD800))}, "{chr(92)}ud800": 1}}')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [problem.split(": ", 1)[1] for problem in caught.value.problems[1:]] == [
        "not valid Unicode",
        "a key must be a plain name",
    ]
