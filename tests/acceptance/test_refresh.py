"""A token is renewed on an open socket, under load: no hole, no repeat, and not an event beyond a token's end."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.forked import ForkedServer, forked_server
from tests.acceptance.server import Server
from tests.acceptance.tape import BAD, LIMITLESS, Flood, Mint, Tape, Token, check, wall

A_SECOND = 500
ROUNDS = 60
GRACE_MS = 5_000
LATE_MS = 600
"""How much later than promised a close may be seen where other work shares the machine."""


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A gateway in which ann and bob are told 500 events a second each."""
    with forked_server(
        tmp_path_factory.mktemp("refresh"), Flood("shop", ("ann", "bob"), A_SECOND), **LIMITLESS
    ) as running:
        yield running


@pytest.fixture
def mint(flooded: ForkedServer) -> Mint:
    return Mint(flooded)


async def sleep_to(moment: int) -> None:
    """Wait for a time of the wall clock, in ms."""
    while (left := moment - wall()) > 0:
        await asyncio.sleep(left / 1000)


def a_second(tape: Tape) -> float:
    first, last = tape.events[0], tape.events[-1]
    return float((last["seq"] - first["seq"]) * 1000 / (last["timestamp"] - first["timestamp"]))


async def test_renewed_again_and_again_there_is_no_hole_and_no_repeat(flooded: Server, mint: Mint) -> None:
    chance = random.Random(7)
    async with await Tape.connect(flooded, mint.lasting("ann", 2)) as tape:
        await tape.more(1)
        for number in range(ROUNDS):
            await asyncio.sleep(chance.uniform(0.055, 0.1))
            if number % 8 == 7:
                await tape.authenticate(Token(BAD, None, 0))
            await tape.signed_in(mint.token("ann", int(time.time()) + 2, f"ses_{number}"))
        await tape.more(10)
        assert tape.ended is None
    tape.check()
    assert len(tape.kinds("authenticated")) == ROUNDS
    assert a_second(tape) > 0.8 * A_SECOND
    assert len(tape.events) > ROUNDS * 20
    # each of these tokens had less than a minute left: their end is told at once, right after they were taken
    for at, said in enumerate(tape.heard):
        if said["type"] in ("connected", "authenticated"):
            assert tape.heard[at + 1]["type"] == "token_expiring", tape.heard[at : at + 3]
    told = [said["expiresAt"] for said in tape.kinds("token_expiring")]
    assert told == [token.expires_at for token in tape.tokens if token.user]


async def test_at_its_end_events_are_held_and_follow_the_next_token(flooded: Server, mint: Mint) -> None:
    end = int(time.time()) + 2
    renewed, silent, wrong, switched = [
        await Tape.connect(flooded, mint.token("ann", end, f"ses_{number}")) for number in range(4)
    ]
    async with renewed, silent, wrong, switched, flooded.http(mint.token("ann", end).text) as http:
        endless = asyncio.create_task(_follow(http, end * 1000))
        await sleep_to(end * 1000 + 300)
        refused = await http.get("/trading/balance")
        assert (refused.status_code, refused.json()["code"]) == (401, "token_expired")
        assert await endless == "token_expired", "a response that streams has no grace"
        before = len(renewed.heard)
        await wrong.authenticate(Token(BAD, None, 0), mint.token("ann", end))
        wrong.tokens[-1] = wrong.tokens[-1]._replace(user=None)
        await sleep_to(end * 1000 + 4_900)
        assert len(renewed.heard) == before, "something was told while the token had ended"
        again, other = await asyncio.gather(
            renewed.signed_in(mint.lasting("ann")), switched.signed_in(mint.lasting("bob"))
        )
        for ended in (silent, wrong):
            await ended.over()
            assert ended.ended == (4101, {"code": "token_expired"})
            assert GRACE_MS <= ended.ended_at - end * 1000 <= GRACE_MS + LATE_MS
        assert again["head"] - again["seq"] > 4 * A_SECOND * 0.8, "events had been held"
        await renewed.until(lambda: renewed.events[-1]["seq"] > again["head"])
        await switched.more(50)
        assert (renewed.ended, switched.ended) == (None, None)
        assert other["userId"] == "bob"
    for tape in (renewed, silent, wrong, switched):
        tape.check()
        came = [at - end * 1000 for said, at in zip(tape.heard, tape.came, strict=True) if "timestamp" in said]
        assert not [after for after in came if LATE_MS < after < 4_800], "events came after the end of the token"
    assert [said["code"] for said in wrong.kinds("error")] == ["token_invalid", "token_expired"]


async def _follow(http: httpx.AsyncClient, expires_at: int) -> str:
    """Follow the stream over HTTP to its end; return what it said last, having looked at every event."""
    name, cursor = "", -1
    async with http.stream("GET", "/trading/events/stream") as answer:
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data" and not name:
                said = json.loads(value)
                assert (said["venue"], said["seq"]) == ("ann", cursor + 1)
                assert said["timestamp"] < expires_at
                cursor += 1
            elif field == "data" and name == "connected":
                cursor = json.loads(value)["seq"]
            elif not field and name != "token_expired":
                name = ""
    return name


async def test_the_end_is_told_a_minute_before(flooded: Server, mint: Mint) -> None:
    token = mint.token("ann", int(time.time()) + 62)
    async with await Tape.connect(flooded, token) as tape:
        await tape.more(1)
        assert tape.kinds("token_expiring") == []
        await tape.until(lambda: tape.kinds("token_expiring"))
        at = tape.came[tape.heard.index(tape.kinds("token_expiring")[0])]
        assert -100 <= at - (token.expires_at - 60_000) <= LATE_MS
        assert tape.kinds("token_expiring")[0]["expiresAt"] == token.expires_at
        # a token that lives longer is not told to end, one that does not is, at once
        await tape.signed_in(mint.lasting("ann"))
        await tape.signed_in(mint.lasting("ann", 30))
        await tape.until(lambda: len(tape.kinds("token_expiring")) == 2)
    tape.check()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda heard: heard.pop(3), id="a hole"),
        pytest.param(lambda heard: heard.insert(3, heard[3]), id="a repeat"),
        pytest.param(lambda heard: heard.insert(2, heard.pop(3)), id="a swap"),
        pytest.param(lambda heard: heard[3].update(venue="bob"), id="another user's"),
        pytest.param(lambda heard: heard[2].update(timestamp=2_000), id="beyond the end"),
        pytest.param(lambda heard: heard.pop(4), id="a lost answer"),
        pytest.param(lambda heard: heard[4].update(seq=9), id="a wrong cursor"),
        pytest.param(lambda heard: heard[4].update(userId="bob"), id="a wrong answer"),
    ],
)
def test_a_tape_that_breaks_a_rule_is_found(spoil: Any) -> None:
    tokens = [Token("", "ann", 1_000), Token("", "ann", 5_000)]
    heard: list[dict[str, Any]] = [
        {"type": "connected", "userId": "ann", "seq": 0},
        *({"type": "balance_update", "venue": "ann", "seq": seq, "timestamp": 500} for seq in (1, 2, 3)),
        {"type": "authenticated", "userId": "ann", "seq": 3},
        {"type": "balance_update", "venue": "ann", "seq": 4, "timestamp": 1_500},
    ]
    check(heard, tokens)
    spoil(heard)
    with pytest.raises(AssertionError):
        check(heard, tokens)
