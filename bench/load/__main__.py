"""A load process: `python -m bench.load`, asked by lines."""

import gc
import time

import uvloop

from bench.control import obey, say
from bench.load.crowd import Crowd
from bench.load.orders import closed_loop, open_loop, sign_in


async def main() -> None:
    crowd = Crowd()

    async def expect(events: int) -> float:
        crowd.expect(events)
        return time.process_time()

    async def received(seconds: float = 60) -> float:
        await crowd.received(seconds)
        return time.process_time()

    say({"ready": True})
    await obey(
        {
            "gather": crowd.gather,
            "expect": expect,
            "received": received,
            "stall": crowd.stall,
            "leave": crowd.leave,
            "come_back": crowd.come_back,
            "closed": crowd.closed,
            "sign_in": sign_in,
            "closed_loop": closed_loop,
            "open_loop": open_loop,
        }
    )


if __name__ == "__main__":
    # what the load keeps, it keeps to the end: a collection would only stop it for a while
    gc.disable()
    uvloop.run(main())
