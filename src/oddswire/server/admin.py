"""What the operator's tools ask, on a listener of its own: metrics, readiness, who is connected, and sending away.

There is no password: whoever reaches the listener may ask. A page in a browser on the same machine reaches it too, so
what may be a page's call is refused: one with an `Origin`, or with a name as its `Host`, which any DNS may point here.
"""

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

import msgspec
import structlog
import uvicorn
from litestar.enums import ScopeType
from litestar.exceptions import MethodNotAllowedException
from litestar.types import HTTPScope, Receive, Scope, Send
from msgspec import DecodeError, Struct, ValidationError
from prometheus_client import CONTENT_TYPE_LATEST

from oddswire.auth.authority import Authority
from oddswire.errors import InvalidInput, Refused
from oddswire.server.body_faults import unreadable
from oddswire.server.http_protocol import GatewayHttp
from oddswire.server.metrics import Metrics
from oddswire.server.problems import PROBLEM_JSON, answer_of
from oddswire.server.uvicorn_server import GatewayServer
from oddswire.server.websocket import parsed_query
from oddswire.streams.roster import Presence, Roster
from oddswire.wire import bodies

T = TypeVar("T")
MOST: Final = 1000
"""The longest page of connections."""
MAX_BODY: Final = 4096
BODY_SECONDS: Final = 10
_HOST: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::[0-9]*)?")
_JSON: Final = "application/json"
_logger = structlog.get_logger("oddswire.admin")


class Details(Struct, rename="camel"):
    """How the process is, in numbers; `writes_waiting` are units of work in the store's queue."""

    status: Literal["ready", "not_ready"]
    version: str
    uptime_seconds: int
    connections: int
    catching_up: int
    writes_waiting: int


class Connections(Struct, rename="camel"):
    """A page of connections, the oldest first; go on with `cursor` = `next_cursor` while there is one."""

    data: list[Presence]
    next_cursor: str | None


class Kick(Struct, forbid_unknown_fields=True):
    """Whom to send away."""

    app: str
    user: str


class Kicked(Struct):
    """How many sessions were ended, and how many connections there were on this node."""

    sessions: int
    connections: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way out."""

    status: int
    body: bytes
    kind: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Question:
    method: str
    query: dict[str, str]
    receive: Receive
    peer: str


_Route = Callable[[_Question], Awaitable[Reply]]


class Admin:
    """The ASGI application of the operator's listener."""

    def __init__(
        self,
        metrics: Metrics,
        before_metrics: Callable[[], Awaitable[None]],
        details: Callable[[], Details],
        roster: Roster,
        authority: Authority,
    ) -> None:
        """`before_metrics` is awaited before they are told, for what must be read without holding up the loop."""
        self._metrics = metrics
        self._before_metrics = before_metrics
        self._details = details
        self._roster = roster
        self._authority = authority
        self._routes: dict[str, tuple[str, _Route]] = {
            "/metrics": ("GET", self._tell_metrics),
            "/readyz": ("GET", self._tell_details),
            "/connections": ("GET", self._list),
            "/kick": ("POST", self._kick),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            raise RuntimeError("only HTTP comes here")
        try:
            reply = await self._answer(scope, receive)
        except Exception as fault:
            told = answer_of(fault)
            reply = Reply(told.problem.status, bodies.encode(told.problem), PROBLEM_JSON, told.headers)
        body = b"" if scope["method"] == "HEAD" else reply.body
        length = {"content-type": reply.kind, "content-length": str(len(reply.body)), "cache-control": "no-store"}
        headers = [(name.encode(), value.encode()) for name, value in {**length, **reply.headers}.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _answer(self, scope: HTTPScope, receive: Receive) -> Reply:
        _refuse_browsers(scope)
        found = self._routes.get(scope["path"])
        if found is None:
            # no problem document: a client of the API that asks here by mistake is to see that this is not it
            return Reply(404, f"This is the operator's listener: {', '.join(self._routes)}\n".encode(), "text/plain")
        method, route = found
        if method != scope["method"] and (method, scope["method"]) != ("GET", "HEAD"):
            raise MethodNotAllowedException(headers={"allow": method})
        try:
            query = parsed_query(scope["query_string"].decode("ascii"))
        except ValueError:
            raise InvalidInput("invalid_parameter", "The query cannot be read.") from None
        return await route(_Question(scope["method"], query, receive, _peer(scope)))

    # ---- the calls

    async def _tell_metrics(self, _: _Question) -> Reply:
        await self._before_metrics()
        return Reply(200, self._metrics.text(), CONTENT_TYPE_LATEST)

    async def _tell_details(self, _: _Question) -> Reply:
        details = self._details()
        return Reply(200 if details.status == "ready" else 503, msgspec.json.encode(details))

    async def _list(self, question: _Question) -> Reply:
        query = dict(question.query)
        app, user = query.pop("app", None), query.pop("user", None)
        after = _number("cursor", query.pop("cursor", "0"), 0, 2**53)
        limit = _number("limit", query.pop("limit", "100"), 1, MOST)
        for name in query:
            raise InvalidInput("invalid_parameter", "Take app, user, cursor and limit.", path=name)
        found = self._roster.page(app, user, after, limit + 1)
        page = found[:limit]
        more = len(found) > limit
        return Reply(200, msgspec.json.encode(Connections(page, str(page[-1].number) if more else None)))

    async def _kick(self, question: _Question) -> Reply:
        whom = _read(await _body(question.receive), Kick)
        self._authority.apps.get(whom.app)
        connections = sum(1 for _ in self._roster.of(whom.app, whom.user))
        actor = f"admin listener, {question.peer}"
        sessions = await self._authority.revoke_user(whom.app, whom.user, actor)
        _logger.warning(
            "admin_act",
            act="user.kick",
            actor=actor,
            app=whom.app,
            user=whom.user,
            sessions=sessions,
            connections=connections,
        )
        return Reply(200, msgspec.json.encode(Kicked(sessions, connections)))


def admin_server(app: Admin) -> GatewayServer:
    """Return the server, to be run with a listening socket."""
    config = uvicorn.Config(
        app,
        http=GatewayHttp,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return GatewayServer(config)


def _refuse_browsers(scope: HTTPScope) -> None:
    """Raise `operator_only` for what a page may have sent; a tool may leave `Host` out, a browser never does."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if b"origin" in headers:
        raise Refused("operator_only", "The call came with an `Origin`: pages may not ask here.")
    host = headers.get(b"host")
    if host is not None and not _is_address(host):
        raise Refused("operator_only", "The `Host` is a name; this listener is asked by its address.")


def _peer(scope: HTTPScope) -> str:
    """Return the address of who asks; of a proxy's, if there is one in front."""
    return scope["client"][0] if scope["client"] else "unknown"


def _is_address(host: str) -> bool:
    """Tell whether a `Host` is an IP address or `localhost`, which no foreign DNS can make point here."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1] or found[2]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower() == "localhost"
    return True


def _number(name: str, text: str, low: int, high: int) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 16 and low <= int(text) <= high:
        return int(text)
    raise InvalidInput("invalid_parameter", f"A whole number from {low} to {high} is wanted.", path=name)


async def _body(receive: Receive) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise InvalidInput("invalid_json", "The body has no end.")
                body += message["body"]
                if len(body) > MAX_BODY:
                    raise InvalidInput("body_too_large", f"The body is over {MAX_BODY} bytes.")
                if not message["more_body"]:
                    return body
    except TimeoutError:
        raise InvalidInput("body_too_slow", f"The body was not whole after {BODY_SECONDS} seconds.") from None


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as fault:
        raise unreadable(fault, body) from None
