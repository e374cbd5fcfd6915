"""What is told of what was sent, without the secrets that may be in it."""

import re
from typing import Final

from oddswire.server.logs import REDACTED

_SECRET: Final = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"  # a token, also one that was cut short
    r"|\bowr?_[A-Za-z0-9_-]{16,}"  # a refresh token or API key
    r"|0x[0-9a-fA-F]{64,}"  # a wallet's signature
)


def without_secrets(text: str) -> str:
    """Return a text with all that looks like a token, key or signature replaced."""
    return _SECRET.sub(REDACTED, text)
