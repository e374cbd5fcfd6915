"""A provider's keys: a JWK Set (RFC 7517) read strictly, each key bound to one algorithm (pure)."""

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from msgspec import Meta, Struct

MAX_KEYS: Final = 32
RSA_BITS: Final = (2048, 4096)
"""How long an RSA key is, at least and at most: a longer one would cost us time at every new token."""
_RSA_EXPONENT_BYTES: Final = 4

Algorithm = Literal["Ed25519", "RS256", "ES256", "HS256"]
ALGORITHMS: Final[dict[str, Algorithm]] = {
    "Ed25519": "Ed25519",
    "EdDSA": "Ed25519",
    "RS256": "RS256",
    "ES256": "ES256",
    "HS256": "HS256",
}
"""What a token may name, and the algorithm that it is: `EdDSA` is the older name of Ed25519."""
_TYPES: Final[dict[tuple[str, str], Algorithm]] = {
    ("OKP", "Ed25519"): "Ed25519",
    ("RSA", ""): "RS256",
    ("EC", "P-256"): "ES256",
}
_MEMBERS: Final[dict[Algorithm, tuple[str, ...]]] = {
    "Ed25519": ("kty", "crv", "x"),
    "RS256": ("kty", "n", "e"),
    "ES256": ("kty", "crv", "x", "y"),
}

ABSENT: Final = msgspec.Raw()
"""A member that is not there; one that is null is there."""
_Text = Annotated[str, Meta(max_length=2048)]
_Kid = Annotated[str, Meta(min_length=1, max_length=256)]


class _Jwk(Struct):
    kty: _Text
    kid: _Kid | None = None
    use: _Text | None = None
    alg: _Text | None = None
    key_ops: Annotated[list[_Text], Meta(max_length=16)] | None = None
    crv: _Text = ""
    x: _Text = ""
    y: _Text = ""
    n: _Text = ""
    e: _Text = ""
    d: msgspec.Raw = ABSENT


class _Set(Struct):
    keys: Annotated[list[_Jwk], Meta(max_length=MAX_KEYS)]


_sets: Final = msgspec.json.Decoder(_Set)


class UnusableKeys(Exception):
    """What a provider serves as its keys is none that can be used; the text says why and repeats nothing of it."""


class Key(NamedTuple):
    """One key, good for one algorithm."""

    kid: str | None
    algorithm: Algorithm
    key: OKPKey | RSAKey | ECKey | OctKey

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Tell whether `signature` is this key's over `signed`."""
        return JWSRegistry.algorithms[self.algorithm].verify(signed, signature, self.key)


class KeySet:
    """The keys of a provider at one moment; `skipped` is how many it serves beside them that are of no use to us."""

    def __init__(self, keys: Sequence[Key], skipped: int = 0) -> None:
        self.skipped = skipped
        self._keys = tuple(keys)
        self._by_name = {(key.kid, key.algorithm): key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str | None, algorithm: Algorithm) -> Key | None:
        """Return the key that a token names; one that names none has the only key of its algorithm."""
        if kid is not None:
            return self._by_name.get((kid, algorithm))
        fitting = [key for key in self._keys if key.algorithm == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def has(self, kid: str | None) -> bool:
        """Tell whether a key has this name, of whatever algorithm."""
        return kid is not None and any(key.kid == kid for key in self._keys)


class SecretKey(KeySet):
    """A secret shared with the provider: the key of every token, whatever key it names, by HS256 alone."""

    def __init__(self, secret: str) -> None:
        self._key = Key(None, "HS256", OctKey.import_key(secret.encode()))
        super().__init__((self._key,))

    def find(self, kid: str | None, algorithm: Algorithm) -> Key | None:  # noqa: ARG002
        """Return the secret, for HS256."""
        return self._key if algorithm == "HS256" else None


def parse(body: bytes) -> KeySet:
    """Return the keys of a JWK Set that tokens may be signed with.

    Left out are keys for encryption, of other algorithms, symmetric or with their private half (both are no secret any
    more), and ones that are broken or too weak.

    Raises:
        UnusableKeys: it is no JWK Set, has too many keys, two keys of one name, or none of use to us.
    """
    try:
        listed = _sets.decode(body).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnusableKeys(f"it is no JWK Set of at most {MAX_KEYS} keys") from None
    keys = [key for key in map(_key, listed) if key is not None]
    if len({(key.kid, key.algorithm) for key in keys if key.kid is not None}) < sum(
        key.kid is not None for key in keys
    ):
        raise UnusableKeys("two of its keys have the same `kid`")
    if not keys:
        raise UnusableKeys("it has no Ed25519, RS256 or ES256 key to verify with")
    return KeySet(keys, len(listed) - len(keys))


def _key(jwk: _Jwk) -> Key | None:
    algorithm = _TYPES.get((jwk.kty, jwk.crv))
    if algorithm is None or jwk.use not in (None, "sig") or jwk.d != ABSENT:
        return None
    if jwk.key_ops is not None and "verify" not in jwk.key_ops:
        return None
    if jwk.alg is not None and ALGORITHMS.get(jwk.alg) != algorithm:
        return None
    members: dict[str, str | list[str]] = {name: getattr(jwk, name) for name in _MEMBERS[algorithm]}
    try:
        if algorithm == "RS256" and not _is_strong(jwk):
            return None
        return Key(jwk.kid, algorithm, _import(algorithm, members))
    except ValueError:
        return None


def _import(algorithm: Algorithm, members: dict[str, str | list[str]]) -> OKPKey | RSAKey | ECKey:
    key: OKPKey | RSAKey | ECKey
    match algorithm:
        case "Ed25519":
            key = OKPKey.import_key(members)
        case "RS256":
            key = RSAKey.import_key(members)
        case _:
            key = ECKey.import_key(members)
    # the library looks at some members only when they are first used
    key.get_op_key("verify")
    return key


def _is_strong(jwk: _Jwk) -> bool:
    modulus, exponent = (_number(text) for text in (jwk.n, jwk.e))
    least, most = RSA_BITS
    return least <= modulus.bit_length() <= most and exponent.bit_length() <= 8 * _RSA_EXPONENT_BYTES


def _number(text: str) -> int:
    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
