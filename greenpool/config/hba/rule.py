"""The rules of who may come in, as pg_hba.conf and pg_ident.conf say them. Partner: `auth.hba`.

Law: rules are values: equal when they say the same, whoever wrote them; options may be secrets and
are in no repr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

from greenpool.config.jwt_keys import JwtKeys
from greenpool.config.tree import Mark


class ConnectionType(StrEnum):
    """The first word of a rule: which connections it speaks of."""

    LOCAL = "local"
    HOST = "host"
    HOSTSSL = "hostssl"
    HOSTNOSSL = "hostnossl"


class HbaMethod(StrEnum):
    """How whoever a rule speaks of shows who they are.

    BY_SECRET stands in no file: it is what holds where there are no rules (`no_rules`).
    """

    TRUST = "trust"
    REJECT = "reject"
    MD5 = "md5"
    SCRAM_SHA_256 = "scram-sha-256"
    PASSWORD = "password"
    PEER = "peer"
    CERT = "cert"
    PAM = "pam"
    LDAP = "ldap"
    JWT = "jwt"
    BY_SECRET = "by secret"


class NameKind(Enum):
    """What a word in the place of a database or user means."""

    LITERAL = "literal"
    REGEX = "regex"
    ALL = "all"
    SAMEUSER = "sameuser"
    REPLICATION = "replication"


@dataclass(frozen=True, slots=True)
class NamePattern:
    """One of the databases or users of a rule; `text` as a file could write it, unquoted."""

    kind: NameKind
    text: str
    regex: re.Pattern[str] | None = None

    def __str__(self) -> str:
        """Write it as in a file."""
        is_special = self.text in _KEYWORDS or self.text[:1] in ("", "/", "@", "+")
        if self.kind is not NameKind.LITERAL or not (is_special or _NEEDS_QUOTES.search(self.text)):
            return self.text
        return '"' + self.text.replace('"', '""') + '"'


class AddressKeyword(StrEnum):
    """Addresses by a word."""

    ALL = "all"
    SAMEHOST = "samehost"
    SAMENET = "samenet"


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses of one IP version whose bits under `mask` are those of `address`."""

    version: int
    address: int
    mask: int


@dataclass(frozen=True, slots=True)
class HostName:
    """A host by its name in lower case; one that begins with a dot: all below it."""

    name: str


Address: TypeAlias = AddressKeyword | Network | HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class HbaRule:
    """One line. `address` is None for `local` rules. `mark.file` is empty for text in place.

    `jwt_keys` are those of the option jwt_key.
    """

    mark: Mark
    type: ConnectionType
    databases: tuple[NamePattern, ...]
    users: tuple[NamePattern, ...]
    address: Address | None
    method: HbaMethod
    options: Mapping[str, str] = field(repr=False)
    jwt_keys: JwtKeys | None = None


@dataclass(frozen=True, slots=True)
class IdentRule:
    """One line of a user name map: who is `system_user` outside may be `user` here."""

    mark: Mark
    map: str
    system_user: NamePattern
    user: NamePattern


BACKREFERENCE = r"\1"
"""In the user of a map: what the first group of the system user's regular expression matched."""

HbaRules: TypeAlias = tuple[HbaRule, ...]
IdentRules: TypeAlias = tuple[IdentRule, ...]

ALL_NAMES = (NamePattern(NameKind.ALL, "all"),)
_KEYWORDS = frozenset(("all", "sameuser", "samegroup", "samerole", "replication"))
_NEEDS_QUOTES = re.compile(r'[\s,"#]')
