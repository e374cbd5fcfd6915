"""Why a body cannot be read, as the codes of the API."""

import re

import msgspec
from msgspec import DecodeError, ValidationError

from oddswire.errors import InvalidInput

_PATH = re.compile(r" - at `(\$[^`]*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `([A-Za-z_][A-Za-z0-9_]{0,63})`")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_SHAPES = {
    "userId": "1 to 128 characters, no control characters, not beginning with `wallet:` as of who signs in by wallet",
    "label": "at most 80 characters, none of them a control character",
    "clientOrderId": "1 to 64 of the characters A-Z a-z 0-9 _ : + = / . -",
    "address": "0x and 40 hexadecimal digits",
}
"""What msgspec can only tell as a regular expression, by the field."""
_SHOWN = 200
"""Characters of msgspec's own words that are told: they may hold a name the caller made up."""


def unreadable(fault: Exception, body: bytes) -> InvalidInput:
    """Return the error for what msgspec found: no JSON at all, or JSON of the wrong shape with its path.

    A body that has a fault of shape and then breaks off is no JSON.
    """
    if isinstance(fault, ValidationError):
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except (DecodeError, UnicodeDecodeError, RecursionError) as deeper:
            return unreadable(deeper, body)
        said, path = str(fault), "$"
        if at := _PATH.search(said):
            said, path = said[: at.start()], at[1]
        shape = _SHAPES.get(path.rpartition(".")[2])
        if shape is not None and "matching regex" in said:
            return InvalidInput("invalid_body", f"Expected {shape}.", path=path)
        field = field_named(said)
        return InvalidInput("invalid_body", f"{said[:_SHOWN]}.", path=f"{path}.{field}" if field else path)
    if isinstance(fault, RecursionError):
        return InvalidInput("invalid_json", "The body is nested too deeply.")
    if isinstance(fault, DecodeError) and _has_half_a_character(body):
        return InvalidInput("invalid_json", "A \\u escape is one half of a surrogate pair, which is no character.")
    if isinstance(fault, DecodeError):
        return InvalidInput("invalid_json", f"{str(fault)[:_SHOWN]}.")
    return InvalidInput("invalid_json", "The body is not UTF-8.")


def field_named(said: str) -> str | None:
    """Return the field that is missing or unknown, by msgspec's words, None where they name no plain one."""
    found = _FIELD.search(said)
    return found[1] if found else None


def _has_half_a_character(body: bytes) -> bool:
    """Tell whether an escape is a surrogate without its other half: msgspec only says that something is wrong."""
    expected = None
    for escape in _ESCAPE.finditer(body):
        unit = int(escape[1], 16) if escape[1] else 0
        is_low = 0xDC00 <= unit <= 0xDFFF
        if is_low != (escape.start() == expected):
            return True
        if expected is not None and not is_low:
            return True
        expected = escape.end() if 0xD800 <= unit <= 0xDBFF else None
    return expected is not None
