"""The process around a gateway: addresses, file limits, signals, and tasks that must not end."""

import asyncio
import ipaddress
import os
import resource
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, NoReturn

import structlog

from oddswire.errors import OperatorError
from oddswire.server.websocket import listening_socket

FATAL_EXIT: Final = 70
"""The exit code of a process that must not go on with its database."""
BACKLOG: Final = 2048
OWN_FILES: Final = 64
"""Files open that are no clients' sockets: the database and its readers, listeners, requests under way to venues."""
FEW_FILES: Final = 1024
"""Fewer open files than this are too few for any gateway but one that is tried out."""
_logger = structlog.get_logger("oddswire.process")


class HostPort(NamedTuple):
    """Where a socket listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Address(NamedTuple):
    """Where a gateway listens: the API, and the operator's listener if there is one."""

    api: HostPort
    admin: HostPort | None

    @property
    def url(self) -> str:
        """The API's base URL."""
        return f"http://{self.api}"

    @property
    def ws_url(self) -> str:
        """The WebSocket's URL, without its query."""
        return f"ws://{self.api}/ws"


def parse_host_port(text: str) -> HostPort:
    """Return the parts of `HOST:PORT`, `[::1]:PORT` for IPv6.

    Raises:
        OperatorError: `address_unusable`.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise OperatorError("address_unusable", f"An address is written HOST:PORT, not {text!r}.")
    return HostPort(host.removeprefix("[").removesuffix("]"), int(port))


def listen(where: HostPort) -> socket.socket:
    """Return a socket that listens there; port 0 takes a free one.

    Raises:
        OperatorError: `address_unusable`.
    """
    try:
        listener = listening_socket(*where)
    except OSError as fault:
        raise OperatorError("address_unusable", f"{fault.strerror or fault}.") from fault
    try:
        # two sockets may be bound to one port, but only one may listen: found out here rather than when serving
        listener.listen(BACKLOG)
    except OSError as fault:
        listener.close()
        raise OperatorError("address_unusable", f"Cannot listen on {where}: {fault.strerror}.") from fault
    return listener


def address_of(listener: socket.socket) -> HostPort:
    """Return where a socket really listens."""
    host, port, *_ = listener.getsockname()
    return HostPort(str(host), int(port))


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def raise_file_limit(connections: int) -> int | None:
    """Allow as many open files, and so sockets, as the system lets us, and warn where that is little.

    Returns how many sockets there is room for, None: as many as come.

    `connections` is how many sockets the settings promise; without any promise 1,024 files are enough to say nothing.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as fault:
        # some kernels name no limit and have one all the same
        limit = soft
        _logger.warning("file_limit_not_raised", limit=soft, fault=str(fault))
    if limit == resource.RLIM_INFINITY:
        return None
    wanted, sockets = max(FEW_FILES, connections + OWN_FILES), max(limit // 4, limit - OWN_FILES)
    if limit < wanted:
        _logger.warning(
            "file_limit_low",
            limit=limit,
            wanted=wanted,
            sockets=sockets,
            action=f"Raise the hard limit of open files to {wanted} or more: `ulimit -Hn`, LimitNOFILE= in a systemd "
            "unit, --ulimit nofile= of a container.",
        )
    return sockets


def end_the_process(reason: str) -> NoReturn:
    """Leave at once: whether the last commits are on disk is not known, and only a fresh start can tell."""
    _logger.critical("store_failed", detail=reason, action="See to the disk and the file, then start again.")
    os._exit(FATAL_EXIT)


@contextmanager
def signals_set(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop`, and a second one end the process at once: nothing durable is lost by it."""
    loop = asyncio.get_running_loop()

    def take(number: int) -> None:
        if stop.is_set():
            _logger.warning("ended_at_once", signal=signal.Signals(number).name)
            os._exit(0)
        _logger.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, take, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class Background:
    """Tasks that run as long as the process: one that ends by itself, whatever the reason, ends everything."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], str] = {}

    def add(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Run it."""
        self._tasks[asyncio.create_task(work, name=name)] = name

    async def until(self, stop: asyncio.Event) -> str | None:
        """Return None once `stop` is set, or the name of a task that has ended, which has been logged."""
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({stopping, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if stop.is_set():
            return None
        for task, name in self._tasks.items():
            if task in done:
                fault = None if task.cancelled() else task.exception()
                _logger.critical("background_task_ended", task=name, exc_info=fault)
                return name
        return None

    async def stop(self) -> None:
        """Cancel them all and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
