"""A gateway in a process of its own, with JSON logs."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

SERVE = ("-m", "oddswire", "serve", "--dev", "--port", "0", "--admin", "127.0.0.1:0", "--drain", "0")


class Serving(NamedTuple):
    """Where it is, what it logs to, and the process."""

    url: str
    log: Path
    process: asyncio.subprocess.Process


def events(text: str) -> list[dict[str, Any]]:
    """Return what was logged, having looked at what every line must be."""
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        assert {"ts", "level", "event", "logger"} <= set(event), event
    return found


def environ(**settings: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("ODDSWIRE_")}
    return {**own, "ODDSWIRE_LOG_JSON": "true", **settings}


@asynccontextmanager
async def serving(folder: Path, files: int = 1024, **settings: str) -> AsyncIterator[Serving]:
    """Serve `folder`/oddswire.db in a process that may open so many files; it has said nothing but events."""
    log, out = folder / "log", folder / "out"
    with log.open("w") as errors, out.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f'ulimit -n {files} && exec "$@"', "bash", sys.executable, *SERVE),
            stdout=output,
            stderr=errors,
            cwd=folder,
            env=environ(**settings),
        )
    try:
        async with asyncio.timeout(30):
            while not (ready := [event for event in events(log.read_text()) if event["event"] == "serving"]):
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield Serving(ready[0]["url"], log, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)
    events(log.read_text())
    assert out.read_text() == ""
