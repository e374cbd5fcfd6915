"""Commands on a terminal of their own, for what they draw only there."""

import asyncio
import os
import re
import sys

from tests.cli.processes import PATIENCE

_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


async def on_a_terminal(*words: str, columns: int = 100) -> tuple[int, str]:
    """Return the exit code of an `oddswire` that writes to a terminal, and all it drew, what steers it taken out."""
    ours, its = os.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ODDSWIRE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oddswire", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        env={**environ, "COLUMNS": str(columns), "TERM": "xterm-256color"},
    )
    os.close(its)
    try:
        async with asyncio.timeout(PATIENCE):
            drawn = await asyncio.to_thread(_all_of, ours)
            code = await process.wait()
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
    return code, _STEERING.sub("", drawn)


def _all_of(terminal: int) -> str:
    drawn = bytearray()
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:
            # Linux says it this way when nobody is left at the other end
            piece = b""
        if not piece:
            return drawn.decode()
        drawn += piece
