"""Who is asking, once a token has proved it."""

from dataclasses import dataclass
from typing import Final

PROVIDER_SESSION: Final = "ext_"
"""How the id of a session begins that an identity provider named (`sid`); our own begin otherwise."""
PROVIDER_USER: Final = "sub_"
"""How the id begins that all tokens of a user share whose provider names no sessions."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of an app in one of the user's sessions; times in Unix epoch milliseconds.

    `provider_id` is the setting of the app's identity provider that the token was taken by; '' for our own, of which
    `key_id` tells the key.
    """

    app_id: str
    user_id: str
    session_id: str
    issued_at: int
    expires_at: int
    provider_id: str = ""
    key_id: str = ""

    @property
    def is_outside(self) -> bool:
        """Whether the session is one of the app's identity provider."""
        return self.session_id.startswith((PROVIDER_SESSION, PROVIDER_USER))
