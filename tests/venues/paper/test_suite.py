from collections.abc import Awaitable, Callable

import pytest

from oddswire.testing.venue_suite import SUITE, Stage
from oddswire.venues.base import Account
from tests.venues.paper.conftest import Pit


@pytest.mark.parametrize("shows", SUITE, ids=lambda shows: shows.__name__)
async def test_a_venue(pit: Pit, shows: Callable[[Stage], Awaitable[None]]) -> None:
    await shows(Stage(pit.venue, pit.clock.now, "app", "rain", Account("app", "ann"), Account("app", "bob")))
