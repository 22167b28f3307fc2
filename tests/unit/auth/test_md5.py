from __future__ import annotations

import hashlib

from greenpool.auth.md5 import md5_hash, md5_response


def test_md5_hash_is_what_postgresql_stores():
    # set password_encryption = md5; create role postgres password 'postgres'
    assert md5_hash("postgres", "postgres").text == "md53175bce1d3201d16594cebf9d7eb3f9d"


def test_md5_response_depends_on_all_that_it_is_made_of():
    stored = md5_hash("joe", "secret")
    # md5(md5(password || user) || salt), by PostgreSQL's pg_md5_encrypt
    inner = hashlib.md5(b"secretjoe").hexdigest().encode()
    expected = "md5" + hashlib.md5(inner + b"\x01\x02\xff\x00").hexdigest()
    assert md5_response(stored, b"\x01\x02\xff\x00") == expected
    assert md5_response(stored, b"salt") != expected
    assert md5_response(md5_hash("joe", "other"), b"\x01\x02\xff\x00") != expected
