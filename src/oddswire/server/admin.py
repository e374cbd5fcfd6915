"""What the operator's tools ask, on a listener of its own: `/metrics` and `/readyz` with details."""

from collections.abc import Callable
from typing import Literal

import msgspec
import uvicorn
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST

from oddswire.server.http_protocol import GatewayServer
from oddswire.server.metrics import Metrics


class Details(Struct, rename="camel"):
    """How the process is, in numbers; `writes_waiting` are units of work in the store's queue."""

    status: Literal["ready", "not_ready"]
    version: str
    uptime_seconds: int
    connections: int
    catching_up: int
    writes_waiting: int


class Admin:
    """The ASGI application; it takes GET only and knows two paths."""

    def __init__(self, metrics: Metrics, details: Callable[[], Details]) -> None:
        self._metrics = metrics
        self._details = details

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            raise RuntimeError("only HTTP comes here")
        status, kind, body = self._answer(scope["method"], scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        if method != "GET":
            return 405, "text/plain", b"GET only\n"
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, self._metrics.text()
        if path == "/readyz":
            details = self._details()
            return 200 if details.status == "ready" else 503, "application/json", msgspec.json.encode(details)
        return 404, "text/plain", b"/metrics and /readyz are here\n"


def admin_server(app: Admin) -> GatewayServer:
    """Return the server, to be run with a listening socket."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return GatewayServer(config)
