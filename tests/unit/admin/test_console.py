"""What statements mean: commands, driver chatter, errors and their hints."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool import __version__
from greenpool.admin.chatter import STATEMENTS
from greenpool.admin.console import Console, Orders, Sources
from greenpool.admin.question import Poll, Topic
from greenpool.admin.result import Effect
from greenpool.admin.show import SHOWS
from greenpool.admin.speaker import SETTINGS, Rights
from greenpool.config import Config
from greenpool.errors import ControlError
from greenpool.protocol.errors import ClientError
from greenpool.tallies import Tallies
from tests.unit.admin.samples import LADDER, Bench, FakeSegment, speaker

SYNTAX, UNSUPPORTED = "42601", "0A000"


@pytest.mark.parametrize(
    "sql",
    ["SHOW POOLS", "show pools;", ' sHoW "Pools" ; ; ', "/* x */ show -- y\n pools", "SHOW\nPOOLS"],
)
def test_show_is_understood_however_it_is_written(bench: Bench, sql: str) -> None:
    assert [row["user"] for row in bench.show(sql)] == ["alice", "bob", "alice"]


@pytest.mark.parametrize(
    ("sql", "tag", "effect"),
    [
        ("", "", Effect.NONE),
        ("BEGIN", "BEGIN", Effect.BEGIN),
        ("begin transaction isolation level read committed, read only", "BEGIN", Effect.BEGIN),
        ("START TRANSACTION", "START TRANSACTION", Effect.BEGIN),
        ("COMMIT", "COMMIT", Effect.END),
        ("end work", "COMMIT", Effect.END),
        ("ROLLBACK", "ROLLBACK", Effect.END),
        ("ABORT", "ROLLBACK", Effect.END),
        ("SET application_name = 'x'", "SET", Effect.NONE),
        ("SET SESSION extra_float_digits TO 3", "SET", Effect.NONE),
        ("SET local DateStyle = iso, mdy", "SET", Effect.NONE),
        ("SET client_encoding TO 'UTF8'", "SET", Effect.NONE),
        ("SET NAMES 'utf8'", "SET", Effect.NONE),
        ("SET TIME ZONE 'UTC'", "SET", Effect.NONE),
        ("SET TRANSACTION READ ONLY", "SET", Effect.NONE),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SET", Effect.NONE),
        ("RESET ALL", "RESET", Effect.NONE),
        ("RESET application_name", "RESET", Effect.NONE),
        ("CLOSE ALL", "CLOSE CURSOR ALL", Effect.NONE),
        ("UNLISTEN *", "UNLISTEN", Effect.NONE),
        ("DISCARD ALL", "DISCARD ALL", Effect.DEALLOCATE),
        ("DEALLOCATE PREPARE ALL", "DEALLOCATE ALL", Effect.DEALLOCATE),
        ("DEALLOCATE a", "DEALLOCATE", Effect.DEALLOCATE),
    ],
)
def test_driver_chatter_is_answered(bench: Bench, sql: str, tag: str, effect: Effect) -> None:
    plan = bench.plan(sql)
    assert (plan.tag, plan.effect, plan.columns) == (tag, effect, ())
    assert list(plan.run().rows) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SHOW server_version", {"server_version": f"{__version__}/greenpool"}),
        ("SHOW TRANSACTION ISOLATION LEVEL", {"transaction_isolation": "read committed"}),
        ("show transaction_read_only", {"transaction_read_only": "off"}),
        ("SHOW Standard_Conforming_Strings", {"standard_conforming_strings": "on"}),
    ],
)
def test_driver_questions_are_answered(bench: Bench, sql: str, expected: dict[str, object]) -> None:
    assert bench.show(sql) == [expected]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message", "hint"),
    [
        ("SHOW", SYNTAX, "SHOW needs the name", "SHOW HELP"),
        ("SHOW POLS", SYNTAX, 'unrecognized command "SHOW POLS"', "Did you mean SHOW POOLS?"),
        ("SHOW clents;", SYNTAX, 'unrecognized command "SHOW CLENTS"', "SHOW CLIENTS?"),
        ("SHOW time_zone", SYNTAX, "unrecognized", "Did you mean SHOW TIMEZONE?"),
        ("RESET", SYNTAX, "RESET takes", None),
        ("RESET log_level", UNSUPPORTED, 'SET of "log_level"', "configuration file"),
        ("SHOW xyzzy", SYNTAX, "unrecognized", "SHOW HELP lists"),
        ("SHOW INTERNER x", SYNTAX, 'syntax error at or near "x"', "SHOW HELP"),
        ("SHOW INTERNER 1 2", SYNTAX, 'syntax error at or near "1"', "SHOW HELP"),
        ("SHOW POOLS 1", SYNTAX, 'syntax error at or near "1"', "SHOW HELP"),
        ("SHO POOLS", SYNTAX, 'unrecognized command "SHO"', "Did you mean SHOW?"),
        ("REALOD", SYNTAX, 'unrecognized command "REALOD"', "Did you mean RELOAD?"),
        ("42", SYNTAX, 'syntax error at or near "42"', "SHOW HELP"),
        ("show pools; show 'x", SYNTAX, "unterminated", None),
        ("SHOW POOLS; SHOW STATS", SYNTAX, "cannot insert multiple commands", None),
        ("RELOAD now", UNSUPPORTED, "RELOAD with an argument", "SHOW HELP"),
        ("SHUTDOWN WAIT_FOR_CLIENTS", UNSUPPORTED, "SHUTDOWN with an argument", "SHOW HELP"),
        ("SET pool_size = 3", UNSUPPORTED, 'SET of "pool_size"', "configuration file"),
        ("SET client_encoding = latin1", UNSUPPORTED, 'client encoding "latin1"', "UTF8"),
        ("SET x", SYNTAX, "SET takes a name", None),
        ("COMMIT PREPARED 'x'", UNSUPPORTED, "this form of COMMIT", "SHOW HELP"),
        ("ROLLBACK TO s", UNSUPPORTED, "this form of ROLLBACK", "SHOW HELP"),
        ("START", UNSUPPORTED, "this form of START", "SHOW HELP"),
        ("DEALLOCATE", SYNTAX, "DEALLOCATE takes", None),
        ("DISCARD PLANS", UNSUPPORTED, "this form of DISCARD", "SHOW HELP"),
    ],
)
def test_what_cannot_be_done_is_an_error_that_helps(
    bench: Bench, sql: str, sqlstate: str, message: str, hint: str | None
) -> None:
    with pytest.raises(ClientError) as caught:
        bench.execute(sql)
    assert (caught.value.severity, caught.value.sqlstate) == ("ERROR", sqlstate)
    assert message in caught.value.message
    assert (hint or "") in (caught.value.fields.hint or "")
    assert bench.commands == []


def test_commands_are_passed_on_when_they_run_and_not_before(bench: Bench) -> None:
    plans = bench.console.plans("RELOAD; shutdown;", bench.speaker)
    assert bench.commands == []
    assert [plan.run().tag for plan in plans] == ["RELOAD", "SHUTDOWN"]
    assert bench.commands == ["reload", "shutdown"]


def test_a_command_that_cannot_be_passed_on_is_an_error(config: Config) -> None:
    def refuse(*words: str) -> None:
        raise ControlError("the master is gone")

    sources = Sources(FakeSegment(), Tallies.create(1, 1), LADDER)
    console = Console(sources, lambda: config, Orders(refuse, refuse, _unasked))
    with pytest.raises(ClientError, match="cannot pass SET on to the master"):
        console.execute("SET log_level = debug", speaker())
    with pytest.raises(
        ClientError, match="cannot pass RELOAD on to the master: the master is gone"
    ) as caught:
        console.execute("RELOAD", speaker())
    assert (caught.value.severity, caught.value.sqlstate) == ("ERROR", "58000")


_KNOWN = (*SHOWS, *SETTINGS, *STATEMENTS, "show", "reload", "all", "to", "prepare", "pg_catalog")
_SIGNS = ("=", ";", ",", "(", ")", ".", "1", "'", '"', "/*", "*/", "--", "\n", "$$", "\0", "\udc80")
_words = st.sampled_from((*_KNOWN, *_SIGNS))


@given(st.one_of(st.text(), st.lists(_words, max_size=8).map(" ".join)))
def test_junk_gives_an_answer_or_a_client_error(bench: Bench, sql: str) -> None:
    with suppress(ClientError):
        for plan in bench.console.plans(sql, bench.speaker):
            result = plan.run()
            assert all(len(row) == len(result.columns) for row in result.rows)


@pytest.mark.parametrize(
    "sql", ["PAUSE", "kill app", "RELOAD", "SHUTDOWN", "SET log_level = debug", "SHOW FDS",
            'show "Prepared_Statements"', "KILL_CLIENT 3", "SHOW POOLS; RESUME", "SHOW interner 3"],
)  # fmt: skip
def test_users_of_statistics_command_nothing(bench: Bench, sql: str) -> None:
    with pytest.raises(ClientError, match="admin access needed") as caught:
        bench.console.plans(sql, speaker(Rights.STATS))
    assert (caught.value.severity, caught.value.sqlstate) == ("ERROR", "42501")
    assert (bench.commands, bench.settings, bench.segment.said) == ([], [], [])


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW CONFIG",
        "SHOW INTERNER",
        "show startup_parameters",
        "SET application_name = 'x'",
        "BEGIN",
        "SELECT 1",
    ],
)
def test_users_of_statistics_may_look(bench: Bench, sql: str) -> None:
    [plan] = bench.console.plans(sql, speaker(Rights.STATS))
    assert plan.tag == bench.plan(sql).tag


def _unasked(topic: Topic) -> Poll:
    pytest.fail(f"the workers were asked for {topic}")


def _never(name: str, text: str) -> None:
    pytest.fail(f"{name} was set to {text}")


@given(st.text(min_size=1))
def test_errors_about_junk_can_be_sent(text: str) -> None:
    sources = Sources(FakeSegment(), Tallies.create(1, 1), LADDER)
    console = Console(sources, pytest.fail, Orders(pytest.fail, _never, _unasked))
    try:
        console.plan(f"SHOW x{text}", speaker())
    except ClientError as error:
        response = error.response()
    else:
        return
    assert response[:1] == b"E"
    assert len(response) < 1000
