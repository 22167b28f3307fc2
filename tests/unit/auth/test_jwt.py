"""JSON web tokens: who signed them, when they hold, whom they name."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from greenpool.auth.jwt import TokenDemands, TokenVerdict, jwt_verify
from greenpool.config import JwtKeys
from tests.unit.auth.keys import (
    EC,
    ED,
    NOW,
    RSA,
    RSA_OTHER,
    certificate,
    jwk,
    jwks,
    pem,
    token,
)

MINUTE = datetime.timedelta(minutes=1)


def verdict(text: str, keys: str, demands: TokenDemands | None) -> TokenVerdict:
    return jwt_verify(text, JwtKeys(Path("keys"), keys), demands or TokenDemands())


def user(text: str, keys: str, demands: TokenDemands | None = None) -> str:
    found = verdict(text, keys, demands)
    assert not found.reason
    return found.user


def reason(text: str, keys: str, demands: TokenDemands | None = None) -> str:
    found = verdict(text, keys, demands)
    assert not found.user
    return found.reason


@pytest.mark.parametrize("form", [pem, certificate, lambda key: jwks(jwk(key))])
@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["RS256", "ES256", "EdDSA"])
def test_token_names_its_user(key, form):
    assert user(token(key), form(key)) == "ann"


def test_one_of_several_keys_will_do():
    for keys in (pem(RSA) + pem(RSA_OTHER) + pem(EC), jwks(jwk(RSA), jwk(RSA_OTHER), jwk(EC))):
        assert {user(token(key), keys) for key in (RSA, RSA_OTHER, EC)} == {"ann"}


def test_key_id_chooses_the_key():
    keys = jwks(jwk(RSA, kid="old"), jwk(RSA_OTHER, kid="new"))
    assert user(token(RSA_OTHER, {"kid": "new"}), keys) == "ann"
    assert user(token(RSA_OTHER), keys) == "ann"
    assert reason(token(RSA_OTHER, {"kid": "old"}), keys) == "no key fits its signature"
    assert reason(token(RSA, {"kid": "gone"}), keys) == "no key fits its signature"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (token(RSA_OTHER), "no key fits its signature"),
        (token(EC), "no key fits its signature"),
        (token(RSA, exp=NOW - MINUTE), "it has expired"),
        (token(RSA, exp=None), "it lacks a claim that is asked for"),
        (token(RSA, nbf=NOW + 24 * 60 * MINUTE), "it is not valid yet"),
        (token(RSA, preferred_username=None), 'it has no claim "preferred_username" with a name'),
        (token(RSA, preferred_username=7), 'it has no claim "preferred_username" with a name'),
        (token(RSA, preferred_username=""), 'it has no claim "preferred_username" with a name'),
        (token(RSA)[:-5] + "AAAAA", "no key fits its signature"),
        ("secret", "it is no JSON web token"),
        ("a.b.c", "it is no JSON web token"),
        ("", "it is no JSON web token"),
        ("é.é.é", "it is no JSON web token"),
    ],
    ids=lambda text: text if " " in text else "token",
)
def test_token_that_proves_nothing(text, why):
    assert reason(text, pem(RSA)) == why


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS384"])
def test_algorithm_is_the_key_s_and_not_the_token_s(algorithm):
    header = b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    body = token(RSA).split(".")[1]
    signature = hmac.digest(pem(RSA).encode(), f"{header}.{body}".encode(), hashlib.sha256)
    forged = f"{header}.{body}.{'' if algorithm == 'none' else b64(signature)}"
    assert reason(forged, pem(RSA)) == "no key fits its signature"


def test_audience_issuer_and_claim_as_demanded():
    demands = TokenDemands.of({"jwt_audience": "db", "jwt_issuer": "idp", "jwt_user_claim": "sub"})
    good: dict[str, Any] = {"aud": ["web", "db"], "iss": "idp", "sub": "bob"}
    assert user(token(RSA, **good), pem(RSA), demands) == "bob"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"aud": "web"}, "it is made out for another audience"),
        ({"aud": None}, "it lacks a claim that is asked for"),
        ({"iss": "evil"}, "it comes from another issuer"),
        ({"iss": None}, "it lacks a claim that is asked for"),
        ({"sub": None}, 'it has no claim "sub" with a name'),
    ]
    for change, why in wrong:
        assert reason(token(RSA, **{**good, **change}), pem(RSA), demands) == why
    assert user(token(RSA, aud="whoever"), pem(RSA)) == "ann"  # nobody asks
