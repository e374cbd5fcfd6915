"""Identifiers: time-ordered, made by the application, so that no store has to hand them out."""

import hashlib
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from itertools import count

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_SHIFTS = range(120, -10, -10)


def make_id(prefix: str, now: int, entropy: bytes) -> str:
    """Return `<prefix>_<26 characters>`: a ULID of `now` (ms) and 10 bytes of entropy.

    Ids of later milliseconds sort after those of earlier ones as plain text.
    """
    number = (now & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(entropy[:10], "big")
    return prefix + "_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def is_id(prefix: str, text: str) -> bool:
    """Tell whether `text` has the shape of an id with that prefix."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == 26 and not set(tail) - set(_ALPHABET)


def new_id(prefix: str, now: int) -> str:
    """Return `make_id` with fresh randomness of the operating system."""
    return make_id(prefix, now, os.urandom(10))


def id_series(prefix: str, now: int) -> Iterator[str]:
    """Yield new ids of one millisecond that sort in the order in which they were made."""
    first = int.from_bytes(os.urandom(10), "big") >> 1
    for number in count(first):
        yield make_id(prefix, now, number.to_bytes(10, "big"))


def new_stream_id(now: int) -> int:
    """Return a positive 62-bit number: 41 bits of milliseconds, 21 random ones.

    A number and not text, because it is repeated in the key of every stored event.
    """
    return (now & 0x1FF_FFFF_FFFF) << 21 | int.from_bytes(os.urandom(3), "big") >> 3


def new_history_id() -> str:
    """Return the name of a new history: what makes every epoch of this database its own."""
    return urlsafe_b64encode(os.urandom(15)).decode()


def epoch_of(history_id: str, stream_id: int) -> str:
    """Return the opaque 16 characters that name one stream's history (PROTOCOL 2.1)."""
    digest = hashlib.blake2b(f"{history_id}:{stream_id}".encode(), digest_size=12, person=b"oddswire-epoch").digest()
    return urlsafe_b64encode(digest).decode()
