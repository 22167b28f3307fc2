"""Cleartext passwords: the client sends the password itself, whatever the kind of our secret.

Only fit for encrypted connections or UNIX sockets, and for passwords that must reach an outside
authority. Every check but md5 costs one `derive`, also for users that do not exist.
Source: "Message Flow > Start-up" (AuthenticationCleartextPassword); PostgreSQL
`plain_crypt_verify`.
"""

from __future__ import annotations

import hmac

from greenpool.auth.md5 import md5_hash
from greenpool.auth.secret import (
    Derive,
    Md5Hash,
    PlainSecret,
    ScramSecret,
    Secret,
    derive_keys,
)


def cleartext_verify(
    secret: Secret, user: str, password: str, derive: Derive = derive_keys
) -> bool:
    """Check a password. Switches: if `derive` does."""
    if isinstance(secret, Md5Hash):
        computed = md5_hash(user, password)
        return hmac.compare_digest(computed.text, secret.text)
    scram = secret.scram if isinstance(secret, PlainSecret) else secret
    return _verify_scram(scram, password, derive)


def _verify_scram(secret: ScramSecret, password: str, derive: Derive) -> bool:
    keys = derive(password, secret.salt, secret.iterations)
    return hmac.compare_digest(keys.server_key, secret.server_key)
