"""Rows of SHOW HBA: the rules in force, with the columns of PostgreSQL's pg_hba_file_rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from greenpool.admin.result import Row
from greenpool.admin.view import View
from greenpool.config import SECRET_OPTIONS, Address, HbaRule, HostName, Network
from greenpool.protocol.backend import INT8, Column

HBA_COLUMNS = (
    Column("rule_number", INT8),
    Column("file_name"),
    Column("line_number", INT8),
    Column("type"),
    Column("database"),
    Column("user_name"),
    Column("address"),
    Column("netmask"),
    Column("auth_method"),
    Column("options"),
)
_MASK = "********"


def hba_rows(view: View) -> Iterable[Row]:
    """Give the rules in order; what holds without pg_hba has no line."""
    for number, rule in enumerate(view.config.general.access_rules, 1):
        yield _row(number, rule)


def _row(number: int, rule: HbaRule) -> Row:
    address, netmask = _address(rule.address)
    return (
        number,
        rule.mark.file or None,
        rule.mark.line or None,
        rule.type.value,
        ",".join(map(str, rule.databases)),
        ",".join(map(str, rule.users)),
        address,
        netmask,
        rule.method.value,
        ",".join(f"{name}={_shown(name, value)}" for name, value in rule.options.items()),
    )


def _shown(name: str, value: str) -> str:
    return _MASK if name in SECRET_OPTIONS else value


def _address(address: Address | None) -> tuple[str | None, str | None]:
    if address is None:
        return None, None
    if isinstance(address, HostName):
        return address.name, None
    if isinstance(address, Network):
        make = ipaddress.IPv4Address if address.version == 4 else ipaddress.IPv6Address
        return str(make(address.address)), str(make(address.mask))
    return address.value, None
