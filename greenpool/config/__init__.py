"""The configuration: one table of keys (table.py), and what follows from it.

Others use what is named here and nothing else of this package.
"""

from greenpool.config.changes import Changes, changes, keep_restart_keys
from greenpool.config.checks import ADMIN_DATABASES, DEFAULT_ADMIN_PASSWORD
from greenpool.config.choices import (
    IoBackend,
    LogFormat,
    LogLevel,
    PoolMode,
    ServerTlsMode,
    SessionState,
    TlsMode,
)
from greenpool.config.frozen_map import FrozenMap
from greenpool.config.hba.options import SECRET_OPTIONS
from greenpool.config.hba.rule import (
    BACKREFERENCE,
    Address,
    AddressKeyword,
    ConnectionType,
    HbaMethod,
    HbaRule,
    HbaRules,
    HostName,
    IdentRule,
    IdentRules,
    NameKind,
    NamePattern,
    Network,
)
from greenpool.config.jwt_keys import JwtKey, JwtKeys, parse_jwt_keys
from greenpool.config.key import Section
from greenpool.config.kinds import is_setting
from greenpool.config.loading import load, peek_pid_file
from greenpool.config.members import (
    LOOKUP_USER,
    Kind,
    Member,
    PoolKey,
    guest_member,
    heir_of,
    home_of,
    lookup_of,
    members,
    pool_of,
)
from greenpool.config.model import (
    TEMPLATE,
    AuthQuery,
    Config,
    General,
    Parameters,
    Pool,
    User,
    Web,
)
from greenpool.config.named_kinds import FileSecret
from greenpool.config.pem import PemFile
from greenpool.config.reference import reference, sample
from greenpool.config.setting import SETTABLE, parse_setting, setting_of, with_setting
from greenpool.config.show import show_rows
from greenpool.config.table import is_supported
from greenpool.config.tree import is_unicode

__all__ = [
    "ADMIN_DATABASES",
    "BACKREFERENCE",
    "DEFAULT_ADMIN_PASSWORD",
    "LOOKUP_USER",
    "SECRET_OPTIONS",
    "SETTABLE",
    "TEMPLATE",
    "Address",
    "AddressKeyword",
    "AuthQuery",
    "Changes",
    "Config",
    "ConnectionType",
    "FileSecret",
    "FrozenMap",
    "General",
    "HbaMethod",
    "HbaRule",
    "HbaRules",
    "HostName",
    "IdentRule",
    "IdentRules",
    "IoBackend",
    "JwtKey",
    "JwtKeys",
    "Kind",
    "LogFormat",
    "LogLevel",
    "Member",
    "NameKind",
    "NamePattern",
    "Network",
    "Parameters",
    "PemFile",
    "Pool",
    "PoolKey",
    "PoolMode",
    "Section",
    "ServerTlsMode",
    "SessionState",
    "TlsMode",
    "User",
    "Web",
    "changes",
    "guest_member",
    "heir_of",
    "home_of",
    "is_setting",
    "is_supported",
    "is_unicode",
    "keep_restart_keys",
    "load",
    "lookup_of",
    "members",
    "parse_jwt_keys",
    "parse_setting",
    "peek_pid_file",
    "pool_of",
    "reference",
    "sample",
    "setting_of",
    "show_rows",
    "with_setting",
]
