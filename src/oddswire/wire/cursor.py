"""A place in a user's stream as a program keeps it: the number of an event, and the history it counts in. Pure."""

from typing import NamedTuple, Self

from oddswire.errors import InvalidInput
from oddswire.wire.frames import LARGEST_SEQ

CURSOR_PATTERN = r"^.{1,64}:[0-9]{1,16}$"
"""How the text of a cursor is written."""


class Cursor(NamedTuple):
    """The event `seq` of `epoch`; 0 is the place before the first. Its text, `<epoch>:<seq>`, is an SSE `id`."""

    seq: int
    epoch: str

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor of a text.

        Raises:
            InvalidInput: `invalid_parameter`: it is no `<epoch>:<seq>`.
        """
        epoch, colon, seq = text.rpartition(":")
        plain = seq.isascii() and seq.isdigit() and len(seq) <= len(str(LARGEST_SEQ))
        if not colon or not epoch or len(epoch) > 64 or not plain or int(seq) > LARGEST_SEQ:
            raise InvalidInput("invalid_parameter", "A place in a stream is written <epoch>:<seq>.")
        return cls(int(seq), epoch)
