"""JSON web tokens: the client sends one as its password, and a public key vouches for it.

Signature, `exp` (which must be there), `nbf`, and where they are asked for `aud` and `iss` are
checked; then a claim says who the client is. An elliptic signature takes 0.1 ms of a core, so this
runs where it is called.
Law: neither a token nor a part of one is in an error text.
Source: RFC 7519; keys are explained in `greenpool.config.jwt_keys`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jwt

from greenpool.config import JwtKey, JwtKeys, parse_jwt_keys
from greenpool.errors import GreenpoolError

DEFAULT_USER_CLAIM = "preferred_username"


class TokenRefused(GreenpoolError):
    """A token that proves nothing; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class TokenDemands:
    """What a token must say beside its signature and times. None: nothing."""

    audience: str | None = None
    issuer: str | None = None
    user_claim: str = DEFAULT_USER_CLAIM

    @classmethod
    def of(cls, options: Mapping[str, str]) -> TokenDemands:
        """Read the options of a rule."""
        return cls(
            options.get("jwt_audience"),
            options.get("jwt_issuer"),
            options.get("jwt_user_claim", DEFAULT_USER_CLAIM),
        )


def user_of_token(token: str, keys: JwtKeys, demands: TokenDemands) -> str:
    """Return the user that a valid token is made out to. Raises: TokenRefused."""
    for key in _candidates(token, parse_jwt_keys(keys.text)):
        try:
            claims = _claims(token, key, demands)
        except jwt.InvalidSignatureError:
            continue
        except jwt.PyJWTError as exc:
            raise TokenRefused(_reason(exc)) from exc
        user = claims.get(demands.user_claim)
        if not isinstance(user, str) or not user:
            raise TokenRefused(f'it has no claim "{demands.user_claim}" with a name')
        return user
    raise TokenRefused("no key fits its signature")


def _candidates(token: str, keys: tuple[JwtKey, ...]) -> Iterator[JwtKey]:
    """Give the keys that a token can have been signed by, as far as its header tells."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError) as exc:
        raise TokenRefused("it is no JSON web token") from exc
    key_id = header.get("kid")
    for key in keys:
        fits = key_id is None or key.key_id in (None, key_id)
        if fits and key.algorithm == header.get("alg"):
            yield key


def _claims(token: str, key: JwtKey, demands: TokenDemands) -> dict[str, object]:
    return jwt.decode(
        token,
        key.key,
        algorithms=[key.algorithm],
        audience=demands.audience,
        issuer=demands.issuer,
        options={"require": ["exp"], "verify_aud": demands.audience is not None},
    )


def _reason(exc: jwt.PyJWTError) -> str:
    """Name what is wrong; PyJWT's own texts may repeat what the token says."""
    reasons = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.InvalidAudienceError: "it is made out for another audience",
        jwt.InvalidIssuerError: "it comes from another issuer",
        jwt.MissingRequiredClaimError: "it lacks a claim that is asked for",
    }
    return reasons.get(type(exc), "it is malformed")
