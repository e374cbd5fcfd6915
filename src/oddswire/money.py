"""Money, prices and sizes: integers of millionths, and the only file that rounds.

An amount of money is millionths of a dollar, a price millionths of a dollar a contract, a size millionths of a
contract. Text goes straight to such an integer and back; no binary float is ever made of it.
"""

import re
from decimal import Decimal
from functools import lru_cache

from oddswire.errors import InvalidInput

ONE = 1_000_000
"""One dollar, or one contract, in millionths."""

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,6}))?")


def parse_amount(raw: bytes | str, path: str) -> int:
    """Return the millionths that a JSON number or JSON string says (PROTOCOL 2.5, "Amounts").

    `raw` is the JSON token as it was sent, quotes included, or plain text. Its text is matched before any number
    is made of it, so a huge exponent costs nothing.

    Raises:
        InvalidInput: `invalid_amount` with `path`.
    """
    text = raw.decode("ascii", "replace") if isinstance(raw, bytes) else raw
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InvalidInput(
            "invalid_amount",
            "Expected a plain decimal number of at most 12 digits before the point and 6 after it, such as 10 or 0.55.",
            path=path,
        )
    return int(match[1]) * ONE + int((match[2] or "").ljust(6, "0"))


def format_amount(millionths: int) -> str:
    """Return plain decimal text without exponent or trailing zeros: `10`, `0.55`, `-3.5`."""
    whole, part = divmod(abs(millionths), ONE)
    text = f"{whole}.{part:06d}".rstrip("0").rstrip(".") if part else str(whole)
    return "-" + text if millionths < 0 else text


@lru_cache(4096)
def to_decimal(millionths: int) -> Decimal:
    """Return the exact `Decimal` whose text is `format_amount`: what goes on the wire as a JSON number."""
    return Decimal(format_amount(millionths))


def floor_cents(millionths: int) -> int:
    """Return whole US cents, rounded down (towards minus infinity)."""
    return millionths // 10_000


def cost(price: int, size: int) -> int:
    """Return what `size` contracts at `price` cost, rounded up to a millionth of a dollar."""
    return -(-price * size // ONE)


def proceeds(price: int, size: int) -> int:
    """Return what `size` contracts at `price` bring, rounded down to a millionth of a dollar."""
    return price * size // ONE


def average_price(price: int, size: int, bought_at: int, bought: int) -> int:
    """Return the average of `size` held at `price` joined with `bought` at `bought_at`, to the nearest millionth.

    Prices are a contract, both sizes in millionths of a contract, their sum above 0.
    """
    total = size + bought
    return (2 * (price * size + bought_at * bought) + total) // (2 * total)
