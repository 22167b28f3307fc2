"""Ask the console of a running greenpool, as one of its clients: what `greenpool show` does.

    the configuration -> its address and admin -> an inquiry -> rows, or the console's own error

Partners: `session.py`, the other end; `inquiry`, the connection.
"""

from __future__ import annotations

from contextlib import closing
from ipaddress import ip_address
from typing import ClassVar

from greenpool.auth.secret import (
    Credential,
    PlainPassword,
    PlainSecret,
    ScramSecret,
    prepare_secret,
)
from greenpool.config import Config, General
from greenpool.errors import ControlError, ExitCode
from greenpool.inquiry import Address, Inquiry, Refusal, Table, Target
from greenpool.protocol.errors import SqlState

DATABASE = "greenpool"


class UnknownStatement(ControlError):
    """The console does not know what it was asked for."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class ConsoleClient:
    """A connection to the console; whoever made it closes it.

    Raises: Refusal with the console's words, ControlError when nobody answers.
    """

    __slots__ = ("_inquiry",)

    def __init__(self, config: Config) -> None:
        self._inquiry = Inquiry(_target(config.general))

    def close(self) -> None:
        """Take leave."""
        self._inquiry.close()

    def show(self, what: str, count: int | None = None) -> Table:
        """Run SHOW `what [count]`. Raises: UnknownStatement, Refusal, ControlError."""
        try:
            return self._inquiry.ask(statement(what, count))
        except Refusal as exc:
            if exc.sqlstate == SqlState.SYNTAX_ERROR:
                raise UnknownStatement(str(exc)) from exc
            raise


def show(config: Config, what: str, count: int | None = None) -> Table:
    """Run SHOW `what [count]` at the greenpool that runs by this configuration.

    Raises: as `ConsoleClient`.
    """
    with closing(ConsoleClient(config)) as console:
        return console.show(what, count)


def address_of(general: General) -> Address:
    """Return where the console is reached: the UNIX socket's path, or the first host and port."""
    if general.unix_socket_dir is not None:
        return str(general.unix_socket_dir / f".s.PGSQL.{general.port}")
    host = ip_address(general.host[0])
    if host.is_unspecified:
        return ("127.0.0.1" if host.version == 4 else "::1"), general.port
    return str(host), general.port


def statement(what: str, count: int | None = None) -> str:
    """Make the one statement; whatever `what` is, it is the name of what to show."""
    quoted = what.replace('"', '""')
    return f'SHOW "{quoted}"' if count is None else f'SHOW "{quoted}" {count}'


def _target(general: General) -> Target:
    return Target(
        what="greenpool",
        address=address_of(general),
        user=general.admin_username,
        database=DATABASE,
        credential=_credential(general),
        application_name="greenpool show",
    )


def _credential(general: General) -> Credential | None:
    """Return what the admin logs in with. Raises: ControlError when it cannot be had."""
    password = general.admin_password
    if not password:
        return None
    secret = prepare_secret(password, general.admin_username, b"")
    if isinstance(secret, ScramSecret):
        raise ControlError(
            "general.admin_password is a SCRAM secret, which proves nothing by itself; "
            "log in to the console with psql and the password"
        )
    return PlainPassword(secret.password) if isinstance(secret, PlainSecret) else secret
