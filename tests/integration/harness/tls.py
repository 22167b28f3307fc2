"""What tests of TLS share: an authority, a greenpool's certificate, a libpq of version 15."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greenpool.demo.installation import find_installations
from tests.integration.harness.certificates import Authority, Issued
from tests.integration.harness.pooler import Connection, Pooler
from tests.integration.harness.postgres import PostgreSQL
from tests.integration.harness.programs import Done, run_psql
from tests.integration.harness.waiting import wait_for

_PSQL_15 = next(each for each in find_installations() if each.major == 15).program("psql")


class House:
    """Own an authority, and the certificate of a greenpool on 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority(directory)
        self.stranger = Authority(directory, "stranger")
        self.server = self.issue_server()

    def issue_server(self, **how: Any) -> Issued:
        return self.authority.issue(
            "greenpool", names=["localhost"], addresses=["127.0.0.1"], **how
        )

    def settings(self, own: Issued | None = None, **more: Any) -> dict[str, Any]:
        own = own or self.server
        files = {"tls_certificate": str(own.certificate), "tls_private_key": str(own.key)}
        return {**files, **more}

    def asking(self, **more: Any) -> dict[str, Any]:
        """Settings that ask clients for a certificate of the authority."""
        return self.settings(tls_ca_cert=str(self.authority.certificate), **more)

    def context(self, alpn: str | None = None, client: Issued | None = None) -> ssl.SSLContext:
        """Make what Python's own TLS needs to trust this greenpool."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if alpn is not None:
            context.set_alpn_protocols([alpn])
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context


def psql_15(pooler: Pooler, **options: str) -> Done:
    return run_psql(_PSQL_15, pooler.dsn(**options), "select 'served'")


def files_of(issued: Issued) -> dict[str, str]:
    return {"sslcert": str(issued.certificate), "sslkey": str(issued.key)}


def copy_in_and_out(connection: Connection) -> None:
    """Stream 4 MB in each direction."""
    connection.execute("begin; create temp table copied (n int, t text) on commit drop")
    with connection.cursor().copy("copy copied from stdin") as copy:
        for n in range(20_000):
            copy.write_row((n, "y" * 200))
    with connection.cursor().copy("copy copied to stdout") as copy:
        assert sum(len(bytes(part)) for part in copy) > 4_000_000
    connection.execute("rollback")


def is_well(pooler: Pooler) -> bool:
    """Say whether a client can still come in, and be served."""
    with pooler.connect(sslmode="disable") as connection:
        return connection.execute("select 1").fetchone() == (1,)


@contextmanager
def encrypted(
    pg: PostgreSQL, own: Issued, hba: str = "", authorities: Path | None = None
) -> Iterator[None]:
    """Let a PostgreSQL speak TLS; `hba`: lines that come before its own."""
    data = pg.data_dir
    rules = data / "pg_hba.conf"
    usual = rules.read_text()
    files = {"ssl_cert_file": own.certificate, "ssl_key_file": own.key}
    if authorities is not None:
        files["ssl_ca_file"] = authorities
    for name, file in files.items():
        _give(file, data / f"{name}.pem")
        pg.sql(f"alter system set {name} = '{name}.pem'")
    pg.sql("alter system set ssl = on")
    rules.write_text(hba + usual)
    try:
        _reload(pg, "on")
        yield
    finally:
        rules.write_text(usual)
        for name in (*files, "ssl"):
            pg.sql(f"alter system reset {name}")
        _reload(pg, "off")


def _give(source: Path, target: Path) -> None:
    """Copy a file so that the server may read it, and nobody else."""
    target.touch(mode=0o600)
    target.write_bytes(source.read_bytes())
    owner = target.parent.stat()
    os.chown(target, owner.st_uid, owner.st_gid)


def _reload(pg: PostgreSQL, ssl_is: str) -> None:
    pg.sql("select pg_reload_conf()")
    wait_for(lambda: pg.sql("show ssl") == [(ssl_is,)], f"ssl is {ssl_is}")
    pg.terminate("app")
