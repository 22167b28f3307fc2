"""Write what a package says of the command line: the manual page and the shells' completions.

All of it is made out of the click commands when the package is built, so none of it can differ from
them. The texts of the page that no command has are at the end of this file.

Usage: commandline.py TARGET     below it: usr/share/man/man1, the completions of bash, zsh, fish
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

import greenpool
from greenpool.cli import cli, completion_script

NAME = "greenpool"
_PAGE = "usr/share/man/man1/greenpool.1"
_COMPLETIONS = {
    "usr/share/bash-completion/completions/greenpool": "bash",
    "usr/share/zsh/vendor-completions/_greenpool": "zsh",
    "usr/share/fish/vendor_completions.d/greenpool.fish": "fish",
}
# In click's help a paragraph that begins with this line keeps its line breaks.
_AS_IT_STANDS = "\b\n"


def write(target: Path) -> None:
    """Write all files below `target`."""
    _write(target / _PAGE, page())
    for path, shell in _COMPLETIONS.items():
        _write(target / path, completion_script(shell))


def page() -> str:
    """Compose greenpool(1) in the man macros. Source: man(7)."""
    lines = [
        f'.TH GREENPOOL 1 "" "greenpool {greenpool.__version__}" "User Commands"',
        ".SH NAME",
        _text("greenpool - pool PostgreSQL connections"),
        ".SH SYNOPSIS",
        ".B greenpool",
        _text("[OPTIONS] COMMAND [ARGS]..."),
        ".SH DESCRIPTION",
        *_paragraphs(cli.help or ""),
    ]
    context = click.Context(cli, info_name=NAME, **cli.context_settings)
    lines += [*_options(cli, context), ".SH COMMANDS", *_commands(cli, context)]
    for title, paragraphs in _SECTIONS:
        lines.append(f".SH {title}")
        for term, text in paragraphs:
            lines += [".TP", f".B {_text(term)}", _text(text)]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    """Yield a subsection for each command below a group, groups among them included."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
        yield f'.SS "{_text(usage)}"'
        yield from _paragraphs(command.help or "")
        yield from _options(command, inner)
        if command.epilog:
            yield ".PP"
            yield from _paragraphs(command.epilog)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        # Arguments are told in the usage, --help once, above all commands.
        if isinstance(parameter, click.Argument) or (context.parent and parameter.name == "help"):
            continue
        if record := parameter.get_help_record(context):
            yield ".TP"
            yield f".B {_text(record[0])}"
            yield _text(record[1])


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number > 0:
            yield ".PP"
        if paragraph.startswith(_AS_IT_STANDS):
            lines = paragraph.removeprefix(_AS_IT_STANDS).splitlines()
            yield "\n".join([".nf", *map(_text, lines), ".fi"])
        else:
            yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """Write text so that roff takes none of it for a request or a typographic sign."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


_SECTIONS = (
    (
        "EXIT STATUS",
        (
            ("0", "The command has done what it was asked."),
            ("1", "It has failed, and says why on standard error."),
            ("2", "The command line or the configuration is wrong."),
        ),
    ),
    (
        "SIGNALS",
        (
            ("HUP", "Reload the configuration."),
            ("USR2", "Have the installed version take over."),
            ("TERM, INT", "Stop after the running transactions; a second one stops at once."),
            ("QUIT", "Stop at once."),
        ),
    ),
    (
        "FILES",
        (
            ("/etc/greenpool/greenpool.yaml", "The configuration; ./greenpool.yaml comes first."),
            ("/run/greenpool/greenpool.pid", "The pid file of the package's configuration."),
            ("/usr/share/doc/greenpool/", "The documentation."),
        ),
    ),
)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
