"""Clients whose like the engine knows: what is left for Python when they have proved themselves."""

from __future__ import annotations

from gevent import socket

from greenpool.protocol.message import BackendType
from greenpool.worker.planning import PlanCache
from tests.unit.worker.client import Client, connected, entry_of, log_in_scram, startup
from tests.unit.worker.fake_login import FakePlan
from tests.unit.worker.fakes import FakedWorker, error_of


def _log_in_by_the_engine_alone(worker: FakedWorker, plan: FakePlan) -> socket.socket:
    ours, theirs = socket.socketpair()
    client = worker.engine.enter(False, "unix")
    worker.engine.login(client, plan, theirs.detach())
    ours.settimeout(5)
    return ours


def _fail_to_log_in(worker: FakedWorker, user: str) -> FakePlan:
    """Return the plan that is known from then on: open, for nothing is known of the pool."""
    with connected(worker) as client:
        client.send(startup(user))
        log_in_scram(client, "wrong")
        assert error_of(client.rest())[1] == "28P01"
    ((plan, _),) = worker.engine.known.values()
    assert isinstance(plan, FakePlan)
    return plan


def test_client_that_only_the_engine_knew_is_let_in_on_terms_of_now(worker: FakedWorker):
    plan = _fail_to_log_in(worker, "bob")
    entry_of(worker, "shop", "bob")
    with _log_in_by_the_engine_alone(worker, plan) as sock:
        client = Client.of_engine(sock)
        log_in_scram(client, "builder")
        client.read(BackendType.READY_FOR_QUERY)
    (known,) = worker.engine.known.values()
    assert known[0].terms is not None
    assert not worker.proofs


def test_client_of_a_plan_from_before_the_reload_is_let_in(worker: FakedWorker):
    plan = _fail_to_log_in(worker, "bob")
    worker.adopt(worker.config)
    entry_of(worker, "shop", "bob")
    with _log_in_by_the_engine_alone(worker, plan) as sock:
        client = Client.of_engine(sock)
        log_in_scram(client, "builder")
        client.read(BackendType.READY_FOR_QUERY)
    assert not worker.engine.known  # what was decided then is not for those who come now


def test_client_of_a_plan_that_nobody_remembers_is_to_come_again(worker: FakedWorker):
    plan = _fail_to_log_in(worker, "bob")
    worker.plans = PlanCache(worker.engine)
    with _log_in_by_the_engine_alone(worker, plan) as sock:
        client = Client.of_engine(sock)
        log_in_scram(client, "builder")
        assert error_of(client.rest())[1] == "53300"
