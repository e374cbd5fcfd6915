"""Databases with many stored events, written behind the gateway's back while it is not running."""

import sqlite3
import time
from pathlib import Path

from bench.servers.frame import event
from oddswire.events import encode


def store_events(database: Path, prefix: str, events: int) -> None:
    """Append so many events, spread evenly over the users whose id begins so."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    found = connection.execute("SELECT stream_id, head FROM streams WHERE user_id LIKE ?", (prefix + "-%",)).fetchall()
    now, each = time.time_ns() // 1_000_000, -(-events // len(found))
    for stream, head in found:
        rows = ((stream, seq, now, encode(event(seq, now)).decode()) for seq in range(head + 1, head + each + 1))
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO events (stream_id, seq, timestamp, frame) VALUES (?, ?, ?, ?)", rows)
        moved = (head + each, now, stream)
        connection.execute("UPDATE streams SET head = ?, last_timestamp = ? WHERE stream_id = ?", moved)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
