"""A process is killed at one of the steps of an upgrade: who serves then, and who stays connected.

A step is a method of the program. The program that is installed before the start, or after it,
kills there: the steps before "taken" can be undone, those behind it cannot. Each row of TABLE is
one of these (OM, NM: the old and the new master; OW, NW: their workers):

    step                                  who dies at it
    the configuration is checked          OM: greenpool is gone, as at any other time
    the new master starts                 OM, NM (CRASHES in test_upgrade_faults.py), NW
    its workers are up                    NM, OW
    the old master says "commit"          OM before and behind it, NM
    the names are taken                   NM
    the new workers accept                NM, NW
    the old master hears "taken"          OM
    an old worker hands over              OW, OM: it goes on without
    a client is on its way                OW: tests/c/test_move.c, and _cparser/model/move.pml
    it arrives                            NW
    TLS sessions are left to a pump       OW before and behind it
    the old master has seen all end       OM
    while there still are old clients     NM: test_upgrade_faults.py, the old generation comes back
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import psycopg
import pytest

from tests.integration.conftest import MakePooler
from tests.integration.harness.installed import GOOD, Installed, status
from tests.integration.harness.pooler import Connection
from tests.integration.harness.postgres import MAJORS
from tests.integration.harness.tls import House
from tests.integration.harness.waiting import wait_for

# Nothing here depends on the version of PostgreSQL.
pytestmark = [
    pytest.mark.parametrize("_server", MAJORS[-1:], indirect=True),
    pytest.mark.slow,
]

OLD, NEW = 1, 2
SELF = "select pg_backend_pid()"

KILLS = textwrap.dedent(
    """
    import importlib, os, psutil, signal
    owner = importlib.import_module("greenpool.{module}")
    *path, name = "{step}".split(".")
    for each in path:
        owner = getattr(owner, each)
    step = getattr(owner, name)
    def victim():
        me = psutil.Process()
        others = {{
            "its worker": me.children(),
            "the old worker": [each for each in me.parent().children() if each != me],
            "its master": [me.parent()],
        }}
        return others["{victim}"][0] if "{victim}" in others else me
    def killed(*arguments):
        if "{when}" == "after":
            step(*arguments)
        dies = victim()
        dies.send_signal(signal.SIGKILL)
        while os.getppid() == dies.pid:
            os.sched_yield()
        if "{when}" == "before":
            step(*arguments)
    setattr(owner, name, killed)
    """
)


@dataclass(frozen=True, slots=True)
class Kill:
    """Who dies, at which step, before or after it; and what is expected.

    `whose` program does it, to the process itself or to the `victim`. `serves`: the generation that
    goes on, whatever was asked for; `stays`: the clients that notice nothing. Those of a worker
    that dies go with it, and nobody else's. `exits`: how the command that asked for it ends; whose
    master dies cannot know. `says`: what the log has of it.
    """

    whose: int
    when: str
    step: str
    serves: int
    stays: frozenset[str]
    exits: int
    says: str
    victim: str = "itself"

    def __str__(self) -> str:
        whom = "" if self.victim == "itself" else f"-{self.victim.replace(' ', '-')}"
        return f"{self.when}-{self.step.rpartition(':')[2]}{whom}"

    @property
    def program(self) -> str:
        module, step = self.step.split(":")
        return KILLS.format(module=module, step=step, when=self.when, victim=self.victim) + GOOD


FAILED = "upgrade failed: the new master has ended"
CANNOT_START = "upgrade failed: the workers cannot start"
ALONE = "the old master is dead: taking over without it"
TAKES_BACK = "the generation before was killed: taking back what it left"
WORKER_KILLED = "was killed by SIGKILL"
ALL, PLAIN, NOBODY = frozenset({"plain", "tls"}), frozenset({"plain"}), frozenset[str]()
TABLE = (
    # the new master: until it has said "taken" the old generation has everybody
    Kill(NEW, "before", "master.predecessor:Predecessor.ready", OLD, ALL, 1, FAILED),
    Kill(NEW, "before", "master.supervisor:Supervisor._take_over", OLD, ALL, 1, FAILED),
    Kill(NEW, "before", "master.live:LiveConfig.take_over", OLD, ALL, 1, FAILED),
    Kill(NEW, "before", "master.predecessor:Predecessor.taken", OLD, ALL, 1, FAILED),
    # the old master takes its workers along, and whom they have not been told to hand over
    Kill(OLD, "after", "master.upgrade:Upgrade._start", NEW, NOBODY, 1, TAKES_BACK),
    Kill(OLD, "before", "master.upgrade:Upgrade._commit", NEW, NOBODY, 1, ALONE),
    Kill(OLD, "after", "master.upgrade:Upgrade._commit", NEW, NOBODY, 1, TAKES_BACK),
    Kill(OLD, "before", "master.upgrade:Upgrade._succeed", NEW, NOBODY, 1, TAKES_BACK),
    Kill(
        *(OLD, "after", "worker.main:_Process._hand_over", NEW, ALL, 0, TAKES_BACK),
        victim="its master",
    ),
    Kill(
        *(OLD, "before", "worker.main:_Process._leave_pumps", NEW, ALL, 0, TAKES_BACK),
        victim="its master",
    ),
    Kill(OLD, "before", "master.upgrade:Upgrade.say_gone", NEW, ALL, 0, TAKES_BACK),
    # an old worker: its clients are its own until others have them
    Kill(
        *(NEW, "before", "master.predecessor:Predecessor.ready", NEW, NOBODY, 0, WORKER_KILLED),
        victim="the old worker",
    ),
    Kill(OLD, "before", "worker.main:_Process._hand_over", NEW, NOBODY, 0, WORKER_KILLED),
    Kill(OLD, "before", "worker.main:_Process._leave_pumps", NEW, PLAIN, 0, WORKER_KILLED),
    Kill(OLD, "after", "worker.main:_Process._leave_pumps", NEW, ALL, 0, WORKER_KILLED),
    # a new worker: whom it has taken over; who is still to come waits for the next one
    Kill(NEW, "before", "worker.main:_Process.start", OLD, ALL, 1, CANNOT_START),
    Kill(
        *(NEW, "before", "master.predecessor:Predecessor.taken", NEW, ALL, 0, WORKER_KILLED),
        victim="its worker",
    ),
    Kill(NEW, "before", "worker.moves:on_arrived", NEW, NOBODY, 0, WORKER_KILLED),
)


def is_served(client: Connection) -> bool:
    """Say whether a client is where it was: in its transaction."""
    try:
        return client.execute("select count(*) from mine").fetchone() == (0,)
    except psycopg.OperationalError:
        return False


@pytest.mark.parametrize("kill", TABLE, ids=str)
def test_kill(make_pooler: MakePooler, house: House, kill: Kill) -> None:
    kind = type("Killed", (Installed,), {"first": kill.program if kill.whose == OLD else GOOD})
    pooler = make_pooler(1, kind=kind, **house.settings())
    assert isinstance(pooler, Installed)
    with (
        pooler.connect(autocommit=False, sslmode="disable") as plain,
        pooler.connect(autocommit=False, sslmode="require") as tls,
    ):
        clients = {"plain": plain, "tls": tls}
        for each in clients.values():
            each.execute("create temp table mine (n int) on commit drop")
        pooler.install(GOOD if kill.whose == OLD else kill.program)
        before = pooler.master_pid
        done = pooler.upgrade()
        assert done.returncode == kill.exits, done.stderr
        if kill.serves == NEW:
            if done.returncode:
                pooler.follow()
            wait_for(lambda: not pooler.elders(), "the old generation has ended")
        else:
            assert int((pooler.directory / "greenpool.pid").read_text()) == before
        wait_for(lambda: kill.says in pooler.log(), "the log has it")
        assert status(pooler)["generation"] == kill.serves
        with pooler.connect() as newcomer:
            newcomer.execute(SELF)
        assert {name for name, each in clients.items() if is_served(each)} == kill.stays
    wait_for(lambda: not clients_of_app(pooler), "the dead are buried")


def clients_of_app(pooler: Installed) -> list[object]:
    return [row for row in pooler.admin("show clients") if row["database"] == "app"]
