"""A cursor that cannot be honoured is refused for its reason, however it is brought; the stream goes on from there."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from oddswire.cli.databases import opened
from oddswire.streams import log
from oddswire.streams.retention import trim
from tests.acceptance.follower import begin
from tests.acceptance.forked import forked_server
from tests.acceptance.listener import Listener, Told
from tests.acceptance.server import UNLIMITED, Server, an_order, command
from tests.acceptance.test_streams import sign_in_soon

Way = Literal["connect", "authenticate", "kept"]
WAYS: tuple[Way, ...] = ("connect", "authenticate", "kept")
LATER = 2**62


class Cursor(NamedTuple):
    since: int
    epoch: str | None

    @property
    def query(self) -> dict[str, Any]:
        return {"since": self.since} | ({} if self.epoch is None else {"epoch": self.epoch})


class Tail(NamedTuple):
    """A stream of which only `tail` to `head` is kept."""

    token: str
    epoch: str
    tail: int
    head: int


async def greeted(server: Server, token: str, way: Way, cursor: Cursor) -> tuple[Told, list[Told]]:
    """Bring a cursor in one of the three ways; return the greeting, and the events of one more order."""
    at_once = {"connect": {"token": token, **cursor.query}, "authenticate": {}, "kept": cursor.query}[way]
    async with Listener(server.ws_url(**at_once)) as heard, server.http(token) as http:
        greeting = await heard.first()
        if way != "connect":
            assert "userId" not in greeting
            own = cursor.query if way == "authenticate" else {}
            await heard.socket.send(json.dumps({"action": "authenticate", "token": token, **own}))
            await heard.until(lambda: len(heard.texts) > 1)
            greeting = heard.frames[1]
        assert greeting["type"] == ("connected" if way == "connect" else "authenticated")
        assert (await http.post("/trading/orders", json=an_order())).status_code == 201
        head = (await http.get("/trading/balance")).json()["seq"]
        return greeting, await heard.told(head - greeting["seq"])


async def is_refused(server: Server, token: str, cursor: Cursor, reason: str) -> None:
    """PROTOCOL 2.1: `resumed` false, the reason, `seq` = head and live events after it; over REST a 410."""
    async with server.http(token) as http:
        for way in WAYS:
            before = (await http.get("/trading/balance")).json()
            greeting, events = await greeted(server, token, way, cursor)
            assert (greeting["resumed"], greeting.get("reason")) == (False, reason), way
            assert greeting["seq"] == greeting["head"] == before["seq"]
            assert greeting["epoch"] == before["epoch"]
            assert [told["seq"] for told in events] == [before["seq"] + 1, before["seq"] + 2]
        page = await http.get("/trading/events", params=cursor.query)
        assert (page.status_code, page.json()["code"]) == (410, {"expired": "history_expired"}.get(reason, reason))


async def trim_to(database: Path, user: str, tail: int) -> None:
    """Let the events before `tail` expire, as retention does: in the process that sweeps, or any other."""
    async with opened(database) as store:
        stream = await store.read(lambda tx: log.find(tx, "shop", user))
        assert stream is not None
        await store.write(partial(trim, stream_id=stream.stream_id, before=LATER, keep=stream.head - tail + 1))


async def trimmed(server: Server) -> Tail:
    follower = await begin(server, "ann")
    async with server.http(follower.token) as http:
        for _ in range(5):
            await http.post("/trading/orders", json=an_order())
        head = (await http.get("/trading/balance")).json()["seq"]
    assert head == 11
    await trim_to(server.database, server.prefix + "ann", 6)
    return Tail(follower.token, follower.epoch, 6, head)


async def test_what_is_not_kept_any_more_is_expired(server: Server) -> None:
    kept = await trimmed(server)
    for since in (0, 1, kept.tail - 2):
        await is_refused(server, kept.token, Cursor(since, kept.epoch), "expired")


@pytest.mark.parametrize("way", WAYS)
async def test_the_oldest_and_the_newest_cursor_that_can_be_honoured_are(server: Server, way: Way) -> None:
    kept = await trimmed(server)
    greeting, events = await greeted(server, kept.token, way, Cursor(kept.tail - 1, kept.epoch))
    assert (greeting["resumed"], greeting["seq"], greeting["head"]) == (True, kept.tail - 1, kept.head)
    head = kept.head + 2
    assert [told["seq"] for told in events] == list(range(kept.tail, head + 1))
    greeting, events = await greeted(server, kept.token, way, Cursor(head, kept.epoch))
    assert (greeting["resumed"], greeting["seq"], greeting["head"]) == (True, head, head)
    assert [told["seq"] for told in events] == [head + 1, head + 2]


async def test_what_has_not_happened_is_ahead(server: Server) -> None:
    ann = await begin(server, "ann")
    await is_refused(server, ann.token, Cursor(10**6, ann.epoch), "ahead")
    async with server.http(ann.token) as http:
        head = (await http.get("/trading/balance")).json()["seq"]
    page_of_the_next = Cursor(head + 1, ann.epoch)
    greeting, _ = await greeted(server, ann.token, "connect", page_of_the_next)
    assert (greeting["resumed"], greeting["reason"]) == (False, "ahead")


@pytest.mark.parametrize("whose", ["another user's", "a namesake's at another app", "nobody's", "none"])
async def test_a_cursor_of_another_stream_is_refused(server: Server, whose: str) -> None:
    ann = await begin(server, "ann")
    epoch: str | None = "nonsense"
    if whose == "another user's":
        epoch = (await begin(server, "bob")).epoch
    elif whose == "a namesake's at another app":
        made = json.loads(command("app", "create", "rival", "--database", str(server.database), "--json").stdout)
        theirs = await sign_in_soon(server, "ann", "rival", made["apiKey"])
        async with server.http(theirs, "rival") as http:
            epoch = (await http.get("/trading/balance")).json()["epoch"]
    elif whose == "none":
        epoch = None
    assert epoch != ann.epoch
    for since in (0, 1):
        await is_refused(server, ann.token, Cursor(since, epoch), "epoch_changed")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Server]:
    with forked_server(tmp_path, **UNLIMITED) as running:
        yield running


async def test_a_restored_backup_refuses_the_cursors_of_before(alone: Server) -> None:
    ann = await begin(alone, "ann")
    copy = alone.database.parent / "copy.db"
    async with alone.http(ann.token) as http:
        before = (await http.get("/trading/balance")).json()
        made = command("backup", str(copy), "--database", str(alone.database))
        assert made.returncode == 0, made.stdout + made.stderr
        await http.post("/trading/orders", json=an_order())
    restore = ("restore", str(copy), "--database", str(alone.database), "--force")
    assert command(*restore).returncode != 0, "a served database must not be replaced"
    alone.kill()
    restored = command(*restore)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    alone.start(**UNLIMITED)
    async with alone.http(ann.token) as http:
        after = (await http.get("/trading/balance")).json()
    assert after["seq"] == before["seq"]
    assert after["epoch"] != before["epoch"]
    for since in (0, before["seq"], before["seq"] + 2):
        await is_refused(alone, ann.token, Cursor(since, before["epoch"]), "epoch_changed")


async def test_what_retention_lets_expire_is_refused_and_what_it_keeps_is_served(alone: Server) -> None:
    ann = await begin(alone, "ann")
    async with alone.http(ann.token) as http:
        for _ in range(20):
            await http.post("/trading/orders", json=an_order())
        head = (await http.get("/trading/balance")).json()["seq"]
    alone.kill()
    with contextlib.closing(sqlite3.connect(alone.database)) as database, database:
        database.execute("UPDATE events SET timestamp = timestamp - 7200000")  # two hours ago
    alone.start(ODDSWIRE_RETENTION_HOURS="1", ODDSWIRE_RETENTION_EVENTS="10", **UNLIMITED)
    async with alone.http(ann.token) as http:
        async with asyncio.timeout(10):
            while (page := await http.get("/trading/events", params=Cursor(0, ann.epoch).query)).status_code == 200:
                await asyncio.sleep(0.02)
        assert (page.status_code, page.json()["code"]) == (410, "history_expired")
        kept = (await http.get("/trading/events", params=Cursor(head - 10, ann.epoch).query)).json()
        assert [event["seq"] for event in kept["events"]] == list(range(head - 9, head + 1))
    await is_refused(alone, ann.token, Cursor(head - 11, ann.epoch), "expired")
