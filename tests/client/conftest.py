import asyncio

import pytest

from oddswire.client import connection


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting between connections takes no time here; what would have been waited, in seconds."""
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(connection, "_wait", note)
    return waited
