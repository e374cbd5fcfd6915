"""How the client asks over HTTP: with whose token, how often again, and what an answer comes to."""

import asyncio
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from oddswire.client.errors import ServerRefused, ServerUnreachable, Stopped
from oddswire.wire import bodies
from oddswire.wire.client_session import backoff_ms

Shape = TypeVar("Shape")
TIMEOUT: Final = httpx.Timeout(10.0, read=30.0)
"""A placed order is answered after at most 10 s, so a call that has no answer after 30 s never gets one."""
_STALE: Final = frozenset({"token_expired", "token_invalid"})
_PASSES: Final = frozenset({429, 502, 503, 504})
"""Answers after which nothing was done, or that are not the gateway's own: the same call may succeed later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call; only one that does no more when it is made twice is made `again`."""

    method: str
    path: str
    params: Mapping[str, str | int | None] | None = None
    body: msgspec.Struct | None = None
    headers: Mapping[str, str] | None = None
    again: bool = True


class Calls:
    """The calls of one user of one app at one gateway.

    `retry_seconds` is how long a call without an answer, or with one that says "later", is made again.

    Raises:
        ValueError: a port above 65535, or what no header can carry.
    """

    def __init__(
        self, base_url: str, app_id: str, access_token: str | None, refresh_token: str | None, retry_seconds: float
    ) -> None:
        _ = urlsplit(base_url).port
        self.base_url = base_url.rstrip("/")
        self.app_id = _plain(app_id, "an app's id")
        self.access_token = None if access_token is None else _plain(access_token, "an access token")
        self.stored_refresh_token = None if refresh_token is None else _plain(refresh_token, "a refresh token")
        self._retry_seconds = retry_seconds
        self._refreshing = asyncio.Lock()
        self._http = httpx.AsyncClient(
            base_url=self.base_url, headers={"x-app-id": app_id}, timeout=TIMEOUT, trust_env=False
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def sign_in(self, user_id: str, api_key: str, label: str, create: bool) -> bodies.SignedIn:
        """Sign a user in as the app's backend, and go on as that user."""
        body = bodies.SignInRequest(user_id=user_id, label=label, create=create)
        key = {"x-app-api-key": _plain(api_key, "an API key")}
        signed = await self.call(Call(method="POST", path="/auth/token", body=body, headers=key), bodies.SignedIn)
        self._take(signed)
        return signed

    async def refresh(self, stale: str | None = None) -> str:
        """Get a new access token and return it, unless another caller has replaced the `stale` one meanwhile.

        Raises:
            Stopped: there is no refresh token, or it is not valid any more.
            ServerRefused: the gateway says "later".
            ServerUnreachable: no answer.
        """
        async with self._refreshing:
            if self.access_token is not None and self.access_token != stale:
                return self.access_token
            if self.stored_refresh_token is None:
                if self.access_token is None:
                    raise Stopped("token_missing", "There is no token yet: sign in first.")
                raise Stopped("token_expired", "The access token is not valid any more, and there is no other.")
            body = bodies.RefreshRequest(refresh_token=self.stored_refresh_token)
            call = Call(method="POST", path="/auth/token/refresh", body=body)
            try:
                signed = await self.call(call, bodies.SignedIn)
            except ServerRefused as said:
                if said.status < 500 and said.status != 429:
                    raise Stopped(said.code, said.detail) from None
                raise
            self._take(signed)
            return signed.access_token

    async def signed(self, call: Call, shape: type[Shape]) -> Shape:
        """Make a call with the user's token; once more with a new one where the first has expired."""
        token = self.access_token or await self.refresh()
        try:
            return await self.call(_with(call, token), shape)
        except ServerRefused as said:
            if said.status != 401 or said.code not in _STALE or self.stored_refresh_token is None:
                raise
        return await self.call(_with(call, await self.refresh(token)), shape)

    async def call(self, call: Call, shape: type[Shape]) -> Shape:
        """Make a call, again while it has no answer and time is left.

        Raises:
            ServerRefused: what the gateway says.
            ServerUnreachable: no answer; of a call that changes something it is not known whether it was done.
        """
        until = time.monotonic() + (self._retry_seconds if call.again else 0)
        failures = 0
        while True:
            try:
                return await self._once(call, shape)
            except (ServerRefused, ServerUnreachable) as fault:
                wait, left = _wait_after(fault, failures), until - time.monotonic()
                if wait is None or left <= 0:
                    raise
            failures += 1
            # the last try comes when the time is up, not before
            await asyncio.sleep(min(wait, left))

    async def _once(self, call: Call, shape: type[Shape]) -> Shape:
        params = {name: value for name, value in (call.params or {}).items() if value is not None}
        headers = dict(call.headers or {})
        content = None
        if call.body is not None:
            headers["content-type"] = "application/json"
            content = bodies.encode(call.body)
        try:
            answer = await self._http.request(call.method, call.path, content=content, params=params, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            # what is beneath it are two libraries' own layers, a screen of them: the reason is in the text
            raise ServerUnreachable(f"{self.base_url} does not answer: {_reason(fault)}") from None
        if not answer.is_success:
            raise self._refusal(answer)
        try:
            return msgspec.json.decode(answer.content or b"null", type=shape)
        except msgspec.DecodeError as fault:
            raise ServerUnreachable(f"What answers at {self.base_url} is no Oddswire gateway: {fault}") from None

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

    def _take(self, signed: bodies.SignedIn) -> None:
        self.access_token, self.stored_refresh_token = signed.access_token, signed.refresh_token


def _plain(text: str, what: str) -> str:
    """Return what a header is to carry.

    Raises:
        ValueError: it cannot; the text, which may be secret, is not repeated.
    """
    if not (text and text.isascii() and text.isprintable()):
        raise ValueError(f"{what} is one line of plain ASCII characters; this one is not")
    return text


def _reason(fault: Exception) -> str:
    """Return why there was no answer: in the system's words where it was the system, such as `Connection refused`."""
    innermost: BaseException = fault
    while (deeper := innermost.__cause__ or innermost.__context__) is not None:
        innermost = deeper
    if isinstance(innermost, ConnectionError) and innermost.errno:
        # asyncio puts words of its own there
        return os.strerror(innermost.errno)
    told = innermost.strerror if isinstance(innermost, OSError) else None
    return told or str(fault) or type(fault).__name__


def _with(call: Call, token: str) -> Call:
    return Call(
        method=call.method,
        path=call.path,
        params=call.params,
        body=call.body,
        headers={**(call.headers or {}), "authorization": f"Bearer {token}"},
        again=call.again,
    )


def _wait_after(fault: ServerRefused | ServerUnreachable, failures: int) -> float | None:
    """Return how many seconds to wait before the same call again, None where it would be refused again."""
    if isinstance(fault, ServerRefused):
        if fault.status not in _PASSES:
            return None
        if fault.retry_after is not None:
            return fault.retry_after
    return backoff_ms(failures, random.random()) / 1000  # noqa: S311 - spreads load, guards nothing
