import re
from pathlib import Path
from typing import get_args

import pytest

import oddswire
from oddswire.auth import acts
from oddswire.auth.authority import Authority
from oddswire.store.base import Tx
from oddswire.store.sqlite import SqliteStore
from tests.auth.conftest import NOW

SOURCE = Path(oddswire.__file__).parent


async def test_acts_are_numbered_and_listed_the_newest_first(store: SqliteStore) -> None:
    def unit(tx: Tx) -> None:
        for at in range(5):
            acts.record(tx, "ann@host", "key.add", "demo", {"name": f"k{at}"}, NOW + at)

    await store.write(unit)
    found = await store.read(lambda tx: acts.page(tx, acts.BEGINNING, 3))
    assert [(entry.number, entry.at) for entry in found] == [(5, NOW + 4), (4, NOW + 3), (3, NOW + 2)]
    assert (found[0].actor, found[0].act, found[0].subject, bytes(found[0].detail)) == (
        "ann@host",
        "key.add",
        "demo",
        b'{"name":"k4"}',
    )
    assert [entry.number for entry in await store.read(lambda tx: acts.page(tx, 3, 3))] == [2, 1]
    assert [entry.number for entry in await store.read(lambda tx: acts.page(tx, 10, 9, since=NOW + 3))] == [5, 4]


async def test_an_act_that_fails_is_not_written_down(store: SqliteStore) -> None:
    def unit(tx: Tx) -> None:
        acts.record(tx, "ann@host", "key.add", "demo", {}, NOW)
        raise RuntimeError("the act failed")

    with pytest.raises(RuntimeError):
        await store.write(unit)
    assert await store.read(lambda tx: acts.page(tx, 10, 10)) == []


async def test_a_kick_is_written_down_with_who_did_it(store: SqliteStore, authority: Authority) -> None:
    await authority.revoke_user("demo", "ann", "admin listener, 127.0.0.1")
    (found,) = await store.read(lambda tx: acts.page(tx, 10, 10))
    assert (found.actor, found.act, found.subject) == ("admin listener, 127.0.0.1", "user.kick", "demo/ann")


def test_no_statement_changes_or_deletes_an_act_but_the_one_for_erased_users() -> None:
    changing = re.compile(
        r"\b(?:UPDATE|DELETE\s+FROM|INSERT\s+INTO|REPLACE\s+INTO|DROP\s+TABLE)\s+admin_acts\b.*", re.I
    )
    found = [
        hit
        for path in SOURCE.rglob("*.*")
        if path.suffix in (".sql", ".py")
        for hit in changing.findall(path.read_text())
    ]
    assert sorted(found) == [
        "INSERT INTO admin_acts (number, at, actor, act, subject, detail) VALUES ($1, $2, $3, $4, $5, $6);",
        "UPDATE admin_acts SET subject = $2 WHERE subject = $1;",
    ]


def test_names_of_acts_are_of_one_kind() -> None:
    listed = get_args(acts.Act)
    assert len(listed) > 10
    assert [name for name in listed if not re.fullmatch(r"[a-z]+\.[a-z]+", name)] == []
