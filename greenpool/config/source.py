"""Configuration files -> one merged tree.

`include: {files: [...]}` names files relative to the including one. They are merged in order,
each over what came before: mappings key by key, lists are joined, anything else is replaced.
`${NAME}` in any string is the environment's NAME (unset is an error); `$${` stands for `${`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from greenpool.config.toml_source import read_toml
from greenpool.config.tree import Mark, Node, Problems, Value, is_unicode
from greenpool.config.yaml_source import read_yaml

_READERS: Mapping[str, Callable[[str, str, Problems], Node]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".toml": read_toml,
}
_VARIABLE = re.compile(r"\$?\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?", re.ASCII)


def read_files(
    path: Path, environ: Mapping[str, str], problems: Problems
) -> tuple[Node, tuple[Path, ...]]:
    """Return the merged tree and every file that was read, in order.

    Does blocking file reads: runs in the master or in a command, never on a worker's hub.
    """
    return _Reader(environ, problems).read(path)


class _Reader:
    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ = environ
        self._problems = problems
        self._files: list[Path] = []

    def read(self, path: Path) -> tuple[Node, tuple[Path, ...]]:
        root = self._file(path, Mark(str(path), 1, 1), ())
        return root, tuple(self._files)

    def _file(self, path: Path, named_at: Mark, chain: tuple[str, ...]) -> Node:
        """Read one file and all that it includes; `named_at` is to blame if that cannot be."""
        empty = Node({}, Mark(str(path), 1, 1))
        real = os.path.realpath(path)
        if real in chain:
            self._problems.add(named_at, "include.files", f'"{path}" includes itself')
            return empty
        reader = _READERS.get(path.suffix.lower())
        text = self._text(path, named_at) if reader else None
        if reader is None:
            known = ", ".join(_READERS)
            self._problems.add(named_at, "", f'"{path}" must be named with one of {known}')
        if reader is None or text is None:
            return empty
        self._problems.enter(str(path))
        if path not in self._files:
            self._files.append(path)
        root = self._expand(reader(text, str(path), self._problems), "")
        if not isinstance(root.value, dict):
            self._problems.add(root.mark, "", f"expected a mapping, found {root.describe()}")
            return empty
        return self._include(root, root.value, (*chain, real))

    def _text(self, path: Path, named_at: Mark) -> str | None:
        try:
            return path.read_text(encoding="utf-8-sig")
        except OSError as error:
            self._problems.add(named_at, "", f'cannot read "{path}": {error.strerror}')
        except UnicodeDecodeError as error:
            self._problems.add(
                Mark(str(path), 1, 1), "", f"not UTF-8: bad byte at offset {error.start}"
            )
        return None

    def _include(self, root: Node, members: dict[str, Node], chain: tuple[str, ...]) -> Node:
        merged = replace(root, value={k: v for k, v in members.items() if k != "include"})
        for name in self._included(members.get("include")):
            file = name.mark.relative(str(name.value))
            merged = merge(merged, self._file(file, name.mark, chain))
        return merged

    def _included(self, include: Node | None) -> list[Node]:
        if include is None or include.value is None:
            return []
        if not isinstance(include.value, dict):
            found = include.describe()
            self._problems.add(
                include.mark, "include", f"expected a mapping with files, found {found}"
            )
            return []
        for key, node in include.value.items():
            if key != "files":
                self._problems.add(
                    node.mark, f"include.{key}", 'unknown key (did you mean "files"?)'
                )
        files = include.value.get("files")
        if files is None or files.value is None:
            return []
        if isinstance(files.value, list) and all(_is_file_name(f.value) for f in files.value):
            return files.value
        self._problems.add(files.mark, "include.files", "expected a list of file names")
        return []

    def _expand(self, node: Node, path: str) -> Node:
        if isinstance(node.value, dict):
            members = {
                key: self._expand(item, f"{path}.{key}" if path else key)
                for key, item in node.value.items()
            }
            return replace(node, value=members)
        if isinstance(node.value, list):
            items = [self._expand(item, f"{path}[{i}]") for i, item in enumerate(node.value)]
            return replace(node, value=items)
        if isinstance(node.value, str) and "${" in node.value:
            return self._expand_text(node, node.value, path)
        return node

    def _expand_text(self, node: Node, text: str, path: str) -> Node:
        def substitute(match: re.Match[str]) -> str:
            if match[0].startswith("$$"):
                return match[0][1:]
            name = match[1]
            if name is None:
                what = '"${" needs a name and "}" after it ("$${" stands for the text itself)'
                self._problems.add(node.mark, path, what)
                return ""
            if name not in self._environ:
                self._problems.add(node.mark, path, f'environment variable "{name}" is not set')
            elif not is_unicode(self._environ[name]):
                self._problems.add(node.mark, path, f'environment variable "{name}" is not UTF-8')
                return ""
            return self._environ.get(name, "")

        return Node(_VARIABLE.sub(substitute, text), node.mark, text=None, expanded=True)


def _is_file_name(value: Value) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def merge(base: Node, over: Node) -> Node:
    """Return `base` with `over` merged over it; neither is changed."""
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        members = dict(base.value)
        for key, item in over.value.items():
            members[key] = merge(members[key], item) if key in members else item
        return replace(base, value=members)
    if isinstance(base.value, list) and isinstance(over.value, list):
        return replace(base, value=[*base.value, *over.value])
    return base if over.value is None else over
