"""How long the end of a server waits for what is under way.

Touches uvicorn 0.54's `Server._wait_tasks_to_complete`.
"""

import asyncio

import structlog
import uvicorn
from uvicorn.config import Config

_logger = structlog.get_logger("oddswire.process")


class EndsInTime(uvicorn.Server):
    """uvicorn's server, whose `timeout_graceful_shutdown` is about requests.

    Sockets of readers that take nothing may outlive it, and end with the process. uvicorn would call that an error:
    "Cancel 0 running task(s)".
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._patience, config.timeout_graceful_shutdown = config.timeout_graceful_shutdown, None

    async def _wait_tasks_to_complete(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await super()._wait_tasks_to_complete()
        except TimeoutError:
            cut_off = [task for task in self.server_state.tasks if task.cancel()]
            if cut_off:
                _logger.warning("requests_cut_off", requests=len(cut_off), seconds=self._patience)
