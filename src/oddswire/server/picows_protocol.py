"""The WebSocket transport: picows 2.3.1's private protocol class fed by hand.

picows writes the 101, parses frames and writes ours with one `send(2)`; the handshake proper, the joining of
fragments, closing and pacing are done here. `tests/server/test_websocket_conformance.py` lists what is relied on.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]
from uvicorn.server import ServerState

from oddswire.server.http_protocol import Arrival, House, linger
from oddswire.server.websocket import CLOSE_DEADLINE, MAX_MESSAGE, Accept, Conversation, text_header

log = logging.getLogger(__name__)

TEXT = WSMsgType.TEXT
READ_WINDOW = 4096
"""Bytes read at once: picows doubles its buffer whenever a read fills it, without a limit of its own."""
READ_BUFFER = 2048
"""Bytes of a connection's first read buffer, picows' least; it takes a token without growing."""
SPARE_BYTES = 14
"""What picows wants before a message in a buffer, to write the frame's header into."""
_SPARE = bytearray(SPARE_BYTES)

_FAULTS = {
    1002: b'{"code":"protocol_error"}',
    1003: b'{"code":"binary_not_supported"}',
    1007: b'{"code":"invalid_utf8"}',
    1009: b'{"code":"message_too_big"}',
    4200: b'{"code":"internal"}',
}
_scratch = memoryview(bytearray(65536))


class _Ear:
    """picows' logger: drops its records, which hold raw requests, but hears when it gives up on a connection.

    picows says so right before it sends a close frame of its own, so ours goes first and picows drops its own.
    """

    __slots__ = ("_socket",)

    def __init__(self, socket: "PicowsSocket") -> None:
        self._socket = socket

    def isEnabledFor(self, level: int) -> bool:  # noqa: ARG002, N802
        return False

    def error(self, message: str, *args: Any) -> None:
        if message.startswith("WS parser error"):
            self._socket.parser_failed(int(args[0][0]))

    def exception(self, message: str, *args: object) -> None:  # noqa: ARG002
        log.exception("transport_failed")
        self._socket.parser_failed(4200)

    def log(self, *args: object) -> None:
        pass

    debug = info = warning = log


class _Line:
    """uvloop's transport as picows sees it; its `close`, called 10 ms after a parser error, is left to us."""

    __slots__ = ("abort", "get_extra_info", "get_write_buffer_size", "write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.write = transport.write
        self.abort = transport.abort

    def close(self) -> None:
        pass


class _Wire(WSProtocol):  # type: ignore[misc]
    """picows' protocol, with its buffer bounded and its parser's failures noticed."""

    __slots__ = ("house", "socket", "state")
    data_received = None  # uvloop keeps the last protocol's, and with it the upgrade request and its token, unless told

    def __init__(self, socket: "PicowsSocket", house: House, state: ServerState, max_message: int) -> None:
        ping = (False, 1, 1, WSAutoPingStrategy.PING_WHEN_IDLE)
        pong = False
        super().__init__(
            None, None, False, lambda _: socket, _Ear(socket), True, None, *ping, pong, max_message, None, READ_BUFFER
        )
        self.socket = socket
        self.house = house
        self.state = state

    def get_buffer(self, size_hint: int) -> memoryview:
        if self.socket.deaf:
            return _scratch
        return cast("memoryview", super().get_buffer(size_hint))[:READ_WINDOW]

    def buffer_updated(self, nbytes: int) -> None:
        if not self.socket.deaf:
            super().buffer_updated(nbytes)

    def eof_received(self) -> bool:
        self.socket.expect_end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.state.connections.discard(self)

    def shutdown(self) -> None:
        """Start the drain; closing is the conversations' business."""
        self.house.shutdown()


class PicowsSocket(WSListener):
    """One open WebSocket: `websocket.Socket` towards the conversation, picows' listener towards the wire."""

    __slots__ = (
        "_closing",
        "_conversation",
        "_deadline",
        "_emptying",
        "_inbox",
        "_max_message",
        "_parts",
        "_paused",
        "_pong",
        "_size",
        "_told",
        "_transport",
        "_waited_with",
        "_waiting",
        "_ws",
        "deaf",
    )

    def __init__(self, transport: asyncio.Transport, conversation: Conversation, max_message: int) -> None:
        self._transport = transport
        self._conversation = conversation
        self._max_message = max_message
        self._size = transport.get_write_buffer_size
        self._ws: WSTransport
        self.deaf = False
        self._waiting = False
        self._waited_with = 0  # bytes offered while something was queued, and those that made it so
        self._closing = 0  # the code of the first close frame of either side
        self._told = False
        self._paused = False
        self._emptying = False
        self._inbox: deque[bytes | int] | None = None
        self._parts: bytearray | None = None
        self._pong: bytes | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # what the conversation does

    @property
    def queued(self) -> int:
        """See `websocket.Socket`."""
        return self._size()

    @property
    def sent_bytes(self) -> int:
        """See `websocket.Socket`."""
        return self._waited_with - self._size()

    def send(self, text: bytes) -> bool:
        """See `websocket.Socket`."""
        if self._closing:
            return False
        # picows' plain `send` copies into a buffer of each socket's own, and hands on a pointer to it beyond 8 KiB
        self._ws.send_reuse_external_bytearray(TEXT, _SPARE + text, SPARE_BYTES)
        return not self._waiting or self._offered(len(text_header(len(text))) + len(text))

    def send_many(self, frames: Sequence[bytes]) -> bool:
        """See `websocket.Socket`."""
        if self._closing:
            return False
        pieces: list[bytes] = []
        for text in frames:
            pieces.append(text_header(len(text)))
            pieces.append(text)
        page = b"".join(pieces)
        self._transport.write(page)
        return not self._waiting or self._offered(len(page))

    def ping(self) -> None:
        """See `websocket.Socket`."""
        if not self._closing:
            self._ws.send_ping()
            self._offered(2)

    def close(self, code: int, reason: bytes) -> None:
        """See `websocket.Socket`."""
        if self._closing:
            return
        self._closing = code
        self._ws.send_close(cast("Any", code), reason)
        self._inbox = self._parts = None
        self.expect_end()
        self._transport.resume_reading()  # the peer's answer, or its end, must be seen

    def pause_reading(self) -> None:
        """See `websocket.Socket`."""
        self._paused = True
        if not self._closing:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See `websocket.Socket`."""
        self._paused = False
        if self._emptying:
            return
        self._emptying = True
        while self._inbox and not self._paused:
            self._hand_over(self._inbox.popleft())
        self._emptying = False
        if not self._paused:
            self._inbox = None
            self._transport.resume_reading()

    # what picows tells

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin the conversation."""
        self._ws = transport
        self._tell(self._conversation.opened, self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        """Sort one frame; after a close frame of either side only the other side's counts."""
        kind = frame.msg_type
        if self._closing:
            if kind is WSMsgType.CLOSE:
                self._transport.close()
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(1002)
        elif kind is TEXT or kind is WSMsgType.CONTINUATION:
            self._part(frame, kind is TEXT)
        elif kind is WSMsgType.PING:
            self._answer(frame.get_payload_as_bytes())
        elif kind is WSMsgType.PONG:
            self._tell(self._conversation.pong)
        elif kind is WSMsgType.BINARY:
            self._fail(1003)
        else:
            self._peer_closes(frame.get_payload_as_bytes()[:2])

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """Clear up; the last call of all."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._closing = self._closing or 1006
        self._end(self._closing)
        self._inbox = self._parts = self._pong = None
        del self._ws  # it knows us too

    def pause_writing(self) -> None:
        """Notice, before the write that did it returns, that something is queued."""
        self._waiting = True

    def resume_writing(self) -> None:
        """Send the pong that had to wait, then tell that nothing is queued."""
        self._waiting = False
        if self._closing:
            return
        if self._pong is not None:
            payload, self._pong = self._pong, None
            self._answer(payload)
        if not self._waiting:
            self._tell(self._conversation.drained)

    def parser_failed(self, code: int) -> None:
        """Close; what follows on the wire cannot be read any more, so it is dropped until the connection ends."""
        self._fail(code)
        self.deaf = True
        linger(self._transport)

    def expect_end(self) -> None:
        """Make sure that the connection ends soon, whatever the peer does and however much is queued for it."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(CLOSE_DEADLINE, self._transport.abort)

    def _part(self, frame: WSFrame, first: bool) -> None:
        if first is (self._parts is not None):
            self._fail(1002)
            return
        payload = frame.get_payload_as_bytes()
        if first and frame.fin:
            self._message(payload)
            return
        if self._parts is None:
            self._parts = bytearray()
        self._parts += payload
        if len(self._parts) > self._max_message:
            self._fail(1009)
        elif frame.fin:
            whole, self._parts = bytes(self._parts), None
            self._message(whole)

    def _message(self, message: bytes) -> None:
        if not message.isascii():
            try:
                message.decode()
            except UnicodeDecodeError:
                self._fail(1007)
                return
        self._arrived(message)

    def _peer_closes(self, raw: bytes) -> None:
        code = int.from_bytes(raw, "big") if raw else 1005
        known = 1000 <= code <= 1014 and code not in (1004, 1005, 1006)
        if raw and not known and not 3000 <= code <= 4999:
            self._fail(1002)
            self._transport.close()
        else:
            self._arrived(code)

    def _arrived(self, item: bytes | int) -> None:
        if self._paused or self._inbox:
            if self._inbox is None:
                self._inbox = deque()
            self._inbox.append(item)
        else:
            self._hand_over(item)

    def _hand_over(self, item: bytes | int) -> None:
        if isinstance(item, bytes):
            self._tell(self._conversation.text, item)
            return
        self._closing = item
        self._ws.send(WSMsgType.CLOSE, b"" if item == 1005 else item.to_bytes(2, "big"))
        self._inbox = None
        self.expect_end()
        self._transport.close()
        self._end(item)

    def _answer(self, payload: bytes) -> None:
        """Answer a ping; while something is queued only the newest is kept, so pings cannot fill our memory."""
        if self._waiting:
            self._pong = payload
        else:
            self._ws.send_pong(payload)
            self._offered(2 + len(payload))

    def _offered(self, size: int) -> bool:
        """Note so many bytes where something is queued; return whether nothing is."""
        if self._waiting:
            self._waited_with += size
        return not self._waiting

    def _fail(self, code: int) -> None:
        self.close(code, _FAULTS[code])

    def _end(self, code: int) -> None:
        if not self._told:
            self._told = True
            self._tell(self._conversation.closed, code)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:
            log.exception("conversation_failed")
            self._fail(4200)


def websocket_protocol(
    accept: Accept, *, on_shutdown: Callable[[], None] = lambda: None, max_message: int = MAX_MESSAGE
) -> type[Arrival]:
    """Return the class for `server_for` that asks `accept` about every upgrade at `/ws`; one a server.

    `on_shutdown` is called at most once, when uvicorn goes down while sockets are open (see `GatewayServer`):
    sockets are never closed by the server, only by their conversations. `max_message` is in bytes.
    """

    def open_socket(transport: asyncio.Transport, conversation: Conversation, key: str, state: ServerState) -> None:
        socket = PicowsSocket(transport, conversation, max_message)
        wire = _Wire(socket, house, state, max_message)
        cast("set[Any]", state.connections).add(wire)
        wire.connection_made(_Line(transport))
        transport.set_write_buffer_limits(high=0)  # so that the first queued byte pauses and the last one resumes
        transport.set_protocol(wire)
        head = (
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        ).encode("latin-1")
        wire.get_buffer(len(head))[: len(head)] = head
        wire.buffer_updated(len(head))
        wire.transport.request.headers = wire.transport.response.headers = None  # a kilobyte that nobody reads

    house = House(accept, open_socket, on_shutdown)
    return type("WebSocketArrival", (Arrival,), {"house": house})
