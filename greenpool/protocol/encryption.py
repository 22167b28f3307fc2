"""How one login after another goes about encryption, by what server_tls_mode allows.

    server_tls_mode   first    when PostgreSQL refuses it (28000), or the handshake fails
    disable           plain
    allow             plain    TLS
    prefer            TLS      plain; a server that has no TLS is spoken to as it is
    require, verify-* TLS

UNIX sockets have no TLS, whatever the mode. Partners: `worker/server_tls.py`, `inquiry/`.
Source: libpq "SSL Support", `fe-connect.c`.
"""

from __future__ import annotations

from enum import Enum

from greenpool.config import ServerTlsMode


class Step(Enum):
    """How one attempt to log in goes about encryption."""

    PLAIN = "plain"
    TLS_IF_ANY = "TLS if the server has it"
    TLS = "TLS"


def steps(host: str, mode: ServerTlsMode) -> tuple[Step, ...]:
    """Return the ways to log in, in the order in which they are tried."""
    return (Step.PLAIN,) if host.startswith("/") else _STEPS[mode]


_STEPS = {
    ServerTlsMode.DISABLE: (Step.PLAIN,),
    ServerTlsMode.ALLOW: (Step.PLAIN, Step.TLS),
    ServerTlsMode.PREFER: (Step.TLS_IF_ANY, Step.PLAIN),
    ServerTlsMode.REQUIRE: (Step.TLS,),
    ServerTlsMode.VERIFY_CA: (Step.TLS,),
    ServerTlsMode.VERIFY_FULL: (Step.TLS,),
}
