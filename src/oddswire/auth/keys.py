"""Signing keys: kept in the store, named by their RFC 7638 thumbprint, each bound to one algorithm.

A key is published before it signs, so that whoever keeps a copy of the JWK Set knows it by then. The one that began to
sign last signs; the one before it verifies until its last token is dead. What a retired key signed counts no more.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

import msgspec
from joserfc.jwk import OKPKey

from oddswire.errors import Conflict, Missing
from oddswire.store.base import Tx

ALGORITHM: Final = "Ed25519"
LONGEST_TOKEN_LIFE: Final = 24 * 3600 * 1000
"""No access token lives longer (ms), whatever was or will be set: so it is known when the last one is dead."""
PUBLISHED_BEFORE: Final = 3600 * 1000
"""How long (ms) a key is published before it signs."""
KEPT_SECONDS: Final = 900
"""How long a copy of the JWK Set may be kept: well below `PUBLISHED_BEFORE`."""
_AFTERLIFE: Final = LONGEST_TOKEN_LIFE + 60_000
"""How long (ms) a key verifies after its successor began; a node that has not heard of that may sign a while longer."""
_NEVER: Final = 1 << 62


class KeyRow(NamedTuple):
    """A key as it is stored: its private half as a JWK. Times in ms."""

    kid: str
    private_jwk: str
    algorithm: str
    created_at: int
    signs_from: int
    retired_at: int | None


class Phase(Enum):
    """Where a key is in its life."""

    NEXT = "next"
    SIGNING = "signing"
    VERIFYING = "verifying"
    EXPIRED = "expired"
    RETIRED = "retired"


class Life(NamedTuple):
    """A key, where it is in its life, and when (ms) that ends; None where nothing is planned."""

    row: KeyRow
    phase: Phase
    until: int | None


def lives(rows: Sequence[KeyRow], now: int) -> Iterator[Life]:
    """Yield where each key is at `now` (ms), in the order in which they begin to sign."""
    ordered = sorted(rows, key=_beginning)
    for number, row in enumerate(ordered):
        dead_at = _dead_at(ordered[number + 1 :])
        if row.retired_at is not None:
            yield Life(row, Phase.RETIRED, None)
        elif row.signs_from > now:
            yield Life(row, Phase.NEXT, row.signs_from)
        elif dead_at is None or now < dead_at - _AFTERLIFE:
            yield Life(row, Phase.SIGNING, None if dead_at is None else dead_at - _AFTERLIFE)
        else:
            yield Life(row, Phase.VERIFYING if now < dead_at else Phase.EXPIRED, dead_at)


def _beginning(row: KeyRow) -> tuple[int, int, str]:
    return row.signs_from, row.created_at, row.kid


def _dead_at(younger: Sequence[KeyRow]) -> int | None:
    """Return when the last token of a key is dead, by those after it; None where no other has had or has a turn."""
    for successor in younger:
        if successor.retired_at is None or successor.retired_at > successor.signs_from:
            return successor.signs_from + _AFTERLIFE
    return None


def load(tx: Tx) -> list[KeyRow]:
    """Return every key, in the order in which they begin to sign."""
    return tx.all(KeyRow, "signing_keys.all")


def ensure(tx: Tx, now: int) -> KeyRow | None:
    """Make a key that signs at once where none can, and return it."""
    if any(life.phase is Phase.SIGNING for life in lives(load(tx), now)):
        return None
    return _make(tx, now, now)


def rotate(tx: Tx, now: int) -> KeyRow:
    """Make the next key: published from this commit on, it signs once `PUBLISHED_BEFORE` has passed.

    Raises:
        Conflict: `key_waiting`: there is a next key already.
    """
    for life in lives(load(tx), now):
        if life.phase is Phase.NEXT:
            raise Conflict("key_waiting", f"Key {life.row.kid} is published already and waits for its turn to sign.")
    return _make(tx, now, now + PUBLISHED_BEFORE)


def retire(tx: Tx, kid: str, now: int) -> KeyRow | None:
    """Let nothing count any more that a key signed, and delete its private half.

    Return the key made in its place, which signs at once, where it was the one that signs.

    Raises:
        Missing: there is no such key, or it is retired already.
    """
    if not tx.run("signing_keys.retire", kid, now):
        raise Missing(f"There is no key {kid[:100]!r} that is not retired.")
    return ensure(tx, now)


def sweep(tx: Tx, now: int) -> None:
    """Delete the keys whose last token is dead."""
    for life in lives(load(tx), now):
        if life.phase is Phase.EXPIRED:
            tx.run("signing_keys.delete", life.row.kid)


def _make(tx: Tx, now: int, signs_from: int) -> KeyRow:
    key = OKPKey.generate_key("Ed25519", {"alg": ALGORITHM, "use": "sig"}, private=True)
    # on a command line a name that begins so would be an option
    while key.thumbprint().startswith("-"):
        key = OKPKey.generate_key("Ed25519", {"alg": ALGORITHM, "use": "sig"}, private=True)
    jwk = msgspec.json.encode(key.as_dict(private=True)).decode()
    row = KeyRow(key.thumbprint(), jwk, ALGORITHM, now, signs_from, None)
    tx.run("signing_keys.insert", row.kid, jwk, ALGORITHM, now, signs_from)
    return row


class KeyRing:
    """The keys as last read from the store."""

    def __init__(self, rows: Sequence[KeyRow]) -> None:
        self.rows = tuple(rows)
        self._keys = {
            row.kid: OKPKey.import_key(msgspec.json.decode(row.private_jwk))
            for row in rows
            if row.retired_at is None and row.algorithm == ALGORITHM
        }
        self._dead_at = {life.row.kid: life.until for life in lives(rows, _NEVER) if life.row.kid in self._keys}

    def signing(self, now: int) -> tuple[str, OKPKey]:
        """Return the kid and key that sign at `now`.

        Raises:
            LookupError: `ensure` has never been committed.
        """
        for life in lives(self.rows, now):
            if life.phase is Phase.SIGNING and life.row.kid in self._keys:
                return life.row.kid, self._keys[life.row.kid]
        raise LookupError("no key can sign")

    def takes(self, kid: str, now: int) -> bool:
        """Tell whether what that key signed counts at `now`."""
        if kid not in self._keys:
            return False
        dead_at = self._dead_at[kid]
        return dead_at is None or now < dead_at

    def find(self, kid: str, now: int) -> OKPKey | None:
        """Return the key of that name if what it signed counts at `now`."""
        return self._keys[kid] if self.takes(kid, now) else None

    def jwks(self, now: int) -> dict[str, list[dict[str, str]]]:
        """Return the public halves as a JWK Set."""
        return {"keys": [_public(kid, key) for kid, key in self._keys.items() if self.takes(kid, now)]}


def _public(kid: str, key: OKPKey) -> dict[str, str]:
    jwk = key.as_dict(private=False)
    return {"kty": "OKP", "crv": "Ed25519", "x": str(jwk["x"]), "kid": kid, "use": "sig", "alg": ALGORITHM}
