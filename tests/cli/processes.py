"""Commands in processes of their own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE = 40.0


@asynccontextmanager
async def started(*words: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a running `oddswire`; it is dead when the block ends."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ODDSWIRE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "oddswire", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**own, **environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_with(process: asyncio.subprocess.Process, *words: str) -> list[str]:
    """Return what the process has said up to the first line that holds all these words."""
    assert process.stdout is not None
    said: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while line := (await process.stdout.readline()).decode():
            said.append(line.rstrip("\n"))
            if all(word in line for word in words):
                return said
    raise AssertionError(f"{words} never said: {said}")


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Return the exit code, and the rest of what it said."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
