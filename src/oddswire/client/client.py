"""The Python client of a gateway: typed calls over HTTP, and one endless stream of events.

Async only. Amounts go in as text, `int` or `Decimal` and come back as exact `Decimal`s; a float is refused.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from oddswire.client import connection
from oddswire.client.errors import ServerRefused, ServerUnreachable, Stopped
from oddswire.events import Side
from oddswire.wire import bodies

Shape = TypeVar("Shape")
TIMEOUT: Final = httpx.Timeout(10.0, read=30.0)
"""A placed order is answered after at most 10 s, so a call that has no answer after 30 s never gets one."""
_Params = Mapping[str, str | int | None]
_STALE: Final = frozenset({"token_expired", "token_invalid"})


class Client:
    """One user of one app at one gateway; use it as an `async with`.

    With a `refresh_token`, a call whose access token has expired is made again once with a new one.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        access_token: str | None = None,
        refresh_token: str | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.app_id = app_id
        self.access_token = access_token
        self.refresh_token = refresh_token
        self._refreshing = asyncio.Lock()
        self._http = httpx.AsyncClient(
            base_url=self.base_url, headers={"x-app-id": app_id}, timeout=TIMEOUT, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    # ---- who is asking

    async def sign_in(self, user_id: str, *, api_key: str, label: str = "") -> bodies.SignedIn:
        """Sign a user in with the app's API key, as its backend does, and go on as that user.

        Raises:
            ServerRefused: `api_key_invalid`, `unknown_app`, `invalid_body`.
            ServerUnreachable: no answer.
        """
        body = bodies.SignInRequest(user_id=user_id, label=label)
        signed = await self._call("POST", "/auth/token", bodies.SignedIn, body=body, headers={"x-app-api-key": api_key})
        self.access_token, self.refresh_token = signed.access_token, signed.refresh_token
        return signed

    async def refresh(self, stale: str | None = None) -> str:
        """Get a new access token and return it; callers that come with the same `stale` one share one refresh.

        Raises:
            Stopped: there is no refresh token, or it is not valid any more.
            ServerUnreachable: no answer.
        """
        stale = stale or self.access_token
        async with self._refreshing:
            if self.access_token is not None and self.access_token != stale:
                return self.access_token
            if self.refresh_token is None:
                raise Stopped("token_expired", "The access token is not valid any more, and there is no other.")
            body = bodies.RefreshRequest(refresh_token=self.refresh_token)
            try:
                signed = await self._call("POST", "/auth/token/refresh", bodies.SignedIn, body=body)
            except ServerRefused as said:
                if said.status < 500 and said.status != 429:
                    raise Stopped(said.code, said.detail) from said
                raise
            self.access_token, self.refresh_token = signed.access_token, signed.refresh_token
            return signed.access_token

    # ---- orders

    async def place_order(
        self,
        *,
        venue: str,
        market_id: str,
        outcome_id: str,
        side: Side,
        price: Decimal | int | str,
        size: Decimal | int | str,
        time_in_force: bodies.TimeInForce = "gtc",
        expires_at: int | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
    ) -> bodies.Order:
        """Place an order and return it as the venue took it (or `unconfirmed` where the venue did not answer).

        `expires_at` is in Unix epoch ms. With a `client_order_id` the call may be repeated: it places one order.

        Raises:
            ServerRefused: denied by the gateway, or `rejected_by_venue` with the stored order in `order`.
            ServerUnreachable: no answer; whether it was placed is not known.
            TypeError: an amount is a float.
        """
        wanted = bodies.PlaceOrder(
            venue=venue,
            market_id=market_id,
            outcome_id=outcome_id,
            side=side,
            price=_amount(price),
            size=_amount(size),
            time_in_force=time_in_force,
            expires_at=expires_at,
            post_only=post_only,
            client_order_id=client_order_id,
        )
        return await self._signed("POST", "/trading/orders", bodies.Order, body=wanted)

    async def cancel_order(self, order_id: str) -> bodies.Order:
        """Ask for an order's cancel; an event tells what came of it.

        Raises:
            ServerRefused: `not_found`, or `order_finished` with the order.
        """
        return await self._signed("POST", f"/trading/orders/{quote(order_id, safe='')}/cancel", bodies.Order)

    async def orders(self, *, status: str | None = None, cursor: str | None = None, limit: int = 50) -> bodies.Orders:
        """Return a page of orders, newest first; `status` may name several with a comma between."""
        params = {"status": status, "cursor": cursor, "limit": limit}
        return await self._signed("GET", "/trading/orders", bodies.Orders, params=params)

    # ---- the state, and what led to it

    async def balances(self, venue: str | None = None) -> bodies.Balances:
        """Return every balance, exactly as it is after the event `seq` of the answer."""
        return await self._signed("GET", "/trading/balance", bodies.Balances, params={"venue": venue})

    async def holdings(self, venue: str | None = None) -> bodies.Holdings:
        """Return every holding, exactly as it is after the event `seq` of the answer."""
        return await self._signed("GET", "/trading/holdings", bodies.Holdings, params={"venue": venue})

    async def event_page(self, since: int, epoch: str, limit: int | None = None) -> bodies.EventPage:
        """Return a page of the events after `since`.

        Raises:
            ServerRefused: 410 `history_expired`, `epoch_changed` or `ahead`.
        """
        params: _Params = {"since": since, "epoch": epoch, "limit": limit}
        return await self._signed("GET", "/trading/events", bodies.EventPage, params=params)

    def events(
        self, since: int | None = None, epoch: str | None = None, *, on_line: connection.OnLine = connection.unheard
    ) -> AsyncGenerator[connection.Told, None]:
        """Yield the user's events: those after the cursor, or from now on; then live, across reconnects, for ever.

        Each event comes once and in order. Where that cannot be kept (the cursor is too old, or of another history)
        a `Reset` comes instead: read the state again. `on_line` is told how the connection is doing.

        Raises:
            Stopped: the gateway told the client to go, or no token can be had any more.
        """
        return connection.events(self, since, epoch, on_line)

    # ---- what can be traded

    async def markets(self, venue: str | None = None, cursor: str | None = None, limit: int = 50) -> bodies.Markets:
        """Return a page of markets."""
        params = {"venue": venue, "cursor": cursor, "limit": limit}
        return await self._call("GET", "/markets", bodies.Markets, params=params)

    # ---- the one way to ask

    async def _signed(
        self,
        method: str,
        path: str,
        shape: type[Shape],
        *,
        body: msgspec.Struct | None = None,
        params: _Params | None = None,
    ) -> Shape:
        token = self.access_token or await self.refresh()
        try:
            return await self._call(method, path, shape, body=body, params=params, headers=_bearer(token))
        except ServerRefused as said:
            if said.status != 401 or said.code not in _STALE or self.refresh_token is None:
                raise
        token = await self.refresh(token)
        return await self._call(method, path, shape, body=body, params=params, headers=_bearer(token))

    async def _call(
        self,
        method: str,
        path: str,
        shape: type[Shape],
        *,
        body: msgspec.Struct | None = None,
        params: _Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Shape:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        sent = dict(headers or {})
        if body is not None:
            sent["content-type"] = "application/json"
        content = None if body is None else bodies.encode(body)
        try:
            answer = await self._http.request(method, path, content=content, params=given, headers=sent)
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise ServerUnreachable(f"{self.base_url} does not answer: {fault or type(fault).__name__}") from fault
        if answer.is_success:
            return self._read(answer, shape)
        raise self._refusal(answer)

    def _read(self, answer: httpx.Response, shape: type[Shape]) -> Shape:
        try:
            return msgspec.json.decode(answer.content, type=shape)
        except msgspec.DecodeError as fault:
            raise ServerUnreachable(f"What answers at {self.base_url} is no Oddswire gateway: {fault}") from fault

    def _refusal(self, answer: httpx.Response) -> Exception:
        try:
            problem = msgspec.json.decode(answer.content, type=bodies.Problem)
        except msgspec.DecodeError:
            return ServerUnreachable(
                f"What answers at {self.base_url} is no Oddswire gateway: it says {answer.status_code} "
                f"to {answer.request.method} {answer.request.url.path}."
            )
        after = answer.headers.get("retry-after", "")
        return ServerRefused(
            problem.code,
            problem.detail,
            status=answer.status_code,
            path=problem.path,
            action=problem.action,
            retry_after=int(after) if after.isdigit() else None,
            order=problem.order,
        )


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _amount(value: Decimal | int | str) -> msgspec.Raw:
    """Return an amount as the JSON string the gateway reads exactly; whether it is one is the gateway's to say."""
    if isinstance(value, float):
        raise TypeError("an amount is a str, an int or a Decimal, never a float")
    text = format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)
    return msgspec.Raw(msgspec.json.encode(text))
