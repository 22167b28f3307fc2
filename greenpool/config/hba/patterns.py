"""Names and addresses in rules: from tokens to what they match. Partner: `rule.py`."""

from __future__ import annotations

import ipaddress
import re
import warnings

from greenpool.config.hba.rule import (
    Address,
    AddressKeyword,
    HostName,
    NameKind,
    NamePattern,
    Network,
)
from greenpool.config.hba.tokens import Token
from greenpool.config.tree import Mark

MAX_REGEX_CHARACTERS = 1024

_HOST_NAME = re.compile(r"\.?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_LOOKS_NUMERIC = re.compile(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
_BITS = {4: 32, 6: 128}


class Wrong(Exception):
    """What is wrong with a rule, and where; caught where rules are read."""

    def __init__(self, mark: Mark, what: str) -> None:
        super().__init__(what)
        self.mark = mark
        self.what = what


def read_database(token: Token) -> NamePattern:
    """Read what a rule says about databases. Raises: Wrong."""
    for kind in (NameKind.ALL, NameKind.SAMEUSER, NameKind.REPLICATION):
        if token.is_keyword(kind.value):
            return NamePattern(kind, token.text)
    if token.is_keyword("samerole") or token.is_keyword("samegroup"):
        what = f'"{token.text}" is not supported: greenpool does not know who is a member of a role'
        raise Wrong(token.mark, what)
    return _literal_or_regex(token)


def read_user(token: Token) -> NamePattern:
    """Read what a rule says about users. Raises: Wrong."""
    if token.is_keyword(NameKind.ALL.value):
        return NamePattern(NameKind.ALL, token.text)
    if not token.is_quoted and token.text.startswith("+"):
        what = (
            f'"{token.text}" is not supported: greenpool does not know who is a member of a role '
            "(list the users, or use a regular expression)"
        )
        raise Wrong(token.mark, what)
    return _literal_or_regex(token)


def read_system_user(token: Token) -> NamePattern:
    """Read the outside name of a map: a name or a regular expression. Raises: Wrong."""
    return _literal_or_regex(token)


def _literal_or_regex(token: Token) -> NamePattern:
    if not token.text.startswith("/"):
        return NamePattern(NameKind.LITERAL, token.text)
    return NamePattern(NameKind.REGEX, token.text, _compile(token))


def _compile(token: Token) -> re.Pattern[str]:
    """Compile a regular expression to mean what it means to PostgreSQL, or refuse it."""
    source = token.text[1:]
    if len(source) > MAX_REGEX_CHARACTERS:
        raise Wrong(token.mark, f"a regular expression of more than {MAX_REGEX_CHARACTERS} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python warns of [[:alpha:]], which it reads otherwise
            return re.compile(_end_at_end(source), re.DOTALL)
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, RecursionError) as error:
        what = f'invalid regular expression "{source}": {str(error).lower()}'
        raise Wrong(token.mark, what) from error


def _end_at_end(source: str) -> str:
    r"""Write `$` as `\Z`: Python's would also match before a newline at the end of a name."""
    out, is_in_set, at = "", False, 0
    while at < len(source):
        character = source[at]
        if character == "\\":
            out += source[at : at + 2]
            at += 2
            continue
        if is_in_set:
            is_in_set = character != "]"
        elif character == "[":
            is_in_set = True
            if source[at + 1 : at + 2] == "^":
                character += "^"
                at += 1
            if source[at + 1 : at + 2] == "]":  # the first of a set is itself
                character += "]"
                at += 1
        elif character == "$":
            character = r"\Z"
        out += character
        at += 1
    return out


def read_address(token: Token, mask: Token | None) -> Address:
    """Read an address, with a separate mask if there is one (see `needs_mask`). Raises: Wrong."""
    for keyword in AddressKeyword:
        if token.is_keyword(keyword.value):
            return keyword
    text, slash, bits = token.text.partition("/")
    if not _LOOKS_NUMERIC.fullmatch(text):
        return _host_name(token, has_bits=bool(slash))
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Wrong(token.mark, f'invalid IP address "{text}"') from None
    if slash:
        return Network(address.version, int(address), _mask_of_bits(token, address.version, bits))
    assert mask is not None
    return Network(address.version, int(address), _mask(mask, address.version))


def needs_mask(token: Token) -> bool:
    """Say whether a mask must follow in a field of its own."""
    return "/" not in token.text and bool(_LOOKS_NUMERIC.fullmatch(token.text))


def _mask_of_bits(token: Token, version: int, bits: str) -> int:
    width = _BITS[version]
    if not re.fullmatch("[0-9]{1,3}", bits) or int(bits) > width:
        raise Wrong(token.mark, f'invalid CIDR mask in address "{token.text}"')
    return (1 << width) - (1 << (width - int(bits)))


def _mask(token: Token, version: int) -> int:
    try:
        mask = ipaddress.ip_address(token.text)
    except ValueError:
        raise Wrong(token.mark, f'invalid IP mask "{token.text}"') from None
    if mask.version != version:
        raise Wrong(token.mark, "IP address and mask do not match")
    return int(mask)


def _host_name(token: Token, *, has_bits: bool) -> HostName:
    if has_bits:
        what = f'specifying both host name and CIDR mask is invalid: "{token.text}"'
        raise Wrong(token.mark, what)
    name = token.text.lower()
    if not _HOST_NAME.fullmatch(name):
        raise Wrong(token.mark, f'"{token.text}" is neither an address nor a host name')
    return HostName(name)
