"""Values that several tests begin with."""

from __future__ import annotations

from greenpool.records import PoolMode, PoolSettings, SessionHandling

POOL_SETTINGS = PoolSettings(
    mode=PoolMode.TRANSACTION,
    size=10,
    min_size=2,
    max_creates=2,
    wait_timeout_ms=5000,
    idle_timeout_ms=0,
    idle_transaction_timeout_ms=0,
    client_idle_timeout_ms=0,
    session_state=SessionHandling.OFF,
    deferred_begin=True,
    statements_max=0,
    wait_notify_ms=0,
    transaction_timeout_ms=0,
    query_timeout_ms=0,
    copy_timeout_ms=0,
    cancel_wait_timeout_ms=10_000,
    round_robin=False,
    idle_check_ms=0,
    connect_timeout_ms=3_000,
    client_write_timeout_ms=60_000,
    warm_ratio=100,
    fast_retries=0,
    server_tag=1,
    database_place=0,
    reserve_size=0,
    retain_time_ms=0,
    retain_max=0,
    log_parameters=False,
)
"""A pool without time-outs, of ten servers; the rest is changed with `replace`."""
