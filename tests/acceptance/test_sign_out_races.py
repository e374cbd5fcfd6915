"""A sign-out that meets connects, sign-ins on open sockets, refreshes and calls of its own session, again and again."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
import pytest

from tests.acceptance.forked import forked_server
from tests.acceptance.server import Server
from tests.acceptance.tape import LIMITLESS, Flood, Mint, Tape, Token, wall

ROUNDS = 200
AT_ONCE = 8
SPREAD_SECONDS = 0.02
SECOND_MS = 1_000
SIGNED_OUT = (4001, {"code": "session_revoked"})


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A gateway in which each user who signs out is told events all the while."""
    users = tuple(f"user-{number}" for number in range(AT_ONCE))
    with forked_server(
        tmp_path_factory.mktemp("races"),
        Flood("shop", users, 100),
        ODDSWIRE_MAX_CONNECTIONS_PER_USER="1000",
        **LIMITLESS,
    ) as running:
        yield running


class Round:
    """One session, those who use it all at once, and its end; `seen` counts what became of them."""

    def __init__(self, server: Server, http: httpx.AsyncClient, user: str, chance: random.Random) -> None:
        self.server = server
        self.http = http
        self.user = user
        self.chance = chance
        self.done = 1 << 62
        self.seen: Counter[str] = Counter()
        self.tapes: list[Tape] = []

    async def run(self, stack: AsyncExitStack) -> None:
        signed: httpx.Response = await self._post(
            "/auth/token", {"userId": self.user}, **{"x-app-api-key": self.server.api_key}
        )
        self.refresh = signed.json()["refreshToken"]
        self.token = Token(signed.json()["accessToken"], self.user, 1 << 62)
        bystander = await stack.enter_async_context(await Tape.connect(self.server, self._of_another_session()))
        users: list[Callable[[AsyncExitStack], Awaitable[None]]] = [
            *(self._connect, self._connect, self._authenticate, self._renew, self._refresh, self._call, self._follow),
        ]
        async with asyncio.TaskGroup() as group:
            for use in users:
                group.create_task(self._sometime(use, stack))
            group.create_task(self._sometime(self._sign_out, stack))
        # from here on the sign-out has been answered: whoever still has a socket had it before
        for tape in self.tapes:
            if not tape.kinds("error"):  # taken; if it was ended in that moment, without a word but the reason
                assert await tape.over(2) == SIGNED_OUT
            assert tape.ended is None or tape.ended_at < self.done + SECOND_MS
            late = [said for said in tape.events if said["timestamp"] > self.done]
            assert late == [], "events were committed after the sign-out had been answered, and told"
        await asyncio.gather(*(use(stack) for use in users))
        assert bystander.ended is None
        bystander.check()
        assert bystander.events

    def _of_another_session(self) -> Token:
        return Mint(self.server).lasting(self.user)

    async def _sometime(self, use: Callable[[AsyncExitStack], Awaitable[None]], stack: AsyncExitStack) -> None:
        await asyncio.sleep(self.chance.uniform(0, SPREAD_SECONDS))
        await use(stack)

    async def _post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body, headers={"x-app-id": self.server.app, **headers})

    async def _sign_out(self, _stack: AsyncExitStack) -> None:
        answer = await self._post("/auth/sign-out", authorization=f"Bearer {self.token.text}")
        self.done = wall()
        assert answer.status_code == 204, answer.text

    def _judge(self, how: str, taken: bool, began: int) -> None:
        """Nothing that began once the sign-out had been answered is taken."""
        assert not (taken and began > self.done), f"{how} was taken after the sign-out"
        self.seen[f"{how} {'taken' if taken else 'refused'}"] += 1

    async def _open(self, token: Token | None, stack: AsyncExitStack) -> Tape:
        tape = await stack.enter_async_context(await Tape.connect(self.server, token))
        self.tapes.append(tape)
        await tape.until(lambda: tape.heard or tape.ended)
        return tape

    async def _connect(self, stack: AsyncExitStack) -> None:
        began = wall()
        tape = await self._open(self.token, stack)
        self._judge("connect", bool(tape.kinds("connected")), began)

    async def _authenticate(self, stack: AsyncExitStack) -> None:
        tape = await self._open(None, stack)
        await self._say(tape, self.token, "authenticate")

    async def _say(self, tape: Tape, token: Token, how: str) -> None:
        began, before = wall(), len(tape.kinds("authenticated"))
        with suppress(ConnectionError):  # closed already
            await tape.authenticate(token)
        await tape.until(lambda: tape.kinds("error") or len(tape.kinds("authenticated")) > before or tape.ended)
        self._judge(how, len(tape.kinds("authenticated")) > before, began)

    async def _renew(self, stack: AsyncExitStack) -> None:
        """Of another session, then of ours: from then on the socket is ours."""
        tape = await self._open(self._of_another_session(), stack)
        await self._say(tape, self.token, "renew")
        if tape.kinds("error"):
            self.tapes.remove(tape)  # it never was ours, and stays
            assert tape.ended is None

    async def _refresh(self, stack: AsyncExitStack) -> None:
        began = wall()
        answer = await self._post("/auth/token/refresh", {"refreshToken": self.refresh})
        self._judge("refresh", answer.status_code == 200, began)
        if answer.status_code == 200:
            fresh = self.token._replace(text=answer.json()["accessToken"])
            began = wall()
            tape = await self._open(fresh, stack)
            self._judge("connect afresh", bool(tape.kinds("connected")), began)

    async def _call(self, _stack: AsyncExitStack) -> None:
        began = wall()
        answer = await self.http.get("/trading/balance", headers=self._headers())
        self._judge("call", answer.status_code == 200, began)
        assert answer.status_code == 200 or answer.json()["code"] == "session_revoked"

    async def _follow(self, _stack: AsyncExitStack) -> None:
        began = wall()
        name = ""
        async with self.http.stream("GET", "/trading/events/stream", headers=self._headers()) as answer:
            self._judge("follow", answer.status_code == 200, began)
            async for line in answer.aiter_lines():
                field, _, value = line.partition(": ")
                name = value if field == "event" else name
                if field == "data" and "timestamp" in json.loads(value):
                    assert json.loads(value)["timestamp"] <= self.done
        assert answer.status_code == 401 or name == "session_revoked"
        assert wall() < max(began, self.done) + SECOND_MS

    def _headers(self) -> dict[str, str]:
        return {"x-app-id": self.server.app, "authorization": f"Bearer {self.token.text}"}


async def test_from_the_answer_on_nothing_is_taken_and_nothing_survives(server: Server) -> None:
    chance = random.Random(11)
    seen: Counter[str] = Counter()
    left = list(range(ROUNDS))

    async def lane(user: str, http: httpx.AsyncClient) -> None:
        while left:
            left.pop()
            one = Round(server, http, user, chance)
            async with AsyncExitStack() as stack:
                await one.run(stack)
            seen.update(one.seen)

    async with (
        httpx.AsyncClient(base_url=server.url, timeout=10, trust_env=False) as http,
        asyncio.TaskGroup() as group,
    ):
        for number in range(AT_ONCE):
            group.create_task(lane(f"user-{number}", http))
    print(dict(sorted(seen.items())))  # noqa: T201 - figures to look at with -s
    for how in ("connect", "authenticate", "renew", "refresh", "call", "follow"):
        assert min(seen[f"{how} taken"], seen[f"{how} refused"]) > ROUNDS // 10, seen
