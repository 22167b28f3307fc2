"""An outline -> YAML, with comments. Partner: `outline.py`.

Law: the same outline gives the same bytes, and what was written is read back as the same values:
strings are quoted always, and `${` is written as `$${`. A key that this version does not support
is written as a comment that says so, and takes effect with the first run of one that does.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from greenpool.config import Section, is_supported
from greenpool.generate.outline import Entry, Literal, Outline, PoolOutline

MARK = "# Written by `greenpool generate`"
"""How a file begins that may be written anew."""

_WIDTH = 96
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def render(outline: Outline, include: str | None) -> str:
    """Write it; `include`: the file, beside this one, with what is to be merged over it."""
    return "\n".join([*_lines(outline, include), ""])


def unsupported(outline: Outline) -> Iterator[str]:
    """Name the keys that are written as comments."""
    parts = [("general", Section.GENERAL, outline.general)]
    for pool in outline.pools:
        path = f"pools.{_in_line(pool.name)}"
        parts += [(path, Section.POOL, pool.entries), (path, Section.AUTH_QUERY, pool.auth_query)]
        parts += [(path, Section.USER, user.entries) for user in pool.users]
    for path, section, entries in parts:
        for entry in entries:
            if not is_supported(section, entry.name, entry.value):
                yield f"{path}.{entry.name}: not supported yet"


def quoted(text: str) -> str:
    """Write a string so that YAML reads the same one, whatever is in it; in one line."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _lines(outline: Outline, include: str | None) -> Iterator[str]:
    yield f"{MARK} from {_in_line(outline.source)}."
    if include is not None:
        yield from _comment(
            f"The next run writes it anew: what is to be otherwise goes into {_in_line(include)}, "
            "which is merged over this file and never touched."
        )
        yield from ["", "include:", f"  files: [{_string(include)}]"]
    yield from ["", "general:" if outline.general else "general: {}"]
    yield from _entries(outline.general, Section.GENERAL, "  ")
    yield ""
    for note in outline.notes:
        yield from _comment(note)
    yield "pools:" if outline.pools else "pools: {}"
    for pool in outline.pools:
        yield from _pool(pool)
    if outline.left_out:
        yield from ["", "# Left out:"]
        for what in outline.left_out:
            yield from _comment(what, bullet="- ")


def _pool(pool: PoolOutline) -> Iterator[str]:
    yield ""
    for note in pool.notes:
        yield from _comment(note, "  ")
    yield f"  {_string(pool.name)}:"
    yield from _entries(pool.entries, Section.POOL, "    ")
    if pool.auth_query:
        yield "    auth_query:"
        yield from _entries(pool.auth_query, Section.AUTH_QUERY, "      ")
    if not pool.users:
        return
    yield "    users:"
    for user in pool.users:
        if user.why:
            yield from _comment(user.why, "      ")
        first, *rest = _entries(user.entries, Section.USER, "        ")
        yield from [f"      - {first.lstrip()}", *rest]


def _entries(entries: Sequence[Entry], section: Section, indent: str) -> Iterator[str]:
    for entry in entries:
        line = f"{entry.name}: {_literal(entry.value)}"
        is_supported_now = is_supported(section, entry.name, entry.value)
        why = entry.why
        if not is_supported_now:
            why = f"{why} (not supported yet)" if why else "Not supported yet."
        if why:
            yield from _comment(why, indent)
        yield f"{indent}{'' if is_supported_now else '# '}{line}"


def _comment(text: str, indent: str = "", bullet: str = "") -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(
        _in_line(text),
        _WIDTH,
        initial_indent=prefix + bullet,
        subsequent_indent=prefix + " " * len(bullet),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _literal(value: Literal) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_string(k)}: {_string(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(map(_literal, value)) + "]"


def _string(text: str) -> str:
    return quoted(text.replace("${", "$${"))


def _in_line(text: str) -> str:
    """Take from a comment what could end it."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
