"""The log of one user's stream: numbered events, appended in the transaction whose change they tell."""

from collections.abc import Sequence
from typing import NamedTuple

from oddswire.events import UserEvent, encode
from oddswire.ids import new_stream_id
from oddswire.store.base import Ring, Tx

PAGE_EVENTS = 256
RING_BYTES = 32 * 1024
_TRIES = 8


class Stream(NamedTuple):
    """A stream's row: `head` is the seq of its newest event, `tail` of the oldest kept (`head` + 1 where none is)."""

    stream_id: int
    app_id: str
    user_id: str
    head: int
    tail: int
    last_timestamp: int


class Page(NamedTuple):
    """Events after a cursor, in order, as they are sent; `first` is the seq of `frames[0]`."""

    first: int
    frames: tuple[bytes, ...]

    @property
    def last(self) -> int:
        """The seq of the last frame; `first` - 1 on an empty page."""
        return self.first + len(self.frames) - 1


def find(tx: Tx, app_id: str, user_id: str) -> Stream | None:
    """Return a user's stream, None where the user has never been seen."""
    return tx.one(Stream, "streams.find", app_id, user_id)


def by_id(tx: Tx, stream_id: int) -> Stream | None:
    """Return the stream of that id."""
    return tx.one(Stream, "streams.by_id", stream_id)


def open_stream(tx: Tx, app_id: str, user_id: str, now: int) -> Stream:
    """Return a user's stream, made at `now` (ms) where it is the first time."""
    for _ in range(_TRIES):
        stream = find(tx, app_id, user_id)
        if stream is not None:
            return stream
        # an id that another stream of this millisecond has changes nothing: the next try has another
        tx.run("streams.insert", new_stream_id(now), app_id, user_id, now)
    raise RuntimeError("no stream could be made: every id was taken")


def append(tx: Tx, history_id: str, stream: Stream, events: Sequence[UserEvent]) -> Stream:
    """Store events numbered `stream.head` + 1 and on, ring for them, and return the stream's new row.

    Raises:
        ValueError: their numbers leave a hole, or a timestamp goes backwards.
    """
    if not events:
        return stream
    frames, rows, timestamp = [], [], stream.last_timestamp
    for seq, event in enumerate(events, stream.head + 1):
        if event.seq != seq or event.timestamp < timestamp:
            raise ValueError(f"event {event.seq} at {event.timestamp} does not follow {seq - 1} at {timestamp}")
        timestamp = event.timestamp
        frame = encode(event)
        frames.append(frame)
        rows.append((seq, timestamp, frame.decode()))
    _insert(tx, stream.stream_id, rows)
    last = stream.head + len(frames)
    tx.run("streams.advance", stream.stream_id, last, timestamp)
    small = sum(map(len, frames)) <= RING_BYTES
    tx.ring(Ring(stream.stream_id, history_id, stream.head + 1, last, tuple(frames) if small else None))
    return stream._replace(head=last, last_timestamp=timestamp)


def _insert(tx: Tx, stream_id: int, rows: Sequence[tuple[int, int, str]]) -> None:
    """Store events, two a statement: most commits have two."""
    for one, other in zip(rows[::2], rows[1::2], strict=False):
        tx.run("streams.insert_two_events", stream_id, *one, *other)
    if len(rows) % 2:
        tx.run("streams.insert_event", stream_id, *rows[-1])


class _Row(NamedTuple):
    seq: int
    frame: str


def page(tx: Tx, stream_id: int, after: int, limit: int = PAGE_EVENTS, max_bytes: int = RING_BYTES) -> Page:
    """Return the events after `after`: at most `limit`, and no more than `max_bytes` unless one alone is larger.

    An empty page and a page that does not start at `after` + 1 are both possible: the second says that what lies
    between is not kept any more.
    """
    rows = tx.all(_Row, "streams.page", stream_id, after, limit)
    frames: list[bytes] = []
    room = max_bytes
    for row in rows:
        frame = row.frame.encode()
        if frames and len(frame) > room:
            break
        room -= len(frame)
        frames.append(frame)
    return Page(rows[0].seq if rows else after + 1, tuple(frames))
