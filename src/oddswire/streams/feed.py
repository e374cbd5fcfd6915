"""One stream on its way to one output: the delivery's rules, carried out."""

from collections.abc import Callable, Sequence
from typing import Protocol

from oddswire.streams.delivery import Delivery, Do
from oddswire.streams.log import Page
from oddswire.wire.codes import HISTORY_EXPIRED


class Output(Protocol):
    """Where event frames are written: a WebSocket, a response that streams."""

    def send(self, frame: bytes) -> bool:
        """Write one frame; False while bytes wait in our process. Its end is told by `drained` of the feed."""
        ...

    def send_many(self, frames: Sequence[bytes]) -> bool:
        """Write frames in order, as `send`."""
        ...


class Listener(Protocol):
    """Whose feed it is."""

    def backed_up(self) -> None:
        """Event bytes wait in our process."""
        ...

    def lost(self, code: int) -> None:
        """The stream cannot go on: close with this code."""
        ...


class Feed:
    """A place in a room of the hub. `expires_at` (Unix epoch ms): no event is written from then on until `flow`."""

    __slots__ = ("_want", "delivery", "expires_at", "flowing", "listener", "output", "stopped", "stream")

    def __init__(
        self,
        stream: int,
        epoch: str,
        expires_at: int,
        output: Output,
        listener: Listener,
        want: "Callable[[Feed], None]",
    ) -> None:
        self.stream = stream
        self.expires_at = expires_at
        self.delivery = Delivery(epoch)
        self.output = output
        self.flowing = False
        self.stopped = False
        self.listener = listener
        self._want = want

    def flow(self, expires_at: int, seq: int, head: int) -> None:
        """Let events follow: the first time those after `seq`, later those after the cursor."""
        self.expires_at = expires_at
        if self.flowing:
            self.do(self.delivery.release())
        else:
            self.flowing = True
            self.do(self.delivery.begin(seq, head))

    def hear(self, first: int, last: int, frames: tuple[bytes, ...] | None, wall: int) -> None:
        """Take a ring of events `first` to `last` at `wall`: written at once where the delivery is level."""
        delivery = self.delivery
        if wall >= self.expires_at:
            delivery.hold()
        if frames is not None and delivery.level and first == delivery.cursor + 1:
            # the first case of `Delivery.ring`, here without a call: it is most of what a push costs us
            delivery.cursor = last
            if not (self.output.send(frames[0]) if len(frames) == 1 else self.output.send_many(frames)):
                self.blocked()
        else:
            self.do(delivery.ring(first, last, False))

    def hear_head(self, head: int) -> None:
        """Take the stream's head as the slow poll found it."""
        self.do(self.delivery.ring(head, head, False))

    def page(self, page: Page, wall: int) -> None:
        """Take the page that was wanted, at `wall`."""
        if wall >= self.expires_at:
            self.delivery.hold()
        do = self.delivery.page(page.first, page.last)
        if do is not Do.SEND:
            self.do(do)
        elif self.output.send_many(page.frames):
            self.do(self.delivery.proceed())
        else:
            self.blocked()

    def blocked(self) -> None:
        """Output waits in our process."""
        self.delivery.blocked()
        self.listener.backed_up()

    def drained(self) -> None:
        """No output waits any more."""
        self.do(self.delivery.drained())

    def hold(self) -> None:
        """Write no event until `flow`."""
        self.delivery.hold()

    def fail(self, code: int) -> None:
        """What is wanted cannot be read, or written."""
        if not self.stopped:
            self.listener.lost(code)

    def do(self, do: Do) -> None:
        """Carry out what the delivery says."""
        if do is Do.READ:
            self._want(self)
        elif do is Do.LOST:
            self.fail(HISTORY_EXPIRED)
