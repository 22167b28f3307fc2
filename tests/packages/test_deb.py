"""The .deb on a clean Debian: installed, upgraded under a client, removed, purged."""

from __future__ import annotations

from pathlib import Path

import greenpool
from tests.integration.harness.waiting import wait_for
from tests.packages.building import Packages, build, previous_commit
from tests.packages.debian import Debian
from tests.packages.installed import CONFIG, Installed, begin, end
from tests.packages.marks import NEEDS_A_SYSTEM

pytestmark = NEEDS_A_SYSTEM

Builds = tuple[Packages, Packages]


def dpkg(debian: Debian, *arguments: str) -> str:
    """Run dpkg; return all that it and the maintainer scripts have said."""
    done = debian.run("dpkg", *arguments)
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
    assert debian.facts("/run/greenpool") == "755 greenpool greenpool"
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
    before = installed.status()
    with installed.connect() as client:
        backend = begin(client)
        said = install(debian, packages[1].deb)
        after = installed.status()
        assert f"upgraded: the master is pid {after['pid']}" in said
        assert (before["generation"], after["generation"]) == (1, 2)
        end(client, backend)
    assert debian.facts(CONFIG) == "640 root greenpool"  # with the administrator's own text
    wait_for(lambda: len(installed.processes()) == len(after["workers"]) + 1, "one generation")
    dpkg(debian, "--remove", "greenpool")
    assert installed.processes() == []


def test_program_that_cannot_take_over_leaves_the_running_one(
    installed: Installed, packages: Builds
) -> None:
    debian = installed.debian
    install(debian, packages[0].deb)
    installed.configure()
    installed.start()
    debian.must("tee", "--append", CONFIG, text="nonsense: 1\n")
    with installed.connect() as client:
        backend = begin(client)
        said = install(debian, packages[1].deb)  # which succeeds all the same
        assert "the version that was running goes on" in said
        assert installed.status()["generation"] == 1
        end(client, backend)
    debian.must("sed", "-i", "$d", CONFIG)
    assert installed.command("upgrade").returncode == 0


def test_previous_commit_upgrades_to_this_one_and_back(
    installed: Installed, packages: Builds, output: Path
) -> None:
    previous = build(output, revision=0, commit=previous_commit())
    debian = installed.debian
    install(debian, previous.deb)
    installed.configure()
    installed.start()
    hands_over = previous.layout == packages[0].layout
    with installed.connect() as client:
        for generation, build_ in ((2, packages[0]), (3, previous)):
            backend = begin(client)
            said = install(debian, build_.deb)
            end(client, backend)
            assert ("upgraded: the master is pid" in said) is hands_over
            assert installed.status()["generation"] == (generation if hands_over else 1)
