"""Databases, opened by commands beside a gateway that may be serving them."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from oddswire.clock import SystemClock
from oddswire.config import Settings, read_settings
from oddswire.errors import OperatorError
from oddswire.orders.audit import Finding
from oddswire.orders.audit_venue import VENUE_CHECK, audit_venue
from oddswire.store.sqlite import CORE, SqliteStore
from oddswire.store.sqlite_file import unusable
from oddswire.venues import paper
from oddswire.venues.paper import PaperVenue, audit, paper_config

SCHEMAS = (CORE, paper.SCHEMA)


@asynccontextmanager
async def opened(path: Path, *, create: bool = False, alone: bool = False) -> AsyncIterator[SqliteStore]:
    """Yield a database, made only where `create` says so; `alone` keeps gateways off it meanwhile.

    Raises:
        OperatorError: it is not there, none of ours, of a newer version, or cannot be read; with `alone`, it is served.
    """
    if not create:
        must_exist(path)
    store = await SqliteStore.open(path, SCHEMAS, exclusive=alone)
    try:
        yield store
    except sqlite3.Error as fault:
        raise unusable(path, fault) from fault
    finally:
        await store.close()


def must_exist(path: Path) -> None:
    """Raise `database_missing` where there is no such file: a mistyped name must not make an empty database."""
    if not path.exists():
        raise OperatorError("database_missing", f"There is no database {path.absolute()}.")


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the gateway's settings of this environment.

    Raises:
        OperatorError: `config_invalid`.
    """
    return read_settings(environ)


async def venue_findings(store: SqliteStore, watch: Callable[[int], None]) -> list[Finding]:
    """Return what is wrong with the paper venue's books, and between them and ours; `watch` is told accounts done."""
    watch(0)
    venue = PaperVenue(store, SystemClock(), paper_config(settings()))
    own = [Finding(VENUE_CHECK, "paper", said) for said in await audit.check(store)]
    return [*own, *await audit_venue(store, venue, watch)]
