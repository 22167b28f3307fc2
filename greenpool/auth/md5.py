"""MD5 authentication: a challenge of four bytes, an answer that proves the hash.

Kept because PostgreSQL keeps it; a secret of this kind is as good as the password, for both
sides only ever use the hash.
Source: "Message Flow > Start-up" (AuthenticationMD5Password); PostgreSQL `md5_crypt_verify`.
"""

from __future__ import annotations

import hashlib

from greenpool.auth.secret import Md5Hash
from greenpool.protocol.message import encode_text

SALT_BYTES = 4


def md5_hash(user: str, password: str) -> Md5Hash:
    """Return what PostgreSQL stores for a password with password_encryption = md5."""
    return Md5Hash(_md5(encode_text(password) + encode_text(user)))


def md5_response(stored: Md5Hash, salt: bytes) -> str:
    """Return the answer to a challenge: the password to put into PasswordMessage."""
    return _md5(stored.text.removeprefix("md5").encode() + salt)


def _md5(data: bytes) -> str:
    return "md5" + hashlib.md5(data).hexdigest()
