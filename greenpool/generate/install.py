"""Put a generated configuration in its place, whole or not at all, and have it taken over.

    lock the directory -> same bytes? -> beside it -> checked -> marked: a reload is due -> renamed
    -> reloaded -> the mark goes

Law: the file at its name is always one that greenpool can start with; a file that `generate` has
not written is never replaced unasked, and the included one, once it is there, never touched.
Whoever dies between renaming and reloading leaves the mark beside the file, and the next run sees
to the reload, as it does when the running greenpool has refused.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from greenpool.errors import ConfigError, ControlError
from greenpool.generate.text import MARK

_NEW_MODE = 0o600
"""It holds what clients and servers prove their identity with."""

_INCLUDE = """\
# Merged over {name}, which `greenpool generate` writes. This file is yours: it is never touched
# once it is there. What stands here wins; users are added to those of a pool.
general:
  # port: 6432
  # admin_username: admin
  # admin_password_file: admin.password
"""

Check = Callable[[Path], object]
TakeOver = Callable[[], object]


def include_of(path: Path) -> Path:
    """Return the file of local additions that belongs to a generated one."""
    return path.with_name(f"{path.stem}.local{path.suffix}")


def install(
    path: Path, text: str, check: Check, *, force: bool, take_over: TakeOver | None
) -> bool:
    """Replace the file if the text is another one; say whether it was.

    `check` raises ConfigError on a configuration that cannot be started with; `take_over` has the
    running greenpool read it, if that has not been done since the file was replaced.
    Raises: ConfigError, ControlError.
    """
    path = path.resolve()
    try:
        with _locked(path.parent):
            is_new = _settle(path, text, check, force, take_over is not None)
            mark = _mark_of(path)
            if take_over is not None and mark.exists():
                take_over()
                mark.unlink()
            return is_new
    except UnicodeDecodeError:
        raise ControlError(f'"{path}" is not UTF-8') from None
    except OSError as exc:
        raise ControlError(f'cannot write "{path}": {exc.strerror or exc}') from exc


def _settle(path: Path, text: str, check: Check, force: bool, marks: bool) -> bool:
    old = path.read_text(encoding="utf-8") if path.exists() else None
    if old is not None and not old.startswith(MARK) and not force:
        what = "is not one that `greenpool generate` has written: --force replaces it"
        raise ControlError(f'"{path}" {what}')
    _make_include(path)
    if old == text:
        return False
    new = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        _write(new, text, path)
        check(new)
        if marks:
            _mark_of(path).touch(mode=_NEW_MODE)
        new.rename(path)
        _sync(path.parent)
    except ConfigError as exc:
        words = (problem.replace(str(new), str(path)) for problem in exc.problems)
        raise ConfigError([*words, f'"{path}" stays as it was']) from exc
    finally:
        new.unlink(missing_ok=True)
    return True


def _mark_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.reload")


def _write(new: Path, text: str, old: Path) -> None:
    """Write it with owner, group and mode of the one that it replaces."""
    new.unlink(missing_ok=True)  # left by a run that died
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_MODE)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        _liken(fd, old)
        file.write(text)
        file.flush()
        os.fsync(fd)


def _make_include(path: Path) -> None:
    try:
        fd = os.open(include_of(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_MODE)
    except FileExistsError:
        return
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        _liken(fd, path)
        file.write(_INCLUDE.format(name=path.name))


def _liken(fd: int, path: Path) -> None:
    """Give a file group and mode of another one, if that is there; root gives the owner, too."""
    if not path.exists():
        os.fchmod(fd, _NEW_MODE)
        return
    status = path.stat()
    os.fchown(fd, status.st_uid if os.geteuid() == 0 else -1, status.st_gid)
    os.fchmod(fd, status.st_mode & 0o777)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one at a time write there; a lock that its owner's death ends. Raises: ControlError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ControlError(f'another `generate` is at work in "{directory}"') from None
        yield
    finally:
        os.close(fd)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
