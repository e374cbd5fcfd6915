"""Access tokens: JWTs (RFC 9068's shape) signed by us, taken by us only exactly as we make them."""

import hashlib
import re
import secrets
from base64 import urlsafe_b64decode
from collections import OrderedDict
from sys import intern
from typing import Annotated, Literal, NamedTuple

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from msgspec import Meta, Struct

from oddswire.auth.identity import Identity
from oddswire.auth.keys import ALGORITHM, LONGEST_TOKEN_LIFE, KeyRing
from oddswire.auth.revocations import Revocations
from oddswire.errors import Refused

ISSUER = "oddswire"
TYPE = "at+jwt"
MAX_TOKEN_BYTES = 4096
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CACHED = 20_000
LEEWAY = 30_000
"""How far (ms) the clock of the node that signed a token may be ahead of ours."""

_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Seconds = Annotated[int, Meta(ge=0, lt=1 << 40)]


class _Header(Struct, forbid_unknown_fields=True):
    alg: Literal["Ed25519"]
    kid: _Name
    typ: Literal["at+jwt"]


class _Claims(Struct, frozen=True):
    iss: Literal["oddswire"]
    aud: _Name
    sub: _Name
    sid: _Name
    jti: _Name
    iat: _Seconds
    exp: _Seconds
    nbf: _Seconds = 0


class _Verified(NamedTuple):
    """A token whose signature is good, and from when on it counts (ms)."""

    identity: Identity
    begins_at: int


_headers = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)


class Issued(NamedTuple):
    """A token that was just made, and whom it proves."""

    token: str
    identity: Identity


def issue(keys: KeyRing, app_id: str, user_id: str, session_id: str, issued_at: int, life: int) -> Issued:
    """Make an access token; `issued_at` and `life` in seconds."""
    # the end of that second: a key may have been made in it
    kid, key = keys.signing(issued_at * 1000 + 999)
    claims: dict[str, str | int] = {
        "iss": ISSUER,
        "aud": app_id,
        "sub": user_id,
        "sid": session_id,
        "jti": secrets.token_urlsafe(12),
        "iat": issued_at,
        "exp": issued_at + life,
    }
    token = jwt.encode({"alg": ALGORITHM, "kid": kid, "typ": TYPE}, claims, key, algorithms=[ALGORITHM])
    expires_at = (issued_at + life) * 1000
    return Issued(token, Identity(app_id, user_id, session_id, issued_at * 1000, expires_at, key_id=kid))


class TokenVerifier:
    """Verifies tokens; a signature that was good is remembered, all else is asked every time."""

    def __init__(self, keys: KeyRing, revocations: Revocations) -> None:
        self._keys = keys
        self._revocations = revocations
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def use(self, keys: KeyRing) -> None:
        """Take other keys, and forget what the former ones proved."""
        self._keys = keys
        self._verified.clear()

    def recall(self, token: str) -> Identity | None:
        """Return, without reading it, who a token of ours speaks for, expired or revoked as it may be.

        Only one whose signature was found good before, or that we made, is known to be ours; else None.
        """
        verified = self._verified.get(_digest(token)) if len(token) <= MAX_TOKEN_BYTES and token.isascii() else None
        return None if verified is None else verified.identity

    def learn(self, issued: Issued) -> None:
        """Take in a token that was just made, so that it need not be looked at when it comes."""
        self._remember(_digest(issued.token), _Verified(issued.identity, issued.identity.issued_at - LEEWAY))

    def verify(self, token: str, app_id: str, now: int) -> Identity:
        """Return who the token speaks for, at `now` (ms), to the app `app_id`.

        Raises:
            Refused: `token_invalid` (malformed, not ours, another app's), `token_expired`, `session_revoked`.
        """
        if len(token) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(token):
            raise _invalid()
        digest = _digest(token)
        verified = self._verified.get(digest)
        if verified is None:
            verified = self._check_signature(token, now)
            self._remember(digest, verified)
        else:
            self._verified.move_to_end(digest)
        identity = verified.identity
        if identity.app_id != app_id or not self._keys.takes(identity.key_id, now) or verified.begins_at > now:
            raise _invalid()
        if now >= identity.expires_at:
            raise Refused("token_expired", "The access token has expired.")
        if self._revocations.is_revoked(identity):
            raise Refused("session_revoked", "The session of this token was signed out or revoked.")
        return identity

    def _check_signature(self, token: str, now: int) -> _Verified:
        try:
            # Read strictly before the library sees it: no `crit`, no `b64`, no key of the sender's choice.
            header = _headers.decode(_decode_part(token.partition(".")[0]))
            key = self._keys.find(header.kid, now)
            if key is None:
                raise _invalid()
            signed = jws.deserialize_compact(token, key, algorithms=[ALGORITHM])
            claims = _claims.decode(signed.payload or b"")
        except (JoseError, ValueError):
            raise _invalid() from None
        if not 0 < (claims.exp - claims.iat) * 1000 <= LONGEST_TOKEN_LIFE:
            raise _invalid()
        # every connection keeps one: the key's own name is shared
        identity = Identity(
            claims.aud, claims.sub, claims.sid, claims.iat * 1000, claims.exp * 1000, key_id=intern(header.kid)
        )
        return _Verified(identity, max(claims.iat, claims.nbf) * 1000 - LEEWAY)

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified[digest] = verified
        if len(self._verified) > _CACHED:
            self._verified.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _decode_part(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _invalid() -> Refused:
    return Refused("token_invalid", "The access token is not valid for this app.")
