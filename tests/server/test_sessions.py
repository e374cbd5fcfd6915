"""A user's sessions over REST: where they are signed in, and ending one of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from oddswire.testing.gateway import ORIGIN, RunningGateway, running_gateway
from tests.server.gateways import code_of


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


async def sign_in(gateway: RunningGateway, user: str, label: str | None = None) -> httpx.Response:
    body = {"userId": user} if label is None else {"userId": user, "label": label}
    async with gateway.http() as http:
        return await http.post("/auth/token", headers={"x-app-api-key": gateway.api_key}, json=body)


async def token(gateway: RunningGateway, user: str, label: str | None = None) -> str:
    answer = await sign_in(gateway, user, label)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["accessToken"])


async def sessions(gateway: RunningGateway, access: str) -> list[dict[str, Any]]:
    async with gateway.http(access) as http:
        answer = await http.get("/auth/sessions")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return found


async def test_a_user_sees_their_sessions_and_which_one_is_this(gateway: RunningGateway) -> None:
    phone = await token(gateway, "ann", "Ann’s phone \N{MOBILE PHONE}")
    await token(gateway, "bob", "not ann's")
    desk = await token(gateway, "ann")
    found = await sessions(gateway, phone)
    assert {(row["label"], row["current"]) for row in found} == {("Ann’s phone \N{MOBILE PHONE}", True), ("", False)}
    for row in found:
        assert row.keys() == {"sessionId", "label", "createdAt", "usedAt", "expiresAt", "current"}
        assert row["createdAt"] <= row["usedAt"] < row["expiresAt"]
    assert {row["sessionId"]: row["current"] for row in await sessions(gateway, desk)} == {
        row["sessionId"]: not row["current"] for row in found
    }


@pytest.mark.parametrize("label", ["a" * 81, "a\nb", "\x1b[2J", "tail\n", "\x7f", "\x85", "a\u2028b"])
async def test_a_label_that_is_none(gateway: RunningGateway, label: str) -> None:
    answer = await sign_in(gateway, "ann", label)
    assert code_of(answer) == (400, "invalid_body")
    assert answer.json()["path"] == "$.label"


async def test_one_session_is_ended_and_no_other(gateway: RunningGateway) -> None:
    here, there = await token(gateway, "ann", "here"), await token(gateway, "ann", "there")
    (other,) = [row["sessionId"] for row in await sessions(gateway, here) if not row["current"]]
    async with (
        websockets.connect(gateway.ws_url(token=here)) as stays,
        websockets.connect(gateway.ws_url(token=there)) as ends,
        gateway.http(here) as http,
    ):
        answer = await http.delete(f"/auth/sessions/{other}")
        assert (answer.status_code, answer.content) == (204, b"")
        await asyncio.wait_for(ends.wait_closed(), 5)
        assert ends.close_code == 4001
        await (await stays.ping())
        assert code_of(await http.delete(f"/auth/sessions/{other}")) == (404, "not_found")
    assert [row["label"] for row in await sessions(gateway, here)] == ["here"]
    async with gateway.http(there) as http:
        assert code_of(await http.get("/auth/sessions")) == (401, "session_revoked")


async def test_somebody_else_s_session_is_not_there(gateway: RunningGateway) -> None:
    ann, bob = await token(gateway, "ann"), await token(gateway, "bob")
    (anns,) = [row["sessionId"] for row in await sessions(gateway, ann)]
    async with gateway.http(bob) as http:
        refused = await http.delete(f"/auth/sessions/{anns}")
        unknown = await http.delete("/auth/sessions/ses_01J00000000000000000000000")
    assert code_of(refused) == code_of(unknown) == (404, "not_found")
    assert refused.json() == unknown.json()
    assert len(await sessions(gateway, ann)) == 1


async def test_a_user_may_end_the_session_they_are_in(gateway: RunningGateway) -> None:
    ann = await token(gateway, "ann")
    (own,) = await sessions(gateway, ann)
    async with gateway.http(ann) as http:
        assert (await http.delete(f"/auth/sessions/{own['sessionId']}")).status_code == 204
        assert code_of(await http.get("/auth/sessions")) == (401, "session_revoked")


async def test_a_page_may_end_a_session(gateway: RunningGateway) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "DELETE"}
    async with gateway.http() as http:
        answer = await http.request("OPTIONS", "/auth/sessions/ses_x", headers=asked)
    assert "DELETE" in answer.headers["access-control-allow-methods"]
