"""What commands ask of a running master, over its control socket. Partner: `control`.

Runs in the process of a command, not in the master.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from greenpool.errors import ConfigError, ControlError
from greenpool.master.paths import control_path

_ANSWER_DEADLINE_S = 30.0
# Beyond what an upgrade may take: for the new master to take over, or for the old one to undo it.
_UPGRADE_MARGIN_S = 15.0
# A master that hands over hangs up on whoever it has not heard; the next one answers.
_HANG_UPS_MAX = 3
# Beyond what the master said that it would take to stop.
_STOP_MARGIN_S = 5.0
_RECV_BYTES = 65536


class NotRunning(ControlError):
    """There is no master to command."""


def status(pid_file: Path) -> dict[str, Any]:
    """Return the status of the running master. Raises: ControlError."""
    answer: dict[str, Any] = _ask(pid_file, "status")["status"]
    return answer


def reload(pid_file: Path) -> dict[str, Any]:
    """Have the configuration read again; return what that changed.

    Raises: ConfigError with every problem (the old configuration stays in force), ControlError.
    """
    result: dict[str, Any] = _ask(pid_file, "reload")["reload"]
    if result["errors"]:
        raise ConfigError(result["errors"])
    return result


def upgrade(pid_file: Path, timeout_s: float) -> dict[str, Any]:
    """Have the installed version take over; return what came of it.

    Raises: ConfigError when that finds the configuration wrong, ControlError; in both cases all
    is as before.
    """
    with _connect(pid_file) as connection:
        connection.settimeout(timeout_s + _UPGRADE_MARGIN_S)
        answer = _exchange(connection, "upgrade", pid_file, timeout_s=timeout_s)
    result: dict[str, Any] = answer["upgrade"]
    if result["problems"]:
        raise ConfigError(result["problems"])
    if not result["ok"]:
        raise ControlError(f"not upgraded: {result['why']}")
    return result


def stop(pid_file: Path, now: bool) -> None:
    """Stop the master and wait until it is gone. Raises: ControlError."""
    connection, answer = _converse(pid_file, "stop now" if now else "stop")
    with connection:
        deadline_s = float(answer["deadline_s"]) + _STOP_MARGIN_S
        if not _hangs_up(connection, deadline_s):
            raise ControlError(
                f"greenpool (pid {answer['pid']}) has not ended after {deadline_s:.0f} s; "
                "`greenpool stop --now` ends it at once"
            )


class _Unheard(ControlError):
    """The master has hung up without an answer."""


def _ask(pid_file: Path, command: str) -> dict[str, Any]:
    connection, answer = _converse(pid_file, command)
    connection.close()
    return answer


def _converse(pid_file: Path, command: str) -> tuple[socket.socket, dict[str, Any]]:
    """Return the answer and the connection it came by; ask again where one master left another."""
    for attempt in range(_HANG_UPS_MAX):
        connection = _connect(pid_file)
        try:
            return connection, _exchange(connection, command, pid_file)
        except _Unheard:
            connection.close()
            if attempt == _HANG_UPS_MAX - 1:
                raise
        except BaseException:
            connection.close()
            raise
    raise AssertionError("the last attempt returns or raises")


def _connect(pid_file: Path) -> socket.socket:
    path = control_path(pid_file)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_ANSWER_DEADLINE_S)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        connection.close()
        raise NotRunning(f'greenpool is not running (nobody answers at "{path}")') from exc
    except OSError as exc:
        connection.close()
        raise ControlError(f'cannot reach greenpool at "{path}": {exc.strerror or exc}') from exc
    return connection


def _exchange(
    connection: socket.socket, command: str, pid_file: Path, **fields: object
) -> dict[str, Any]:
    received = b""
    try:
        connection.sendall(json.dumps({"command": command, **fields}).encode() + b"\n")
        while not received.endswith(b"\n"):
            chunk = connection.recv(_RECV_BYTES)
            if not chunk:
                raise _Unheard(f'greenpool ended before it answered "{command}"')
            received += chunk
    except (ConnectionResetError, BrokenPipeError) as exc:
        raise _Unheard(f'greenpool ended before it answered "{command}"') from exc
    except OSError as exc:
        raise ControlError(
            f'greenpool does not answer "{command}" (pid file "{pid_file}"): {exc}'
        ) from exc
    answer: dict[str, Any] = json.loads(received)
    if not answer["ok"]:
        raise ControlError(str(answer["error"]))
    return answer


def _hangs_up(connection: socket.socket, deadline_s: float) -> bool:
    """Wait for end of file: the master's last act."""
    end = time.monotonic() + deadline_s
    try:
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(_RECV_BYTES):
                return True
    except ConnectionError:
        return True
    except TimeoutError:
        pass  # said by the caller, with the pid
    return False
