"""What tokens get that name a key which their app's identity provider has to be asked for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from oddswire.auth.provider_keys import EARLY_SECONDS
from oddswire.cli.root import run
from oddswire.clock import SystemClock
from oddswire.testing.gateway import RunningGateway
from tests.auth.identity_provider import AUDIENCE, ISSUER, JwksServer, jwk_set, jwks_server, public, token, until
from tests.server.gateways import code_of
from tests.server.test_abuse import ELSEWHERE, LIMITED, from_, gateway_with

UNAVAILABLE = (503, "provider_unavailable")
INVALID = (401, "token_invalid")
Later = Callable[[float], None]


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Time stands still for buckets and providers, and is moved on by so many seconds."""
    now = [1000.0]
    monkeypatch.setattr(SystemClock, "monotonic", lambda self: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


@pytest.fixture
async def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JwksServer]:
    async with jwks_server(tmp_path, public("Ed25519")) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.authority))
        yield running


@asynccontextmanager
async def shop(folder: Path, provider: JwksServer, **settings: Any) -> AsyncIterator[RunningGateway]:
    """A gateway whose app names the provider, which has been asked once."""
    async with gateway_with(folder, provider_allow_private=True, **settings) as gateway:
        words = ["app", "provider", "set", gateway.app_id, "--issuer", ISSUER, "--audience", AUDIENCE]
        words += ["--jwks-url", provider.url, "--database", str(gateway.database)]
        assert await asyncio.to_thread(run, words) == 0
        await until(lambda: provider.asked)
        yield gateway


def made(user: str, kid: str | None = None, number: int = 0) -> str:
    return token(time.time_ns() // 1_000_000, kid=kid, sub=user, number=number)


async def call(gateway: RunningGateway, text: str, address: str = "127.0.0.1") -> tuple[int, str | None]:
    async with from_(address, gateway, text) as http:
        answer = await http.get("/trading/balance")
        return (200, None) if answer.status_code == 200 else code_of(answer)


async def known(gateway: RunningGateway, text: str) -> None:
    """Call until the keys have been read and the token is taken."""
    async with asyncio.timeout(5):
        while await call(gateway, text) != (200, None):
            pass


async def ended(calls: list[asyncio.Task[Any]], count: int) -> None:
    await until(lambda: sum(one.done() for one in calls) == count)


def at_once(calls: list[Awaitable[Any]]) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(one) for one in calls]


async def test_unknown_keys_count_while_the_provider_is_down_and_users_go_on(
    tmp_path: Path, provider: JwksServer, later: Later
) -> None:
    async with shop(tmp_path, provider, failed_sign_ins_per_minute=3) as gateway:
        ann = made("ann")
        await known(gateway, ann)
        provider.serve(b"", "500 Internal Server Error")
        later(EARLY_SECONDS)
        answers = [await call(gateway, made("eve", f"made up {number}")) for number in range(5)]
        assert answers == [UNAVAILABLE] * 3 + [LIMITED] * 2
        assert await call(gateway, ann) == (200, None)
        assert await call(gateway, made("bob"), ELSEWHERE) == (200, None)


async def test_good_tokens_do_not_count_while_no_key_is_known(
    tmp_path: Path, provider: JwksServer, later: Later
) -> None:
    well = provider.answer
    provider.serve(b"", "500 Internal Server Error")
    async with shop(tmp_path, provider, failed_sign_ins_per_minute=3, refused_per_second=8) as gateway:
        users = [made(f"user {number}") for number in range(8)]
        assert [await call(gateway, text) for text in users] == [UNAVAILABLE] * 8
        # but they are no more than refused calls, of which there may be so many
        assert await call(gateway, users[0]) == LIMITED
        provider.answer = well
        later(EARLY_SECONDS)
        assert [await call(gateway, text) for text in users] == [(200, None)] * 8


async def test_no_more_tokens_wait_at_once_than_may_fail(tmp_path: Path, provider: JwksServer, later: Later) -> None:
    async with shop(tmp_path, provider, failed_sign_ins_per_minute=3) as gateway:
        ann = made("ann")
        await known(gateway, ann)
        provider.pause = asyncio.Event()
        later(EARLY_SECONDS)
        calls = at_once([call(gateway, made("eve", f"made up {number}")) for number in range(10)])
        await ended(calls, 7)
        assert await call(gateway, ann) == (200, None)
        provider.pause.set()
        answers = await asyncio.gather(*calls)
        assert sorted(answers) == [INVALID] * 3 + [LIMITED] * 7


async def test_waiting_costs_nothing_once_a_token_is_shown_to_be_good(
    tmp_path: Path, provider: JwksServer, later: Later
) -> None:
    async with shop(tmp_path, provider, failed_sign_ins_per_minute=3) as gateway:
        await known(gateway, made("ann"))
        provider.serve(jwk_set(public("Ed25519"), public("Ed25519", "new", 1)))
        provider.pause = asyncio.Event()
        later(EARLY_SECONDS)
        before = len(provider.asked)
        calls = at_once([call(gateway, made(f"user {number}", "new", 1)) for number in range(3)])
        await until(lambda: len(provider.asked) > before)
        provider.pause.set()
        assert await asyncio.gather(*calls) == [(200, None)] * 3
        answers = [await call(gateway, made("eve", f"made up {number}")) for number in range(4)]
        assert answers == [INVALID] * 3 + [LIMITED]


async def test_sockets_hold_a_seat_of_the_address_while_their_token_waits(
    tmp_path: Path, provider: JwksServer, later: Later
) -> None:
    async with shop(tmp_path, provider, max_anonymous_per_ip=2) as gateway, AsyncExitStack() as sockets:

        async def connect(text: str | None) -> websockets.ClientConnection:
            query = {} if text is None else {"token": text}
            return await sockets.enter_async_context(websockets.connect(gateway.ws_url(**query)))

        async def first(socket: websockets.ClientConnection) -> dict[str, Any]:
            async with asyncio.timeout(5):
                found: dict[str, Any] = json.loads(await socket.recv())
                return found

        await known(gateway, made("ann"))
        provider.serve(jwk_set(public("Ed25519"), public("Ed25519", "new", 1)))
        provider.pause = asyncio.Event()
        later(EARLY_SECONDS)
        waiting = [await connect(made(f"user {number}", "new", 1)) for number in range(2)]
        third = await connect(made("eve", "made up"))
        assert (await first(third))["code"] == "too_many_connections"
        await third.wait_closed()
        assert third.close_code == 4203
        # a crowd whose keys are known waits for nobody and needs no seat
        crowd = await asyncio.gather(*(connect(made(f"of many {number}")) for number in range(20)))
        assert {(await first(socket))["type"] for socket in crowd} == {"connected"}
        provider.pause.set()
        assert [(await first(socket))["userId"] for socket in waiting] == ["user 0", "user 1"]
        assert (await first(await connect(None)))["type"] == "connected"
