"""What Patroni says, and what it might."""

from __future__ import annotations

import json

import pytest

from greenpool.generate import patroni
from greenpool.generate.patroni import PatroniError, default_url, member_urls


def answer(monkeypatch: pytest.MonkeyPatch, **bodies: str) -> None:
    """Have hosts answer; others do not."""

    def get(url: str) -> bytes:
        host = url.split("/")[2]
        if host not in bodies:
            raise ConnectionRefusedError(111, "Connection refused")
        return bodies[host].encode()

    monkeypatch.setattr(patroni, "_get", get)


def cluster(*hosts: str) -> str:
    members = [{"name": host, "api_url": f"http://{host}:8008/patroni"} for host in hosts]
    return json.dumps({"members": [*members, {"name": "starting"}]})


def test_members_are_sorted_and_the_first_that_answers_is_asked(monkeypatch: pytest.MonkeyPatch):
    answer(monkeypatch, b=cluster("c", "b", "a"))
    found = member_urls(["http://a", "http://b/"])
    assert found == ("http://a:8008", "http://b:8008", "http://c:8008")


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"members": [1]}', '{"members": []}'])
def test_stranger_is_an_error(monkeypatch: pytest.MonkeyPatch, body: str):
    answer(monkeypatch, a=body)
    with pytest.raises(PatroniError, match="http://a"):
        member_urls(["http://a"])


def test_every_address_that_failed_is_named(monkeypatch: pytest.MonkeyPatch):
    answer(monkeypatch)
    with pytest.raises(PatroniError) as caught:
        member_urls(["http://a", "http://b"])
    assert "http://a does not answer" in str(caught.value)
    assert "http://b does not answer" in str(caught.value)


def test_address_without_a_scheme_is_refused():
    with pytest.raises(PatroniError, match="must begin with http"):
        member_urls(["localhost:8008"])


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("db1", "http://db1:8008"),
        ("/run", "http://127.0.0.1:8008"),
        ("::1", "http://[::1]:8008"),
    ],
)
def test_patroni_is_looked_for_beside_postgres(host: str, url: str):
    assert default_url(host) == url
