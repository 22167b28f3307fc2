"""The cffi builder: what it cuts out of the headers, which flags it chooses, and that it builds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cffi import FFI

from _cparser.build import BuildError, build_flags, project_paths, read_cdef, slice_cdef

ROOT = Path(__file__).resolve().parents[2]

HEADER = """\
#include <stdint.h>
#define GP_API __attribute__((visibility("default")))
#define GP_NODISCARD __attribute__((warn_unused_result))
/* cdef:begin */
#define GP_ANSWER 42
enum gp_color { GP_RED = 'R', GP_BLUE = 'B' };
GP_API GP_NODISCARD int32_t gp_add(int32_t a, int32_t b);
GP_API int32_t gp_zero(void);
/* cdef:end */
int32_t gp_hidden(void);
"""

INNER_HEADER = "#define ZERO 0\n"

SOURCE = """\
#include "engine.h"
#include "inner.h"
int32_t gp_add(int32_t a, int32_t b) { return a + b; }
int32_t gp_zero(void) { return ZERO; }
int32_t gp_hidden(void) { return 1; }
"""

USE = """\
from greenpool._engine import ffi, lib
assert lib.gp_add(2, 3) == 5 and lib.gp_zero() == 0
assert lib.GP_ANSWER == 42 and lib.GP_BLUE == ord("B")
assert not hasattr(lib, "gp_hidden")
"""


def test_slice_is_what_stands_between_the_marks_without_attributes():
    text = slice_cdef(HEADER, "engine.h")

    assert text == (
        "\n#define GP_ANSWER 42\n"
        "enum gp_color { GP_RED = 'R', GP_BLUE = 'B' };\n"
        "  int32_t gp_add(int32_t a, int32_t b);\n"
        " int32_t gp_zero(void);\n"
    )


def test_slice_strips_whole_tokens_only():
    text = slice_cdef("/* cdef:begin */ GP_API int GP_APIS; /* cdef:end */", "engine.h")

    assert text.split() == ["int", "GP_APIS;"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int a;", "engine.h: /* cdef:begin */ must stand there once, not 0 times"),
        ("/* cdef:begin */", "engine.h: /* cdef:end */ must stand there once, not 0 times"),
        (HEADER * 2, "engine.h: /* cdef:begin */ must stand there once, not 2 times"),
        (
            "/* cdef:end */ /* cdef:begin */",
            "engine.h: /* cdef:end */ stands before /* cdef:begin */",
        ),
    ],
)
def test_wrong_marks_are_named(text, message):
    with pytest.raises(BuildError) as caught:
        slice_cdef(text, "engine.h")
    assert str(caught.value) == message


def test_missing_header_is_named(tmp_path):
    with pytest.raises(BuildError, match=r"engine\.h: no such file"):
        read_cdef(tmp_path / "engine.h")


def test_what_a_header_includes_stands_before_it_and_once(tmp_path):
    def write(name, includes, text):
        lines = [*(f'#include "{each}"' for each in includes), "/* cdef:begin */", text]
        (tmp_path / name).write_text("\n".join([*lines, "/* cdef:end */"]))

    write("engine.h", ["rows.h", "names.h"], "int c;")
    write("rows.h", ["names.h"], "int b;")
    write("names.h", [], "int a;")

    assert read_cdef(tmp_path / "engine.h").split() == ["int", "a;", "int", "b;", "int", "c;"]


def test_the_engine_header_is_readable_to_cffi():
    FFI().cdef(read_cdef(ROOT / "_cparser" / "engine.h"))


def test_ordinary_flags():
    compile_args, link_args = build_flags({"GREENPOOL_WERROR": "0", "GREENPOOL_SANITIZE": ""})

    assert compile_args[0] == "-O2"
    assert {"-g", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wvla"} <= set(compile_args)
    assert "-Werror" not in compile_args
    assert not any("sanitize" in arg for arg in compile_args + link_args)


def test_werror_flag():
    assert "-Werror" in build_flags({"GREENPOOL_WERROR": "1"})[0]


def test_sanitizer_flags_keep_assertions():
    compile_args, link_args = build_flags({"GREENPOOL_SANITIZE": "1"})

    assert "-fsanitize=address,undefined" in compile_args
    assert "-fsanitize=address,undefined" in link_args
    assert {"-O1", "-fno-omit-frame-pointer", "-UNDEBUG"} <= set(compile_args)
    assert "-O2" not in compile_args


def test_another_layout_is_compiled_in_a_hurry():
    compile_args, _ = build_flags({"GREENPOOL_LAYOUT_SHIFT": "1", "GREENPOOL_WERROR": "1"})

    assert compile_args[0] == "-O0"
    assert "-Werror" in compile_args
    assert any(arg.startswith("-DGP_LAYOUT_SHIFT=") for arg in compile_args)


def test_sources_are_sorted_and_relative_to_setup_py():
    sources = project_paths("*.c")

    assert "_cparser/protocol.c" in sources
    assert sources == sorted(sources)
    assert all((ROOT / source).is_file() for source in sources)


class Project:
    """A checkout with the real setup.py and build.py and an engine of three functions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "_cparser").mkdir()
        (path / "greenpool").mkdir()
        shutil.copy(ROOT / "setup.py", path)
        shutil.copy(ROOT / "_cparser" / "build.py", path / "_cparser")
        self.write("_cparser/engine.h", HEADER)
        self.write("_cparser/inner.h", INNER_HEADER)
        self.write("_cparser/engine.c", SOURCE)
        self.write("greenpool/__init__.py", "")

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def build(self, **environ: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENPOOL_")}
        return subprocess.run(
            command,
            cwd=self.path,
            env=clean | environ,
            capture_output=True,
            text=True,
            timeout=50,
        )

    def engine(self) -> Path:
        (built,) = (self.path / "greenpool").glob("_engine*.so")
        return built

    def use(self) -> None:
        subprocess.run([sys.executable, "-c", USE], cwd=self.path, check=True, timeout=50)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_build_is_free_of_warnings_and_works(project, compiler):
    result = project.build(CC=compiler, GREENPOOL_WERROR="1")

    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr
    project.use()


def test_werror_refuses_a_warning(project):
    # Were it not for -Werror behind Python's own flags, this would build.
    project.write("_cparser/engine.c", SOURCE + "int stray(void) { return 0; }\n")

    assert project.build().returncode == 0
    assert project.build(GREENPOOL_WERROR="1").returncode != 0


def test_other_flags_replace_a_finished_build(project):
    # A build directory is kept between builds: the plain engine must not pass for a sanitized one.
    assert project.build().returncode == 0
    assert b"__asan_init" not in project.engine().read_bytes()
    assert project.build(GREENPOOL_SANITIZE="1").returncode == 0
    assert b"__asan_init" in project.engine().read_bytes()


def test_a_changed_inner_header_replaces_a_finished_build(project):
    assert project.build().returncode == 0
    project.use()
    project.write("_cparser/inner.h", INNER_HEADER.replace("0", "1"))
    later = project.engine().stat().st_mtime + 2  # whatever the clock's grain
    os.utime(project.path / "_cparser" / "inner.h", (later, later))

    assert project.build().returncode == 0
    with pytest.raises(subprocess.CalledProcessError):
        project.use()
