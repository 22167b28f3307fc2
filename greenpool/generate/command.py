"""`greenpool generate`: options -> an outline -> text, printed or installed.

Law: parsing and wording only; each step is a function of another module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from greenpool import config as configuration
from greenpool.config import PoolMode, ServerTlsMode
from greenpool.errors import ExitCode
from greenpool.examples import examples
from greenpool.generate.draft import Wishes
from greenpool.generate.install import include_of, install
from greenpool.generate.outline import Entry, Outline
from greenpool.generate.pgbouncer import translate
from greenpool.generate.sizing import DEFAULT_LARGEST, Rules
from greenpool.generate.source import Source, outline_of_server
from greenpool.generate.text import render, unsupported
from greenpool.inquiry import Encryption

_FILE = click.Path(path_type=Path)
_TEXTS: dict[str, Callable[[], str]] = {
    "sample": configuration.sample,
    "reference": configuration.reference,
}
_OF_OUTPUT = ("output", "if_changed_reload", "force", "pid_file")
_PID_FILE_WHY = "Commands find the running greenpool by it."
_EXAMPLES = examples(
    "generate --host 127.0.0.1 --user postgres > greenpool.yaml",
    "generate --host /run/postgresql --output /etc/greenpool/greenpool.yaml",
    "generate --host db1 --output greenpool.yaml --if-changed-reload",
    "generate --from-pgbouncer /etc/pgbouncer/pgbouncer.ini --output greenpool.yaml",
    "generate --reference",
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the text goes; `output` None: to the standard output."""

    output: Path | None
    include: str | None
    if_changed_reload: bool
    force: bool
    pid_file: Path | None


@click.command(epilog=_EXAMPLES, context_settings={"auto_envvar_prefix": "GREENPOOL_GENERATE"})
@click.option("--host", metavar="HOST", help="PostgreSQL's address or socket directory; PGHOST.")
@click.option("--port", type=click.IntRange(1, 65535), help="PostgreSQL's port; PGPORT, 5432.")
@click.option("--user", metavar="NAME", help="Role to ask as; PGUSER, your own name.")
@click.option("--database", metavar="NAME", help="Database to ask in; PGDATABASE, postgres.")
@click.option(
    "--password-file",
    type=_FILE,
    metavar="FILE",
    help="Holds the role's password; else PGPASSWORD, PGPASSFILE or ~/.pgpass.",
)
@click.option(
    "--userlist",
    type=_FILE,
    metavar="FILE",
    help="Passwords as PgBouncer's auth_file has them: instead of PostgreSQL's hashes.",
)
@click.option(
    "--patroni-url",
    multiple=True,
    metavar="URL",
    help="Patroni's REST interface, must answer; else port 8008 of the host, if it does.",
)
@click.option("--server-host", metavar="HOST", help="Server to write down instead of --host.")
@click.option("--server-port", type=click.IntRange(1, 65535), help="The same for --port.")
@click.option(
    "--server-tls-mode",
    type=click.Choice([mode.value for mode in ServerTlsMode]),
    help="TLS towards PostgreSQL: used to ask it, and written down.",
)
@click.option("--server-tls-ca-cert", type=_FILE, metavar="FILE", help="Authorities for that.")
@click.option(
    "--pool-mode",
    type=click.Choice([mode.value for mode in PoolMode]),
    default=PoolMode.TRANSACTION.value,
    show_default=True,
    help="The mode of every pool.",
)
@click.option(
    "--pool-size",
    type=click.IntRange(1, 1024),
    default=DEFAULT_LARGEST,
    show_default=True,
    help="Servers that the largest pool has.",
)
@click.option("--reserve", type=click.IntRange(0), help="Connections left to others; 10 %.")
@click.option(
    "--overcommit",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="How many times what there is may be shared out.",
)
@click.option("--superusers", is_flag=True, help="Give them pools, too.")
@click.option("--exclude-database", multiple=True, metavar="NAME", help="Leave it out.")
@click.option("--exclude-user", multiple=True, metavar="NAME", help="Leave it out.")
@click.option(
    "--from-pgbouncer",
    type=_FILE,
    metavar="FILE",
    help="Translate a pgbouncer.ini instead of asking a PostgreSQL.",
)
@click.option(
    "--output",
    type=_FILE,
    metavar="FILE",
    help="Write it there, if it is good; local additions go into FILE's .local.yaml.",
)
@click.option(
    "--if-changed-reload",
    is_flag=True,
    help="Have the running greenpool read --output again if that has changed.",
)
@click.option("--force", is_flag=True, help="Replace an --output that was written by hand.")
@click.option("--pid-file", type=_FILE, metavar="FILE", help="Written down; finds greenpool.")
@click.option("--sample", "text", flag_value="sample", help="Print an annotated sample.")
@click.option("--reference", "text", flag_value="reference", help="Print what all keys mean.")
def generate(**options: Any) -> ExitCode:
    """Write a configuration: from what a PostgreSQL says of itself, or from PgBouncer's."""
    _refuse_idle_options(options)
    if options["text"] is not None:
        click.echo(_TEXTS[options["text"]](), nl=False)
        return ExitCode.DONE
    output, pid_file = options["output"], options["pid_file"]
    outline = _outline(options)
    if pid_file is not None:
        outline = outline.having(Entry("pid_file", str(pid_file.absolute()), _PID_FILE_WHY))
    destination = Destination(
        output=output,
        include=None if output is None else include_of(output).name,
        if_changed_reload=options["if_changed_reload"],
        force=options["force"],
        pid_file=pid_file,
    )
    return _deliver(outline, destination)


def _refuse_idle_options(options: dict[str, Any]) -> None:
    """Refuse what was said on the command line and would have no effect."""
    for name, others in (("text", ()), ("from_pgbouncer", _OF_OUTPUT)):
        if options[name] is not None:
            for other in _said_besides({name, *others}):
                raise click.UsageError(f"{other} has no effect there")
    if options["output"] is None:
        for name in ("if_changed_reload", "force"):
            if options[name]:
                raise click.UsageError(f"--{name.replace('_', '-')} needs --output")


def _said_besides(names: Container[str]) -> Iterator[str]:
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name not in names and source is ParameterSource.COMMANDLINE:
            yield parameter.opts[0]


def _outline(options: dict[str, Any]) -> Outline:
    if options["from_pgbouncer"] is not None:
        return translate(options["from_pgbouncer"])
    if not (options["host"] or os.environ.get("PGHOST")):
        raise click.UsageError("say where PostgreSQL is: --host (or --from-pgbouncer, --sample...)")
    mode = options["server_tls_mode"]
    encryption = Encryption(
        ServerTlsMode(mode) if mode else ServerTlsMode.ALLOW, options["server_tls_ca_cert"]
    )
    names = ("host", "port", "user", "database", "password_file", "userlist")
    source = Source(
        **{name: options[name] for name in names},
        patroni_urls=options["patroni_url"],
        encryption=encryption,
    )
    place = source.find(os.environ)
    return outline_of_server(
        source,
        place,
        Wishes(
            server_host=options["server_host"] or place.host,
            server_port=options["server_port"] or place.port,
            server_tls_mode=ServerTlsMode(mode) if mode else None,
            server_tls_ca_cert=options["server_tls_ca_cert"],
            pool_mode=PoolMode(options["pool_mode"]),
            with_superusers=options["superusers"],
            without_databases=frozenset(options["exclude_database"]),
            without_users=frozenset(options["exclude_user"]),
            rules=Rules(options["pool_size"], options["reserve"], options["overcommit"]),
        ),
    )


def _deliver(outline: Outline, destination: Destination) -> ExitCode:
    """Print the text, or install it; without a change nothing is said."""
    text = render(outline, destination.include)
    output = destination.output
    if output is None:
        click.echo(text, nl=False)
        _warn(outline)
        return ExitCode.DONE
    from greenpool.master.main import load_checked  # certificates are looked at by the C engine

    news: list[str] = []
    is_new = install(
        output,
        text,
        load_checked,
        force=destination.force,
        take_over=partial(_reload, destination, news) if destination.if_changed_reload else None,
    )
    if is_new:
        _warn(outline)
        news.insert(0, f"{output}: written")
    for line in news:
        click.echo(line)
    return ExitCode.DONE


def _warn(outline: Outline) -> None:
    for what in dict.fromkeys((*outline.left_out, *unsupported(outline))):
        click.echo(f"left out: {what}", err=True)


def _reload(destination: Destination, news: list[str]) -> None:
    """Have it taken over. A greenpool that does not run will read it when it starts."""
    from greenpool.master import command, paths

    try:
        result = command.reload(paths.find_pid_file(destination.output, destination.pid_file))
    except command.NotRunning as exc:
        news.append(f"not reloaded: {exc}")
        return
    news.extend(f"not applied: {key}" for key in result["not_applied"])
    news.append(f"reloaded: {len(result['changed'])} changes")
