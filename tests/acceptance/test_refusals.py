"""Bad tokens, frames, origins, signatures and replays: each is refused by its documented code, and changes nothing."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.acceptance.forger import EXPIRED, INVALID, Forger
from tests.acceptance.server import NO_LIMITS, ORIGIN, Server, an_order, command, running_server
from tests.auth.wallets import Wallet, high_s, with_v

ANN = Wallet(b"ann".rjust(32, b"\1"))
BOB = Wallet(b"bob".rjust(32, b"\1"))
Told = tuple[int, str]


class Town:
    """A gateway with two apps, users in every condition, and the database to look at."""

    def __init__(self, server: Server) -> None:
        self.server = server
        database = ("--database", str(server.database))
        made = [command("app", "create", app, *database, "--json") for app in ("other", "gone")]
        self.other_key, self.gone_key = (str(json.loads(done.stdout)["apiKey"]) for done in made)
        for words in (("app", "wallet", "on", "shop"), ("app", "key", "add", "shop", "--name", "old")):
            assert command(*words, *database).returncode == 0
        asyncio.run(until_known(self, "gone", self.gone_key))
        self.ann, self.bob = server.sign_in("ann"), server.sign_in("bob")
        self.left, self.kicked = server.sign_in("left"), server.sign_in("kicked")
        self.foreign = server.sign_in("ann", "other", self.other_key)
        self.orphan = server.sign_in("ann", "gone", self.gone_key)
        self.order = asyncio.run(self._set_up())
        assert command("user", "kick", "kicked", "--app", "shop", *database).returncode == 0
        assert command("app", "disable", "gone", *database).returncode == 0
        asyncio.run(until_refused(self, self.kicked["accessToken"]))
        session = str(claims_of(self.ann["accessToken"])["sid"])
        self.forger = Forger(server.database, "shop", "ann", session)

    async def _set_up(self) -> str:
        async with self.server.http(self.left["accessToken"]) as http:
            assert (await http.post("/auth/sign-out")).status_code == 204
        async with self.server.http(self.bob["accessToken"]) as http:
            placed = (await http.post("/trading/orders", json=an_order(clientOrderId="bobs"))).json()
            self.bobs_session = (await http.get("/auth/sessions")).json()["sessions"][0]["sessionId"]
            self.bobs_cursor = (await http.get("/trading/balance")).json()
        async with self.page() as http:
            started = [(await http.post("/auth/start", json={"address": ANN.address})).json() for _ in range(2)]
            self.used, self.fresh = (str(one["message"]) for one in started)
            signed = {"message": self.used, "signature": ANN.sign(self.used)}
            assert (await http.post("/auth/verify", json=signed)).status_code == 201
        return str(placed["orderId"])

    def page(self, origin: str = ORIGIN) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.server.url, headers={"x-app-id": "shop", "origin": origin}, timeout=20)

    def state(self) -> dict[str, list[Any]]:
        """Every row of every table."""
        with closing(sqlite3.connect(f"file:{self.server.database}?mode=ro", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in tables}


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


async def until_known(town: Town, app: str, key: str) -> None:
    headers = {"x-app-id": app, "x-app-api-key": key}
    async with asyncio.timeout(10), httpx.AsyncClient(base_url=town.server.url, headers=headers) as http:
        while (await http.post("/auth/token", json={"userId": "ann"})).status_code != 201:
            await asyncio.sleep(0.05)


async def until_refused(town: Town, token: str) -> None:
    async with asyncio.timeout(10), town.server.http(token) as http:
        while (await http.get("/trading/balance")).status_code != 401:
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_server(tmp_path_factory.mktemp("town"), **NO_LIMITS) as server:
        yield Town(server)


@pytest.fixture
def unchanged(town: Town) -> Iterator[None]:
    before = town.state()
    yield
    assert town.state() == before


def tokens(town: Town) -> dict[str, tuple[str, str]]:
    """Return bad tokens with the code each is refused by."""
    made: dict[str, tuple[str, str]] = {name: (make(town.forger), "token_invalid") for name, make in INVALID.items()}
    made |= {name: (make(town.forger), "token_expired") for name, make in EXPIRED.items()}
    made["another app's, real"] = town.foreign["accessToken"], "token_invalid"
    made["a refresh token"] = town.ann["refreshToken"], "token_invalid"
    made["an API key"] = town.server.api_key, "token_invalid"
    made["signed out"] = town.left["accessToken"], "session_revoked"
    made["kicked"] = town.kicked["accessToken"], "session_revoked"
    return made


# ---- tokens, wherever they are brought


@pytest.mark.usefixtures("unchanged")
async def test_bad_tokens_in_the_header_of_a_call(town: Town) -> None:
    for path in ("/trading/balance", "/trading/events/stream"):
        for name, (token, code) in tokens(town).items():
            async with town.server.http(token) as http:
                answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (401, code), (path, name)
            assert answer.headers["www-authenticate"].startswith("Bearer"), (path, name)
            assert token not in answer.text, (path, name)


@pytest.mark.usefixtures("unchanged")
async def test_bad_tokens_that_would_place_an_order(town: Town) -> None:
    for name, (token, code) in tokens(town).items():
        async with town.server.http(token) as http:
            answer = await http.post("/trading/orders", json=an_order())
        assert (answer.status_code, answer.json()["code"]) == (401, code), name


async def ended(socket: ClientConnection) -> Told:
    """Return the close code, and the code of the error before it."""
    error = json.loads(await asyncio.wait_for(socket.recv(), 10))
    await asyncio.wait_for(socket.wait_closed(), 10)
    assert error["type"] == "error", error
    return socket.close_code or 0, str(error["code"])


@pytest.mark.usefixtures("unchanged")
async def test_bad_tokens_on_a_connect(town: Town) -> None:
    for name, (token, code) in tokens(town).items():
        close = 4001 if code == "session_revoked" else 4101
        headers = {"authorization": f"Bearer {token}"}
        async with websockets.connect(town.server.ws_url(), additional_headers=headers) as socket:
            assert await ended(socket) == (close, code), name
        in_query = str(httpx.URL(town.server.ws_url()).copy_merge_params({"token": token}))
        async with websockets.connect(in_query) as socket:
            assert await ended(socket) == (close, code), name


@pytest.mark.usefixtures("unchanged")
async def test_bad_tokens_on_an_open_socket_leave_it_as_it_is(town: Town) -> None:
    headers = {"authorization": f"Bearer {town.ann['accessToken']}"}
    rows = list(tokens(town).items())
    for start in range(0, len(rows), 8):
        # ten refused frames in a minute would close it
        async with websockets.connect(town.server.ws_url(), additional_headers=headers) as socket:
            greeting = json.loads(await socket.recv())
            for name, (token, code) in rows[start : start + 8]:
                await socket.send(json.dumps({"action": "authenticate", "token": token}))
                error = json.loads(await asyncio.wait_for(socket.recv(), 10))
                assert (error["type"], error["code"]) == ("error", code), name
            await socket.send(json.dumps({"action": "authenticate", "token": town.ann["accessToken"]}))
            again = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert (again["type"], again["userId"], again["seq"]) == ("authenticated", "ann", greeting["seq"])


# ---- calls


def calls(town: Town) -> list[tuple[str, Told, str, str, dict[str, str], Any]]:
    """Return what it is, how it is refused, method, path, headers and body."""
    key, theirs = {"x-app-api-key": town.server.api_key}, {"x-app-api-key": town.other_key}
    ann, basic = {"authorization": f"Bearer {town.ann['accessToken']}"}, {"authorization": "Basic YTpi"}
    user, shop, page = {"userId": "eve"}, {"x-app-id": "shop"}, {"origin": ORIGIN}
    evil = {"origin": "https://evil.example"}
    origins: tuple[str, ...] = (
        "http://app.localhost",
        "https://app.localhost:5173",
        "http://app.localhost:5174",
        "null",
    )
    origins += ("http://x.app.localhost:5173", "http://app.localhost:5173.evil.example", "http://APP.localhost:5173@e")
    origins += ("http://app.localhost:5173/", "http://app.localhost:5173 https://evil.example", "*", "")
    return [
        ("no app", (400, "app_id_missing"), "GET", "/trading/balance", ann, None),
        ("an unknown app", (403, "unknown_app"), "GET", "/trading/balance", {"x-app-id": "nope"} | ann, None),
        ("a disabled app", (403, "unknown_app"), "GET", "/trading/balance",
         {"x-app-id": "gone", "authorization": f"Bearer {town.orphan['accessToken']}"}, None),
        ("a disabled app's key", (403, "unknown_app"), "POST", "/auth/token",
         {"x-app-id": "gone", "x-app-api-key": town.gone_key}, user),
        ("no token", (401, "token_missing"), "GET", "/trading/balance", shop, None),
        ("a basic one", (401, "token_missing"), "GET", "/trading/balance", shop | basic, None),
        ("an empty one", (401, "token_missing"), "GET", "/trading/balance", shop | {"authorization": "Bearer"}, None),
        ("no API key", (401, "api_key_invalid"), "POST", "/auth/token", shop, user),
        ("a wrong one", (401, "api_key_invalid"), "POST", "/auth/token", shop | {"x-app-api-key": "ow_no"}, user),
        ("another app's", (401, "api_key_invalid"), "POST", "/auth/token", shop | theirs, user),
        ("a token as the key", (401, "api_key_invalid"), "POST", "/auth/token",
         shop | {"x-app-api-key": town.ann["accessToken"]}, user),
        ("a key in a page", (403, "api_key_in_browser"), "POST", "/auth/token", shop | key | page, user),
        ("a key in a page, to read", (403, "api_key_in_browser"), "GET", "/trading/balance", shop | key | page, None),
        *((f"origin {origin!r}", (403, "origin_not_allowed"), "GET", "/trading/balance",
           shop | ann | {"origin": origin}, None) for origin in origins),
        ("an order from elsewhere", (403, "origin_not_allowed"), "POST", "/trading/orders",
         shop | ann | evil, an_order()),
        ("a sign-out from elsewhere", (403, "origin_not_allowed"), "POST", "/auth/sign-out", shop | ann | evil, None),
        ("another app's refresh token", (401, "refresh_token_invalid"), "POST", "/auth/token/refresh", shop,
         {"refreshToken": town.foreign["refreshToken"]}),
        ("a signed out one", (401, "refresh_token_invalid"), "POST", "/auth/token/refresh", shop,
         {"refreshToken": town.left["refreshToken"]}),
        ("a kicked one", (401, "refresh_token_invalid"), "POST", "/auth/token/refresh", shop,
         {"refreshToken": town.kicked["refreshToken"]}),
        ("an access token for it", (401, "refresh_token_invalid"), "POST", "/auth/token/refresh", shop,
         {"refreshToken": town.ann["accessToken"]}),
        ("a cut one", (401, "refresh_token_invalid"), "POST", "/auth/token/refresh", shop,
         {"refreshToken": town.ann["refreshToken"][:-1]}),
        ("a user that is a wallet", (400, "invalid_body"), "POST", "/auth/token", shop | key, {"userId": ANN.user_id}),
        ("a user with a line break", (400, "invalid_body"), "POST", "/auth/token", shop | key, {"userId": "a\nb"}),
        ("another's order", (404, "not_found"), "GET", f"/trading/orders/{town.order}", shop | ann, None),
        ("another's order, to cancel", (404, "not_found"), "POST", f"/trading/orders/{town.order}/cancel",
         shop | ann, None),
        ("another's session", (404, "not_found"), "DELETE", f"/auth/sessions/{town.bobs_session}", shop | ann, None),
        ("another's cursor", (410, "epoch_changed"), "GET",
         f"/trading/events?since=1&epoch={town.bobs_cursor['epoch']}", shop | ann, None),
        ("an operator's call", (404, "not_found"), "POST", "/kick", shop | ann, {"app": "shop", "user": "bob"}),
        ("an operator's page", (404, "not_found"), "GET", "/connections", shop | ann, None),
    ]  # fmt: skip


@pytest.mark.usefixtures("unchanged")
async def test_bad_calls(town: Town) -> None:
    async with httpx.AsyncClient(base_url=town.server.url, timeout=20) as http:
        for name, told, method, path, headers, body in calls(town):
            answer = await http.request(method, path, headers=headers, json=body)
            assert (answer.status_code, answer.json()["code"]) == told, (name, answer.text)


@pytest.mark.usefixtures("unchanged")
async def test_operators_calls_of_a_page(town: Town) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{town.server.admin}") as http:
        for headers in (
            {"origin": ORIGIN},
            {"origin": "null"},
            {"host": "evil.example"},
            {"host": "evil.example:9464"},
        ):
            answer = await http.post("/kick", headers=headers, json={"app": "shop", "user": "bob"})
            assert (answer.status_code, answer.json()["code"]) == (403, "operator_only"), headers


# ---- wallets


def wallet_rows(town: Town) -> dict[str, tuple[str, str, Told]]:
    """Return messages and signatures, and how each is refused."""
    good, used = town.fresh, town.used
    signature = ANN.sign(good)
    lines = good.split("\n")
    nonce = next(line for line in lines if line.startswith("Nonce: "))

    def changed(before: str, after: str) -> tuple[str, str]:
        assert before in good
        text = good.replace(before, after)
        return text, ANN.sign(text)

    invalid, refused = (400, "wallet_message_invalid"), (403, "wallet_message_refused")
    bad_signature, bad_nonce = (401, "signature_invalid"), (401, "nonce_invalid")
    return {
        "a message used before": (used, ANN.sign(used), bad_nonce),
        "a nonce nobody gave": (*changed(nonce, "Nonce: 0123456789abcdefABCDEF"), bad_nonce),
        "another's signature": (good, BOB.sign(good), bad_signature),
        "the high s": (good, high_s(signature), bad_signature),
        "v 29": (good, with_v(signature, 29), bad_signature),
        "v 255": (good, with_v(signature, 255), bad_signature),
        "all zeros": (good, "0x" + "00" * 65, bad_signature),
        "all ones": (good, "0x" + "ff" * 65, bad_signature),
        "cut short": (good, signature[:-2], bad_signature),
        "a byte more": (good, signature + "00", bad_signature),
        "another text's": (good, ANN.sign(good + " "), bad_signature),
        "another page's": (*changed("app.localhost:5173 wants", "evil.example wants"), refused),
        "another port's": (*changed("app.localhost:5173 wants", "app.localhost:5174 wants"), refused),
        "another chain's": (*changed("Chain ID: 1", "Chain ID: 5"), refused),
        "version 2": (*changed("Version: 1", "Version: 2"), invalid),
        "an address in small letters wrong": (*changed(ANN.address, ANN.address[:-1] + "Z"), invalid),
        "a line break of Windows": (*changed("\n", "\r\n"), invalid),
        "a line more": (good + "\nx", ANN.sign(good + "\nx"), invalid),
        "an empty message": ("", ANN.sign(""), invalid),
    }


@pytest.mark.usefixtures("unchanged")
async def test_bad_wallet_sign_ins(town: Town) -> None:
    async with town.page() as http:
        for name, (message, signature, told) in wallet_rows(town).items():
            answer = await http.post("/auth/verify", json={"message": message, "signature": signature})
            assert (answer.status_code, answer.json()["code"]) == told, (name, answer.text)
            assert signature not in answer.text, name


# ---- frames and origins of sockets

FRAMES: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("{", "invalid_json"),
    "an empty one": ("", "invalid_json"),
    "a list": ("[]", "invalid_frame"),
    "no action": ('{"token":"x"}', "invalid_frame"),
    "another action": ('{"action":"subscribe"}', "unknown_action"),
    "an order": ('{"action":"place","price":0.5}', "unknown_action"),
    "an action that is a number": ('{"action":1}', "invalid_frame"),
    "no token": ('{"action":"authenticate"}', "invalid_frame"),
    "a token that is a list": ('{"action":"authenticate","token":["x"]}', "invalid_frame"),
    "a cursor below zero": ('{"action":"authenticate","token":"x","since":-1}', "invalid_frame"),
    "a cursor that is text": ('{"action":"authenticate","token":"x","since":"1"}', "invalid_frame"),
    "an epoch that is a number": ('{"action":"authenticate","token":"x","since":1,"epoch":1}', "invalid_frame"),
    "an absence below zero": ('{"action":"authenticate","token":"x","cancelOnDisconnect":-1}', "invalid_frame"),
    "a ping with a long id": (json.dumps({"action": "ping", "id": "x" * 200}), "invalid_frame"),
    "a deep one": ("[" * 5000, "invalid_json"),
}


@pytest.mark.usefixtures("unchanged")
async def test_bad_frames(town: Town) -> None:
    headers = {"authorization": f"Bearer {town.ann['accessToken']}"}
    for name, (frame, code) in FRAMES.items():
        async with websockets.connect(town.server.ws_url(), additional_headers=headers) as socket:
            await socket.recv()
            await socket.send(frame)
            error = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert (error["type"], error["code"]) == ("error", code), (name, error)
            await socket.send('{"action":"ping","id":7}')
            assert json.loads(await asyncio.wait_for(socket.recv(), 10))["id"] == 7, name


CLOSING: dict[str, tuple[list[str | bytes], int]] = {
    "binary": ([b"{}"], 1003),
    "over 16 KiB": (["x" * 16_385], 1009),
    "ten that are refused": (["{"] * 10, 4008),
    "more than twenty a second": (['{"action":"ping"}'] * 60, 4202),
}


@pytest.mark.usefixtures("unchanged")
async def test_frames_that_end_it(town: Town) -> None:
    headers = {"authorization": f"Bearer {town.ann['accessToken']}"}
    for name, (frames, code) in CLOSING.items():
        async with websockets.connect(town.server.ws_url(), additional_headers=headers) as socket:
            await socket.recv()
            for frame in frames:
                await socket.send(frame)
            with suppress(ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), 10)
        assert socket.close_code == code, name


@pytest.mark.usefixtures("unchanged")
async def test_sockets_from_elsewhere(town: Town) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "http://app.localhost:5174",
        "http://app.localhost:5173.evil.example",
    ):
        async with websockets.connect(town.server.ws_url(), origin=origin) as socket:  # type: ignore[arg-type]
            assert await ended(socket) == (4005, "origin_not_allowed"), origin
    for app in ("nope", "gone"):
        async with websockets.connect(town.server.ws_url(app), origin=ORIGIN) as socket:  # type: ignore[arg-type]
            assert await ended(socket) == (4004, "unknown_app"), app


@pytest.mark.usefixtures("unchanged")
async def test_a_foreign_cursor_is_no_cursor(town: Town) -> None:
    headers = {"authorization": f"Bearer {town.ann['accessToken']}"}
    for since, epoch, reason in (
        (1, town.bobs_cursor["epoch"], "epoch_changed"),
        (1, "AAAAAAAAAAAAAAAA", "epoch_changed"),
        (10**9, None, "epoch_changed"),
    ):
        asked: dict[str, Any] = {"since": since} | ({} if epoch is None else {"epoch": epoch})
        async with websockets.connect(town.server.ws_url(**asked), additional_headers=headers) as socket:
            told = json.loads(await socket.recv())
        assert (told["resumed"], told["reason"]) == (False, reason), (since, epoch)


def test_there_are_enough_of_them(town: Town) -> None:
    rows = 4 * len(tokens(town)) + len(calls(town)) + len(wallet_rows(town)) + len(FRAMES) + len(CLOSING)
    assert rows >= 300
