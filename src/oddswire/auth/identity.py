"""Who is asking, once a token has proved it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of an app in one of the user's sessions; times in Unix epoch milliseconds."""

    app_id: str
    user_id: str
    session_id: str
    issued_at: int
    expires_at: int
