"""Lines -> rules of pg_hba.conf. A line that is wrong is complained of and left out.

    type  database  user  [address  [mask]]  method  [name=value ...]

Source: PostgreSQL `parse_hba_line`; its texts where it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from greenpool.config.frozen_map import FrozenMap
from greenpool.config.hba.options import missing_package, read_options
from greenpool.config.hba.patterns import (
    Wrong,
    needs_mask,
    read_address,
    read_database,
    read_user,
)
from greenpool.config.hba.rule import (
    ALL_NAMES,
    Address,
    AddressKeyword,
    ConnectionType,
    HbaMethod,
    HbaRule,
    HbaRules,
    Network,
)
from greenpool.config.hba.tokens import INLINE, Complaint, Field, Line, Token
from greenpool.config.jwt_keys import JwtKeys, read_jwt_keys
from greenpool.config.key import Invalid
from greenpool.config.kinds import did_you_mean
from greenpool.config.tree import Mark

_GSS = ("hostgssenc", "hostnogssenc")
_METHODS = tuple(method.value for method in HbaMethod if method is not HbaMethod.BY_SECRET)
# PostgreSQL has them, and on purpose greenpool does not.
_OTHER_METHODS = frozenset(("bsd", "gss", "ident", "oauth", "radius", "sspi"))


def parse_hba(
    lines: Iterable[Line], directory: Path, complaints: list[Complaint]
) -> tuple[HbaRule, ...]:
    """Read rules; `directory` is that of text in place, for the files that it names."""
    rules: list[HbaRule] = []
    for line in lines:
        try:
            rules.append(_Reader(line, directory).rule())
        except Wrong as wrong:
            complaints.append((wrong.mark, wrong.what))
    return tuple(rules)


def no_rules(networks: Sequence[str] = ()) -> HbaRules:
    """Return what holds without pg_hba: the user's secret decides, for all or these networks."""
    addresses: list[Address] = [_network(each) for each in networks] or [AddressKeyword.ALL]
    local = _by_secret(ConnectionType.LOCAL, None)
    return (local, *(_by_secret(ConnectionType.HOST, each) for each in addresses))


def _by_secret(connection: ConnectionType, address: Address | None) -> HbaRule:
    return HbaRule(
        mark=Mark(INLINE, 0, 0),
        type=connection,
        databases=ALL_NAMES,
        users=ALL_NAMES,
        address=address,
        method=HbaMethod.BY_SECRET,
        options=FrozenMap({}),
    )


def _network(text: str) -> Address:
    address = read_address(Token(text, Mark(INLINE, 0, 0)), None)
    assert isinstance(address, Network), text
    return address


class _Reader:
    """Reads the fields of one line from left to right."""

    def __init__(self, line: Line, directory: Path) -> None:
        self._line = line
        self._at = 0
        self._directory = directory

    def rule(self) -> HbaRule:
        """Return the rule. Raises: Wrong."""
        connection = self._connection()
        databases = tuple(read_database(token) for token in self._next("database specification"))
        users = tuple(read_user(token) for token in self._next("role specification"))
        address = None if connection is ConnectionType.LOCAL else self._address()
        method = self._method(connection)
        place = self._line[0][0].mark
        tokens = [token for field in self._line[self._at :] for token in field]
        options = dict(read_options(tokens, connection, method, place))
        return HbaRule(
            mark=place,
            type=connection,
            databases=databases,
            users=users,
            address=address,
            method=method,
            options=FrozenMap(options),
            jwt_keys=self._jwt_keys(options, place),
        )

    def _connection(self) -> ConnectionType:
        token = self._single("connection type", "connection type per line")
        word = token.text
        if word in _GSS:
            what = f'"{word}" is not supported: greenpool speaks no GSSAPI encryption'
            raise Wrong(token.mark, what)
        if word not in [each.value for each in ConnectionType]:
            what = f'invalid connection type "{word}"' + did_you_mean(word, ConnectionType)
            raise Wrong(token.mark, what)
        return ConnectionType(word)

    def _address(self) -> Address:
        token = self._single("IP address specification", "address range per line")
        mask = None
        if needs_mask(token):
            if self._at == len(self._line):
                what = (
                    "end-of-line before netmask specification (specify an address range in CIDR "
                    "notation, or provide a separate netmask)"
                )
                raise Wrong(token.mark, what)
            mask = self._single("netmask specification", "netmask per line")
        return read_address(token, mask)

    def _method(self, connection: ConnectionType) -> HbaMethod:
        token = self._single("authentication method", "authentication type per line")
        word = token.text
        is_local = connection is ConnectionType.LOCAL
        if is_local and word == "ident":  # PostgreSQL, too, means peer by it
            word = HbaMethod.PEER
        if word in _OTHER_METHODS:
            raise Wrong(token.mark, f'authentication method "{word}" is not supported')
        if word not in _METHODS:
            what = f'invalid authentication method "{word}"' + did_you_mean(word, _METHODS)
            raise Wrong(token.mark, what)
        method = HbaMethod(word)
        if missing := missing_package(method):
            raise Wrong(token.mark, missing)
        if method is HbaMethod.PEER and not is_local:
            raise Wrong(token.mark, "peer authentication is only supported on local sockets")
        if method is HbaMethod.CERT and connection is not ConnectionType.HOSTSSL:
            what = "cert authentication is only supported on hostssl connections"
            raise Wrong(token.mark, what)
        return method

    def _jwt_keys(self, options: dict[str, str], place: Mark) -> JwtKeys | None:
        if "jwt_key" not in options:
            return None
        directory = Path(place.file).parent if place.file != INLINE else self._directory
        try:
            return read_jwt_keys(directory / options["jwt_key"])
        except Invalid as error:
            raise Wrong(place, str(error)) from error

    def _next(self, what: str) -> Field:
        if self._at == len(self._line):
            raise Wrong(self._line[-1][-1].mark, f"end-of-line before {what}")
        self._at += 1
        return self._line[self._at - 1]

    def _single(self, what: str, one: str) -> Token:
        field = self._next(what)
        if len(field) > 1:
            what = f"multiple values specified for {what} (specify exactly one {one})"
            raise Wrong(field[1].mark, what)
        return field[0]
