"""Lets connections in, a few in each turn of the loop.

A server of uvloop's own lets in one a turn, whatever else there is to do, and goes on when there is no file for the
database or the operator any more. Those who are not let in yet wait in the kernel's queue.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from math import inf
from typing import Final

import structlog

AT_ONCE: Final = 4
"""Connections let in in one turn: a millisecond's work, with what they say first. More make others wait longer."""
RETRY_SECONDS: Final = 1.0
"""How long nobody is let in when the system has no file or memory for another."""
WARN_SECONDS: Final = 60
"""How often it is said that somebody was sent away."""
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_logger = structlog.get_logger("oddswire.process")


class Doorman:
    """Accepts on a bound `listener`, which it closes at the end; stands where uvicorn expects a server of asyncio's.

    Who comes while it `is_full` is sent away at once.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        backlog: int,
        loop: asyncio.AbstractEventLoop,
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_full = is_full
        self._warned_at = -inf
        self._listener = listener
        self._protocol = protocol
        self._loop = loop
        self._arriving: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        self._spare = _spare_file()
        listener.listen(backlog)
        listener.setblocking(False)
        loop.add_reader(listener.fileno(), self._let_in)

    def close(self) -> None:
        """Let nobody else in."""
        if self._closed:
            return
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        if self._spare is not None:
            os.close(self._spare)

    async def wait_closed(self) -> None:
        """Return once all who were let in have a protocol."""
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _let_in(self) -> None:
        for _ in range(AT_ONCE):
            try:
                arrived, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                if fault.errno == errno.EMFILE and self._spare is not None:
                    self._send_away(self._spare)
                    return
                if fault.errno in _EXHAUSTED:
                    self._stand_still(fault)
                    return
                continue  # who came has left again
            if self._is_full():
                arrived.close()
                self._warn()
                continue
            arrived.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, arrived))
            self._arriving.add(task)
            task.add_done_callback(self._arrived)

    def _arrived(self, task: "asyncio.Task[object]") -> None:
        self._arriving.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _logger.error("connection_not_taken", exc_info=fault)

    def _warn(self) -> None:
        """Say that somebody was sent away, once a minute."""
        now = self._loop.time()
        if now - self._warned_at >= WARN_SECONDS:
            self._warned_at = now
            _logger.warning("sockets_full", seconds=WARN_SECONDS)

    def _send_away(self, spare: int) -> None:
        """Tell one for whom this process has no file left at once, by the file that is kept for it."""
        self._warn()
        os.close(spare)
        with contextlib.suppress(OSError):
            self._listener.accept()[0].close()
        self._spare = _spare_file()

    def _stand_still(self, fault: OSError) -> None:
        """Who waits is readable all the time: without a pause the loop would do nothing but ask."""
        _logger.error("cannot_accept", fault=fault.strerror, seconds=RETRY_SECONDS)
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(RETRY_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._spare = _spare_file() if self._spare is None else self._spare
        self._loop.add_reader(self._listener.fileno(), self._let_in)


def _spare_file() -> int | None:
    """Return an open file that can be given up for a connection, None where another thread has taken the last."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
