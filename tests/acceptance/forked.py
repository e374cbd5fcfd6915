"""The gateway in a process forked from one that has every import behind it: a restart costs what recovery costs.

It runs what `oddswire serve` runs, and may be prepared to kill itself at a chosen moment of an order's way.
"""

import contextlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import uvloop

from oddswire.config import read_settings
from oddswire.orders.dispatch import Dispatch
from oddswire.server import app, logs
from oddswire.venues.paper.adapter import PaperVenue
from tests.acceptance.server import Server, command, free_port

START_SECONDS = 20
Moment = Literal["before the venue", "after the venue", "after the record"]


@dataclass(frozen=True)
class DieAt:
    """Kill this process, as `kill -9` does, on the way of the `number`th order it sends.

    `before the venue`: its sending mark is committed, the venue has not been written to. `after the venue`: the venue
    has committed it, we have recorded nothing. `after the record`: all is recorded, the caller has no answer.
    """

    moment: Moment
    number: int

    def __call__(self) -> None:
        """Prepare this process; called before it serves."""
        place, record, sent = PaperVenue.place, Dispatch.record, list[str]()

        def is_it(ref: str) -> bool:
            return sent.index(ref) + 1 == self.number

        async def dying_place(self_: PaperVenue, account: Any, request: Any) -> Any:
            sent.append(request.ref)
            if self.moment == "before the venue" and is_it(request.ref):
                _die()
            evidence = await place(self_, account, request)
            if self.moment == "after the venue" and is_it(request.ref):
                _die()
            return evidence

        async def dying_record(self_: Dispatch, venue: str, evidence: Any, source: Any) -> Any:
            recorded = await record(self_, venue, evidence, source)
            if self.moment == "after the record" and any(
                order.order_id in sent and is_it(order.order_id) for order in recorded.orders
            ):
                _die()
            return recorded

        patch.object(PaperVenue, "place", dying_place).start()
        patch.object(Dispatch, "record", dying_record).start()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@dataclass
class ForkedServer(Server):
    """A `Server` whose process is forked; `prepare` is called in each process before it serves."""

    forked: ForkServerProcess | None = None
    prepare: Callable[[], None] | None = None

    def start(self, **env: str) -> None:
        """Serve, and return once requests are answered."""
        heard, told = _CONTEXT.Pipe(duplex=False)
        self.forked = _CONTEXT.Process(
            target=_serve, args=(told, self.port, self.admin, self.database, env, self.prepare)
        )
        self.forked.start()
        told.close()
        with heard:
            if not heard.poll(START_SECONDS):
                raise RuntimeError("the server did not start:\n" + self.log())
            try:
                heard.recv()
            except EOFError:
                raise RuntimeError("the server did not start:\n" + self.log()) from None

    def kill(self) -> None:
        """Kill it at once; one that is dead already stays so."""
        if self.forked is not None:
            self.forked.kill()
            self.exit_code()

    def exit_code(self, seconds: float = 10) -> int | None:
        """Return how it ended, -9 where it was killed, None where it still runs."""
        assert self.forked is not None
        self.forked.join(seconds)
        return self.forked.exitcode


@contextlib.contextmanager
def forked_server(folder: Path, prepare: Callable[[], None] | None = None, /, **env: str) -> Iterator[ForkedServer]:
    """Serve a new database of one app until the block ends; `prepare` as in `ForkedServer`."""
    database = folder / "oddswire.db"
    created = command("app", "create", "shop", "--database", str(database), "--json")
    assert created.returncode == 0, created.stderr
    server = ForkedServer(database, free_port(), "shop", json.loads(created.stdout)["apiKey"])
    server.prepare = prepare
    server.start(**env)
    try:
        yield server
    finally:
        server.kill()


def _serve(
    told: Connection, port: int, admin: int, database: Path, env: Mapping[str, str], prepare: Callable[[], None] | None
) -> None:
    log = os.open(database.parent / "server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 2)
    os.close(log)
    if prepare is not None:
        prepare()
    settings = read_settings(env)
    logs.set_up(settings.log_level, settings.log_json)
    serving = app.serve(
        settings,
        host="127.0.0.1",
        port=port,
        admin=f"127.0.0.1:{admin}",
        database=database,
        dev=False,
        ready=lambda _: told.send("ready"),
    )
    uvloop.run(serving)


_CONTEXT = _context()
