"""Tokens of an app's identity provider: what is read of them before and after their signature is known to be good."""

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from oddswire.auth.identity import PROVIDER_SESSION, PROVIDER_USER, Identity
from oddswire.auth.jwks import ABSENT, ALGORITHMS, Algorithm, Key
from oddswire.auth.keys import LONGEST_TOKEN_LIFE
from oddswire.auth.providers import Provider
from oddswire.auth.revocations import OUTSIDE_LEEWAY
from oddswire.auth.tokens import MAX_TOKEN_BYTES
from oddswire.errors import Refused
from oddswire.wire.bodies import UserId

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TYPES: Final = (None, "jwt", "at+jwt")

_Kid = Annotated[str, Meta(min_length=1, max_length=256)]
_Seconds = Annotated[int, Meta(ge=0, lt=1 << 40)] | Annotated[float, Meta(ge=0, lt=1 << 40)]


class _Header(Struct):
    alg: str
    kid: _Kid | None = None
    typ: str | None = None
    crit: msgspec.Raw = ABSENT
    b64: msgspec.Raw = ABSENT


class _Issuer(Struct):
    iss: str


class _Claims(Struct):
    iss: str
    aud: str | list[str]
    iat: _Seconds
    exp: _Seconds
    nbf: _Seconds = 0
    sid: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


_headers: Final = msgspec.json.Decoder(_Header)
_issuers: Final = msgspec.json.Decoder(_Issuer)
_claims: Final = msgspec.json.Decoder(_Claims)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_user_ids: Final = msgspec.json.Decoder(UserId)
_UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)


class Unproven(NamedTuple):
    """A token that has been read but not believed: who it says issued it, and which key is to prove it."""

    issuer: str
    kid: str | None
    algorithm: Algorithm | None
    signed: bytes
    payload: bytes
    signature: bytes


def read(token: str) -> Unproven | None:
    """Return a token's parts, or None where it is none that anybody may take.

    The `algorithm` is None where it is not one of ours.
    """
    parts = _COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN_BYTES else None
    if parts is None:
        return None
    try:
        head, payload, signature = map(_decode, parts.groups())
        header = _headers.decode(head)
        issuer = _issuers.decode(payload).iss
    except _UNREADABLE:
        return None
    if header.crit != ABSENT or header.b64 != ABSENT:
        return None
    if (None if header.typ is None else header.typ.lower()) not in _TYPES:
        return None
    signed = token.rpartition(".")[0].encode()
    return Unproven(issuer, header.kid, ALGORITHMS.get(header.alg), signed, payload, signature)


def prove(token: Unproven, key: Key, provider: Provider, now: int) -> Identity:
    """Return who a token speaks for, at `now` (ms). Whether it has expired or is revoked is not asked here.

    Raises:
        Refused: `token_invalid`: another's signature, issuer or audience, not valid yet, or not of the wanted shape.
    """
    if not key.verifies(token.signed, token.signature):
        raise not_taken("its signature is not good")
    try:
        claims = _claims.decode(token.payload)
        user_id = _user_ids.decode(_members.decode(token.payload)[provider.claim])
    except KeyError:
        raise not_taken("it lacks the claim that is the user's id") from None
    except _UNREADABLE:
        raise not_taken("a claim is missing or of the wrong shape") from None
    if claims.iss != provider.issuer:
        raise not_taken("it is of another issuer")
    if provider.audience not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise not_taken("it is for another audience")
    issued_at, expires_at = int(claims.iat * 1000), int(claims.exp * 1000)
    if max(issued_at, int(claims.nbf * 1000)) > now + OUTSIDE_LEEWAY:
        raise not_taken("it is not valid yet")
    if not 0 < expires_at - issued_at <= LONGEST_TOKEN_LIFE:
        raise not_taken("it lives longer than 24 hours, or ends before it begins")
    session_id = _session_id(provider, user_id, claims.sid)
    return Identity(provider.app_id, user_id, session_id, issued_at, expires_at, provider.provider_id)


def not_taken(why: str) -> Refused:
    """Return the refusal of a provider's token; `why` repeats nothing of it."""
    return Refused("token_invalid", f"The identity provider's token is not taken: {why}.")


def _session_id(provider: Provider, user_id: str, sid: str | None) -> str:
    """Return the session a token is of: the provider's, or without `sid` the one that all such of the user share.

    Of the user too: what one user does to a session must not touch another's, whatever the provider calls it.
    """
    parts = (provider.app_id, provider.issuer, user_id, *(() if sid is None else (sid,)))
    digest = hashlib.blake2b(msgspec.json.encode(parts), digest_size=18, person=b"oddswire-session").digest()
    return (PROVIDER_USER if sid is None else PROVIDER_SESSION) + urlsafe_b64encode(digest).decode()


def _decode(part: str) -> bytes:
    decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    # the last character may have bits that mean nothing: one token must not have several spellings
    if urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        raise ValueError("not the one spelling of these bytes")
    return decoded
