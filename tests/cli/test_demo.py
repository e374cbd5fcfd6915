"""The demo, as a person runs it."""

import signal

from tests.cli.processes import ended, line_with, started


def events_of(said: str, user: str) -> list[tuple[int, str]]:
    """Return seq and type of each event line of a user."""
    words = [line.split() for line in said.splitlines()]
    return [(int(line[2]), line[3]) for line in words if len(line) > 3 and line[1] == user and line[2].isdigit()]


async def test_both_users_are_told_everything_in_order_and_it_ends_clean() -> None:
    async with started("demo", "--seconds", "3") as demo:
        code, out, err = await ended(demo)

    assert (code, err) == (0, ""), out
    for user in ("alice", "bob"):
        told = events_of(out, user)
        assert [seq for seq, _ in told] == list(range(1, len(told) + 1))
        assert {"order_submitted", "balance_update"} <= {kind for _, kind in told}
    assert "✓ Every event came once and in order" in out
    assert "\x1b" not in out


async def test_ctrl_c_ends_it_clean_with_the_summary() -> None:
    async with started("demo") as demo:
        await line_with(demo, "bob", "order_submitted")
        demo.send_signal(signal.SIGINT)
        code, out, err = await ended(demo)

    assert (code, err) == (0, ""), out
    assert "✓ Every event came once and in order" in out
