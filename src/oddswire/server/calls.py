"""One HTTP call: what it may reach, and its body read strictly."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final, TypeVar, get_args

import msgspec
from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.serialization import default_serializer
from litestar.types import Receive, Scope, Send, Serializer
from msgspec import DecodeError, Struct, ValidationError

from oddswire.auth.apps import App
from oddswire.auth.authority import Authority
from oddswire.auth.identity import Identity
from oddswire.clock import Clock
from oddswire.errors import InvalidInput
from oddswire.orders.desk import Desk
from oddswire.orders.pulse import Pulse
from oddswire.server.body_faults import unreadable
from oddswire.server.gate import Gate
from oddswire.server.http_protocol import WHOLE
from oddswire.server.limits import Limits
from oddswire.server.metrics import Metrics
from oddswire.store.base import Store
from oddswire.streams.hub import Hub
from oddswire.streams.roster import Roster
from oddswire.venues.base import Venue
from oddswire.wire import bodies

T = TypeVar("T")
MAX_BODY: Final = 64 * 1024
BODY_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class RestParts:
    """What the calls are answered from. `ready` is false before and after serving."""

    store: Store
    clock: Clock
    authority: Authority
    desk: Desk
    venues: Mapping[str, Venue]
    limits: Limits
    gate: Gate
    metrics: Metrics
    pulses: Mapping[str, Pulse]
    hub: Hub
    roster: Roster
    ready: Callable[[], bool]


class Call(Request[Identity, App, State]):
    """A request of this API: `auth` is its app, `user` who asks, once a guard has proved them."""

    @property
    def parts(self) -> RestParts:
        """What the call is answered from."""
        parts: RestParts = self.app.state.parts
        return parts

    @property
    def address(self) -> str:
        """The client's IP address: the peer's, or what a trusted proxy says."""
        return self.client.host if self.client else ""

    def header(self, name: str) -> str | None:
        """Return the first header of that name, which is in small letters."""
        wanted = name.encode()
        for key, value in self.scope["headers"]:
            if key == wanted:
                return value.decode("latin-1")
        return None

    async def body(self) -> bytes:
        """Return the body.

        Raises:
            InvalidInput: `body_too_slow`, or `invalid_json` where the client has gone and nobody is left to read this.
        """
        try:
            if WHOLE in (self.scope.get("extensions") or {}):
                return await super().body()
            async with asyncio.timeout(BODY_SECONDS):
                return await super().body()
        except TimeoutError:
            raise InvalidInput("body_too_slow", f"The body was not whole after {BODY_SECONDS} seconds.") from None
        except InternalServerException:
            raise InvalidInput("invalid_json", "The body has no end.") from None

    async def json(self) -> Any:
        """Return the body as the struct its route takes, whatever `Content-Type` says.

        A route may do without a body; a body that is `null` is none of its struct.

        Raises:
            InvalidInput: `invalid_json` or `invalid_body` with its path.
        """
        field = self.route_handler.parsed_fn_signature.parameters["data"]
        body = await self.body()
        try:
            return msgspec.json.decode(body, type=_struct_of(field.annotation))
        except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as fault:
            raise unreadable(fault, body) from None


class _Written(ASGIResponse):
    """An answer whose body is written and whose headers are all there: the framework's own would look for more."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status
        self._headers = headers
        self.body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Json(Response[T]):
    """An answer whose structs are written with exact decimals as numbers."""

    def to_asgi_response(self, app: Litestar | None, request: Request[Any, Any, Any], **rest: Any) -> ASGIResponse:
        """Return what sends it."""
        if not isinstance(self.content, Struct) or rest.get("headers"):
            return super().to_asgi_response(app, request, **rest)
        body = bodies.encode(self.content)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        return _Written(self.status_code or rest["status_code"], headers, body)

    def render(self, content: Any, media_type: str, enc_hook: Serializer = default_serializer) -> bytes:
        """Return the body's bytes."""
        return bodies.encode(content) if isinstance(content, Struct) else super().render(content, media_type, enc_hook)


def _struct_of(annotation: Any) -> Any:
    """Return a body's type without the None of a body that may be left out."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if kinds else annotation
