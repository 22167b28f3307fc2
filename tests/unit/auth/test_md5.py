from __future__ import annotations

from greenpool.auth.md5 import md5_hash, md5_response, md5_verify


def test_md5_hash_is_what_postgresql_stores():
    # set password_encryption = md5; create role postgres password 'postgres'
    assert md5_hash("postgres", "postgres").text == "md53175bce1d3201d16594cebf9d7eb3f9d"


def test_md5_sides_agree():
    salt = b"\x01\x02\xff\x00"
    stored = md5_hash("joe", "secret")
    response = md5_response(stored, salt)
    assert response.startswith("md5")
    assert len(response) == 35
    assert md5_verify(stored, salt, response)
    assert not md5_verify(stored, b"salt", response)
    assert not md5_verify(md5_hash("joe", "other"), salt, response)
    assert not md5_verify(stored, salt, response[:-1])
    assert not md5_verify(stored, salt, "\udcff")
