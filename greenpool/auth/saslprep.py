"""SASLprep (RFC 4013) exactly as PostgreSQL applies it to passwords.

Law: a password that cannot be prepared is used as it is, as PostgreSQL does, so that a login never
fails for its characters. PostgreSQL checks the mapped text, before normalization, for
prohibited and bidirectional characters; so does this, or the keys would differ.
Source: RFC 3454, RFC 4013; PostgreSQL `saslprep.c`.
"""

from __future__ import annotations

import stringprep
import unicodedata

from greenpool.protocol.message import encode_text

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def prepare_password(password: str) -> bytes:
    """Return the bytes of a password that enter PBKDF2."""
    prepared = saslprep(password)
    return encode_text(password if prepared is None else prepared)


def saslprep(text: str) -> str | None:
    """Prepare a string; None if it is empty afterwards or holds what SASLprep prohibits."""
    if text.isascii():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if stringprep.in_table_c12(char) or not stringprep.in_table_b1(char)
    )
    if not mapped or any(table(char) for char in mapped for table in _PROHIBITED):
        return None
    if not _is_bidi_lawful(mapped):
        return None
    return unicodedata.normalize("NFKC", mapped)


def _is_bidi_lawful(text: str) -> bool:
    """Check RFC 3454 section 6: right-to-left text starts and ends so, and is not mixed."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    if any(map(stringprep.in_table_d2, text)):
        return False
    return stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
