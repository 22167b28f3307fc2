"""The kinds of values that are names, addresses and secrets; see kinds.py for the rest."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from greenpool.config.jwt_keys import JWT_KEY_PREFIX, JwtKeys, read_jwt_keys
from greenpool.config.key import Invalid, Key, Kind
from greenpool.config.kinds import text_of
from greenpool.config.tree import Node

NAME_BYTES = 63  # PostgreSQL's NAMEDATALEN - 1: longer names are cut there and match nothing
JWT_PREFIX = "jwt-"
SCRAM_PREFIX = "SCRAM-SHA-256$"
MASK = "********"
_BASE64 = "[A-Za-z0-9+/]+={0,2}"
_SCRAM_SECRET = re.compile(
    rf"SCRAM-SHA-256\$[1-9][0-9]{{0,8}}:{_BASE64}\$[A-Za-z0-9+/]{{43}}=:[A-Za-z0-9+/]{{43}}="
)


class FileSecret(str):
    """A secret that a file holds: its text when it was read, and where it may be read again."""

    path: Path

    def __new__(cls, text: str, path: Path) -> FileSecret:
        secret = super().__new__(cls, text)
        secret.path = path
        return secret

    def __getnewargs__(self) -> tuple[str, Path]:  # type: ignore[override]  # str's has no path
        return str(self), self.path

    def __eq__(self, other: object) -> bool:
        is_there = not isinstance(other, FileSecret) or other.path == self.path
        return is_there and super().__eq__(other)

    __hash__ = str.__hash__


def _read_name(node: Node, key: Key) -> str:
    name = text_of(node)
    if not name:
        raise Invalid("is empty")
    size = len(name.encode())
    if size > NAME_BYTES:
        raise Invalid(f"is {size} bytes long; a PostgreSQL name has at most {NAME_BYTES}")
    return name


def secret_file(node: Node) -> Path:
    """Return the file that `node` names."""
    return node.mark.relative(text_of(node, "a file name")).absolute()


def read_secret_file(node: Node) -> Node:
    """Return a node with the text of the file that `node` names, without its last newline."""
    file = secret_file(node)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise Invalid(f'cannot read "{file}": {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise Invalid(f'"{file}" is not UTF-8') from error
    return Node(text.removesuffix("\n").removesuffix("\r"), node.mark)


def _read_secret(node: Node, key: Key) -> str:
    if not isinstance(node.value, str):
        found = "a mapping or list" if isinstance(node.value, dict | list) else "something else"
        raise Invalid(f"expected a string, found {found} (put it in quotes)")
    if "\0" in node.value:
        raise Invalid("must not contain a zero byte")
    return node.value


def _read_client_secret(node: Node, key: Key) -> str | JwtKeys:
    """Read what a client must prove to know, or the keys that vouch for its tokens."""
    secret = _read_secret(node, key)
    if not secret:
        raise Invalid("is empty (leave the key out to ask this user for no password)")
    if secret.startswith(JWT_KEY_PREFIX):
        return read_jwt_keys(node.mark.relative(secret.removeprefix(JWT_KEY_PREFIX)).absolute())
    if secret.startswith(SCRAM_PREFIX) and not _SCRAM_SECRET.fullmatch(secret):
        raise Invalid('begins like a SCRAM secret, but is not "SCRAM-SHA-256$n:salt$key:key"')
    return secret


def _read_server_secret(node: Node, key: Key) -> str:
    """Read what greenpool proves to a server: a plain password or an MD5 hash."""
    secret = _read_secret(node, key)
    if secret.startswith(JWT_PREFIX):
        raise Invalid("not supported yet (login with a JSON web token)")
    if secret.startswith(SCRAM_PREFIX):
        raise Invalid("a SCRAM secret cannot be used to log in: a plain password is needed")
    return secret


def _read_command(node: Node, key: Key) -> tuple[str, ...]:
    """Read a program with its arguments, or a line for the shell."""
    if not isinstance(node.value, list):
        line = text_of(node, "a command")
        words: tuple[str, ...] = ("/bin/sh", "-c", line) if line else ()
    else:
        words = tuple(text_of(item, "a word of the command") for item in node.value)
    if not words or not words[0]:
        raise Invalid("is empty")
    return words


def _show_command(value: tuple[str, ...]) -> str:
    return " ".join(value)


def _read_listen(node: Node, key: Key) -> tuple[str, ...]:
    items = node.value if isinstance(node.value, list) else [node]
    return tuple(_address(item) for item in items)


def _address(node: Node) -> str:
    text = text_of(node, "an IPv4 or IPv6 address")
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        hints = {"localhost": ' (use "127.0.0.1")', "*": ' (use "0.0.0.0" or "::")'}
        hint = hints.get(text, "")
        raise Invalid(f'expected an IPv4 or IPv6 address, found "{text}"{hint}') from None


def _read_server_host(node: Node, key: Key) -> str:
    host = text_of(node, "an address or a socket directory")
    if not host:
        raise Invalid("is empty")
    if host.startswith("/"):
        if ".s.PGSQL." in host:
            raise Invalid(f'"{host}" is a socket: name its directory')
        return host
    if re.search(r"[\s/@]", host):
        raise Invalid(f'"{host}" is neither a host name, an address nor an absolute directory')
    if host.count(":") == 1:
        raise Invalid(f'"{host}" holds a port: put that into server_port')
    return host


def _read_networks(node: Node, key: Key) -> tuple[str, ...]:
    if not isinstance(node.value, list):
        raise Invalid(f"expected a list of networks, found {node.describe()}")
    return tuple(_network(item) for item in node.value)


def _network(node: Node) -> str:
    text = text_of(node, "a network")
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise Invalid(f'expected a network such as "10.0.0.0/8", found "{text}"') from None


def _show_listen(value: tuple[str, ...]) -> str:
    return ", ".join(value)


def _show_secret(value: object) -> str:
    return MASK if value else ""


NAME = Kind("name", _read_name)
SECRET = Kind("secret", _read_secret, _show_secret, is_secret=True)
CLIENT_SECRET = Kind("secret", _read_client_secret, _show_secret, is_secret=True)
SERVER_SECRET = Kind("secret", _read_server_secret, _show_secret, is_secret=True)
COMMAND = Kind("command", _read_command, _show_command, unset=())
LISTEN = Kind("address or list of addresses", _read_listen, _show_listen, unset=())
SERVER_HOST = Kind("address or socket directory", _read_server_host)
NETWORKS = Kind("list of networks", _read_networks, _show_listen, unset=())
