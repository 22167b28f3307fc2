"""What two masters need to change places: lifelines, words, inheritance, presence, program."""

from __future__ import annotations

import itertools
import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from greenpool.errors import HandoffError
from greenpool.master import predecessor, upgrade
from greenpool.master.control import Reply, Request
from greenpool.master.handoff import Handoff
from greenpool.master.inheritance import VARIABLE, VERSION, Inheritance
from greenpool.master.lifeline import Lifeline
from greenpool.master.paths import control_path
from greenpool.master.pools import places_for
from greenpool.master.predecessor import Predecessor, PredecessorState
from greenpool.master.presence import Presence
from greenpool.master.upgrade import Upgrade, UpgradeState

SECRET = "5ec7e7" * 8


def inheritance(**others: Any) -> Inheritance:
    fields: dict[str, Any] = {
        "generation": 2,
        "program": "0.1",
        "started_s": 1.5,
        "handoff_fd": 0,
        "lifeline_fds": (0, 1),
        "elder_lifeline_fd": 2,
        "segment_fds": (0,),
        "pid_file": "/run/pid",
        "listeners": (("127.0.0.1:1", 1),),
        "web": (("127.0.0.1:2", 2),),
        "are_activated": False,
        "free_places": (2, 3),
        "elder_places": (0, 1),
        "pool_marks": (("app", "app", "mark"),),
        "boot_secret": SECRET,
    }
    return Inheritance(**{**fields, **others})


# ---- lifeline --------------------------------------------------------------------------------


def test_lifeline_is_cut_when_the_last_process_is_gone():
    lifeline = Lifeline.make()
    holder = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lifeline.write_fd]
    )
    lifeline.watch_only()
    assert not lifeline.is_cut
    holder.kill()
    holder.wait()
    assert lifeline.is_cut
    assert holder.stdin is not None
    holder.stdin.close()
    lifeline.close()
    lifeline.close()  # twice is harmless


# ---- words -----------------------------------------------------------------------------------


def test_words_arrive_whole_and_the_end_is_one():
    ours, theirs_raw = Handoff.pair()
    theirs = Handoff(theirs_raw)
    assert theirs.hear() == []
    ours.say("ready", places=[2, 3])
    ours.say("nobody knows this")
    assert theirs.hear() == [{"word": "ready", "places": [2, 3]}, {"word": "nobody knows this"}]
    ours.say("gone")
    ours.close()
    assert theirs.hear() == [{"word": "gone"}]
    assert theirs.hear() is None
    theirs.say("to nobody")  # no exception: hear tells
    theirs.close()


# ---- inheritance -----------------------------------------------------------------------------


def test_inheritance_arrives_as_it_was_left_once():
    left = inheritance(handoff_fd=os.dup(0), lifeline_fds=os.pipe(), elder_lifeline_fd=os.dup(0))
    left = inheritance(
        handoff_fd=left.handoff_fd,
        lifeline_fds=left.lifeline_fds,
        elder_lifeline_fd=left.elder_lifeline_fd,
        segment_fds=(os.dup(0),),
        listeners=(("a", os.dup(0)),),
    )
    for fd in left.fds():
        os.set_inheritable(fd, True)
    environment = {VARIABLE: str(left.leave()), "OTHER": "x"}
    taken = Inheritance.take(environment)
    assert taken == left
    assert environment == {"OTHER": "x"}
    assert not any(os.get_inheritable(fd) for fd in left.fds())
    assert Inheritance.take(environment) is None
    for fd in left.fds():
        os.close(fd)


def test_inheritance_of_a_later_version_may_have_more_in_it():
    fds: dict[str, Any] = {"listeners": (), "web": (), "segment_fds": ()}
    left = inheritance(
        handoff_fd=os.dup(0), lifeline_fds=os.pipe(), elder_lifeline_fd=os.dup(0), **fds
    )
    text = {"version": VERSION, **asdict(left), "colour": ["blue"]}
    fd = os.memfd_create("test")
    os.write(fd, json.dumps(text).encode())
    assert Inheritance.take({VARIABLE: str(fd)}) == left
    for each in left.fds():
        os.close(each)


def test_inheritance_does_not_show_its_secret():
    assert SECRET not in repr(inheritance())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"version": 999, "program": "9.9"}', "greenpool 9.9 leaves its things in form 999"),
        (b"{}", "cannot read what the master before has left"),
        (b"nonsense", "cannot read what the master before has left"),
        (b'{"version": 2, "generation": 2}', "cannot read what the master before has left"),
    ],
)
def test_inheritance_of_another_form_is_refused(text: bytes, why: str):
    fd = os.memfd_create("test")
    os.write(fd, text)
    with pytest.raises(HandoffError, match=why):
        Inheritance.take({VARIABLE: str(fd)})


# ---- presence --------------------------------------------------------------------------------


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as selector:
        yield selector


def ask(path: Path, selector: selectors.BaseSelector) -> dict[str, Any]:
    """Send a request and let whoever listens in this selector answer it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(control_path(path)))
        client.sendall(b'{"command": "who"}\n')
        for _ in range(2):  # accept, read
            turn(selector)
        answer: dict[str, Any] = json.loads(client.recv(4096))
    turn(selector)  # it hangs up
    return answer


def turn(selector: selectors.BaseSelector) -> None:
    for key, _ in selector.select(5):
        key.data()


def presence(path: Path, selector: selectors.BaseSelector, name: str, **how: bool) -> Presence:
    def handle(_request: Request, reply: Reply) -> None:
        reply({"who": name})

    made = Presence(path)
    made.claim(aside=how.get("aside", False))
    made.listen(selector, handle)
    return made


def test_successor_is_found_from_one_instant_to_the_next(
    tmp_path: Path, selector: selectors.BaseSelector
):
    path = tmp_path / "pid"
    old = presence(path, selector, "old")
    assert ask(path, selector) == {"who": "old"}
    new = presence(path, selector, "new", aside=True)
    assert ask(path, selector) == {"who": "old"}
    old_file = path.stat().st_ino
    new.appear()
    assert path.stat().st_ino != old_file
    assert ask(path, selector) == {"who": "new"}
    old.close()  # leaves what is not its own
    assert ask(path, selector) == {"who": "new"}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["pid", "pid.sock"]
    new.close()
    assert list(tmp_path.iterdir()) == []


def test_successor_that_never_appears_leaves_the_old_one(
    tmp_path: Path, selector: selectors.BaseSelector
):
    path = tmp_path / "pid"
    old = presence(path, selector, "old")
    presence(path, selector, "new", aside=True).close()
    assert ask(path, selector) == {"who": "old"}
    old.close()
    assert list(tmp_path.iterdir()) == []


# ---- program ---------------------------------------------------------------------------------


def test_program_is_what_was_typed_in_the_directory_as_the_shell_names_it(tmp_path: Path):
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    script = tmp_path / "release" / "run.py"
    script.write_text(
        "from greenpool.master.program import Program\n"
        "import json, dataclasses\n"
        "print(json.dumps(dataclasses.asdict(Program.of_this_process())))\n"
    )
    where = str(tmp_path / "current")
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "run.py", "start", "-c", "x"],
        cwd=where,
        env={**os.environ, "PWD": where},
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == {
        "command": [sys.executable, "-X", "utf8", "run.py"],
        "arguments": ["start", "-c", "x"],
        "directory": where,
    }


# ---- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), list(itertools.product(UpgradeState, repeat=2)))
def test_upgrade_changes_its_state_only_as_drawn(before: UpgradeState, after: UpgradeState):
    made = Upgrade.__new__(Upgrade)
    made.state = before
    if after in upgrade._NEXT[before]:
        made._set(after)
        assert made.state is after
    else:
        with pytest.raises(AssertionError, match=before.name):
            made._set(after)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(PredecessorState, repeat=2)))
def test_predecessor_changes_its_state_only_as_drawn(
    before: PredecessorState, after: PredecessorState
):
    made = Predecessor.__new__(Predecessor)
    made.state = before
    if after in predecessor._NEXT[before]:
        made._set(after)
        assert made.state is after
    else:
        with pytest.raises(AssertionError, match=before.name):
            made._set(after)


@pytest.mark.parametrize(
    ("workers", "places"), [(1, 16), (4, 16), (5, 20), (16, 64), (40, 64), (64, 64)]
)
def test_there_are_places_for_later_generations(workers: int, places: int):
    assert places_for(workers) == places
