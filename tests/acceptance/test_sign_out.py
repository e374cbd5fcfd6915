"""However a session is ended: none of its tokens is taken any more, all its sockets close, and nobody else's do."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import pytest

from tests.acceptance.server import Server, command, running_server
from tests.acceptance.tape import LIMITLESS, Mint, Tape, Token, wall
from tests.acceptance.test_streams import sign_in_soon
from tests.server.sockets import Client, upgrade

BYSTANDERS = 200
SECOND_MS = 1_000
SIGNED_OUT = (4001, {"code": "session_revoked"})
App = Literal["shop", "rival", "doomed"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A gateway with three apps."""
    with running_server(
        tmp_path_factory.mktemp("signout"), ODDSWIRE_MAX_CONNECTIONS_PER_USER="1000", **LIMITLESS
    ) as running:
        yield running


@pytest.fixture(scope="module")
def keys(server: Server) -> dict[str, str]:
    """The API key of each app."""
    made = {
        app: json.loads(command("app", "create", app, "--database", str(server.database), "--json").stdout)["apiKey"]
        for app in ("rival", "doomed")
    }
    return {server.app: server.api_key, **made}


@dataclass
class Session:
    """A sign-in."""

    app: str
    user: str
    access: str
    refresh: str
    id: str

    @property
    def token(self) -> Token:
        return Token(self.access, self.user, 1 << 62)


async def sign_in(server: Server, keys: dict[str, str], user: str, app: str = "shop") -> Session:
    if app != server.app:
        await sign_in_soon(server, "first", app, keys[app])
    signed = await asyncio.to_thread(server.sign_in, user, app, keys[app])
    async with server.http(signed["accessToken"], app) as http:
        listed = (await http.get("/auth/sessions")).json()["sessions"]
    (own,) = [row["sessionId"] for row in listed if row["current"]]
    return Session(app, user, signed["accessToken"], signed["refreshToken"], own)


# ---- the ways


async def by_itself(server: Server, session: Session) -> None:
    async with server.http(session.access, session.app) as http:
        assert (await http.post("/auth/sign-out")).status_code == 204


async def from_elsewhere(server: Server, session: Session) -> None:
    other = await asyncio.to_thread(server.sign_in, session.user, session.app)
    async with server.http(other["accessToken"], session.app) as http:
        assert (await http.delete(f"/auth/sessions/{session.id}")).status_code == 204


async def by_the_operators_call(server: Server, session: Session) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin}", trust_env=False) as admin:
        answer = await admin.post("/kick", json={"app": session.app, "user": session.user})
        assert answer.status_code == 200, answer.text


async def by_session_revoke(server: Server, session: Session) -> None:
    await _oddswire(server, "session", "revoke", session.id)


async def by_user_kick(server: Server, session: Session) -> None:
    await _oddswire(server, "user", "kick", session.user, "--app", session.app)


async def by_app_disable(server: Server, session: Session) -> None:
    await _oddswire(server, "app", "disable", session.app)


async def _oddswire(server: Server, *words: str) -> None:
    done = await asyncio.to_thread(command, *words, "--database", str(server.database))
    assert done.returncode == 0, done.stderr


# ---- a session, and those around it


@dataclass
class Scene:
    """Sockets of one session, of others of its user, and of everybody else."""

    own: list[Tape]
    of_user: list[Tape]
    others: list[Tape]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


async def scene(server: Server, stack: AsyncExitStack, session: Session) -> Scene:
    mint, rival = Mint(server, session.app), Mint(server, "rival")

    async def tape(token: Token, app: str = session.app) -> Tape:
        opened = await stack.enter_async_context(await Tape.connect(server, token, app))
        await opened.until(lambda: opened.heard)
        assert opened.heard[0]["userId"] == token.user
        return opened

    late = await stack.enter_async_context(await Tape.connect(server, None, session.app))
    await late.signed_in(session.token)
    switched = await tape(mint.lasting("someone"))
    await switched.signed_in(session.token)
    own = [late, switched, await tape(session.token), await tape(session.token)]
    left = await tape(session.token)  # of another session by the time of the sign-out
    await left.signed_in(mint.lasting(session.user))
    of_user = [left, await tape(mint.lasting(session.user))]
    names = [f"user-{number % 20}" for number in range(BYSTANDERS)]
    others = await asyncio.gather(
        *(tape(mint.lasting(name) if session.app != "doomed" else rival.lasting(name),
               session.app if session.app != "doomed" else "rival") for name in names),
        *(tape(rival.lasting(session.user), "rival") for _ in range(3)),
    )  # fmt: skip
    return Scene(own, of_user, list(others))


async def said_at_the_end(server: Server, session: Session, ready: asyncio.Event) -> tuple[list[str], int]:
    """Follow the stream over HTTP; return the last lines and when they came."""
    lines: list[str] = []
    async with (
        server.http(session.access, session.app) as http,
        http.stream("GET", "/trading/events/stream") as answer,
    ):
        async for line in answer.aiter_lines():
            lines.append(line)
            ready.set()
    return lines[-3:], wall()


async def refused_everywhere(server: Server, session: Session, app_is_off: bool) -> None:
    """Check that no token of a session opens anything."""
    code = (403, "unknown_app") if app_is_off else (401, "session_revoked")
    async with server.http(session.access, session.app) as http:
        for path in ("/trading/balance", "/trading/events", "/trading/events/stream", "/auth/sessions"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == code, path
        answer = await http.post("/auth/token/refresh", json={"refreshToken": session.refresh})
        wanted = code if app_is_off else (401, "refresh_token_invalid")
        assert (answer.status_code, answer.json()["code"]) == wanted
    if app_is_off:
        client = await Client.connect(server.port)
        await client.write(upgrade(f"/ws?appId={session.app}", Authorization=f"Bearer {session.access}"))
        assert (await client.response())[0] == 403
        return
    async with await Tape.connect(server, session.token, session.app) as tape:
        assert await tape.over() == SIGNED_OUT
        assert [(said["type"], said["code"]) for said in tape.heard] == [("error", "session_revoked")]
    async with await Tape.connect(server, None, session.app) as tape:
        await is_refused_on(tape, session)


async def is_refused_on(tape: Tape, session: Session) -> None:
    """Check that an open socket does not take a token, and goes on."""
    await tape.authenticate(session.token)
    await tape.until(lambda: tape.kinds("error"))
    assert tape.kinds("error")[0]["code"] == "session_revoked"
    await still_there([tape])


async def still_there(tapes: Sequence[Tape]) -> None:
    """Check that sockets have not been closed, and answer."""

    async def answers(tape: Tape) -> None:
        await tape.say({"action": "ping"})
        await tape.until(lambda: tape.kinds("pong"))
        assert tape.ended is None

    await asyncio.gather(*map(answers, tapes))


WAYS: list[tuple[Callable[[Server, Session], Any], App, bool]] = [
    (by_itself, "shop", False),
    (from_elsewhere, "shop", False),
    (by_session_revoke, "shop", False),
    (by_the_operators_call, "shop", True),
    (by_user_kick, "shop", True),
    (by_app_disable, "doomed", True),
]


@pytest.mark.parametrize(
    ("end", "app", "whole_user"), [pytest.param(*way, id=way[0].__name__.replace("_", " ")) for way in WAYS]
)
async def test_its_sockets_close_and_its_tokens_are_worth_nothing(
    server: Server,
    keys: dict[str, str],
    stack: AsyncExitStack,
    end: Callable[[Server, Session], Any],
    app: App,
    whole_user: bool,
) -> None:
    session = await sign_in(server, keys, end.__name__, app)
    around = await scene(server, stack, session)
    ready = asyncio.Event()
    streaming = asyncio.create_task(said_at_the_end(server, session, ready))
    await ready.wait()

    await end(server, session)

    done = wall()
    ended = around.own + around.of_user * whole_user
    for tape in ended:
        assert await tape.over(2) == SIGNED_OUT
        assert tape.ended_at - done < SECOND_MS
    last, at = await streaming
    assert last == ["event: session_revoked", 'data: {"code":"session_revoked"}', ""]
    assert at - done < SECOND_MS
    await refused_everywhere(server, session, app == "doomed")
    spared = around.others + around.of_user * (not whole_user)
    await still_there(spared)
    if not whole_user:
        await is_refused_on(around.of_user[0], session)
