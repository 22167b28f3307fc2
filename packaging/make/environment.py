"""Lay out what a package installs below /usr/lib/greenpool: a virtual environment of its own.

    bin/python        the distribution's interpreter
    pyvenv.cfg        makes it look here, and nowhere else, for what it imports
    lib/pythonX.Y/site-packages
                      greenpool, its engine, and every distribution that it requires

The required distributions are copied out of the environment that runs this: those are the versions
that the tests have met, and no network is asked. The interpreter is not copied. The distribution's
own gets its security updates; it has the same minor version as the one that runs this, because the
extension modules are built for that.

Usage: environment.py SOURCE TARGET EXTRA...
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePath

from packaging.requirements import Requirement

NAME = "greenpool"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
# What serves to build or test a distribution, or says how pip has installed it.
_LEFT_OUT_DIRECTORIES = {"__pycache__", "tests", "slapdtest"}
_LEFT_OUT_SUFFIXES = {".c", ".cpp", ".h", ".hpp", ".pxd", ".pyx"}
_LEFT_OUT_NAMES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def lay_out(source: Path, target: Path, extras: Iterable[str]) -> None:
    """Make the environment at `target` from the checkout at `source`, whose engine is built."""
    packages = target / "lib" / PYTHON / "site-packages"
    packages.mkdir(parents=True)
    for each in required(NAME, extras):
        _copy(each, packages)
    _copy_greenpool(source, packages)
    (target / "bin").mkdir()
    (target / "bin/python").symlink_to(f"../../../bin/{PYTHON}")
    (target / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n"
        f"version = {sys.version_info.major}.{sys.version_info.minor}\n"
    )


def required(name: str, extras: Iterable[str]) -> list[Distribution]:
    """List the distributions that one requires with these extras, directly or not, by name."""
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    open_ends = [(name, extra) for extra in ("", *extras)]
    while open_ends:
        end = open_ends.pop()
        if end in asked:
            continue
        asked.add(end)
        found[end[0]] = distribution(end[0])
        for requirement in _requirements(found[end[0]], end[1]):
            wanted = _canonical(requirement.name)
            open_ends += [(wanted, extra) for extra in ("", *requirement.extras)]
    del found[name]
    return [found[each] for each in sorted(found)]


def _requirements(wanting: Distribution, extra: str) -> Iterator[Requirement]:
    for line in wanting.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _copy(each: Distribution, packages: Path) -> None:
    assert each.files is not None, f"{each.name} does not say what its files are"
    for file in each.files:
        if ".." not in file.parts and _is_wanted(file):
            _copy_file(Path(str(file.locate())), packages / file)


def _copy_greenpool(source: Path, packages: Path) -> None:
    for path in sorted((source / NAME).rglob("*")):
        if path.is_file() and _is_wanted(path.relative_to(source)):
            _copy_file(path, packages / path.relative_to(source))


def _is_wanted(file: PurePath) -> bool:
    return (
        not _LEFT_OUT_DIRECTORIES.intersection(file.parts)
        and file.suffix not in _LEFT_OUT_SUFFIXES
        and file.name not in _LEFT_OUT_NAMES
    )


def _copy_file(path: Path, copy: Path) -> None:
    """Copy a file; a module loses the line that would make it a script, which it is not here."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    content = path.read_bytes()
    if path.suffix == ".py" and content.startswith(b"#!"):
        content = content[content.index(b"\n") + 1 :]
    copy.write_bytes(content)


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
