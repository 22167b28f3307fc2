"""The command line. A command parses, calls one function, and maps errors to exit codes.

Exit codes are `greenpool.errors.ExitCode`: 0 done, 1 failed, 2 usage or configuration error.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import get_completion_class

import greenpool
from greenpool import config as configuration
from greenpool.admin import client, table
from greenpool.errors import ConfigError, ExitCode, GreenpoolError
from greenpool.examples import examples
from greenpool.generate.command import generate
from greenpool.master import about, command, control, paths, report
from greenpool.top.wishes import Order, Wishes

_FILE = click.Path(path_type=Path)

_config_option = click.option(
    "-c", "--config", "config_file", type=_FILE, metavar="FILE",
    help="Configuration; default ./greenpool.yaml, then /etc/greenpool/greenpool.yaml.",
)  # fmt: skip
_pid_file_option = click.option(
    "--pid-file", type=_FILE, metavar="FILE", help="Instead of general.pid_file."
)


def main() -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code. Errors are printed to standard error."""
    try:
        code = cli.main(arguments, prog_name="greenpool", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return ExitCode.USAGE
    except click.Abort:
        return ExitCode.FAILED
    except ConfigError as exc:
        for problem in exc.problems:
            click.echo(problem, err=True)
        return ExitCode.USAGE
    except GreenpoolError as exc:
        click.echo(f"greenpool: {exc}", err=True)
        return exc.exit_code
    return code if isinstance(code, int) else ExitCode.DONE


def _check(file: Path) -> ExitCode:
    """Say whether a configuration could be started with."""
    from greenpool.master.main import load_checked  # certificates are looked at by the C engine

    loaded = load_checked(file)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{file}: the configuration is good")
    return ExitCode.DONE


def _check_and_exit(context: click.Context, parameter: click.Parameter, file: Path | None) -> None:
    if file is not None:
        context.exit(_check(file))


def _what_there_is(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Complete the name of a SHOW."""
    from greenpool.admin.show import INQUIRIES, SHOWS  # all of the console: only for Tab

    return [name for name in (*SHOWS, *INQUIRIES) if name.startswith(incomplete.lower())]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("start", "show pools", "top", "generate --help"),
)
@click.option(
    "-t", "--check", type=_FILE, metavar="FILE", expose_value=False, is_eager=True,
    callback=_check_and_exit, help="Check a configuration file and exit, as `check` does.",
)  # fmt: skip
@click.version_option(greenpool.__version__, message="greenpool %(version)s")
def cli() -> None:
    """Pool PostgreSQL connections: many clients share few servers."""


@cli.command(epilog=examples("start", "start -c /etc/greenpool/greenpool.yaml --daemon"))
@_config_option
@_pid_file_option
@click.option("--daemon", is_flag=True, help="Run in the background; return when it is ready.")
def start(config_file: Path | None, pid_file: Path | None, daemon: bool) -> ExitCode:
    """Start greenpool; in the foreground unless told otherwise."""
    # The other commands do without gevent and the C engine, and start the quicker for it.
    from greenpool.master import main as master

    return master.start(config_file, daemon, pid_file)


@cli.command(epilog=examples("reload", "reload --pid-file /run/greenpool/greenpool.pid"))
@_config_option
@_pid_file_option
def reload(config_file: Path | None, pid_file: Path | None) -> None:
    """Have the running greenpool read its configuration again: all of it, or nothing."""
    result = command.reload(paths.find_pid_file(config_file, pid_file))
    for warning in result["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    for key in result["not_applied"]:
        click.echo(f"not applied: {key}", err=True)
    click.echo("\n".join(result["changed"]) or "nothing has changed")


@cli.command(epilog=examples("upgrade", "upgrade --timeout 60"))
@_config_option
@_pid_file_option
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
    default=control.UPGRADE_S, show_default=True, help="Until the new version must be ready.",
)  # fmt: skip
def upgrade(config_file: Path | None, pid_file: Path | None, timeout_s: float) -> None:
    """Have the installed version take over from the running one; nobody is disconnected."""
    result = command.upgrade(paths.find_pid_file(config_file, pid_file), timeout_s)
    click.echo(f"upgraded: the master is pid {result['pid']}")


@cli.command(epilog=examples("stop", "stop --now"))
@_config_option
@_pid_file_option
@click.option("--now", is_flag=True, help="Do not wait for transactions to end.")
def stop(config_file: Path | None, pid_file: Path | None, now: bool) -> None:
    """Stop the running greenpool and wait until it is gone."""
    command.stop(paths.find_pid_file(config_file, pid_file), now)


@cli.command(epilog=examples("status", "status --json"))
@_config_option
@_pid_file_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(config_file: Path | None, pid_file: Path | None, as_json: bool) -> None:
    """Show what the running greenpool is doing."""
    fields = command.status(paths.find_pid_file(config_file, pid_file))
    click.echo(json.dumps(fields) if as_json else report.render(fields))


@cli.command(epilog=examples("show pools", "show clients --json", "show interner 20"))
@_config_option
@click.argument("what", shell_complete=_what_there_is)
@click.argument("count", type=click.IntRange(1), required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(config_file: Path | None, what: str, count: int | None, as_json: bool) -> None:
    """Show what the admin console shows: pools, clients, servers, stats... or help."""
    config = configuration.load(paths.find_config(config_file), os.environ)
    found = client.show(config, what, count)
    click.echo(table.to_json(found) if as_json else table.render(found))


@cli.command(epilog=examples("top", "top --sort active", "top --json --count 3", "top | cat"))
@_config_option
@click.option(
    "--interval", "interval_s", type=click.FloatRange(0.1, 3600), metavar="SECONDS",
    default=1.0, show_default=True, help="Time between two pictures, which rates are of.",
)  # fmt: skip
@click.option(
    "--count", type=click.IntRange(1), metavar="N",
    help="Print so many pictures instead of a live view; 1 where the output is no terminal.",
)  # fmt: skip
@click.option(
    "--sort", "order", type=click.Choice([order.value for order in Order]),
    default=Order.WAITING.value, show_default=True, help="Which pools come first.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For programs: an object a line.")
def top(
    config_file: Path | None, interval_s: float, count: int | None, order: str, as_json: bool
) -> None:
    """Watch workers, databases, pools and who waits."""
    from greenpool.top.run import run as run_top  # curses, which no other command needs

    config = configuration.load(paths.find_config(config_file), os.environ)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    is_live = is_terminal and count is None and not as_json
    wishes = Wishes(interval_s, count or 1, Order(order), as_json, is_live)
    run_top(config, wishes, click.echo)


@cli.command(epilog=examples("check greenpool.yaml", "-t greenpool.yaml"))
@click.argument("file", type=_FILE)
def check(file: Path) -> ExitCode:
    """Check a configuration file: every error it has, or that it is good."""
    return _check(file)


cli.add_command(generate)


@cli.command(epilog=examples("demo", "demo --port 6432 --workers 2"))
@click.option("--port", type=click.IntRange(1, 65535), help="Port; default: any free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Workers; default: one a core.")
def demo(port: int | None, workers: int | None) -> int:
    """Run a private PostgreSQL with greenpool in front of it, until Ctrl-C."""
    from greenpool.demo import run as run_demo  # an extra: nothing else needs it

    return run_demo(sys.stdout, port, workers)


@cli.command(epilog=examples("version"))
def version() -> None:
    """Print the version, and those of what greenpool is made of."""
    click.echo(about.render())


@cli.command(
    epilog=examples("completion bash > /etc/bash_completion.d/greenpool", "completion zsh")
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that teaches a shell to complete greenpool's commands."""
    click.echo(completion_script(shell), nl=False)


def completion_script(shell: str) -> str:
    """Return it; packages bring it along."""
    kind = get_completion_class(shell)
    assert kind is not None  # one of click's own
    return kind(cli, {}, "greenpool", "_GREENPOOL_COMPLETE").source()
