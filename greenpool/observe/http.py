"""As much of HTTP as a scrape needs: one request of bounded size, one answer, the end. Sans I/O.

Law: a request has no body, and a connection one request: whoever wants more connects again.
Partner: `server.py`, which has the sockets. Source: RFC 9112, "HTTP/1.1".
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

REQUEST_BYTES_MAX = 8192
"""Far above what Prometheus, load balancers and browsers send."""

TEXT = "text/plain; charset=utf-8"
METHODS = ("GET", "HEAD")

_END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (/[!-~]*) HTTP/1\.[0-9]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~\t\x80-\xff]*)")
# Below this the head of gzip is most of it.
_GZIP_BYTES_MIN = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; the names of `fields` are in lower case."""

    method: str
    path: str
    fields: Mapping[str, str]

    def accepts(self, name: str, wanted: str) -> bool:
        """Say whether a header names this as acceptable (a weight of 0 says that it is not)."""
        for item in self.fields.get(name, "").lower().split(","):
            word, *parameters = (part.strip() for part in item.split(";"))
            if word == wanted:
                return not any(re.fullmatch(r"q=0(\.0*)?", part) for part in parameters)
        return False


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT
    fields: Mapping[str, str] = field(default_factory=dict)


class BadRequest(Exception):
    """A request that cannot be answered as it is asked for."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.response = plain(status, f"{status.phrase.lower()}\n")


class RequestReader:
    """Feed it what comes until it gives the request."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Request | None:
        """Add bytes; None: more is needed. Raises: BadRequest."""
        self._data += data
        end = _END.search(self._data)
        if end is None and len(self._data) <= REQUEST_BYTES_MAX:
            return None
        if end is None or end.end() > REQUEST_BYTES_MAX:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return _parse(self._data[: end.start()])


def plain(status: HTTPStatus, words: str, **fields: str) -> Response:
    """Answer in words."""
    return Response(status, words.encode(), fields=fields)


def respond(request: Request | None, response: Response) -> bytes:
    """Write an answer; to HEAD, without its body. `request` None: it could not be read."""
    body, fields = response.body, dict(response.fields)
    if request is not None and len(body) >= _GZIP_BYTES_MIN:
        fields["Vary"] = "Accept, Accept-Encoding"
        if request.accepts("accept-encoding", "gzip"):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            fields["Content-Encoding"] = "gzip"
    head = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
    head += [f"Content-Type: {response.content_type}", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in fields.items()]
    head += ["Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Connection: close"]
    is_head = request is not None and request.method == "HEAD"
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (b"" if is_head else body)


def _parse(head: bytes) -> Request:
    line, *rest = head.split(b"\n")
    asked = _LINE.fullmatch(line.removesuffix(b"\r"))
    if asked is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    fields: dict[str, str] = {}
    for each in rest:
        found = _FIELD.fullmatch(each.removesuffix(b"\r"))
        if found is None:
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        name, value = (part.decode("latin-1") for part in found.groups())
        name = name.lower()
        # Of a header that stands there twice the values are one list (RFC 9110).
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    if fields.get("content-length", "0").strip() != "0" or "transfer-encoding" in fields:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    path = asked[2].decode("latin-1").partition("?")[0]
    return Request(asked[1].decode("latin-1"), path, fields)
