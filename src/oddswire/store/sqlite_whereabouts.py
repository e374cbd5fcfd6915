"""Whether the files of an open database still are where others look for them: one file, one name.

SQLite goes on writing into a file that was deleted or replaced under its name, and finds the write-ahead log by name.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from oddswire.errors import OperatorError


class Mark(NamedTuple):
    """What makes a file itself, whatever it is called."""

    device: int
    inode: int


class Misplaced(Exception):
    """A file of an open database was deleted, or another one has its name."""


class Whereabouts:
    """The database file as it was when this was made, right after opening it, and its log as it was first seen.

    `lock` is the file whose lock keeps a second server out: without it under its name there is nothing to keep it out.
    """

    def __init__(self, path: Path, lock: Path | None) -> None:
        name = str(path.resolve())
        # as text: it is looked at after each commit
        self._marks = {name: _mark_of(name), f"{name}-wal": None}
        if lock is not None:
            self._marks[str(lock)] = _mark_of(str(lock))

    def check(self) -> None:
        """Return if every file is still the one under its name.

        Raises:
            Misplaced: what is committed from now on, and maybe since the last time, nobody will find again.
        """
        for name, mark in self._marks.items():
            try:
                found = _mark_of(name)
            except OSError:
                # it cannot be said, for a moment maybe; what is wrong with the disk the next commit will tell
                continue
            if mark is None:
                self._marks[name] = found
            elif found is None:
                raise Misplaced(f"{name} was deleted while it was in use")
            elif found != mark:
                raise Misplaced(f"{name} was replaced by another file while it was in use")


def must_have_one_name(path: Path) -> None:
    """Refuse a file with hard links: each name would have a lock and a write-ahead log of its own.

    Raises:
        OperatorError: `database_unusable`.
    """
    try:
        found = path.stat()
    except OSError as fault:
        raise OperatorError("database_unusable", f"{path} cannot be used: {fault.strerror}.") from fault
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise OperatorError(
            "database_unusable",
            f"{path} has {found.st_nlink} names (hard links), and whoever opens it by another damages it. "
            "Remove the others, or use a copy made by `oddswire backup`.",
        )


def _mark_of(name: str) -> Mark | None:
    try:
        found = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Mark(found.st_dev, found.st_ino)
