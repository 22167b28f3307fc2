"""Build greenpool._engine, the C engine, with cffi in API mode.

setup.py names `ffibuilder`, and cffi calls it when the extension is built. What Python may call is
the text between two marks in engine.h and in the headers that it includes, and nothing else: a new
function is declared once, there.

Read from the environment (anything but "" and "0" is yes):
    GREENPOOL_WERROR    warnings are errors, for scripts and CI
    GREENPOOL_SANITIZE  AddressSanitizer and UndefinedBehaviorSanitizer with assertions on; run the
                        result with LD_PRELOAD=$(gcc -print-file-name=libasan.so)
    GREENPOOL_LAYOUT_SHIFT  another layout of the segment than the true one (layout.h), for tests
    CC                  the compiler, as for every setuptools build; gcc and clang are supported

This file is executed by path, before greenpool can be imported: it uses nothing of the package.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cffi import FFI

MODULE = "greenpool._engine"
HERE = Path(__file__).resolve().parent
BEGIN = "/* cdef:begin */"
END = "/* cdef:end */"

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wvla",
]
SHIFT = 5
SANITIZERS = "-fsanitize=address,undefined"


class BuildError(Exception):
    """Say why the engine cannot be built, in terms of the file to mend."""


def ffibuilder() -> FFI:
    """Describe the extension to cffi.

    The name is what setup.py's `cffi_modules` refers to. The flags stand in the generated source,
    so that a build with other flags replaces a finished one instead of taking it for its own.
    """
    compile_args, link_args = build_flags(os.environ)
    flags = " ".join([os.environ.get("CC", "cc"), *compile_args])
    ffi = FFI()
    ffi.cdef(read_cdef(HERE / "engine.h"))
    ffi.set_source(
        MODULE,
        preamble(flags),
        sources=project_paths("*.c"),
        depends=[*project_paths("*.h"), *project_paths("build.py")],
        include_dirs=[HERE.name],
        libraries=["ssl", "crypto"],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    return ffi


def read_cdef(header: Path) -> str:
    """Read what cffi may see of `header`, behind what it may see of the headers included there.

    Raises: BuildError when a file or one of its marks is missing.
    """
    parts: dict[Path, str] = {}
    _read_parts(header, parts)
    return "".join(parts.values())


def _read_parts(header: Path, parts: dict[Path, str]) -> None:
    if header in parts:
        return
    try:
        text = header.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise BuildError(f"{header}: no such file: it is part of the engine's face") from exc
    for name in re.findall(r'^#include "(.+)"$', text, re.MULTILINE):
        _read_parts(header.parent / name, parts)
    parts[header] = slice_cdef(text, header.name)


def slice_cdef(text: str, name: str) -> str:
    """Cut out the text between the marks and strip the attribute tokens that cffi cannot parse.

    Raises: BuildError unless both marks are there exactly once and in order.
    """
    for mark in (BEGIN, END):
        if text.count(mark) != 1:
            raise BuildError(f"{name}: {mark} must stand there once, not {text.count(mark)} times")
    start = text.index(BEGIN) + len(BEGIN)
    end = text.index(END)
    if end < start:
        raise BuildError(f"{name}: {END} stands before {BEGIN}")
    return re.sub(r"\b(?:GP_API|GP_NODISCARD)\b", "", text[start:end])


def build_flags(environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Choose compiler and linker arguments; setuptools puts them behind Python's own."""
    compile_args = ["-g", "-std=c11", "-D_GNU_SOURCE", "-fvisibility=hidden", *WARNINGS]
    if is_set(environ, "GREENPOOL_WERROR"):
        compile_args.append("-Werror")
    if is_set(environ, "GREENPOOL_LAYOUT_SHIFT"):
        return ["-O0", *compile_args, f"-DGP_LAYOUT_SHIFT={SHIFT}"], []
    if not is_set(environ, "GREENPOOL_SANITIZE"):
        return ["-O2", *compile_args], []
    sanitize = [SANITIZERS, "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    return ["-O1", "-UNDEBUG", *compile_args, *sanitize], [SANITIZERS]


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Tell whether a switch of the environment is on."""
    return environ.get(name, "") not in ("", "0")


def preamble(flags: str) -> str:
    """Write the head of the generated source.

    It declares the module's entry, which cffi defines without a prototype (-Wmissing-prototypes).
    """
    entry = f"PyMODINIT_FUNC PyInit_{MODULE.rpartition('.')[2]}(void);"
    return "\n".join([f"/* built with: {flags} */", '#include "engine.h"', entry, ""])


def project_paths(pattern: str) -> list[str]:
    """List files of this directory, sorted, as setuptools wants them: relative to setup.py."""
    return sorted(f"{HERE.name}/{path.name}" for path in HERE.glob(pattern))
