"""Run PostgreSQL's own clients, psql and pgbench, to their end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

PASSWORD = "secret"
DEADLINE_S = 50.0

Done = subprocess.CompletedProcess[str]


def run_psql(psql: str, dsn: str, script: str, *arguments: str) -> Done:
    """Feed a script to psql: no psqlrc, unaligned, tuples only, quiet."""
    return _run([psql, "-XAtq", *arguments, dsn], script)


def run_pgbench(
    pgbench: str, address: tuple[str, int], user: str, database: str, *arguments: str
) -> str:
    """Run pgbench and return its summary; fail with what it said when it does not end well."""
    host, port = address
    where = ["-h", host, "-p", str(port), "-U", user]
    done = _run([pgbench, *where, *arguments, database], "")
    assert done.returncode == 0, f"pgbench failed: {done.stdout}\n{done.stderr}"
    return done.stdout


def _run(command: Sequence[str], standard_input: str) -> Done:
    return subprocess.run(
        command,
        env={**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "20"},
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
