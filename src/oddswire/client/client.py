"""The Python client of a gateway: typed calls over HTTP, and one endless stream of events.

Async only. Amounts go in as text, `int` or `Decimal` and come back as exact `Decimal`s; a float is refused.
"""

from types import TracebackType
from typing import Final, Self

from oddswire.client.calls import Call, Calls
from oddswire.client.connection import OnLine, arrivals, unheard
from oddswire.client.errors import ServerUnreachable
from oddswire.client.orders import Orders
from oddswire.client.snapshot import OPEN, Snapshot
from oddswire.client.stream import EventStream
from oddswire.wire import bodies
from oddswire.wire.cursor import Cursor

RETRY_SECONDS: Final = 30.0
_READS: Final = 5
"""How often a snapshot is begun anew because the gateway's history changed in the middle of it."""


class Client:
    """One user of one app at one gateway; use it as an `async with`.

    `refresh_token` stays the same for its whole life; with it every access token that expires is replaced.
    `cursor` is where `events` goes on from: a cursor saved by an earlier run of the program. A call that gets no
    answer, or is told to come later, is made again for `retry_seconds`. `on_line` is told how the connection does.

    `cancel_on_disconnect`: once no connection of this session has been there for so many seconds (1 to 300), the
    gateway cancels what the session has open; 0: not any more, None: as the session has it. It is `events` that
    connects, and leaving the client ends the connection.
    """

    def __init__(
        self,
        *,
        base_url: str,
        app_id: str,
        access_token: str | None = None,
        refresh_token: str | None = None,
        cursor: Cursor | None = None,
        retry_seconds: float = RETRY_SECONDS,
        cancel_on_disconnect: int | None = None,
        on_line: OnLine = unheard,
    ) -> None:
        self._calls = Calls(base_url, app_id, access_token, refresh_token, retry_seconds)
        self._from = cursor
        self._cancel_on_disconnect = cancel_on_disconnect
        self._stream: EventStream | None = None
        self.on_line = on_line
        self.orders = Orders(self._calls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()
        await self._calls.close()

    @property
    def base_url(self) -> str:
        """Where the gateway is."""
        return self._calls.base_url

    @property
    def app_id(self) -> str:
        """The app."""
        return self._calls.app_id

    @property
    def access_token(self) -> str | None:
        """The newest access token."""
        return self._calls.access_token

    @property
    def stored_refresh_token(self) -> str | None:
        """The refresh token, to be kept by a program that wants to go on as this user after a restart."""
        return self._calls.stored_refresh_token

    # ---- who is asking

    async def sign_in(self, user_id: str, *, api_key: str, label: str = "", create: bool = True) -> bodies.SignedIn:
        """Sign a user in with the app's API key, as its backend does, and go on as that user.

        A user who was never signed in is made, or refused where `create` is false.

        Raises:
            ServerRefused: `api_key_invalid`, `unknown_app`, `invalid_body`, `not_found`.
            ServerUnreachable: no answer.
        """
        return await self._calls.sign_in(user_id, api_key, label, create)

    async def refresh_token(self) -> str:
        """Get a new access token now, and return it; the client does so by itself whenever it must.

        Raises:
            Stopped: there is no refresh token, or it is not valid any more: the user signs in again.
            ServerUnreachable: no answer.
        """
        return await self._calls.refresh(self._calls.access_token)

    async def sign_out(self) -> None:
        """End the session: none of its tokens is taken from here on, and its connections are closed."""
        await self._leave()
        await self._calls.signed(Call(method="POST", path="/auth/sign-out", again=False), type(None))

    # ---- the state

    async def balances(self, venue: str | None = None) -> bodies.Balances:
        """Return every balance, exactly as it is after the event `seq` of the answer."""
        call = Call(method="GET", path="/trading/balance", params={"venue": venue})
        return await self._calls.signed(call, bodies.Balances)

    async def holdings(self, venue: str | None = None) -> bodies.Holdings:
        """Return every holding, exactly as it is after the event `seq` of the answer."""
        call = Call(method="GET", path="/trading/holdings", params={"venue": venue})
        return await self._calls.signed(call, bodies.Holdings)

    async def fills(
        self, *, order_id: str | None = None, venue: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> bodies.Fills:
        """Return a page of fills, newest first; of one order, or of a venue, where that is named."""
        params = {"orderId": order_id, "venue": venue, "cursor": cursor, "limit": limit}
        call = Call(method="GET", path="/trading/fills", params=params)
        return await self._calls.signed(call, bodies.Fills)

    async def snapshot(self) -> Snapshot:
        """Return balances, holdings and open orders, joined to the stream.

        Give each event to its `apply`. Before the first `events`, that goes on from the snapshot: nothing is missed.

        Raises:
            ServerRefused, ServerUnreachable: as any call.
        """
        for _ in range(_READS):
            balances, holdings, pages = await self.balances(), await self.holdings(), await self._open_orders()
            if {balances.epoch, holdings.epoch, *(page.epoch for page in pages)} == {balances.epoch}:
                found = Snapshot.of(balances, holdings, pages)
                if self._stream is None or self._stream.ended:
                    self._from, self._stream = found.cursor, None
                return found
        raise ServerUnreachable(f"{self.base_url} changes its history with every answer.")

    async def _open_orders(self) -> list[bodies.Orders]:
        pages = [await self.orders.list(status=",".join(OPEN), limit=100)]
        while pages[-1].next_cursor is not None:
            pages.append(await self.orders.list(status=",".join(OPEN), cursor=pages[-1].next_cursor, limit=100))
        return pages

    # ---- what led to it

    @property
    def cursor(self) -> Cursor | None:
        """The last event the program is done with; save `str(cursor)`, give `Cursor.parse` of it to the next run.

        An event counts once the next is asked for, so the last one before a crash may come again. None before the
        first connection of a client that was given none.
        """
        return self._from if self._stream is None else self._stream.cursor

    @cursor.setter
    def cursor(self, cursor: Cursor) -> None:
        if self._stream is not None and not self._stream.ended:
            raise RuntimeError("a stream that is being read goes on from where it is")
        self._from, self._stream = cursor, None

    def events(self) -> EventStream:
        """Return the user's events after `cursor`, or from now on; then live, across reconnects, for ever.

        Each event comes once and in order. Where that cannot be kept (the cursor is too old, or of another history)
        a `Reset` comes instead: take a new `snapshot`. The stream is one for the client: after a `break`, another
        `async for` over `events()` goes on with the next.

        Raises:
            Stopped: by its `async for`: the gateway told the client to go, or no token can be had any more.
        """
        if self._stream is None or self._stream.ended:
            found = arrivals(self._calls, self.cursor, lambda line: self.on_line(line), self._cancel_on_disconnect)
            self._stream = EventStream(found, self.cursor)
        return self._stream

    async def event_page(self, cursor: Cursor | None = None, limit: int | None = None) -> bodies.EventPage:
        """Return a page of the events after a cursor, or from the oldest that is kept.

        Raises:
            ServerRefused: 410 `history_expired`, `epoch_changed` or `ahead`.
        """
        since, epoch = (None, None) if cursor is None else cursor
        call = Call(method="GET", path="/trading/events", params={"since": since, "epoch": epoch, "limit": limit})
        return await self._calls.signed(call, bodies.EventPage)

    async def _leave(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
            self._from, self._stream = self._stream.cursor, None

    # ---- what can be traded

    async def venues(self) -> bodies.Venues:
        """Return the venues, and how each is doing."""
        return await self._calls.call(Call(method="GET", path="/venues"), bodies.Venues)

    async def markets(self, venue: str | None = None, *, cursor: str | None = None, limit: int = 50) -> bodies.Markets:
        """Return a page of markets."""
        params = {"venue": venue, "cursor": cursor, "limit": limit}
        return await self._calls.call(Call(method="GET", path="/markets", params=params), bodies.Markets)
