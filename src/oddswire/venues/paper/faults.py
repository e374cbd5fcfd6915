"""How the paper venue misbehaves when it is told to, as real venues do: late, silent, twice, out of order.

What it does stays right; only what it says of it suffers. The wishes are rows of `paper_faults`, so that any process
may write them; the venue that runs reads them with its tick and keeps them, so that honest answers cost nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeVar, get_args

from msgspec.structs import replace

from oddswire.errors import OperatorError, Unavailable
from oddswire.store.base import Store, Tx
from oddswire.venues.base import Account, Evidence, NoAnswer, VenueRejected, Wake

T = TypeVar("T")
Asked = Literal["open", "place", "cancel", "find", "read"]
FaultName = Literal["delay", "duplicate", "no-answer-cancel", "no-answer-place", "reorder"]
FAULTS: Final[tuple[FaultName, ...]] = get_args(FaultName)
MOST_DELAY: Final = 60_000
"""The longest delay, in ms."""
_LOST: Final[dict[Asked, FaultName]] = {"place": "no-answer-place", "cancel": "no-answer-cancel"}
_OVERTAKEN_SECONDS: Final = 0.02
_KEPT_ANSWERS: Final = 1_000


class Fault(NamedTuple):
    """A standing fault: `times` is how often more (None: until it is cleared), `delay` is in ms and of `delay` only."""

    name: FaultName
    times: int | None
    delay: int


async def set_fault(store: Store, fault: Fault) -> None:
    """Let the venue misbehave from now on; a fault that stands already is replaced.

    Raises:
        OperatorError: the times or the delay make no sense.
    """
    if fault.times is not None and fault.times < 1:
        raise OperatorError("usage", "A fault happens at least once.")
    if (fault.name == "delay") != (fault.delay > 0) or not 0 <= fault.delay <= MOST_DELAY:
        raise OperatorError("usage", f"A delay is 1 to {MOST_DELAY} ms.")
    await store.write(lambda tx: tx.run("paper.set_fault", *fault))


async def clear_faults(store: Store) -> None:
    """Let the venue behave."""

    def unit(tx: Tx) -> None:
        for name in FAULTS:
            tx.run("paper.clear_fault", name)

    await store.write(unit)


async def standing_faults(store: Store) -> list[Fault]:
    """Return the faults that stand, by name."""
    return await store.read(lambda tx: tx.all(Fault, "paper.faults"))


class Faults:
    """The faults as of the last `refresh`, done to answers and wakes; `chance` decides where there is a choice."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store = store
        self._chance = chance
        self._standing: dict[FaultName, Fault] = {}
        self._answered: dict[Account, Evidence] = {}

    async def refresh(self) -> None:
        """Read which faults stand."""
        self._standing = {fault.name: fault for fault in await standing_faults(self._store)}
        if "reorder" not in self._standing:
            self._answered.clear()

    @property
    def honest(self) -> bool:
        """Whether no fault stands."""
        return not self._standing

    async def answer(self, asked: Asked, work: Callable[[], Awaitable[Evidence]]) -> Evidence:
        """Do `work`, which is the venue's honest answer, and pass on what is left of it.

        Raises:
            NoAnswer: it was lost.
            VenueRejected: the venue's no, which may come late or be lost too.
        """
        if self.honest:
            return await work()
        try:
            evidence = await work()
        except VenueRejected:
            await self._hinder(asked)
            raise
        await self._hinder(asked)
        if await self._happens("duplicate"):
            evidence = _each(evidence, _twice)
        if await self._happens("reorder"):
            evidence = _each(self._overtaken(asked, evidence), self._mixed)
        return evidence

    async def tell(self, wakes: Sequence[Wake]) -> list[Wake]:
        """Return wakes as the venue's stream says them."""
        told = list(wakes)
        if told and await self._happens("duplicate"):
            told = [wake for wake in told for _ in range(2)]
        if len(told) > 1 and await self._happens("reorder"):
            self._chance.shuffle(told)
        return told

    async def _hinder(self, asked: Asked) -> None:
        """Let time go by before an answer, or lose it."""
        if (fault := await self._happens("delay")) is not None:
            await asyncio.sleep(fault.delay / 1000)
        if "reorder" in self._standing:
            # so that answers to requests of the same moment overtake each other
            await asyncio.sleep(self._chance.random() * _OVERTAKEN_SECONDS)
        if asked in _LOST and await self._happens(_LOST[asked]):
            raise NoAnswer("the paper venue was told to lose this answer")

    async def _happens(self, name: FaultName) -> Fault | None:
        """Return the fault if it is to happen now, once less often from then on."""
        fault = self._standing.get(name)
        if fault is None or fault.times is None:
            return fault

        def unit(tx: Tx) -> int:
            used = tx.run("paper.use_fault", name)
            tx.run("paper.drop_used_fault", name)
            return used

        try:
            used = await self._store.write(unit)
        except Unavailable as gone:
            raise NoAnswer(gone.detail) from gone
        return fault if used else None

    def _overtaken(self, asked: Asked, evidence: Evidence) -> Evidence:
        """Return what is heard of a read: half the time the account's answer before it, and this one next time."""
        if evidence.cursor is None or len(self._answered) >= _KEPT_ANSWERS:
            return evidence
        before = self._answered.get(evidence.account)
        self._answered[evidence.account] = evidence
        return before if asked == "read" and before is not None and self._chance.random() < 0.5 else evidence

    def _mixed(self, facts: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(self._chance.sample(facts, len(facts)))


class _Change(Protocol):
    def __call__(self, facts: tuple[T, ...]) -> tuple[T, ...]: ...


def _twice(facts: tuple[T, ...]) -> tuple[T, ...]:
    return facts * 2


def _each(evidence: Evidence, change: _Change) -> Evidence:
    """Return evidence with every list of facts changed in the same way."""
    return replace(
        evidence,
        orders=change(evidence.orders),
        fills=change(evidence.fills),
        transfers=change(evidence.transfers),
        settlements=change(evidence.settlements),
    )
