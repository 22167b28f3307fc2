from __future__ import annotations

import pytest

from greenpool.protocol.errors import ClientError
from greenpool.protocol.options import parse_options, split_options


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        (" \t\n", []),
        ("-c a=b", ["-c", "a=b"]),
        (r" -c  a=x\ y\\z ", ["-c", "a=x y\\z"]),
        (r"a\-b \ ", ["a-b", " "]),
        ("a\\", ["a"]),
    ],
)
def test_split_options_follows_backslashes(line, words):
    assert list(split_options(line)) == words


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("-c a=b --c=d", {"a": "b", "c": "d"}),
        ("-ca=b", {"a": "b"}),
        ("--work-mem=1MB -c work_mem=2MB", {"work_mem": "2MB"}),
        (r"-c search_path=a,\ b", {"search_path": "a, b"}),
        ("-c a=", {"a": ""}),
        ("-c a=b=c", {"a": "b=c"}),
        ("-c my.thing=1", {"my.thing": "1"}),
        ("-S 4096 -e", {"work_mem": "4096", "datestyle": "euro"}),
        (
            "-Ps -fs -f h",
            {
                "ignore_system_indexes": "true",
                "log_statement_stats": "true",
                "enable_seqscan": "false",
                "enable_hashjoin": "false",
            },
        ),
        ("-tpa -te", {"log_parser_stats": "true", "log_executor_stats": "true"}),
    ],
)
def test_parse_options_returns_settings(line, settings):
    assert parse_options(line) == settings


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-c geqo", "-c geqo requires a value"),
        ("--geqo", "--geqo requires a value"),
        ("geqo=on", "invalid command-line argument for server process: geqo=on"),
        ("-", "invalid command-line argument for server process: -"),
        ("-c", "invalid command-line argument for server process: -c"),
        ("-k /tmp", "invalid command-line argument for server process: -k"),
        ("-fz", "invalid command-line argument for server process: -fz"),
        ("-tx", "invalid command-line argument for server process: -tx"),
    ],
)
def test_parse_options_refuses_with_a_syntax_error(line, message):
    with pytest.raises(ClientError) as caught:
        parse_options(line)
    assert (caught.value.sqlstate, str(caught.value)) == ("42601", message)
