"""Another user signs in on an open socket, under load of both: each hears their own, up to the frame that says so."""

import asyncio
import random
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.forked import forked_server
from tests.acceptance.server import Server
from tests.acceptance.tape import BAD, LIMITLESS, Flood, Mint, Tape, Token

USERS = ("ann", "bob", "cat")
SWITCHES = 50
SOCKETS = 4
NOT_GOOD = Token(BAD, None, 0)


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A gateway in which three users are told 500 events a second each."""
    with forked_server(tmp_path_factory.mktemp("switch"), Flood("shop", USERS, 500), **LIMITLESS) as running:
        yield running


@pytest.fixture
def mint(flooded: Server) -> Mint:
    return Mint(flooded)


async def test_users_take_turns_on_a_socket(flooded: Server, mint: Mint) -> None:
    tapes = await asyncio.gather(*(_take_turns(flooded, mint, number) for number in range(SOCKETS)))
    for tape in tapes:
        tape.check()
        assert len(tape.kinds("authenticated")) == SWITCHES
        assert {said["venue"] for said in tape.events} >= set(USERS)
        assert len(tape.events) > SWITCHES * 10


async def _take_turns(server: Server, mint: Mint, seed: int) -> Tape:
    chance = random.Random(seed)
    async with await Tape.connect(server, mint.lasting("ann")) as tape:
        for number in range(SWITCHES):
            await asyncio.sleep(chance.uniform(0.051, 0.08))
            user = chance.choice(USERS)
            await tape.signed_in(mint.token(user, int(time.time()) + 2 + number % 3, f"ses_{number}"))
        await tape.more(10)
        assert tape.ended is None
    return tape


async def test_a_cursor_of_another_user_is_refused_and_their_own_is_taken(flooded: Server, mint: Mint) -> None:
    async with await Tape.connect(flooded, mint.lasting("ann")) as tape:
        await tape.more(20)
        own, seq = tape.heard[0]["epoch"], tape.heard[0]["seq"]
        bob = mint.lasting("bob")
        tape.tokens.append(bob)
        await tape.say({"action": "authenticate", "token": bob.text, "since": seq, "epoch": own})
        await tape.until(lambda: tape.kinds("authenticated"))
        refused = tape.kinds("authenticated")[0]
        assert (refused["userId"], refused["resumed"], refused["reason"]) == ("bob", False, "epoch_changed")
        assert refused["epoch"] != own
        ann = mint.lasting("ann")
        tape.tokens.append(ann)
        await tape.say({"action": "authenticate", "token": ann.text, "since": seq, "epoch": own})
        await tape.until(lambda: len(tape.kinds("authenticated")) == 2)
        taken = tape.kinds("authenticated")[1]
        assert (taken["userId"], taken["resumed"], taken["seq"]) == ("ann", True, seq)
        await tape.until(lambda: tape.events[-1]["seq"] > taken["head"])
    tape.check()


@pytest.mark.parametrize("first", [None, "ann", "bob"], ids=["nobody", "as ann", "as bob"])
@pytest.mark.parametrize(
    "order",
    [
        "ann bob",
        "bob ann",
        "ann bad",
        "bad ann",
        "ann ann",
        "bob bob",
        "bad bad",
        "ann bad bob",
        "bad bob bad ann bad",
        "ann bob ann bob ann bob ann bob",
        "ann ann bob bob bad bob ann bad ann ann bob bad cat cat ann bob bad cat",
    ],
)
async def test_tokens_in_one_segment_are_taken_in_the_order_sent(
    flooded: Server, mint: Mint, first: str | None, order: str
) -> None:
    sent = [NOT_GOOD if user == "bad" else mint.lasting(user) for user in order.split()]
    users = [first] * (first is not None) + [token.user for token in sent if token.user]
    async with await Tape.connect(flooded, None if first is None else mint.lasting(first)) as tape:
        await tape.until(lambda: tape.heard)
        tape.tokens += sent
        frames = [{"action": "authenticate", "token": token.text} for token in sent]
        await tape.say(*frames, {"action": "ping", "id": "all"})
        await tape.until(lambda: tape.kinds("pong"))
        if users:
            await tape.more(10)
            assert tape.events[-1]["venue"] == users[-1]
    tape.check()
    answers = [said.get("userId") for said in tape.kinds("authenticated", "error")]
    assert answers == [token.user for token in sent]
    assert bool(tape.events) == bool(users)
    # frames are handled one after the other: the ping came last, so it was answered last
    assert not {said["type"] for said in tape.heard[tape.heard.index(tape.kinds("pong")[0]) :]} & {"authenticated"}
