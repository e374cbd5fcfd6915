"""Signing keys: Ed25519, kept in the store, named by their RFC 7638 thumbprint.

The oldest key that is not retired signs; younger ones are published already and wait. A retired key is good for what
it signed before, until the last such token is dead.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from joserfc.jwk import OKPKey

from oddswire.store.base import Tx

ALGORITHM = "Ed25519"
LONGEST_TOKEN_LIFE = 24 * 3600 * 1000
"""No access token lives longer (ms), whatever was or will be set: so it is known when the last one is dead."""


class KeyRow(NamedTuple):
    """A key as it is stored: its private half as a JWK. Times in ms."""

    kid: str
    private_jwk: str
    created_at: int
    retired_at: int | None


def load(tx: Tx) -> list[KeyRow]:
    """Return every key, the oldest first."""
    return tx.all(KeyRow, "signing_keys.all")


def ensure(tx: Tx, now: int) -> None:
    """Make a key where none can sign."""
    if all(row.retired_at is not None for row in load(tx)):
        key = OKPKey.generate_key("Ed25519", {"alg": ALGORITHM, "use": "sig"}, private=True)
        tx.run("signing_keys.insert", key.thumbprint(), msgspec.json.encode(key.as_dict(private=True)).decode(), now)


class KeyRing:
    """The keys as last read from the store."""

    def __init__(self, rows: Sequence[KeyRow]) -> None:
        self.rows = tuple(rows)
        self._keys = {row.kid: (row, OKPKey.import_key(msgspec.json.decode(row.private_jwk))) for row in rows}

    def signing(self) -> tuple[str, OKPKey]:
        """Return the kid and key that sign now.

        Raises:
            LookupError: `ensure` has never been committed.
        """
        for row, key in self._keys.values():
            if row.retired_at is None:
                return row.kid, key
        raise LookupError("no key can sign")

    def find(self, kid: str, now: int) -> OKPKey | None:
        """Return the key of that name if what it signed may still be taken."""
        row, key = self._keys.get(kid, (None, None))
        return key if row is not None and _good(row, now) else None

    def jwks(self, now: int) -> dict[str, list[dict[str, str]]]:
        """Return the public halves as a JWK Set."""
        return {"keys": [_public(row.kid, key) for row, key in self._keys.values() if _good(row, now)]}


def _good(row: KeyRow, now: int) -> bool:
    return row.retired_at is None or now < row.retired_at + LONGEST_TOKEN_LIFE


def _public(kid: str, key: OKPKey) -> dict[str, str]:
    jwk = key.as_dict(private=False)
    return {"kty": "OKP", "crv": "Ed25519", "x": str(jwk["x"]), "kid": kid, "use": "sig", "alg": ALGORITHM}
