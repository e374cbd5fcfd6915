"""The end of a server: requests are given their time, and sockets that nobody reads are no work left undone."""

import asyncio
import logging
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs

from oddswire.server.shutdown import EndsInTime


class Deaf:
    """A connection whose peer takes nothing."""

    def shutdown(self) -> None:
        """Say that we would like to end."""


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nobody asks anything here")


@pytest.fixture
async def server() -> EndsInTime:
    server = EndsInTime(uvicorn.Config(nothing, timeout_graceful_shutdown=1, lifespan="off", log_config=None))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    server.servers = []
    return server


async def test_a_socket_that_outlives_it_is_no_error(server: EndsInTime, caplog: pytest.LogCaptureFixture) -> None:
    server.server_state.connections.add(Deaf())  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING), capture_logs() as logged:
        await server.shutdown()
    assert (caplog.records, logged) == ([], [])


async def test_a_request_that_takes_too_long_is_cut_off_and_told(server: EndsInTime) -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    server.server_state.tasks.add(task)
    with capture_logs() as logged:
        await server.shutdown()
    assert logged == [{"event": "requests_cut_off", "requests": 1, "seconds": 1, "log_level": "warning"}]
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_request_in_time_is_waited_for(server: EndsInTime) -> None:
    task = asyncio.create_task(asyncio.sleep(0.3))
    server.server_state.tasks.add(task)
    task.add_done_callback(server.server_state.tasks.discard)
    with capture_logs() as logged:
        await server.shutdown()
    assert task.done()
    assert not task.cancelled()
    assert logged == []
