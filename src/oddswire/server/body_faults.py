"""Why a body cannot be read, as the codes of the API."""

import re

import msgspec
from msgspec import DecodeError, ValidationError

from oddswire.errors import InvalidInput

_PATH = re.compile(r" - at `(\$[^`]*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `([A-Za-z_][A-Za-z0-9_]{0,63})`")
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
        field = field_named(said)
        return InvalidInput("invalid_body", f"{said[:_SHOWN]}.", path=f"{path}.{field}" if field else path)
    if isinstance(fault, RecursionError):
        return InvalidInput("invalid_json", "The body is nested too deeply.")
    if isinstance(fault, DecodeError):
        return InvalidInput("invalid_json", f"{str(fault)[:_SHOWN]}.")
    return InvalidInput("invalid_json", "The body is not UTF-8.")


def field_named(said: str) -> str | None:
    """Return the field that is missing or unknown, by msgspec's words, None where they name no plain one."""
    found = _FIELD.search(said)
    return found[1] if found else None
