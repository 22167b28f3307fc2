"""Guests: clients from accept to their startup packet, in the engine of one worker or of two."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from greenpool.protocol import frontend
from greenpool.records import (
    EncryptionFlags,
    EngineIo,
    EventKind,
    NoteKind,
    Reason,
)
from greenpool.worker import limits
from tests.unit.house import LOCAL, OK, PACKET, READY, TERMINATE, House, heard, open_house


@pytest.fixture(params=EngineIo, ids=str)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    with open_house(request.param) as house:
        yield house


def test_unknown_guest_is_pythons_with_all_it_said(house: House) -> None:
    house.open(0)
    visitor = house.visitor()
    visitor.send(PACKET + TERMINATE)
    guest = house.next_guest()
    assert (guest.said, guest.address) == (PACKET + TERMINATE, visitor.getsockname())
    assert (guest.family, guest.refused) == (socket.AF_INET, EncryptionFlags.NONE)
    visitor.send(b"more")
    os.set_blocking(guest.fd, True)
    assert os.read(guest.fd, 10) == b"more"
    assert house.engines[0].guest_count() == 0


def test_encryption_that_cannot_be_had_is_refused_once(house: House) -> None:
    house.open(0)
    visitor = house.visitor()
    for request in (frontend.gssenc_request(), frontend.ssl_request()):
        visitor.send(request)
        house.run(lambda _: _has_something(visitor))
        assert heard(visitor, 1) == b"N"
    visitor.send(frontend.ssl_request())
    guest = house.next_guest()
    assert guest.said == frontend.ssl_request()
    assert guest.refused == EncryptionFlags.SSL | EncryptionFlags.GSS


def _has_something(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(10)


def test_who_may_have_tls_is_pythons_to_encrypt(house: House) -> None:
    house.manners(house.engines[0], offers_tls=True)
    house.open(0)
    house.visitor().send(frontend.ssl_request())
    assert house.next_guest().said == frontend.ssl_request()


def test_known_guest_is_let_in_and_leaves_without_python(house: House) -> None:
    house.open(0)
    house.know()
    visitor = house.visitor()
    visitor.send(PACKET)
    events = house.run(lambda events: bool(events))
    assert [each.kind for each in events] == [EventKind.SERVED]
    assert heard(visitor, 9 + 13 + 6)[:9] == OK
    (client,) = house.engines[0].clients()
    row = house.segment.client_row(client)
    assert row is not None
    host, port = visitor.getsockname()
    assert (row.user, row.address) == ("ada", f"{host}:{port}")
    visitor.send(TERMINATE)
    (goodbye,) = house.run(lambda events: bool(events))
    assert (goodbye.client, goodbye.detail) == (client, Reason.CLIENT_TERMINATE)
    os.close(house.engines[0].forget(client))


def test_known_guest_that_nobody_wants_to_hear_of_is_forgotten(house: House) -> None:
    house.open(0)
    house.know()
    house.engines[0].mind_farewells(False)
    visitor = house.visitor()
    visitor.send(PACKET + TERMINATE)
    house.run(lambda events: bool(events) and not house.engines[0].client_count())
    assert heard(visitor, 9 + 13 + 6 + 1).endswith(READY)
    assert list(house.segment.client_rows()) == []
    (row,) = house.segment.pool_rows()
    assert (row.client_logins, row.client_ends[Reason.CLIENT_TERMINATE]) == (1, 1)


def test_client_of_an_open_plan_is_told_of_though_it_leaves(house: House) -> None:
    house.open(0)
    house.know(is_open=True)
    house.engines[0].mind_farewells(False)
    visitor = house.visitor()
    visitor.send(PACKET)
    house.run(lambda events: bool(events))
    visitor.close()
    (event,) = house.run(lambda events: bool(events))
    assert (event.kind, event.detail) == (EventKind.GOODBYE, Reason.LOGIN_LEFT)
    os.close(house.engines[0].forget(event.client))


@pytest.mark.parametrize("who", [b"127.0.0.2\0", LOCAL + b"T", b"\0"])
def test_another_host_and_tls_make_another_plan(house: House, who: bytes) -> None:
    house.open(0)
    house.know(who)
    house.visitor().send(PACKET)
    assert house.next_guest().said == PACKET


def test_known_guest_is_pythons_when_all_are(house: House) -> None:
    house.manners(house.engines[0], knows=False)
    house.open(0)
    house.know()
    house.visitor().send(PACKET)
    assert house.next_guest().said == PACKET


def test_known_guest_for_whom_there_is_no_room_is_pythons(house: House) -> None:
    house.open(0)
    house.know()
    for _ in range(3):
        house.engines[0].enter(False, "unix")
    house.visitor().send(PACKET)
    assert house.next_guest().said == PACKET


def test_known_guest_whose_address_has_too_many_is_pythons(house: House) -> None:
    house.manners(house.engines[0], address_clients_max=1)
    house.open(0)
    house.know()
    house.visitor().send(PACKET)
    house.run(lambda events: bool(events))
    house.visitor().send(PACKET)
    assert house.next_guest().said == PACKET
    (client,) = house.engines[0].clients()
    os.close(house.engines[0].forget(client))
    house.visitor().send(PACKET)
    house.run(lambda _: house.engines[0].client_count() == 1)


def test_clients_of_an_address_are_counted_over_all_workers(house: House) -> None:
    house.manners(house.engines[0], address_clients_max=1)
    house.open(0)
    house.know()
    elsewhere = house.engines[1].enter(False, "127.0.0.1:1")
    assert house.segment.client_from(elsewhere, limits.network_of("127.0.0.1"), 1)
    house.visitor().send(PACKET)
    assert house.next_guest().said == PACKET
    house.engines[1].forget(elsewhere)
    house.visitor().send(PACKET)
    house.run(lambda _: house.engines[0].client_count() == 1)


def test_plan_is_forgotten_when_its_pool_has_news(house: House) -> None:
    house.know()
    assert house.engines[0].plan_tag(LOCAL, PACKET) == 7
    house.segment.write_note(house.pool, NoteKind.WELCOME, 0, b"news")
    assert house.engines[0].plan_tag(LOCAL, PACKET) == 0
    house.know(tag=8)
    assert house.engines[0].plan_tag(LOCAL, PACKET) == 8


def test_plans_are_replaced_and_forgotten_by_pool(house: House) -> None:
    engine = house.engines[0]
    house.know(tag=7)
    house.know(tag=8)
    assert engine.plan_tag(LOCAL, PACKET) == 8
    engine.forget_plans(house.pool + 1)
    assert engine.plan_tag(LOCAL, PACKET) == 8
    engine.forget_plans(house.pool)
    assert engine.plan_tag(LOCAL, PACKET) == 0
    house.know(is_open=True)
    engine.forget_plans(house.pool)
    assert engine.plan_tag(LOCAL, PACKET) == 7  # it is no pool's yet
    engine.forget_plans()
    assert engine.plan_tag(LOCAL, PACKET) == 0


def test_oldest_plan_goes_first(house: House) -> None:
    for number in range(2049):
        house.know(str(number).encode())
    tags = [house.engines[0].plan_tag(str(number).encode(), PACKET) for number in range(2049)]
    assert tags == [0] + 2048 * [7]


def test_client_of_an_open_plan_is_asked_about_by_the_plans_tag(house: House) -> None:
    house.open(0)
    house.know(is_open=True, tag=9)
    house.visitor().send(PACKET)
    (event,) = house.run(lambda events: bool(events))
    assert (event.kind, event.detail) == (EventKind.PROVED, 9)
    os.close(house.engines[0].forget(event.client))


def test_guest_without_words_is_pythons_in_the_end(house: House) -> None:
    house.manners(house.engines[0], timeout_ms=1)
    house.open(0)
    house.visitor()
    guest = house.next_guest()
    assert guest.said == b""
    assert guest.spent_ms >= 1


def test_guest_that_leaves_is_closed_unheard(house: House) -> None:
    house.open(0)
    visitor = house.visitor()
    house.run(lambda _: house.engines[0].guest_count() == 1)
    visitor.close()
    events = house.run(lambda _: house.engines[0].guest_count() == 0)
    assert not events


def test_guests_beyond_the_bound_are_pythons_at_once(house: House) -> None:
    house.manners(house.engines[0], guests_max=1)
    house.open(0)
    house.visitor()
    house.run(lambda _: house.engines[0].guest_count() == 1)
    house.visitor()
    assert house.next_guest().said == b""
    assert house.engines[0].guest_count() == 1


def test_guests_of_an_address_beyond_its_bound_are_pythons_at_once(house: House) -> None:
    house.manners(house.engines[0], address_guests_max=2)
    house.open(0)
    house.visitor()
    house.visitor()
    house.run(lambda _: house.engines[0].guest_count() == 2)
    house.visitor()
    guest = house.next_guest()
    assert (guest.said, guest.neighbours) == (b"", 2)


def test_any_guest_may_be_taken(house: House) -> None:
    house.open(0)
    house.visitor()
    house.run(lambda _: house.engines[0].guest_count() == 1)
    assert house.engines[0].take_guest() is None
    guest = house.engines[0].take_guest(any_of_them=True)
    assert guest is not None
    os.close(guest.fd)
    assert house.engines[0].take_guest(any_of_them=True) is None


def test_guests_go_to_the_worker_that_wants_them(house: House) -> None:
    house.engines[0].listen(house.door.fileno())  # accepts, but wants nobody for itself
    house.segment.accept(1, True)
    visitor = house.visitor()
    house.run(lambda _: house.engines[1].guest_count() == 1)
    visitor.send(PACKET)
    house.run(lambda events: any(each.kind is EventKind.GUEST for each in events))
    guest = house.engines[1].take_guest()
    assert guest is not None
    assert (guest.said, guest.address) == (PACKET, visitor.getsockname())
    os.close(guest.fd)


def test_second_worker_accepts_when_the_first_does_not_look(house: House) -> None:
    house.open(0, 1)
    house.visitor()
    house.engines[1].sweep()
    with pytest.raises(BlockingIOError):
        house.door.accept()
    house.run(lambda _: house.engines[0].guest_count() == 1)  # few clients share one worker


def test_unix_guest_has_no_address(house: House, tmp_path: object) -> None:
    door = socket.socket(socket.AF_UNIX)
    path = f"{tmp_path}/door"
    door.bind(path)
    door.listen()
    door.setblocking(False)
    engine = house.engines[0]
    house.segment.accept(0, True)
    engine.listen(door.fileno())
    house.know(b"\0")
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(path)
        visitor.send(PACKET)
        house.run(lambda events: any(each.kind is EventKind.SERVED for each in events))
        (client,) = engine.clients()
        row = house.segment.client_row(client)
        assert row is not None
        assert row.address == "unix"
        os.close(engine.forget(client))
    engine.deafen()
    door.close()
