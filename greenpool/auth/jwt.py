"""JSON web tokens: the client sends one as its password, and a public key vouches for it.

Signature, `exp` (which must be there), `nbf`, and where they are asked for `aud` and `iss` are
checked; then a claim says who the client is.
PyJWT and what it brings along take 12 MB and 0.1 s, which only those pay who use tokens: they are
imported at the first one. So, and for the arithmetic, call this on a thread.
Law: neither a token nor a part of one is in the reason of a verdict.
Source: RFC 7519; keys are explained in `greenpool.config.jwt_keys`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from greenpool.config import JwtKey, JwtKeys, parse_jwt_keys

DEFAULT_USER_CLAIM = "preferred_username"


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    """Whom a token is made out to, or the reason (for the log) why it proves nothing."""

    user: str = ""
    reason: str = ""


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


def jwt_verify(token: str, keys: JwtKeys, demands: TokenDemands) -> TokenVerdict:
    """Check a token."""
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        return TokenVerdict(reason="it is no JSON web token")
    for key in parse_jwt_keys(keys.text):
        if not _may_have_signed(key, header):
            continue
        try:
            claims = _claims(token, key, demands)
        except jwt.InvalidSignatureError:
            continue
        except jwt.PyJWTError as exc:
            return TokenVerdict(reason=_REASONS.get(type(exc).__name__, "it is malformed"))
        return _verdict(claims.get(demands.user_claim), demands)
    return TokenVerdict(reason="no key fits its signature")


def _may_have_signed(key: JwtKey, header: Mapping[str, Any]) -> bool:
    """Say whether a key goes with what the header of a token says of it."""
    key_id = header.get("kid")
    fits = key_id is None or key.key_id in (None, key_id)
    return fits and key.algorithm == header.get("alg")


def _claims(token: str, key: JwtKey, demands: TokenDemands) -> dict[str, Any]:
    import jwt

    return jwt.decode(
        token,
        key.key,
        algorithms=[key.algorithm],
        audience=demands.audience,
        issuer=demands.issuer,
        options={"require": ["exp"], "verify_aud": demands.audience is not None},
    )


def _verdict(user: object, demands: TokenDemands) -> TokenVerdict:
    if isinstance(user, str) and user:
        return TokenVerdict(user)
    return TokenVerdict(reason=f'it has no claim "{demands.user_claim}" with a name')


# PyJWT's own texts may repeat what the token says.
_REASONS: Mapping[str, str] = {
    "ExpiredSignatureError": "it has expired",
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidAudienceError": "it is made out for another audience",
    "InvalidIssuerError": "it comes from another issuer",
    "MissingRequiredClaimError": "it lacks a claim that is asked for",
}
