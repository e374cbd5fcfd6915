"""Ending by Ctrl-C as the normal way to end."""

import asyncio
import signal
from collections.abc import Coroutine


async def until_interrupted(work: Coroutine[None, None, None]) -> None:
    """Run `work` until it returns, or until SIGINT or SIGTERM cancels it; both are a clean end."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        interrupted = True
        task.cancel()

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
