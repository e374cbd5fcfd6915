"""A whole gateway in this process, on free ports of 127.0.0.1: for tests that talk to it as any client does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from oddswire.config import DEV_APP, DEV_KEY, Settings
from oddswire.server.app import DEV_ORIGINS, serve
from oddswire.server.process import Address
from oddswire.wire.bodies import SignedIn

UNLIMITED = Settings(
    orders_per_second=100_000,
    reads_per_second=100_000,
    sign_ins_per_second=100_000,
    failed_sign_ins_per_minute=100_000,
    refused_per_second=100_000,
    calls_per_second_per_app=0,
    calls_per_second_per_address=0,
    drain_seconds=0,
)
"""Settings with which nobody meets a rate limit, and a gateway ends without waiting for its clients."""
ORIGIN = DEV_ORIGINS[0]
"""An origin of the app's pages."""


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """Where it is, and the app `app_id` that may use it."""

    address: Address
    database: Path
    stop: asyncio.Event
    app_id: str = DEV_APP
    api_key: str = DEV_KEY

    @property
    def base_url(self) -> str:
        """The API's base URL."""
        return self.address.url

    @property
    def admin_url(self) -> str:
        """The operator's listener."""
        return f"http://{self.address.admin}"

    def ws_url(self, **query: str | int) -> str:
        """Return the WebSocket's URL for the app, with more of a query."""
        return str(httpx.URL(self.address.ws_url, params={"appId": self.app_id, **query}))

    async def sign_in(self, user_id: str) -> SignedIn:
        """Sign a user in as the app's backend."""
        async with httpx.AsyncClient(base_url=self.base_url, trust_env=False) as http:
            answer = await http.post(
                "/auth/token",
                headers={"x-app-id": self.app_id, "x-app-api-key": self.api_key},
                json={"userId": user_id},
            )
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=SignedIn)

    def http(self, access_token: str | None = None) -> httpx.AsyncClient:
        """Return a client of the API, with the app's id and a user's token."""
        headers = {"x-app-id": self.app_id}
        if access_token is not None:
            headers["authorization"] = f"Bearer {access_token}"
        return httpx.AsyncClient(base_url=self.base_url, headers=headers, timeout=20, trust_env=False)


@asynccontextmanager
async def running_gateway(folder: Path, settings: Settings = UNLIMITED) -> AsyncIterator[RunningGateway]:
    """Run a gateway on `folder`/oddswire.db with the app `demo`, until the block ends; a second one may follow."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    database = folder / "oddswire.db"
    serving = asyncio.create_task(
        serve(
            settings,
            host="127.0.0.1",
            port=0,
            admin="127.0.0.1:0",
            database=database,
            dev=True,
            ready=ready.set_result,
            stop=stop,
        )
    )
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield RunningGateway(ready.result(), database, stop)
    finally:
        stop.set()
        await serving
