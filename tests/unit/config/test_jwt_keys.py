"""Files of public keys, and what is wrong with them."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from greenpool.config import JwtKeys, parse_jwt_keys
from tests.unit.auth.keys import EC, RSA, jwk, jwks, pem, private_pem

USER = "pools: {{app: {{users: [{{username: ann, password: 'jwt-pkey-fpath:{}'}}]}}}}"


def test_user_s_key_is_read_with_the_configuration(files):
    files.write("keys/one.pem", pem(RSA))
    user = files.load(USER.format("keys/one.pem")).pools["app"].users["ann"]
    assert user.password == JwtKeys(files.directory / "keys/one.pem", pem(RSA).strip())


def test_rule_s_key_is_relative_to_its_file(files):
    files.write("rules/one.pem", pem(EC))
    files.write("rules/pg_hba.conf", "local all all jwt jwt_key=one.pem jwt_audience=db")
    text = "general: {pg_hba: {path: rules/pg_hba.conf}}\n"
    config = files.load(text + "pools: {app: {users: [{username: ann}]}}")
    [rule] = config.general.access_rules
    assert rule.jwt_keys == JwtKeys(files.directory / "rules/one.pem", pem(EC).strip())


def test_keys_of_a_set_that_do_not_concern_us_are_passed_over():
    text = jwks({"kty": "oct", "k": "c2VjcmV0"}, jwk(RSA, use="enc"), jwk(EC, use="sig", kid="one"))
    [key] = parse_jwt_keys(text)
    assert (key.key_id, key.algorithm) == ("one", "ES256")
    [single] = parse_jwt_keys(json.dumps(jwk(EC)))
    assert single.algorithm == "ES256"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "holds no public key, neither in PEM form nor as JWKS"),
        ("{", "is not valid JSON: "),
        ('{"keys": 1}', 'holds no list of keys under "keys"'),
        ('{"keys": []}', "holds no public key, neither in PEM form nor as JWKS"),
        ('{"kty": "RSA"}', "holds a key that cannot be read: "),
        (private_pem(RSA), "holds a private key: greenpool needs the public one"),
        ('{"kty": "RSA", "d": "x"}', "holds a private key: greenpool needs the public one"),
        (pem(rsa.generate_private_key(65537, 1024)), "holds an RSA key of less than 2048 bits"),
        (
            pem(ec.generate_private_key(ec.SECP384R1())),
            "holds a key that is neither RSA, P-256 nor Ed25519",
        ),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "cannot be read: "),
    ],
    ids=lambda text: text if text.startswith(("holds", "is", "cannot")) else "file",
)
def test_file_that_is_no_use_is_told_of(files, text, what):
    path = files.write("keys.pem", text)
    [problem] = files.problems(USER.format(path))
    head = 'greenpool.yaml:1:39: pools.app.users[0].password: "keys.pem" '
    assert problem.startswith(head + what)
