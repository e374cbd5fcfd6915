"""What a call to a gateway may raise: its answer as a typed error, or none at all."""

from typing import Final

from oddswire.errors import CODES, Code, OddswireError
from oddswire.wire import bodies

_UNKNOWN: Final = Code(0, "Refused by the server", "See the reason.")


class ServerRefused(OddswireError):
    """The gateway answered with a problem (RFC 9457).

    `status` is the HTTP status, `retry_after` seconds where the gateway named them, `order` the stored order a
    refusal is about. The code may be one that this version does not know yet.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int,
        path: str | None = None,
        action: str | None = None,
        retry_after: float | None = None,
        order: bodies.Order | None = None,
    ) -> None:
        super().__init__(code, detail, path=path)
        self.status = status
        self.action = action
        self.retry_after = retry_after
        self.order = order

    @property
    def meaning(self) -> Code:
        """Return what the code means, with the gateway's own advice where it sent some."""
        known = CODES.get(self.code, _UNKNOWN)
        return Code(self.status, known.title, self.action or known.action)


class ServerUnreachable(OddswireError):
    """No answer: nobody listens there, the line broke, or what answered is no gateway.

    Whether a call that changes something was done is not known; a repeat with the same `clientOrderId` is safe.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("server_unreachable", detail)


class Stopped(OddswireError):
    """There is no usable token any more, or the gateway told this client to go: a person has to look.

    `code` is the gateway's reason, such as `session_revoked`, `refresh_token_invalid` or `unknown_app`.
    """

    @property
    def meaning(self) -> Code:
        """Return what the code means."""
        return CODES.get(self.code, _UNKNOWN)
