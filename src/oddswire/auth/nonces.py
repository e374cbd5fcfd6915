"""Nonces of wallet sign-ins: made here, each good for one sign-in to one app, kept as hashes alone."""

import secrets
from typing import NamedTuple

from oddswire.auth.apps import hash_secret
from oddswire.auth.wallet import SKEW
from oddswire.errors import Refused
from oddswire.store.base import Tx

LIFE = 600_000
"""How long (ms) a person has to sign."""


class Nonce(NamedTuple):
    """A nonce, and from when to when it may be used; times in ms."""

    text: str
    issued_at: int
    expires_at: int


def issue(tx: Tx, app_id: str, now: int) -> Nonce:
    """Make a nonce for a sign-in to an app: 128 random bits."""
    nonce = Nonce(secrets.token_hex(16), now, now + LIFE)
    tx.run("wallet_nonces.insert", hash_secret(nonce.text), app_id, nonce.issued_at, nonce.expires_at)
    return nonce


def take(tx: Tx, app_id: str, nonce: str, signed_at: int, now: int) -> None:
    """Use a nonce up, for a message that says it was issued at `signed_at`.

    It is used up with the commit of this unit; a unit that fails leaves it as it was.

    Raises:
        Refused: `nonce_invalid`: not one of ours, another app's, used or expired, or the message is older than it.
    """
    issued_at = tx.one(int, "wallet_nonces.take", hash_secret(nonce), app_id, now)
    if issued_at is None:
        raise Refused("nonce_invalid", "The nonce is unknown, used or expired.", path="$.message")
    if signed_at < issued_at - SKEW:
        raise Refused("nonce_invalid", "The message says that it was issued before its nonce.", path="$.message")


def sweep(tx: Tx, now: int, limit: int) -> int:
    """Delete at most `limit` expired nonces; return how many."""
    return tx.run("wallet_nonces.sweep", now, limit)
