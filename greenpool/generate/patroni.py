"""Ask Patroni who belongs to its cluster: GET /cluster of its REST interface.

Law: the answer names every member, whoever leads, sorted; so it stays the same over a failover.
Source: Patroni "REST API", "Cluster status endpoints".
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from http.client import HTTPException
from urllib.parse import urlsplit, urlunsplit

from greenpool.errors import ControlError

DEFAULT_PORT = 8008
TIMEOUT_S = 3.0

_MAX_BYTES = 1 << 20


class PatroniError(ControlError):
    """Patroni does not answer as it should."""


def default_url(host: str) -> str:
    """Return where Patroni would be found beside a PostgreSQL at this host."""
    name = "127.0.0.1" if host.startswith("/") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{DEFAULT_PORT}"


def member_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the REST address of every member, as the first of `urls` that answers names them.

    Raises: PatroniError with what each of them said.
    """
    failures = []
    for url in urls:
        try:
            return _members(url)
        except PatroniError as exc:
            failures.append(str(exc))
    raise PatroniError("; ".join(failures))


def _members(url: str) -> tuple[str, ...]:
    try:
        cluster = json.loads(_get(f"{url.rstrip('/')}/cluster"))
        found = {_base(member["api_url"]) for member in cluster["members"] if "api_url" in member}
    except (OSError, HTTPException, ValueError) as exc:
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        raise PatroniError(f"Patroni at {url} does not answer: {reason}") from exc
    except (KeyError, TypeError, AttributeError) as exc:
        raise PatroniError(f"what answers at {url} is no Patroni") from exc
    if not found:
        raise PatroniError(f"Patroni at {url} names no member")
    return tuple(sorted(found))


def _get(url: str) -> bytes:
    """Return a body, asking no proxy. Raises: OSError, HTTPException, ValueError."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("the address must begin with http:// or https://")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read(_MAX_BYTES)
        return body


def _base(url: str) -> str:
    """Strip what Patroni adds to its own address, `/patroni`."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
