"""What clients do in a storm that speak the protocol themselves: what drivers leave out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

from tests.integration.harness import messages
from tests.integration.harness.speaker import Speaker
from tests.integration.harness.wire import Message
from tests.integration.storm.client import Part, Turns

Kind = Callable[[Speaker], Turns]

_MIDWAY_S = 0.05
"""How long half of something lies there."""
_AGAIN_S = 0.2
"""PostgreSQL ignores a cancel request that is there before the query has begun."""
_ENDLESS_S = 8
"""For a query that is cancelled. When its client is killed nobody may cancel it."""


async def join(kind: Kind, dsn: str) -> Part:
    speaker = await Speaker.connect(dsn)
    name = f"raw {kind.__name__}"
    return Part(name, speaker.port, kind(speaker), speaker.close, speaker.abort)


def kinds_of(answer: Sequence[Message]) -> bytes:
    return b"".join(each.kind for each in answer)


def values_of(answer: Sequence[Message]) -> list[bytes | None]:
    """Return the first column of its rows; fail with what went wrong."""
    errors = [each.fields for each in answer if each.kind == b"E"]
    assert not errors, errors
    return [each.values[0] for each in answer if each.kind == b"D"]


async def prepared(speaker: Speaker) -> Turns:
    """Execute a statement that is prepared once, by name; nobody parses it again."""
    assert kinds_of(
        await speaker.ask(messages.parse("select $1::int8 + 1", "mine"), messages.sync())
    )
    for n in count():
        answer = await speaker.ask(
            messages.bind([b"%d" % n], "mine"), messages.execute(), messages.sync()
        )
        assert kinds_of(answer) == b"2DCZ", answer
        assert values_of(answer) == [b"%d" % (n + 1)]
        yield


async def halved(speaker: Speaker) -> Turns:
    """Have only half of a message sent."""
    for n in count():
        text = messages.query(f"select {n}")
        speaker.send(text[: 1 + n % (len(text) - 1)])
        await asyncio.sleep(_MIDWAY_S)
        assert values_of(await speaker.ask(text[1 + n % (len(text) - 1) :])) == [b"%d" % n]
        yield


async def pipelining(speaker: Speaker) -> Turns:
    """Have many Syncs under way, and errors, which skip what stands before the next."""
    for n in count():
        good = messages.extended("select $1::int", [b"%d" % n])
        bad = messages.extended("select 1 / $1::int", [b"0"])
        skipped = messages.extended("select 'skipped'")[:-5]  # without its Sync
        speaker.send(good, good, bad[:-5], skipped, messages.sync(), good)
        found = [await speaker.read_until(b"Z") for _ in range(4)]
        assert [values_of(found[place]) for place in (0, 1, 3)] == [[b"%d" % n]] * 3
        codes = [each.fields["C"] for each in found[2] if each.kind == b"E"]
        assert codes == ["22012"], found[2]
        assert b"D" not in kinds_of(found[2])
        yield


async def in_transaction(speaker: Speaker) -> Turns:
    """Have a portal open for all of the storm, and never say Sync."""
    begin = await speaker.ask(messages.query("begin"))
    assert begin[-1].body == b"T"
    speaker.send(
        *(messages.parse("select generate_series(0, 10000000)"), messages.bind(portal="mine"))
    )
    await _flush(speaker, b"2")
    for n in count():
        speaker.send(messages.execute("mine", max_rows=1))
        answer = await _flush(speaker, b"s")
        assert values_of(answer) == [b"%d" % n]
        yield


async def copying(speaker: Speaker) -> Turns:
    """Send rows that are cut anywhere."""
    rows = b"".join(b"%d\n" % n for n in range(100))
    create = "begin; create temp table copied (n int) on commit drop; copy copied from stdin"
    for n in count():
        speaker.send(messages.query(create))
        await speaker.read_until(b"G")
        data = messages.copy_data(rows) + messages.copy_done()
        for cut in range(0, len(data), 100 + n % 50):
            speaker.send(data[cut : cut + 100 + n % 50])
            await asyncio.sleep(_MIDWAY_S / 5)
        await speaker.read_until(b"Z")
        sums = await speaker.ask(messages.query("select sum(n) from copied"))
        assert values_of(sums) == [b"4950"]
        await speaker.ask(messages.query("rollback"))
        yield


async def cancelling(speaker: Speaker) -> Turns:
    """Cancel what it has asked, by the key that it got when it came, and nothing else."""
    endless = messages.parse(f"select pg_sleep({_ENDLESS_S})")
    while True:
        speaker.send(messages.parse("select 'here'"), messages.bind(), messages.execute())
        assert values_of(await _flush(speaker, b"C")) == [b"here"]  # it has a server now
        asking = asyncio.ensure_future(
            speaker.ask(endless, messages.bind(), messages.execute(), messages.sync())
        )
        while not asking.done():
            await asyncio.sleep(_MIDWAY_S)
            await speaker.cancel()
            await asyncio.wait([asking], timeout=_AGAIN_S)
        codes = [each.fields["C"] for each in asking.result() if each.kind == b"E"]
        assert codes == ["57014"], asking.result()
        assert values_of(await speaker.ask(messages.query("select 1"))) == [b"1"]
        yield


async def _flush(speaker: Speaker, last: bytes) -> list[Message]:
    """Ask for the answers so far, of which this is the last; or an error."""
    speaker.send(messages.flush())
    found = [await speaker.read()]
    while found[-1].kind not in (last, b"E"):
        found.append(await speaker.read())
    return found


KINDS: tuple[Kind, ...] = (prepared, halved, pipelining, in_transaction, copying, cancelling)
