"""What the observer answers: /metrics, /healthz, /readyz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client import exposition as text
from prometheus_client.openmetrics import exposition as openmetrics

from greenpool.observe import health
from greenpool.observe.collector import SceneCollector
from greenpool.observe.health import Verdict
from greenpool.observe.http import METHODS, Request, Response, plain
from greenpool.observe.scene import Scene

_OPENMETRICS = "application/openmetrics-text"


class Pages:
    """Answer requests from what `look` sees."""

    def __init__(self, look: Callable[[], Scene]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(SceneCollector(look))
        self._pages: Mapping[str, Callable[[Request], Response]] = {
            "/metrics": self._metrics,
            "/healthz": lambda _: _health(health.lives(look())),
            "/readyz": lambda _: _health(health.is_ready(look())),
        }

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        page = self._pages.get(request.path)
        if page is None:
            words = f"there is nothing here; there are {', '.join(self._pages)}\n"
            return plain(HTTPStatus.NOT_FOUND, words)
        if request.method not in METHODS:
            words = "these pages are only to be read\n"
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, words, Allow=", ".join(METHODS))
        return page(request)

    def _metrics(self, request: Request) -> Response:
        if request.accepts("accept", _OPENMETRICS):
            body: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]  # has no types
            return Response(HTTPStatus.OK, body, openmetrics.CONTENT_TYPE_LATEST)
        body = text.generate_latest(self._registry)
        return Response(HTTPStatus.OK, body, text.CONTENT_TYPE_PLAIN_0_0_4)


def _health(verdict: Verdict) -> Response:
    status = HTTPStatus.OK if verdict.is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return plain(status, verdict.words)
