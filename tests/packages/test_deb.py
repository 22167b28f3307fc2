"""The .deb on a clean Debian: installed, upgraded under a client, removed, purged."""

from __future__ import annotations

from pathlib import Path

import greenpool
from tests.packages.building import Packages, build, previous_commit
from tests.packages.debian import Debian
from tests.packages.installed import CONFIG, PID_FILE, Installed, begin, end
from tests.packages.marks import NEEDS_A_SYSTEM

pytestmark = NEEDS_A_SYSTEM

Builds = tuple[Packages, Packages]


def dpkg(debian: Debian, *arguments: str) -> str:
    """Run dpkg; return all that it and the maintainer scripts have said."""
    done = debian.run("dpkg", "--force-unsafe-io", *arguments)  # the disk is not waited for
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def install(debian: Debian, package: Path) -> str:
    return dpkg(debian, "--install", f"/mnt/{package.name}")


def test_installs_removes_and_purges(debian: Debian, packages: Builds) -> None:
    said = install(debian, packages[0].deb)
    assert "warning" not in said.lower()
    assert debian.must("greenpool", "--version") == f"greenpool {greenpool.__version__}\n"
    assert "ldap" in debian.must("/usr/lib/greenpool/bin/python", "-Ic", "import ldap; print(ldap)")
    assert debian.facts("/etc/greenpool") == "750 root greenpool"
    assert debian.facts(CONFIG) == "640 root greenpool"
    assert debian.facts("/var/log/greenpool") == "750 root greenpool"
    assert debian.facts("/run/greenpool") == "755 greenpool greenpool"
    asks = ("env", "_GREENPOOL_COMPLETE=bash_complete", "COMP_WORDS=greenpool st", "COMP_CWORD=1")
    assert "plain,status" in debian.must(*asks, "greenpool").split()
    debian.must("logrotate", "--debug", "/etc/logrotate.d/greenpool")
    refused = debian.run("greenpool", "start")
    assert (refused.returncode, "no pool is defined" in refused.stderr) == (2, True)

    assert "not empty" not in dpkg(debian, "--remove", "greenpool")
    assert not debian.has("/usr/lib/greenpool")
    assert not debian.has("/usr/bin/greenpool")
    assert debian.has(CONFIG)
    dpkg(debian, "--purge", "greenpool")
    for path in ("/etc/greenpool", "/var/log/greenpool", "/run/greenpool"):
        assert not debian.has(path), path
    assert dpkg(debian, "--audit") == ""


def test_upgrade_keeps_transactions_and_removal_stops(
    installed: Installed, packages: Builds
) -> None:
    debian = installed.debian
    install(debian, packages[0].deb)
    installed.configure()
    installed.start()
    with installed.connect() as client:
        backend = begin(client)
        said = install(debian, packages[1].deb)
        after = installed.status()
        assert after["generation"] == 2
        assert f"upgraded: the master is pid {after['pid']}" in said
        end(client, backend)
        installed.wait_until_alone()
        assert debian.facts(CONFIG) == "640 root greenpool"  # with the administrator's own text

        debian.must("tee", "--append", CONFIG, text="nonsense: 1\n")
        backend = begin(client)
        said = install(debian, packages[0].deb)  # succeeds; who cannot take over is left out
        assert "the version that was running goes on" in said
        assert installed.status()["pid"] == after["pid"]
        debian.must("sed", "-i", "$d", CONFIG)
        assert installed.command("upgrade", "--pid-file", PID_FILE).returncode == 0
        assert installed.status()["generation"] == 3
        end(client, backend)
    installed.wait_until_alone()
    dpkg(debian, "--remove", "greenpool")
    assert installed.processes() == []


def test_previous_commit_upgrades_to_this_one_and_back(
    installed: Installed, packages: Builds, output: Path
) -> None:
    previous = build(output, revision=0, commit=previous_commit())
    debian = installed.debian
    install(debian, previous.deb)
    installed.configure()
    installed.start()
    hands_over = previous.common == packages[0].common
    with installed.connect() as client:
        for generation, package in ((2, packages[0]), (3, previous)):
            backend = begin(client)
            said = install(debian, package.deb)
            end(client, backend)
            assert ("upgraded: the master is pid" in said) is hands_over
            assert installed.status()["generation"] == (generation if hands_over else 1)
            installed.wait_until_alone()
