"""Orders placed by hand: what a person ought to know of it."""

import asyncio
import signal

import pytest

from tests.cli.conftest import Cli
from tests.cli.processes import PATIENCE, ended, started


async def test_an_order_whose_answer_was_not_waited_for_may_have_been_placed() -> None:
    asked = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        order = ("fed-cut-dec", "yes", "buy", "1", "0.01", "--token", "any", "--url", url)
        async with started("order", "place", *order) as placing:
            async with asyncio.timeout(PATIENCE):
                await asked.wait()
            placing.send_signal(signal.SIGINT)
            code, out, err = await ended(placing)
    assert (code, out) == (130, "")
    assert err == "Whether the order was placed is not known: `oddswire order list` shows it if it was.\n"


@pytest.mark.parametrize("words", [("watch",), ("order", "place"), ("token",)], ids=" ".join)
async def test_what_makes_a_user_says_so(cli: Cli, words: tuple[str, ...]) -> None:
    assert "is a new user from now on" in " ".join((await cli(*words, "--help")).out.split())
