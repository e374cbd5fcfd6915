"""uvicorn's server, as we run it: our own way in, no signals of its own, and an end that waits for what is under way.

Touches the internals of uvicorn 0.54's `Server` and its protocols; `tests/server/test_websocket_conformance.py` says
which.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, cast

from uvicorn.config import Config

from oddswire.server.doorman import Doorman
from oddswire.server.http_protocol import Arrival, GatewayHttp
from oddswire.server.shutdown import EndsInTime


class GatewayServer(EndsInTime):
    """uvicorn's server that leaves the process's signals alone and says when it listens.

    `serve` ends after `should_exit` was set: uvicorn then closes the listeners, calls `shutdown()` of every
    connection, and waits for all of them to end: without limit, or for `timeout_graceful_shutdown` seconds, after
    which it cancels the tasks of requests but *not* the sockets. So drain first: refuse new upgrades in `accept`,
    close every socket, and set `should_exit` when the last `closed` has been told.

    While `most` connections are open, who comes is sent away: other parts of the process need files too.
    """

    def __init__(self, config: Config, most: int | None = None) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._most = most

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then set `listening`; a failed start of the app ends with SystemExit, as uvicorn does it."""
        await super().startup([])
        loop, backlog = asyncio.get_running_loop(), self.config.backlog
        doormen = [Doorman(listener, self._arrival, backlog, loop, self._is_full) for listener in sockets or []]
        self.servers += cast("list[asyncio.base_events.Server]", doormen)
        self.listening.set()

    def _arrival(self) -> asyncio.Protocol:
        kind = cast("type[GatewayHttp]", self.config.http_protocol_class)
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _is_full(self) -> bool:
        return self._most is not None and len(self.server_state.connections) >= self._most

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGINT and SIGTERM to whoever runs us."""
        yield


def server_for(
    app: Any,
    websocket: type[Arrival],
    *,
    shutdown_timeout: int,
    most: int | None = None,
    http: type[GatewayHttp] = GatewayHttp,
    **settings: Any,
) -> GatewayServer:
    """Return a server of an ASGI app and a `websocket_protocol`, to be run by `serve(sockets=[listening_socket()])`.

    Its logs name no request: the access log is off, and uvicorn's loggers stay above the levels that print scopes.
    `shutdown_timeout` is the back-stop in seconds for requests in flight, `most` how many connections may be open;
    `settings` go to `uvicorn.Config`.
    """
    config = Config(
        app,
        http=http,
        ws=websocket,
        log_config=None,
        log_level="info",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=shutdown_timeout,
        **settings,
    )
    return GatewayServer(config, most)
