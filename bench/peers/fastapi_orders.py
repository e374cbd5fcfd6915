"""Orders as many would write them: FastAPI, SQLAlchemy and aiosqlite, the same tables touched in one durable commit.

One lock lets one write run at a time: without it the connections wait in SQLite's busy handler, at half the rate.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any, Literal

import uvicorn
import uvloop
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, Column, MetaData, String, Table, event, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.control import obey, say

MICRO = 1_000_000
tables = MetaData()


def table(name: str, key: list[str], numbers: list[str], texts: list[str]) -> Table:
    columns = [Column(one, String, primary_key=one in key) for one in texts]
    return Table(name, tables, *columns, *(Column(one, BigInteger, primary_key=one in key) for one in numbers))


users = table("users", ["user_id"], ["cash", "held", "head"], ["user_id"])
orders = table(
    "orders",
    ["order_id"],
    ["price", "size", "held", "seq"],
    ["order_id", "user_id", "market_id", "outcome_id", "side", "status"],
)
entries = table("entries", ["entry_id"], ["timestamp"], ["entry_id", "user_id", "kind", "reference"])
postings = table("postings", ["entry_id", "line"], ["line", "amount"], ["entry_id", "account"])
events = table("events", ["user_id", "seq"], ["seq", "timestamp"], ["user_id", "frame"])


class PlaceOrder(BaseModel):
    venue: Literal["paper"]
    marketId: str  # noqa: N815
    outcomeId: str  # noqa: N815
    side: Literal["buy", "sell"]
    size: Decimal = Field(gt=0)
    price: Decimal = Field(gt=0, lt=1)


class Order(PlaceOrder):
    orderId: str  # noqa: N815
    status: str
    seq: int


class House:
    engine: AsyncEngine
    lock: asyncio.Lock


app = FastAPI()


@app.post("/trading/orders", status_code=201)
async def place(wanted: PlaceOrder, authorization: Annotated[str, Header()]) -> Order:
    user = authorization.removeprefix("Bearer ")
    price, size = int(wanted.price * MICRO), int(wanted.size * MICRO)
    hold, now, order_id = price * size // MICRO, time.time_ns() // MICRO, f"ord_{uuid.uuid4().hex}"
    async with House.lock, House.engine.begin() as db:
        row = (await db.execute(select(users).where(users.c.user_id == user))).one_or_none()
        if row is None:
            raise HTTPException(401)
        if row.cash < hold:
            raise HTTPException(422, "insufficient_funds")
        seq = row.head + 1
        told = {"type": "order_submitted", "timestamp": now, "seq": seq, "orderId": order_id, "side": wanted.side}
        told |= {"marketId": wanted.marketId, "outcomeId": wanted.outcomeId, "price": str(wanted.price)}
        await db.execute(
            insert(orders).values(
                order_id=order_id,
                user_id=user,
                market_id=wanted.marketId,
                outcome_id=wanted.outcomeId,
                side=wanted.side,
                status="open",
                price=price,
                size=size,
                held=hold,
                seq=seq,
            )
        )
        moved = {"cash": row.cash - hold, "held": row.held + hold, "head": seq}
        await db.execute(update(users).where(users.c.user_id == user).values(moved))
        entry: dict[str, Any] = {"entry_id": order_id, "user_id": user, "kind": "hold", "reference": order_id}
        await db.execute(insert(entries).values(**entry, timestamp=now))
        lines = [("available", -hold), ("held", hold)]
        of = [{"entry_id": order_id, "line": at, "account": to, "amount": by} for at, (to, by) in enumerate(lines)]
        await db.execute(insert(postings), of)
        await db.execute(insert(events).values(user_id=user, seq=seq, timestamp=now, frame=json.dumps(told)))
    return Order(**wanted.model_dump(), orderId=order_id, status="open", seq=seq)


@asynccontextmanager
async def database(path: str) -> AsyncIterator[None]:
    House.engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    House.lock = asyncio.Lock()

    @event.listens_for(House.engine.sync_engine, "connect")
    def settle(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    async with House.engine.begin() as db:
        await db.run_sync(tables.create_all)
    try:
        yield
    finally:
        await House.engine.dispose()


async def make_users(prefix: str, count: int) -> list[str]:
    names = [f"{prefix}-{number}" for number in range(count)]
    async with House.engine.begin() as db:
        await db.execute(insert(users), [{"user_id": name, "cash": 10**15, "held": 0, "head": 0} for name in names])
    return names


async def main(path: str) -> None:
    config = uvicorn.Config(app, port=0, log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    async with database(path):
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        say({"port": server.servers[0].sockets[0].getsockname()[1]})
        await obey({"users": make_users})
        server.should_exit = server.force_exit = True
        await serving


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
