"""What packaging/ says of greenpool agrees with it: the manual page, the environment, the files."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from greenpool import config
from greenpool.cli import cli

PACKAGING = Path(__file__).parents[2] / "packaging"


def program(name: str) -> ModuleType:
    """Load one of the programs that `scripts/package` runs."""
    spec = importlib.util.spec_from_file_location(name, PACKAGING / f"make/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


def test_manual_page_tells_every_command_and_option() -> None:
    page = program("commandline").page().replace("\\-", "-")
    for command in commands(cli):
        assert f" {command.name} [OPTIONS]" in page
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert re.search(rf"^\.B .*{option}\b", page, re.MULTILINE), option


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_manual_page_is_what_groff_understands(tmp_path: Path) -> None:
    module = program("commandline")
    module.write(tmp_path)
    page = tmp_path / "usr/share/man/man1/greenpool.1"
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_text_of_the_manual_page_is_no_request() -> None:
    module = program("commandline")
    assert module._text('.so "a\\b" --c') == "\\&.so \\(dqa\\eb\\(dq \\-\\-c"
    assert list(module._paragraphs("One\ntwo.\n\n\b\n$ three\n  four")) == [
        "One two.", ".PP", ".nf\n$ three\n  four\n.fi",
    ]  # fmt: skip


def test_environment_has_all_that_is_required() -> None:
    required = program("environment").required
    plain = {each.name.lower() for each in required("greenpool", ())}
    assert {"gevent", "greenlet", "click", "cryptography"} <= plain
    assert not plain & {"pytest", "greenpool", "python-pam"}
    added = {each.name.lower() for each in required("greenpool", ("pam",))} - plain
    assert added == {"python-pam"}


def test_configuration_of_the_package_works_with_its_example(tmp_path: Path) -> None:
    text = (PACKAGING / "greenpool.yaml").read_text()
    head, pools = text.split("\npools:\n")
    file = tmp_path / "greenpool.yaml"
    file.write_text(f"{head}\npools:\n{re.sub('^#', '', pools, flags=re.MULTILINE)}")
    loaded = config.load(file, {})
    assert str(loaded.general.pid_file) == "/run/greenpool/greenpool.pid"
    assert (list(loaded.pools), loaded.general.user) == (["shop"], "greenpool")


def test_steps_can_stand_in_a_spec_of_rpm() -> None:
    assert "%" not in (PACKAGING / "steps.sh").read_text()
