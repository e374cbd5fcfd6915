import time

import pytest

from oddswire.auth.identity import Identity
from oddswire.streams.roster import Caps, Presence, Roster, network_of


class Guest:
    """A connection that leaves when it is told to."""

    def __init__(self, roster: Roster, user: str | None = None, address: str = "10.0.0.1", leaves: bool = True) -> None:
        self.app_id = "a"
        self.address = address
        self.identity = Identity("a", user, "s-" + user, 0, 1) if user else None
        self.closes: list[tuple[int, int | None]] = []
        self.frames: list[bytes] = []
        self._roster = roster
        self._leaves = leaves
        self.number = roster.enter(self)
        self.seated = roster.seat(self, user)

    def close(self, code: int, retry_after_ms: int | None = None, name: str | None = None) -> None:
        self.closes.append((code, retry_after_ms))
        if self._leaves:
            self._roster.leave(self, code)

    def tell(self, frame: bytes) -> None:
        self.frames.append(frame)

    def presence(self) -> Presence:
        user = self.identity.user_id if self.identity else None
        return Presence(self.number, self.app_id, user, None, self.address, 0, "signed in", 1, 3, 2, 0)


def open_roster(caps: Caps | None = None) -> Roster:
    return Roster(caps or Caps(), lambda: 0.25)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_address_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_caps_are_counted_and_given_back() -> None:
    roster = open_roster(Caps(user=1, address=1, app=3))
    ann, anonymous = Guest(roster, "ann"), Guest(roster)
    assert ann.seated
    assert anonymous.seated
    assert not Guest(roster, "ann").seated
    assert not Guest(roster).seated
    assert Guest(roster, "bob").seated
    assert not Guest(roster, "eve").seated
    assert roster.seat(anonymous, "eve")  # within the app it is the same seat
    assert not roster.seat(anonymous, "ann")
    roster.leave(ann, 1000)
    roster.leave(ann, 1000)
    assert roster.seat(anonymous, "ann")


async def test_each_cap_says_that_it_is_it() -> None:
    roster = open_roster(Caps(user=2, address=1, app=4))
    for user in ("ann", "ann", None, "bob"):
        Guest(roster, user)
    for user, who in (("ann", "The app"), ("eve", "The app")):
        assert roster.why_full(Guest(roster, user), user).startswith(f"{who} has 4 ")
    roster = open_roster(Caps(user=2, address=1))
    for user in ("ann", "ann", None):
        Guest(roster, user)
    assert roster.why_full(Guest(roster, "ann"), "ann") == "The user has 2 connections already, which is the most here."
    assert roster.why_full(Guest(roster), None).startswith("This address, of those without a user, has 1 ")
    assert not Guest(roster).seated
    assert Guest(roster, address="10.0.0.2").seated


async def test_closing_sessions_and_apps() -> None:
    roster = open_roster()
    ann, bob, nobody = Guest(roster, "ann"), Guest(roster, "bob"), Guest(roster)
    roster.close_sessions(lambda identity: identity.user_id == "ann")
    assert (ann.closes, bob.closes) == ([(4001, None)], [])
    roster.close_app("other")
    assert (bob.closes, nobody.closes) == ([], [])
    roster.close_app("a")
    assert (bob.closes, nobody.closes) == ([(4001, None)], [(4004, None)])


async def test_telling_reaches_everybody() -> None:
    roster = open_roster()
    guests = [Guest(roster), Guest(roster, "ann")]
    roster.tell(b"x")
    assert [guest.frames for guest in guests] == [[b"x"], [b"x"]]


async def test_a_drain_alone_closes_all_at_the_end_of_its_window() -> None:
    roster = open_roster()
    guests = [Guest(roster, address=f"10.0.1.{number}") for number in range(250)]
    began = time.monotonic()
    await roster.drain(0.2)
    assert 0.2 <= time.monotonic() - began < 1.5
    assert all(guest.closes == [(4300, 4000)] for guest in guests)
    assert len(roster) == 0


async def test_a_drain_of_an_empty_house_lasts_for_those_who_only_call() -> None:
    began = time.monotonic()
    await open_roster().drain(0.2)
    assert 0.2 <= time.monotonic() - began < 1


async def test_where_nobody_is_patient_an_empty_house_is_left_at_once() -> None:
    began = time.monotonic()
    await open_roster().drain(30, patient=False)
    assert time.monotonic() - began < 1


async def test_who_is_there_is_told_in_pages_the_oldest_first() -> None:
    roster = open_roster()
    guests = [Guest(roster, user) for user in ("ann", "bob", "ann", None)]
    guests[0].app_id = "b"
    roster.leave(guests[1], 1006)

    def numbers(app: str | None, user: str | None, after: int = 0, limit: int = 10) -> list[int]:
        return [found.number for found in roster.page(app, user, after, limit)]

    assert numbers(None, None) == [1, 3, 4]
    assert numbers(None, None, limit=2) == [1, 3]
    assert numbers(None, None, after=1) == [3, 4]
    assert numbers("a", None) == [3, 4]
    assert numbers(None, "ann") == [1, 3]
    assert numbers("b", "ann", after=1) == []
    assert Guest(roster).number == 5


async def test_how_connections_ended_is_counted_and_a_client_cannot_make_up_codes() -> None:
    roster = open_roster()
    for code in (1000, 1006, 4001, 4001, 3000, 3001, 4999):
        roster.leave(Guest(roster), code)
    roster.leave(Guest(open_roster()), 1000)
    assert roster.closed == {"1000": 1, "1006": 1, "4001": 2, "other": 3}
