"""Logins with psql, psycopg and asyncpg: one after the other, as test_logins.py wants them.

Run with the name of the driver.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psycopg
from psycopg.conninfo import make_conninfo

QUESTION = "select 'served'"


class Login(NamedTuple):
    """A line of GREENPOOL_LOGINS; what is not to be used is empty."""

    name: str
    user: str
    password: str
    authority: str
    certificate: str
    key: str
    key_der: str


def conninfo(login: Login) -> str:
    options = {"sslmode": "disable"}
    if login.authority:
        options = {"sslmode": "verify-full", "sslrootcert": login.authority}
        options |= {"sslcert": login.certificate or "/none", "sslkey": login.key or "/none"}
    options |= {"user": login.user, "password": login.password}
    return make_conninfo(os.environ["GREENPOOL_DSN"], **options)


def by_psycopg(login: Login) -> str:
    try:
        with psycopg.connect(conninfo(login)) as connection:
            return connection.execute(QUESTION).fetchall()[0][0]
    except psycopg.OperationalError as exc:
        return str(exc)


def by_psql(login: Login) -> str:
    command = ["psql", "-XAtq", "-d", conninfo(login), "-c", QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


def by_asyncpg(login: Login) -> str:
    return asyncio.run(_ask(login))


async def _ask(login: Login) -> str:
    context: ssl.SSLContext | bool = False
    if login.authority:
        context = ssl.create_default_context(cafile=login.authority)
        if login.certificate:
            context.load_cert_chain(login.certificate, login.key)
    try:
        connection = await asyncpg.connect(
            os.environ["GREENPOOL_DSN"], user=login.user, password=login.password, ssl=context
        )
    except asyncpg.PostgresError as exc:
        return str(exc)
    try:
        return str(await connection.fetchval(QUESTION))
    finally:
        await connection.close()


ATTEMPTS: dict[str, Callable[[Login], str]] = {
    "psql": by_psql,
    "psycopg": by_psycopg,
    "asyncpg": by_asyncpg,
}

if __name__ == "__main__":
    for line in Path(os.environ["GREENPOOL_LOGINS"]).read_text().splitlines():
        login = Login(*line.split("\t"))
        answer = ATTEMPTS[sys.argv[1]](login)
        print(f"{login.name}\t{' '.join(answer.split())}")
