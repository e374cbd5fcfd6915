"""Who is asking: what a taken access token proves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of one app, by one session; `issued_at` and `expires_at` are the access token's, in Unix epoch ms."""

    app_id: str
    user_id: str
    session_id: str
    issued_at: int
    expires_at: int
