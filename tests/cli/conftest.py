"""The command line, run in this process, and a gateway for it to talk to."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from oddswire.cli.root import run
from oddswire.testing.gateway import RunningGateway, running_gateway


class Done(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Cli = Callable[..., Awaitable[Done]]


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ODDSWIRE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in a thread, so that a gateway in this loop can answer it."""

    async def command(*words: str) -> Done:
        capsys.readouterr()
        code = await asyncio.to_thread(run, words)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return command


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway in this process, whose log keeps off the output that the tests look at."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with running_gateway(tmp_path) as running:
        yield running
    structlog.reset_defaults()


def one_error_line(done: Done, code: int) -> str:
    """Return the one line that a failed command says, and nothing else."""
    assert done.code == code, done
    assert done.out == "", done
    (line,) = done.err.splitlines()
    assert line.startswith("error: "), line
    assert "Traceback" not in line
    return line
