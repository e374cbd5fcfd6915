from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddswire.streams.delivery import Delivery, Do, Kept, Phase, place
from oddswire.wire.session import Place


def level(cursor: int = 5) -> Delivery:
    delivery = Delivery("e")
    assert delivery.begin(cursor, cursor) is Do.NOTHING
    assert delivery.phase is Phase.LEVEL
    return delivery


def test_a_level_delivery_sends_a_ring_straight_on() -> None:
    delivery = level()
    assert delivery.ring(6, 8, True) is Do.SEND
    assert (delivery.cursor, delivery.phase) == (8, Phase.LEVEL)


@pytest.mark.parametrize(("first", "last", "has_bytes"), [(6, 6, False), (7, 7, True), (5, 6, True)])
def test_any_other_ring_only_raises_the_known_head(first: int, last: int, has_bytes: bool) -> None:
    delivery = level()
    assert delivery.ring(first, last, has_bytes) is Do.READ
    assert (delivery.cursor, delivery.known_head, delivery.phase) == (5, last, Phase.CATCHING_UP)


def test_a_ring_heard_already_is_nothing() -> None:
    delivery = level()
    assert delivery.ring(4, 5, True) is Do.NOTHING
    assert delivery.phase is Phase.LEVEL


def test_a_ring_before_the_head_is_read_is_not_lost() -> None:
    delivery = Delivery("e")
    assert delivery.ring(6, 6, True) is Do.NOTHING
    assert delivery.begin(5, 5) is Do.READ
    assert delivery.page(6, 6) is Do.SEND
    assert delivery.proceed() is Do.NOTHING
    assert delivery.phase is Phase.LEVEL


def test_pages_follow_until_the_known_head() -> None:
    delivery = Delivery("e")
    assert delivery.begin(0, 300) is Do.READ
    assert delivery.page(1, 256) is Do.SEND
    assert delivery.proceed() is Do.READ
    assert delivery.page(257, 300) is Do.SEND
    assert delivery.proceed() is Do.NOTHING
    assert delivery.phase is Phase.LEVEL


@pytest.mark.parametrize("first", [8, 5, 1])
def test_a_page_that_starts_elsewhere_is_lost(first: int) -> None:
    delivery = level()
    delivery.ring(9, 9, True)
    assert delivery.page(first, 9) is Do.LOST


def test_a_ring_that_told_of_more_than_there_is_heals() -> None:
    delivery = level()
    assert delivery.ring(99, 99, True) is Do.READ
    assert delivery.page(6, 5) is Do.NOTHING
    assert (delivery.known_head, delivery.phase) == (5, Phase.LEVEL)


def test_a_ring_during_an_empty_read_is_read_for() -> None:
    delivery = level()
    delivery.ring(6, 6, False)
    delivery.ring(7, 7, True)
    assert delivery.page(6, 5) is Do.READ


def test_nothing_is_offered_while_held_or_blocked() -> None:
    delivery = level()
    delivery.hold()
    assert delivery.ring(6, 6, True) is Do.NOTHING
    assert delivery.phase is Phase.HELD
    assert delivery.release() is Do.READ
    delivery.blocked()
    assert delivery.page(6, 6) is Do.NOTHING
    assert delivery.drained() is Do.READ


@pytest.mark.parametrize(
    ("since", "epoch", "expected"),
    [
        (None, None, Place(9, 9, "e")),
        (None, "e", Place(9, 9, "e")),
        (7, "e", Place(7, 9, "e", True)),
        (9, "e", Place(9, 9, "e", True)),
        (4, "e", Place(4, 9, "e", True)),
        (3, "e", Place(9, 9, "e", False, "expired")),
        (10, "e", Place(9, 9, "e", False, "ahead")),
        (9, None, Place(9, 9, "e", False, "epoch_changed")),
        (10, "f", Place(9, 9, "e", False, "epoch_changed")),
    ],
)
def test_where_a_connection_begins(since: int | None, epoch: str | None, expected: Place) -> None:
    assert place(Kept(9, 5, "e"), since, epoch) == expected


@dataclass
class World:
    """A log, its rings on their way, and one connection that checks all it is sent."""

    start: int
    head: int
    tail: int = 1
    now: int = 0
    expires_at: int = 1_000
    rings: list[tuple[int, int, bool]] = field(default_factory=list)
    snapshot: tuple[int, int] | None = None
    full: bool = False
    lost: bool = False

    def __post_init__(self) -> None:
        self.delivery = Delivery("e")
        self.seen = self.start
        self.do(self.delivery.begin(self.start, self.head))

    def do(self, do: Do) -> None:
        assert do is not Do.SEND
        if do is Do.READ:
            assert self.snapshot is None, "two reads in flight"
            self.snapshot = (self.tail, self.head)
        if do is Do.LOST:
            self.lost = True

    def write(self, first: int, last: int) -> bool:
        assert self.now < self.expires_at, "written after expiry"
        assert not self.full, "written while output waits"
        assert first == self.seen + 1, "a hole or a repeat"
        self.seen = last
        return self.now % 5 != 0

    def offer(self, do: Do, first: int, last: int) -> None:
        if do is not Do.SEND:
            self.do(do)
        elif self.write(first, last):
            self.do(self.delivery.proceed())
        else:
            self.full = True
            self.delivery.blocked()

    def hear(self, ring: tuple[int, int, bool]) -> None:
        if self.now >= self.expires_at:
            self.delivery.hold()
        do = self.delivery.ring(*ring)
        if do is not Do.SEND:
            self.do(do)
        elif not self.write(ring[0], ring[1]):
            self.full = True
            self.delivery.blocked()

    def finish_read(self, size: int) -> None:
        if self.snapshot is None:
            return
        (tail, head), self.snapshot = self.snapshot, None
        first = max(self.delivery.cursor + 1, tail)
        if self.now >= self.expires_at:
            self.delivery.hold()
        last = min(head, first + size - 1)
        self.offer(self.delivery.page(first, max(last, first - 1)), first, last)

    def drain(self) -> None:
        if self.full:
            self.full = False
            self.do(self.delivery.drained())

    def renew(self, life: int) -> None:
        self.expires_at = self.now + life
        self.do(self.delivery.release())

    def commit(self, number: int) -> None:
        self.rings.append((self.head + 1, self.head + number, number != 3))
        self.head += number

    def step(self, name: str, number: int) -> None:  # noqa: C901 - one line a step
        self.now += 1
        match name:
            case "commit":
                self.commit(number)
            case "ring" | "repeat" | "lose" if self.rings:
                ring = self.rings[number % len(self.rings)]
                if name != "repeat":
                    self.rings.remove(ring)
                if name != "lose":
                    self.hear(ring)
            case "foreign":
                # the hub has taken its bytes away
                self.hear((self.delivery.cursor + 1, self.head + number, False))
            case "boast":
                self.hear((self.head + number, self.head + number, False))
            case "page":
                self.finish_read(number)
            case "drain":
                self.drain()
            case "expire":
                self.expires_at = self.now
            case "hold":
                self.delivery.hold()
            case "renew":
                self.renew(1_000)
            case "sweep":
                self.tail = min(self.tail + number, self.head + 1)

    def settle(self) -> None:
        """Give it a good token, an eager reader and the slow poll."""
        self.renew(1_000_000)
        self.run()
        if not self.lost:
            self.hear((self.head, self.head, False))
            self.run()

    def run(self) -> None:
        for _ in range(2 * self.head + 10):
            self.now += 1
            self.drain()
            self.finish_read(7)
            if self.lost or (self.snapshot is None and not self.full):
                return
        raise AssertionError("it never comes to rest")


STEPS = st.tuples(
    st.sampled_from(
        [
            "commit",
            "ring",
            "ring",
            "repeat",
            "lose",
            "foreign",
            "boast",
            "page",
            "drain",
            "expire",
            "hold",
            "renew",
            "sweep",
        ]
    ),
    st.integers(1, 4),
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.lists(STEPS, max_size=80))
def test_each_event_is_sent_once_in_order_or_the_connection_is_closed(
    start: int, missed: int, steps: list[tuple[str, int]]
) -> None:
    world = World(start, start + missed)
    for name, number in steps:
        if world.lost:
            break
        world.step(name, number)
    if not world.lost:
        world.settle()
    if world.lost:
        assert world.tail > world.seen + 1, "closed, although nothing was missing"
    else:
        assert world.seen == world.head
        assert world.delivery.phase is Phase.LEVEL
