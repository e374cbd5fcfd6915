"""How the bench talks to its servers and loads: a JSON object a line on stdin, an answer a line on stdout.

Needs the standard library alone, so that a peer may use it in whatever environment it has.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Command = Callable[..., Awaitable[Any]]
LINE_BYTES = 64 * 1024 * 1024


def say(what: object) -> None:
    """Write one line to the bench."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def obey(commands: Mapping[str, Command]) -> None:
    """Carry out one command after the other until the bench closes its end; `{"do": name, ...}` calls one."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        asked = json.loads(line)
        try:
            say({"answer": await commands[asked.pop("do")](**asked)})
        except Exception:
            say({"error": traceback.format_exc()})


async def paced(waves: int, gap: float, wave: Callable[[], Awaitable[None] | None]) -> None:
    """Call `wave` so many times, `gap` seconds from start to start, or at once where it is late."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(waves):
        pending = wave()
        if pending is not None:
            await pending
        due += gap
        await asyncio.sleep(max(0.0, due - loop.time()))


def pushing(wave: Callable[[str], Awaitable[None] | None]) -> Command:
    """Return the command `push` of a peer: `wave(text)` sends the text once to every socket."""

    async def push(text: str, waves: int, gap: float) -> None:
        await paced(waves, gap, lambda: wave(text))

    return push
