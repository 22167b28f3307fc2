r"""The startup parameter `options`: a backend's command line, turned into settings.

`-c search_path=a\ b --work-mem=1MB` means two settings; words are split at white space, a
backslash takes the next character as it is, a dash in a name stands for an underscore.
PostgreSQL reads the line after authentication, so it is parsed when asked for, not before.
Source: PostgreSQL `pg_split_opts`, `process_postgres_switches`; "Server Configuration >
Parameter Interaction via the Shell"; reference page "postgres".
"""

from __future__ import annotations

from collections.abc import Iterator

from greenpool.protocol.errors import ClientError, Severity, SqlState

_ASSIGNMENT_SWITCHES = "c-"

_FLAG_SWITCHES = {
    "e": ("datestyle", "euro"),
    "O": ("allow_system_table_mods", "true"),
    "P": ("ignore_system_indexes", "true"),
    "s": ("log_statement_stats", "true"),
}

_VALUE_SWITCHES = {"S": "work_mem", "W": "post_auth_delay"}

_PLANNER_SWITCHES = {
    "s": "enable_seqscan",
    "i": "enable_indexscan",
    "o": "enable_indexonlyscan",
    "b": "enable_bitmapscan",
    "t": "enable_tidscan",
    "n": "enable_nestloop",
    "m": "enable_mergejoin",
    "h": "enable_hashjoin",
}

_STATISTICS_SWITCHES = {
    "pa": "log_parser_stats",
    "pl": "log_planner_stats",
    "e": "log_executor_stats",
}


def parse_options(line: str) -> dict[str, str]:
    """Return the settings that an `options` line means; the last of equal names wins.

    Switches that only a server's own start accepts are refused like unknown ones.
    Raises: ClientError 42601, worded as PostgreSQL words it.
    """
    settings: dict[str, str] = {}
    words = split_options(line)
    for word in words:
        if len(word) < 2 or word[0] != "-":
            raise _invalid(word)
        for name, value in _read_switches(word, words):
            settings[name] = value
    return settings


def split_options(line: str) -> Iterator[str]:
    r"""Split a line into words at white space; `\ ` and `\\` are a space and a backslash."""
    word = ""
    inside = escaped = False
    for char in line:
        if not escaped and char in " \t\n\v\f\r":
            if inside:
                yield word
            word, inside = "", False
            continue
        inside = True
        if not escaped and char == "\\":
            escaped = True
            continue
        word += char
        escaped = False
    if inside:
        yield word


def _read_switches(word: str, words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Read one word as getopt does: flags may be joined (`-Ps`), the last may take a value."""
    for at, switch in enumerate(word[1:], start=1):
        if switch in _FLAG_SWITCHES:
            yield _FLAG_SWITCHES[switch]
            continue
        value = word[at + 1 :] or next(words, None)
        if value is None:
            raise _invalid(word)
        yield _read_value_switch(word, switch, value)
        return


def _read_value_switch(word: str, switch: str, value: str) -> tuple[str, str]:
    if switch in _ASSIGNMENT_SWITCHES:
        return _read_assignment(switch, value)
    if switch in _VALUE_SWITCHES:
        return _VALUE_SWITCHES[switch], value
    if switch == "f" and value[:1] in _PLANNER_SWITCHES:
        return _PLANNER_SWITCHES[value[:1]], "false"
    if switch == "t":
        for beginning, name in _STATISTICS_SWITCHES.items():
            if value.startswith(beginning):
                return name, "true"
    raise _invalid(word)


def _read_assignment(switch: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        form = "--{} requires a value" if switch == "-" else "-c {} requires a value"
        raise _syntax_error(form.format(text))
    return name.replace("-", "_"), value


def _invalid(word: str) -> ClientError:
    return _syntax_error(f"invalid command-line argument for server process: {word}")


def _syntax_error(message: str) -> ClientError:
    return ClientError(Severity.FATAL, SqlState.SYNTAX_ERROR, message)
