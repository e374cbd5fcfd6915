"""A client that says it will send no more (`nc -N`, `shutdown(SHUT_WR)`) still gets the answers it has asked for.

uvicorn closes there and then. Touches its `HttpToolsProtocol` and `RequestResponseCycle`, as `http_protocol` does.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class HalfClosable(HttpToolsProtocol):
    """HTTP that ends with the last answer, where the client has ended its side before.

    An answer that has begun is not waited for: it may be one that never ends, and a client that has hung up looks the
    same until something is written to it.
    """

    _half_closed = False

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio takes True for "leave it open"
        """Leave it open while the newest request is whole and waits for the beginning of its answer."""
        newest: RequestResponseCycle | None = self.cycle
        self._half_closed = newest is not None and not newest.more_body and not newest.response_started
        return self._half_closed

    def on_response_complete(self) -> None:
        """End with the last answer."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self._half_closed and is_last:
            self.transport.close()
