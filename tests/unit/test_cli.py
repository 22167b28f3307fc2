"""The command line: parsing and exit codes; what the commands do is tested where it lives."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

import greenpool
from greenpool import cli
from greenpool.admin import client
from greenpool.config import Config
from greenpool.errors import ControlError, ExitCode, StartupError
from greenpool.inquiry import Table
from greenpool.master import about, command, paths
from greenpool.protocol.backend import INT4, Column

GOOD = """
general: {port: 6543, pid_file: greenpool.pid}
pools:
  app:
    users: [{username: app, password: x}]
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty directory, with no configuration of this machine's in sight."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGHOST", raising=False)
    monkeypatch.setattr(paths, "DEFAULT_FILES", (Path("greenpool.yaml"), tmp_path / "etc.yaml"))
    return tmp_path


def test_version(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["--version"]) == ExitCode.DONE
    assert capsys.readouterr().out == f"greenpool {greenpool.__version__}\n"


def test_version_names_what_greenpool_is_made_of(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["version"]) == ExitCode.DONE
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"greenpool {greenpool.__version__}"
    facts = [line.split()[0] for line in rest]
    assert facts == ["Python", "gevent", "cffi", "io"]
    assert rest[0].startswith(f"Python {platform.python_version()} ")
    assert re.fullmatch(r"gevent \d+\.\d.*", rest[1])
    assert re.fullmatch(r"io backend (io_uring|epoll; io_uring: .+) \(Linux \d+\.\d.*\)", rest[3])


def test_version_of_a_library_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(about, "_LIBRARIES", ("no-such-library",))
    assert "no-such-library is not installed" in about.render().splitlines()


def test_show_prints_a_table_or_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked: list[tuple[int, str, int | None]] = []

    def show(config: Config, what: str, count: int | None) -> Table:
        asked.append((config.general.port, what, count))
        return Table((Column("items", INT4),), (("7",),))

    monkeypatch.setattr(client, "show", show)
    Path("greenpool.yaml").write_text(GOOD)
    assert cli.run(["show", "lists"]) == ExitCode.DONE
    assert capsys.readouterr().out == "items\n-----\n    7\n(1 row)\n"
    assert cli.run(["show", "interner", "20", "--json"]) == ExitCode.DONE
    assert capsys.readouterr().out == '[{"items": 7}]\n'
    assert asked == [(6543, "lists", None), (6543, "interner", 20)]


def test_show_needs_a_configuration_that_is_good(capsys: pytest.CaptureFixture[str]):
    Path("greenpool.yaml").write_text(GOOD.replace("port: 6543", "prot: 0"))
    assert cli.run(["show", "pools"]) == ExitCode.USAGE
    assert 'did you mean "port"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["upgrade", "--timeout", "0"],
        ["start", "--nonsense"],
        ["check"],
        ["generate"],
        ["generate", "--sample", "--output", "x.yaml"],
        ["generate", "--from-pgbouncer", "x.ini", "--host", "db"],
        ["generate", "--host", "db", "--force"],
        ["stop", "x"],
        ["show"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert cli.run(arguments) == ExitCode.USAGE
    assert "Usage:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["check"], ["-t"]])
def test_check_of_a_good_file(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    Path("good.yaml").write_text(GOOD)
    assert cli.run([*arguments, "good.yaml"]) == ExitCode.DONE
    assert capsys.readouterr().out == "good.yaml: the configuration is good\n"


@pytest.mark.parametrize("arguments", [["check"], ["-t"]])
def test_check_names_every_error_and_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    Path("bad.yaml").write_text(GOOD.replace("6543", "0").replace("password", "pasword"))
    assert cli.run([*arguments, "bad.yaml"]) == ExitCode.USAGE
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith("bad.yaml:2:")
    assert 'did you mean "password"?' in errors[1]


def test_check_warns_and_still_passes(capsys: pytest.CaptureFixture[str]):
    Path("old.yaml").write_text(GOOD.replace("port: 6543", "tokio_event_interval: 1"))
    assert cli.run(["check", "old.yaml"]) == ExitCode.DONE
    assert capsys.readouterr().err.startswith("warning: ")


def test_start_without_any_configuration_says_where_it_looked(
    capsys: pytest.CaptureFixture[str],
):
    assert cli.run(["start"]) == ExitCode.USAGE
    assert 'there is neither "greenpool.yaml" nor' in capsys.readouterr().err


@pytest.mark.parametrize("what", ["sample", "reference"])
def test_generate_prints_text(what: str, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["generate", f"--{what}"]) == ExitCode.DONE
    assert "query_wait_timeout" in capsys.readouterr().out


def test_generated_sample_can_be_checked(capsys: pytest.CaptureFixture[str]):
    cli.run(["generate", "--sample"])
    Path("sample.yaml").write_text(capsys.readouterr().out)
    assert cli.run(["check", "sample.yaml"]) == ExitCode.DONE


def test_pid_file_comes_from_the_option_or_the_configuration(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[Path, bool]] = []
    monkeypatch.setattr(command, "stop", lambda pid_file, now: asked.append((pid_file, now)))
    assert cli.run(["stop", "--pid-file", "other.pid"]) == ExitCode.DONE
    Path("greenpool.yaml").write_text(GOOD)
    assert cli.run(["stop", "--now"]) == ExitCode.DONE
    assert asked == [(directory / "other.pid", False), (directory / "greenpool.pid", True)]


def test_default_files_are_tried_in_order(directory: Path):
    with pytest.raises(Exception, match="there is neither"):
        paths.find_config(None)
    (directory / "etc.yaml").write_text(GOOD)
    assert paths.find_config(None) == directory / "etc.yaml"
    Path("greenpool.yaml").write_text(GOOD)
    assert paths.find_config(None) == directory / "greenpool.yaml"


def test_configuration_without_a_pid_file_is_said(capsys: pytest.CaptureFixture[str]):
    Path("greenpool.yaml").write_text(GOOD.replace(", pid_file: greenpool.pid", ""))
    assert cli.run(["status"]) == ExitCode.USAGE
    assert "general.pid_file is not set" in capsys.readouterr().err


def test_broken_configuration_does_not_keep_anyone_from_stop(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Path] = []
    monkeypatch.setattr(command, "stop", lambda pid_file, now: asked.append(pid_file))
    Path("greenpool.yaml").write_text(GOOD.replace("port: 6543", "prot: 0"))
    assert cli.run(["stop"]) == ExitCode.DONE
    assert asked == [directory / "greenpool.pid"]


@pytest.mark.parametrize("text", ["general: [", "general: {port: 1}", "7", "general: 7"])
def test_configuration_without_any_pid_file_is_an_error(text: str):
    Path("greenpool.yaml").write_text(text)
    assert cli.run(["stop"]) == ExitCode.USAGE


@pytest.mark.parametrize("error", [ControlError("it is gone"), StartupError("it is gone")])
def test_errors_end_in_one_line_and_exit_code_1(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(pid_file: Path) -> None:
        raise error

    monkeypatch.setattr(command, "status", fail)
    assert cli.run(["status", "--pid-file", "x"]) == ExitCode.FAILED
    assert capsys.readouterr().err == "greenpool: it is gone\n"


@pytest.mark.parametrize("name", [None, *cli.cli.commands])
def test_help_has_examples_that_can_be_given(name: str | None):
    epilog = (cli.cli if name is None else cli.cli.commands[name]).epilog
    assert epilog is not None
    lines = [line for line in epilog.splitlines() if line.startswith("  greenpool ")]
    assert lines
    for line in lines:
        _, verb, *arguments = re.split(r" [>|] ", line)[0].split()
        assert name in (None, verb) or verb == "-t"
        if verb != "-t" and "--help" not in arguments:
            cli.cli.commands[verb].make_context(verb, arguments)  # raises where it is wrong


def test_names_of_what_is_shown_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("_GREENPOOL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "greenpool show P")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        cli.run([])
    completed = {line.removeprefix("plain,") for line in capsys.readouterr().out.splitlines()}
    assert {"pools", "pins", "prepared_statements"} <= completed
    assert all(name.startswith("p") for name in completed)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["completion", shell]) == ExitCode.DONE
    assert f"_GREENPOOL_COMPLETE={shell}_complete" in capsys.readouterr().out
