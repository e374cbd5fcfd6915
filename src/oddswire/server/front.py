"""What every HTTP request passes, whatever answers it: CORS, one line in the log, one count, and a last resort."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from oddswire.errors import InvalidInput, Missing, Refused
from oddswire.server import openapi
from oddswire.server.callers import STANDING
from oddswire.server.cors import Cors
from oddswire.server.limits import Standing
from oddswire.server.metrics import Metrics
from oddswire.server.problems import PROBLEM_JSON, Answer, answer_of
from oddswire.wire import bodies

_ENDLESS: Final = "/trading/events/stream"
LINGER_SECONDS: Final = 1.0
LINGER_BYTES: Final = 1024 * 1024
"""How long, and how much, of a refused body is read and thrown away, so that its sender gets to see the answer."""
_ALWAYS: Final = {"x-content-type-options": "nosniff"}
_NOT_KEPT: Final = {"cache-control": "no-store"}
_BELOW_DESCRIPTION: Final = f"{openapi.PATH}/"
UNMATCHED: Final = "unmatched"
_REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 408, 413})
_access = structlog.get_logger("oddswire.access")


class Front:
    """The outermost ASGI application, around the API's own."""

    def __init__(self, app: ASGIApp, cors: Cors, metrics: Metrics, refused: Callable[[str], None]) -> None:
        """`refused` is told the address of each call of nobody that was refused."""
        self._app = app
        self._cors = cors
        self._metrics = metrics
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            raise RuntimeError("only HTTP comes here")
        method = scope["method"]
        if method == "HEAD" and scope["path"] != _ENDLESS:
            # answered as GET; the server below knows what was asked, and sends no body
            scope = {**scope, "method": "GET"}
        passage = _Passage(scope, receive, send, self._cors)
        started = time.perf_counter()
        try:
            if passage.is_preflight:
                await passage.answer_preflight()
            elif scope["path"] == "/ws":
                raise InvalidInput("bad_handshake", "This path takes a WebSocket handshake.")
            elif scope["path"].rstrip("/").startswith(_BELOW_DESCRIPTION):
                # the framework has a page of its own there, for people
                raise Missing("There is nothing at this path.")
            else:
                await self._app(scope, receive, passage.send)
        except Exception as fault:
            await passage.answer_if_nobody_has(answer_of(fault))
        finally:
            client = (scope.get("client") or ("",))[0]
            if passage.status in _REFUSALS and scope.get("user") is None:
                self._refused(client)
            seconds = time.perf_counter() - started
            self._metrics.request(method, passage.route, passage.status, seconds)
            _access.info(
                "request",
                method=method,
                path=scope["path"],
                status=passage.status,
                ms=round(seconds * 1000, 1),
                client=client,
            )


class _Passage:
    """One request on its way through."""

    def __init__(self, scope: HTTPScope, receive: Receive, send: Send, cors: Cors) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._cors = cors
        self._headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.status = 0

    @property
    def route(self) -> str:
        """The template of the path, for counting."""
        return self._scope.get("path_template") or UNMATCHED

    @property
    def is_preflight(self) -> bool:
        """Whether a browser asks beforehand."""
        return (
            self._scope["method"] == "OPTIONS"
            and "origin" in self._headers
            and "access-control-request-method" in self._headers
            and self._cors.covers(self._scope["path"])
        )

    async def answer_preflight(self) -> None:
        """Say what a page may send, or that it may nothing."""
        allowed = self._cors.preflight(self._headers["origin"])
        if allowed is None:
            await self._answer(answer_of(Refused("origin_not_allowed", "The page's origin is not one of an app's.")))
        else:
            await self._respond(204, allowed, b"")

    async def answer_if_nobody_has(self, answer: Answer) -> None:
        """Answer a fault that nothing further in has turned into an answer."""
        if not self.status:
            await self._answer(answer)

    async def send(self, message: Message) -> None:
        """Pass an answer on, with the headers that go with every one."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *_encoded({**_ALWAYS, **self._rate(), **self._cors_headers()})]
            if not any(name == b"cache-control" for name, _ in headers):
                headers += _encoded(_NOT_KEPT)
            message["headers"] = headers
            await self._send(message)
        elif self.status == 413 and not message.get("more_body"):
            body: Any = {**message, "more_body": True}
            await self._send(body)
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _linger(self) -> None:
        """Read on for a moment: closing a connection with unread bytes would take the answer back."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))  # type: ignore[arg-type]
                    if not message.get("more_body"):
                        return
        except TimeoutError:
            return

    def _cors_headers(self) -> dict[str, str]:
        return self._cors.of_call(self._scope["path"], self._headers)

    def _rate(self) -> dict[str, str]:
        standing = self._scope["state"].get(STANDING)
        return standing.headers() if isinstance(standing, Standing) else {}

    async def _answer(self, answer: Answer) -> None:
        body = bodies.encode(answer.problem)
        headers = {"content-type": PROBLEM_JSON, "content-length": str(len(body)), **answer.headers}
        await self._respond(answer.problem.status, {**headers, **self._cors_headers()}, body)

    async def _respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        start: Any = {
            "type": "http.response.start",
            "status": status,
            "headers": _encoded({**_ALWAYS, **_NOT_KEPT, **headers}),
        }
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
