import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.acceptance.server import UNLIMITED, Server, running_server
from tests.server.sockets import Client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One gateway a module; tests that use it keep to users of their own."""
    with running_server(tmp_path_factory.mktemp("shared"), **UNLIMITED) as running:
        yield running


@pytest.fixture
def server(shared: Server, request: pytest.FixtureRequest) -> Server:
    """The module's gateway, with a name of this test's own in front of every user it signs in."""
    shared.prefix = f"{request.node.name[-59:]}-"  # its end tells parameters apart
    return shared


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    """Close every raw socket of the test while its loop still can."""
    yield
    await asyncio.gather(*map(_hang_up, tuple(Client.everyone)))


async def _hang_up(client: Client) -> None:
    client.hang_up()
    with contextlib.suppress(ConnectionError):
        await client.writer.wait_closed()
