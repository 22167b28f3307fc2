"""The .rpm, by rpm itself: installed into a clean system, upgraded under a client, erased.

The system is the same Debian as for the .deb, in which rpm's database is empty: so nothing is asked
of it that the package requires of others.
"""

from __future__ import annotations

from pathlib import Path

from tests.packages.building import Packages
from tests.packages.debian import Debian
from tests.packages.installed import CONFIG, Installed, begin, end
from tests.packages.marks import NEEDS_A_SYSTEM

pytestmark = NEEDS_A_SYSTEM


def rpm(debian: Debian, *arguments: str, code: int = 0) -> str:
    """Run rpm on the system; return all that it and the scriptlets have said."""
    own = ["--root", str(debian.root), "--dbpath", "/var/lib/rpm"]
    done = debian.run_beside("rpm", *own, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def install(debian: Debian, package: Path) -> str:
    return rpm(debian, "--upgrade", "--nodeps", str(debian.root / "mnt" / package.name))


def test_installs_upgrades_and_erases(
    installed: Installed, packages: tuple[Packages, Packages]
) -> None:
    debian = installed.debian
    install(debian, packages[0].rpm)
    assert debian.facts(CONFIG) == "640 root greenpool"
    assert debian.facts("/run/greenpool") == "755 greenpool greenpool"
    installed.configure()
    installed.start()
    with installed.connect() as client:
        backend = begin(client)
        said = install(debian, packages[1].rpm)
        after = installed.status()
        assert (after["generation"], f"pid {after['pid']}" in said) == (2, True)
        end(client, backend)
    differs = rpm(debian, "--verify", "--nodeps", "greenpool", code=1)
    assert differs.split() == ["S.5....T.", "c", CONFIG]  # only in what the administrator wrote
    installed.wait_until_alone()
    rpm(debian, "--erase", "greenpool")
    assert installed.processes() == []
    assert not debian.has("/usr/lib/greenpool")
    assert debian.has(f"{CONFIG}.rpmsave")
