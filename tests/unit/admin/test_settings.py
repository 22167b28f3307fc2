"""SET of greenpool's own settings: understood, handed on, and over when it is in force."""

from __future__ import annotations

import pytest

from greenpool.admin.settings import PATIENCE_NS
from greenpool.admin.view import Moment
from greenpool.config import SETTABLE, Config, with_setting
from greenpool.protocol.errors import ClientError
from tests.unit.admin.samples import NOW, Bench


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("SET log_level = debug", "log_level", "debug"),
        ("set LOG_LEVEL to 'warning'", "log_level", "warning"),
        ("SET max_connections = 50", "max_connections", "50"),
        ("SET shutdown_timeout = '90s'", "shutdown_timeout", "90s"),
        ("SET shutdown_timeout = 90s", "shutdown_timeout", "90s"),
        ("SET log_client_connections = off", "log_client_connections", "off"),
    ],
)
def test_value_is_handed_on_and_waited_for(bench: Bench, text: str, name: str, value: str) -> None:
    is_done = bench.plan(text).command()
    assert bench.settings == [(name, value)]
    assert not is_done()
    bench.config = with_setting(bench.config, name, value)
    assert is_done()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SET log_level", "takes = or TO"),
        ("SET log_level =", "takes = or TO"),
        ("SET log_level = loud", "log_level: expected one of debug"),
        ("SET max_connections = many", "max_connections: "),
        ("SET max_connections = 0", "max_connections: "),
        ("SET log_level = debug, info", "takes one value"),
        ("SET port = 7000", 'SET of "port" is not supported'),
        ("SET admin_password = 'x'", 'SET of "admin_password" is not supported'),
    ],
)
def test_what_is_wrong_is_said_and_nothing_handed_on(bench: Bench, text: str, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        bench.plan(text).command()
    assert not bench.settings


def test_waiting_ends_when_the_master_does_not_take_it(bench: Bench) -> None:
    is_done = bench.plan("SET max_connections = 50").command()
    bench.now = Moment(NOW.monotonic_ns + PATIENCE_NS, NOW.epoch_ns)
    with pytest.raises(ClientError, match="the master's log says why"):
        is_done()


def test_everything_settable_can_be_set_to_what_it_is(config: Config) -> None:
    for name, key in SETTABLE.items():
        text = key.show(getattr(config.general, key.attribute))
        assert with_setting(config, name, text) == config, name
