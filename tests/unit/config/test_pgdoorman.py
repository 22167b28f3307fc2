"""Configuration files of PgDoorman load as they are."""

from pathlib import Path

import pytest

from greenpool.config import PoolMode, load

DATA = Path(__file__).parent / "data"


@pytest.fixture(params=["pg_doorman.toml", "pg_doorman.yaml"])
def config(request):
    return load(DATA / request.param, {})


def test_settings_mean_what_they_mean_there(config):
    general = config.general
    assert (general.workers, general.port) == (2, 6433)
    assert general.tcp_keepalives_idle_s == 1  # a bare number of seconds, not of milliseconds
    assert general.tcp_user_timeout_s == 60
    assert general.server_lifetime_ms == 1_200_000
    assert general.unix_socket_buffer_size_bytes == 1 << 20


def test_pools_and_users_are_there(config):
    app, alias = config.pools["exampledb"], config.pools["exampledb_alias"]
    assert (app.idle_timeout_ms, alias.idle_timeout_ms) == (40_000, 600_000)
    assert list(app.users) == ["app_user", "mapped_user"]
    assert app.users["mapped_user"].pool_mode is PoolMode.SESSION
    assert app.users["mapped_user"].server_username == "app_user"
    assert (alias.server_database, alias.server_host) == ("exampledb", "/var/run/postgresql")


def test_its_own_machinery_is_named_in_one_warning(config):
    assert config.warnings == (
        "ignored, because they have no meaning here: general.worker_stack_size, "
        "general.max_blocking_threads, general.tokio_global_queue_interval, "
        "general.tokio_event_interval, general.daemon_pid_file, "
        "general.client_anonymous_prepared_cache_size, general.query_interner_gc_interval_seconds",
    )


def test_both_languages_say_the_same():
    one, other = (load(DATA / f"pg_doorman.{suffix}", {}) for suffix in ("toml", "yaml"))
    assert (one.general, one.pools, one.web) == (other.general, other.pools, other.web)
