"""Whatever secret is sent wherever, and whatever goes wrong: no log, metric, error or close reason repeats it."""

import asyncio
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import httpx
import pytest

from oddswire.auth import sessions
from oddswire.auth.tokens import TokenVerifier
from oddswire.errors import Unavailable
from oddswire.server import logs
from oddswire.streams.hub import Hub
from tests.acceptance.forked import ForkedServer, forked_server
from tests.acceptance.server import Server, an_order
from tests.acceptance.tape import LIMITLESS, Mint, Tape, stored_keys
from tests.server.sockets import CLOSE, TEXT, Client, frame, upgrade

Told = dict[str, Any]
PART = 20
"""So many characters of a secret on end are a leak."""


@dataclass(frozen=True)
class Loud:
    """Called in the gateway's process before it serves: all log all they can, and what is asked for goes wrong.

    `crash` and `down` are files that are there while it shall: exceptions that repeat a token, a store that is away.
    """

    crash: Path
    down: Path

    def __call__(self) -> None:
        os.dup2(2, 1)
        set_up, check, find, join = logs.set_up, TokenVerifier._check_signature, sessions.find, Hub.join

        def loud(level: str, as_json: bool) -> None:
            set_up(level, as_json)
            silent = set(logs._SILENT)
            for name in {"", *logging.root.manager.loggerDict} - silent:
                logging.getLogger(name).setLevel(logging.DEBUG)

        def crashing_check(verifier: TokenVerifier, token: str, now: int) -> Any:
            if self.crash.exists():
                raise RuntimeError(f"cannot look at {token}")
            return check(verifier, token, now)

        def crashing_find(tx: Any, app_id: str, refresh_token: str, now: int) -> Any:
            if self.crash.exists():
                raise KeyError(refresh_token)
            return find(tx, app_id, refresh_token, now)

        async def failing_join(hub: Hub, *args: Any) -> Any:
            if self.down.exists():
                raise Unavailable("store_unavailable", "The store is away.")
            if self.crash.exists():
                raise RuntimeError(f"cannot join {args}")
            return await join(hub, *args)

        patch.object(logs, "set_up", loud).start()
        patch.object(TokenVerifier, "_check_signature", crashing_check).start()
        patch.object(sessions, "find", crashing_find).start()
        patch.object(Hub, "join", failing_join).start()


@dataclass
class Secrets:
    """What must not be seen, by what it is, and all that was answered where it might be."""

    sent: dict[str, str]
    answers: list[str] = field(default_factory=list)

    def some(self, only: tuple[str, ...]) -> list[str]:
        """Return these, or all that anybody could send."""
        return [secret for what, secret in self.sent.items() if (not only or what in only) and what != "signing key"]

    def leaks(self, text: str) -> set[str]:
        """Return which of them, or what long part of one, stands in a text."""
        return {what for what, secret in self.sent.items() if any(part in text for part in parts_of(secret))}


def parts_of(secret: str) -> list[str]:
    """Return the telling parts: of a token its claims and signature, of anything else its beginning and end."""
    pieces = secret.split(".")[1:] if re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", secret) else [secret]
    return [part for piece in pieces for part in (piece[:PART], piece[-PART:])]


@pytest.fixture(params=["true", "false"], ids=["as JSON", "for people"])
def loud(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    folder = tmp_path / "gateway"
    folder.mkdir()
    with forked_server(
        folder,
        Loud(tmp_path / "crash", tmp_path / "down"),
        ODDSWIRE_LOG_LEVEL="debug",
        ODDSWIRE_LOG_JSON=str(request.param),
        **LIMITLESS,
    ) as running:
        yield running


def all_secrets(server: Server) -> Secrets:
    """Every kind of secret there is, and what looks like one."""
    signed, mint = server.sign_in("ann"), Mint(server)
    good = mint.lasting("ann").text
    ended = mint.token("ann", int(time.time()) + 1).text
    return Secrets(
        {
            "access token": signed["accessToken"],
            "refresh token": signed["refreshToken"],
            "API key": server.api_key,
            "signing key": json.loads(stored_keys(server.database)[0].private_jwk)["d"],
            "token of another session": good,
            "ended token": ended,
            "tampered token": good[:-8] + secrets.token_urlsafe(6),
            "token of another app": Mint(server, "rival").lasting("ann").text,
            "too long token": good + secrets.token_urlsafe(6000),
            "unknown refresh token": "owr_" + secrets.token_urlsafe(32),
            "wallet signature": "0x" + secrets.token_hex(65),
            "unknown API key": "ow_" + secrets.token_urlsafe(32),
        }
    )


# ---- everywhere


async def over_http(server: Server, found: Secrets, *only: str) -> None:
    """Send each of them in each place of an HTTP request."""
    async with httpx.AsyncClient(base_url=server.url, timeout=10, trust_env=False) as http:

        async def ask(method: str, target: str, headers: dict[str, str], body: Any = None) -> None:
            answer = await http.request(method, target, headers=headers, json=body)
            if answer.status_code >= 400:
                found.answers.append(answer.text + str(answer.headers))

        for secret in found.some(only):
            app = {"x-app-id": server.app}
            bearer = {**app, "authorization": f"Bearer {secret}"}
            good = {**app, "authorization": f"Bearer {found.sent['token of another session']}"}
            key = {**app, "x-app-api-key": secret}
            for headers in (bearer, {**app, "authorization": secret}, {**app, "cookie": f"token={secret}; a={secret}"}):
                await ask("GET", "/trading/balance", headers)
                await ask("GET", f"/trading/events/stream?since={secret}", headers)
            await ask("POST", "/auth/token", key, {"userId": "ann"})
            await ask("POST", "/auth/token", {**key, "origin": "https://page.example"}, {"userId": "ann"})
            await ask("POST", "/auth/token", app | {"x-app-api-key": server.api_key}, {"userId": {"token": secret}})
            await ask("GET", "/trading/balance", {"x-app-id": secret})
            await ask("GET", "/trading/balance", {**app, "origin": f"https://{secret[:60]}.example"})
            await ask("POST", "/auth/token/refresh", app, {"refreshToken": secret})
            await ask("POST", "/auth/token/refresh", app, {"refreshToken": [secret]})
            await ask("POST", "/auth/token/refresh", app, secret)
            for query in (f"token={secret}", f"access_token={secret}", f"limit={secret}", f"whatever={secret}", secret):
                await ask("GET", f"/trading/orders?{query}", good)
                await ask("GET", f"/healthz?{query}", {})
            for path in ("/trading/orders/{}", "/auth/sessions/{}", "/{}", "/ws/{}", "/trading/{}/cancel", "/docs/{}"):
                await ask("GET", path.format(secret[:4000]), good)
                await ask("DELETE", path.format(quote(secret[:4000], safe="")), good)
            for name in ("clientOrderId", "venue", "marketId", "outcomeId", "side", "price", "size", "timeInForce"):
                await ask("POST", "/trading/orders", good, an_order(**{name: secret}))
            await ask("POST", "/trading/orders", good, an_order(clientOrderId=secret[-60:], size=10))
            await ask("POST", "/trading/orders", good, an_order(clientOrderId=secret[-60:], size=11))
            await ask("POST", "/trading/orders", good, {**an_order(), secret: 1})
            await ask("POST", "/trading/orders", good, {**an_order(), "token": secret})
            await ask("POST", "/trading/orders", {**good, "content-type": secret[:2000]}, {"accessToken": secret})


async def over_sockets(server: Server, found: Secrets, *only: str) -> None:
    """Send each of them in each place of an upgrade and of what is said on a socket."""
    for secret in found.some(only):
        for target, headers in (
            (f"/ws?appId={server.app}&token={secret}", {}),
            (f"/ws?appId={server.app}", {"Authorization": f"Bearer {secret}"}),
            (f"/ws?appId={server.app}", {"Authorization": f"Bearer {secret}", "Origin": "https://page.example"}),
            (f"/ws?appId={server.app}&token={secret}&since={secret}&epoch={secret}&other={secret}", {}),
            (f"/ws?appId={secret}", {"Cookie": f"token={secret}"}),
            (f"/ws?appId={secret}", {"Origin": f"https://{secret[:60]}"}),
            (f"/ws/{secret}?token={secret}", {}),
            (f"/ws?appId={server.app}", {"Sec-WebSocket-Key": secret, "Sec-WebSocket-Protocol": f"bearer, {secret}"}),
        ):
            await connect(server, found, target, headers, b"")
        said = (
            {"action": "authenticate", "token": secret},
            {"action": "authenticate", "token": secret, "since": secret, "epoch": secret},
            {"action": "authenticate", "token": [secret]},
            {"action": secret, secret: secret},
            {"action": "ping", "id": {"token": secret}},
        )
        frames = b"".join(frame(TEXT, json.dumps(one).encode()) for one in said)
        broken = frame(TEXT, f'{{"action":"authenticate","token":"{secret}'.encode())
        not_text = frame(2, secret.encode())
        for bytes_ in (frames + not_text, broken + frame(TEXT, secret.encode() + b"\xff"), secret.encode() * 3):
            await connect(server, found, f"/ws?appId={server.app}", {}, bytes_)
    raw = found.sent["access token"].encode()
    for nonsense in (raw + b"\r\n\r\n", b"GET / HTTP/1.1\r\nAuthorization: " + raw * 60 + b"\r\n\r\n", b"BREW /" + raw):
        client = await Client.connect(server.port)
        await client.write(nonsense)
        client.writer.write_eof()
        found.answers.append((await client.reader.read()).decode())
        client.hang_up()


async def connect(server: Server, found: Secrets, target: str, headers: dict[str, str], said: bytes) -> None:
    """Ask for a socket, say something on it, and keep what is answered that is no greeting."""
    client = await Client.connect(server.port)
    await client.write(upgrade(target, **headers))
    status, _, body = await client.response()
    if status != 101:
        found.answers.append(json.dumps(body))
        client.hang_up()
        return
    await client.write(said + frame(TEXT, b'{"action":"ping"}') + frame(CLOSE, b"\x03\xe8"))
    kind = TEXT
    while kind != CLOSE:
        kind, payload = await client.frame()
        told = payload[2:].decode() if kind == CLOSE else payload.decode()
        if '"type":"connected"' not in told:
            found.answers.append(told)
    client.hang_up()


async def with_the_operator(server: Server, found: Secrets) -> None:
    """Ask for all that the operator is told, while a user is connected who is then sent away."""
    mint = Mint(server)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin}", trust_env=False) as admin,
        await Tape.connect(server, mint.lasting("ann")) as tape,
        await Tape.connect(server, mint.lasting("bob")),
    ):
        await tape.until(lambda: tape.heard)
        secret = found.sent["access token"]
        connections = (await admin.get("/connections")).text
        assert "ann" in connections
        found.answers += [connections, (await admin.get("/metrics")).text, (await admin.get("/readyz")).text]
        for path in (f"/connections?token={secret}", f"/{secret}", f"/connections?cursor={secret}"):
            found.answers.append((await admin.get(path)).text)
        for body in ({"app": secret, "user": "ann"}, {"app": "shop", "user": "ann", secret: 1}, {"app": [secret]}):
            found.answers.append((await admin.post("/kick", json=body)).text)
        assert (await admin.post("/kick", json={"app": "shop", "user": "ann"})).status_code == 200
        code, reason = await tape.over()
        assert code == 4001
        found.answers += [json.dumps(reason), (await admin.get("/metrics")).text]


async def test_no_secret_is_told_to_anybody(loud: ForkedServer) -> None:
    assert isinstance(loud.prepare, Loud)
    found = await asyncio.to_thread(all_secrets, loud)
    await over_http(loud, found)
    await over_sockets(loud, found)
    loud.prepare.crash.touch()
    found.sent["new token"] = Mint(loud).lasting("bob").text  # one whose signature nobody has looked at yet
    await over_http(loud, found, "new token", "refresh token")
    await over_sockets(loud, found, "new token")
    loud.prepare.crash.unlink()
    loud.prepare.down.touch()
    await over_sockets(loud, found, "new token")
    loud.prepare.down.unlink()
    await with_the_operator(loud, found)

    log = loud.log()
    assert {word for word in ("request_failed", "sign_in_failed", "admin_act") if word not in log} == set()
    assert len(found.answers) > 500
    leaks = [(what, text[:400]) for text in (*log.splitlines(), *found.answers) for what in found.leaks(text)]
    assert leaks == [], "\n".join(map(str, leaks[:10]))


def test_a_leak_is_found() -> None:
    token = "eyJhbGciOiJFZDI1NTE5In0." + secrets.token_urlsafe(90) + "." + secrets.token_urlsafe(60)
    found = Secrets({"token": token, "key": "ow_" + secrets.token_urlsafe(32)})
    assert found.leaks(f"GET /?token={token}") == {"token"}
    assert found.leaks(token.split(".")[2]) == {"token"}
    assert found.leaks(f"...{found.sent['key'][:25]}...") == {"key"}
    assert found.leaks("eyJhbGciOiJFZDI1NTE5In0.[secret] [secret]") == set()
