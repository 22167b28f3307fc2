"""The annotated sample file and the reference, both written out of the table."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping

from greenpool.config.key import Key, Literal, Reload, Section
from greenpool.config.table import (
    IGNORED,
    IGNORED_PREFIXES,
    REWORDINGS,
    SECTION_ALIASES,
    keys_of,
)

_WIDTH = 96
_TITLES: Mapping[Section, str] = {
    Section.GENERAL: "general",
    Section.POOL: "pools.<name>",
    Section.USER: "pools.<name>.users[]",
    Section.AUTH_QUERY: "pools.<name>.auth_query",
    Section.WEB: "web",
}
_WORDING = (
    'Durations: "250ms" "3s" "5m" "1h" "2d"; a bare number is milliseconds. Sizes: "64KB" "1MB" '
    '"1G"; a bare number is bytes. ${NAME} is read from the environment, $${ stands for ${. '
    "Wherever a password may stand, the same key with _file behind it names a file that holds it. "
    "include: {files: [...]} merges other files over this one, in order."
)
_CLASSES = (
    "(R) takes effect on reload; (S) needs an upgrade or a restart, and reload names it when it "
    "was changed."
)
_TEMPLATE = (
    '"*" is a template for any other: its pools are made when somebody logs in, and go when they '
    "are unused for `idle_timeout`; `server_database` is then the name that was asked for."
)
_SAMPLE_USER: Mapping[str, Literal] = {"username": "app", "password": "change-me"}
_SAMPLE_POOL = "app"


def sample() -> str:
    """Return a configuration file that works, with every supported key in a comment."""
    lines = ["# Configuration of greenpool. Commented keys show their defaults."]
    lines += _comment(_WORDING, "") + _comment(_CLASSES, "")
    lines += ["", "general:"]
    lines += _sample_keys(_own_keys(Section.GENERAL), "  ")
    lines += ["", "pools:", "  # The name of a pool is the database that clients ask for."]
    lines += [f"  {_SAMPLE_POOL}:"]
    lines += _sample_keys(_own_keys(Section.POOL), "    ")
    lines += ["", *_comment(f"Of general, a pool may override: {_overrides()}", "    ")]
    lines += ["", "    users:"]
    user = _sample_keys(_own_keys(Section.USER), "        ")
    lines += ["      -", *user[1:], "", "web:"]
    lines += _sample_keys(_own_keys(Section.WEB), "  ")
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Return the reference of all keys in Markdown."""
    lines = ["# Configuration reference", "", _WORDING, "", _CLASSES]
    for section in Section:
        lines += ["", f"## {_TITLES[section]}"]
        lines += [f"Also called `{alias}`." for alias in _section_aliases(section)]
        if section is Section.POOL:
            lines += ["", "The name is the database that clients ask for. " + _TEMPLATE]
        for key in _own_keys(section):
            lines += ["", f"### {key.name}", "", key.doc, "", *_facts(key)]
    return "\n".join([*lines, "", *_pgdoorman()]) + "\n"


def _own_keys(section: Section) -> list[Key]:
    return [key for key in keys_of(section) if key.home is section]


def _sample_keys(keys: list[Key], indent: str) -> list[str]:
    lines: list[str] = []
    for key in keys:
        if key.is_built:
            doc = f"{key.doc} ({key.reload.value})"
            lines += ["", *_comment(doc, indent), indent + _sample_line(key)]
    return lines


def _sample_line(key: Key) -> str:
    if key.name in _SAMPLE_USER and key.home is Section.USER:
        return f"{key.name}: {json.dumps(_SAMPLE_USER[key.name])}"
    return f"# {key.name}: {_literal(key.default)}".rstrip()


def _literal(value: Literal) -> str:
    """Write a value so that YAML and TOML read it alike; nothing for a key not set."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}## "
    return textwrap.wrap(
        text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False
    )


def _overrides() -> str:
    return ", ".join(
        key.name for key in keys_of(Section.POOL) if key.home is Section.GENERAL and key.is_built
    )


def _section_aliases(section: Section) -> list[str]:
    return [alias for alias, name in SECTION_ALIASES.items() if name == _TITLES[section]]


def _facts(key: Key) -> Iterator[str]:
    """Yield what the table says about a key beyond its sentence, as list items."""
    kind = key.kind.name
    if key.choices is not None:
        kind = "one of " + ", ".join(f"`{member.value}`" for member in key.choices)
    yield f"- type: {kind}"
    default = "required" if key.required else "not set"
    yield f"- default: {f'`{_literal(key.default)}`' if key.default is not None else default}"
    if key.bounds is not None:
        low, high = (key.show(bound) for bound in key.bounds)
        yield f"- range: {low} to {high}"
    yield "- takes effect: " + ("on reload (R)" if key.reload is Reload.LIVE else "on restart (S)")
    if len(key.where) > 1:
        places = ", ".join(f"`{_TITLES[Section(letter)]}`" for letter in key.where[1:])
        yield f"- may be overridden in: {places}"
    if key.aliases:
        yield f"- also called: {', '.join(f'`{alias}`' for alias in key.aliases)}"
    if isinstance(key.today, tuple):
        values = " or ".join(f"`{_literal(v)}`" if v is not None else "not set" for v in key.today)
        yield f"- not supported yet: today only {values}"


def _pgdoorman() -> Iterator[str]:
    """Yield the keys that exist for PgDoorman's configuration files."""
    yield "## Keys of PgDoorman"
    yield ""
    for rewording in REWORDINGS:
        for value, word in rewording.words.items():
            means = f'`{rewording.target}: "{word}"`' if word else "nothing"
            yield f"- `{rewording.name}: {json.dumps(value)}` means {means}"
    names = [f"`{prefix}*`" for prefix in IGNORED_PREFIXES] + [f"`{n}`" for n in sorted(IGNORED)]
    yield f"- {', '.join(names)} in general or a pool are accepted and ignored, with a warning"
