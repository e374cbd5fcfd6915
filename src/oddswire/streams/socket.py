"""What a conversation may do to its socket, and what it holds once the socket is gone."""

from collections.abc import Sequence
from typing import Protocol


class Socket(Protocol):
    """What a conversation may do to its socket. Calls after the end are ignored."""

    @property
    def queued(self) -> int:
        """Bytes that wait in our process because the kernel takes no more."""
        ...

    @property
    def sent_bytes(self) -> int:
        """Grows while `queued` > 0 with every byte the kernel takes; unchanged over time means no progress."""
        ...

    def send(self, text: bytes) -> bool:
        """Send one text frame; False when bytes stayed queued (wait for `drained`) or the socket is closing."""
        ...

    def send_many(self, frames: Sequence[bytes]) -> bool:
        """Send many text frames with one write; returns as `send`."""
        ...

    def ping(self) -> None:
        """Send a ping of the protocol's own; the answer arrives as `pong`."""
        ...

    def close(self, code: int, reason: bytes) -> None:
        """Send a close frame with at most 123 bytes of reason; `text` is never called again.

        The TCP connection ends with the peer's answer, or after a few seconds whatever the peer does;
        then `closed` is called, never from within this call.
        """
        ...

    def pause_reading(self) -> None:
        """Stop calling `text`; what has arrived already is kept in order, what has not stays in the kernel."""
        ...

    def resume_reading(self) -> None:
        """Go on calling `text`, first with what was kept."""
        ...


class _Gone:
    """The socket of a conversation that has ended: nothing becomes of anything."""

    queued = 0
    sent_bytes = 0

    def send(self, text: bytes) -> bool:  # noqa: ARG002
        return False

    def send_many(self, frames: Sequence[bytes]) -> bool:  # noqa: ARG002
        return False

    def ping(self) -> None:
        pass

    def close(self, code: int, reason: bytes) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


GONE: Socket = _Gone()
"""Held in place of a socket that has closed, so that the two do not keep each other for the garbage collector."""
