"""The Containerfile, built by buildah on the clean Debian and run as it says, in front of `pg`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml

from tests.integration.harness.ports import PortLock
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import PASSWORD
from tests.integration.harness.waiting import wait_for
from tests.packages.building import Packages
from tests.packages.debian import make_base
from tests.packages.marks import NEEDS_A_SYSTEM

pytestmark = NEEDS_A_SYSTEM

CONTAINERFILE = Path(__file__).parents[2] / "packaging/container/Containerfile"
USER = 10001
START_DEADLINE_S = END_DEADLINE_S = 60.0


class Buildah:
    """Run buildah with a storage of its own, which needs no daemon and no registry."""

    def __init__(self, directory: Path) -> None:
        store = [f"--root={directory / 'store'}", f"--runroot={directory / 'run'}"]
        self.command = ["buildah", *store, "--storage-driver=overlay"]
        self._directory = directory

    def must(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout.strip()

    def import_image(self, root: Path, name: str) -> None:
        """Make an image of the files below a directory."""
        container = self.must("from", "scratch")
        self.must("copy", "--quiet", container, str(root), "/")
        self.must("commit", "--quiet", "--disable-compression", "--rm", container, name)

    def remove(self) -> None:
        self.must("rm", "--all")
        shutil.rmtree(self._directory)


@pytest.fixture
def buildah(packages: tuple[Packages, Packages], tmp_path: Path) -> Iterator[Buildah]:
    if not shutil.which("buildah"):
        pytest.skip("buildah is not installed")
    context = tmp_path / "context"
    context.mkdir()
    shutil.copy(packages[0].deb, context)
    made = Buildah(tmp_path / "buildah")
    made.import_image(make_base(), "localhost/debian")
    options = ["--isolation=chroot", "--disable-compression", "--build-arg=BASE=localhost/debian"]
    made.must("bud", *options, f"--file={CONTAINERFILE}", "--tag=greenpool", str(context))
    yield made
    made.remove()


def test_serves_without_root(buildah: Buildah, pg: PostgreSQL, tmp_path: Path) -> None:
    lock = PortLock()
    server = {"server_host": pg.host, "server_port": pg.port}
    pool = {**server, "users": [{"username": "app", "password": PASSWORD}]}
    config = {"general": {"host": "127.0.0.1", "port": lock.port}, "pools": {"app": pool}}
    file = tmp_path / "greenpool.yaml"
    file.write_text(yaml.safe_dump(config))
    os.chown(file, USER, USER)
    file.chmod(0o400)

    container = buildah.must("from", "localhost/greenpool")
    image = json.loads(buildah.must("inspect", "--type=image", "localhost/greenpool"))["OCIv1"]
    program = [*image["config"]["Entrypoint"], *image["config"]["Cmd"]]
    volume = f"--volume={file}:/etc/greenpool/greenpool.yaml:ro"
    run = subprocess.Popen(
        [*buildah.command, "run", "--isolation=chroot", volume, container, "--", *program],
        stdin=subprocess.DEVNULL,
    )
    address = f"host=127.0.0.1 port={lock.port} user=app dbname=app password={PASSWORD}"
    try:
        wait_for(lambda: _answers(address), "greenpool answers", START_DEADLINE_S)
        inside = [each for each in psutil.Process(run.pid).children(True) if _is_greenpool(each)]
        assert {each.uids().effective for each in inside} == {USER}
        inside[0].terminate()  # the master, which is what a container's end tells to end
        assert run.wait(END_DEADLINE_S) == 0
    finally:
        if run.poll() is None:
            run.kill()
        run.wait()
        lock.release()


def _answers(address: str) -> bool:
    try:
        with psycopg.connect(address, connect_timeout=10) as client:
            return client.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _is_greenpool(process: psutil.Process) -> bool:
    return "/usr/bin/greenpool" in process.cmdline() and process.name().startswith(
        ("greenpool", "python")
    )
