"""Which file the log of SQLite beside an index (`-wal`) belongs to.

SQLite takes the pages of a log for those of whatever file has the name. Where a file is exchanged
while somebody writes to it, the log must be folded into the one that it was written for before the
new one is opened. Whoever writes notes in the lock which file that is.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from kenspeckle.errors import GalleryError, IndexCorrupt, IndexReadOnly
from kenspeckle.store import connection as file
from kenspeckle.store import helpers
from kenspeckle.store.lock import WriterLock, log_waits, noted


def foreign(path: Path) -> bool:
    """Whether a log waits beside a file that was written for another one of that name."""
    try:
        return log_waits(path) and noted(path).is_other(path) and log_waits(path)
    except OSError:
        return False


def check(path: Path, *, held: bool, wait: float) -> None:
    """Refuse to open a file beside which the log of another one waits.

    Whoever writes that log is waited for, for `wait` seconds, unless the caller holds the lock and
    so knows that nobody does. Raises IndexBusy, IndexCorrupt.
    """
    if not foreign(path):
        helpers.part(path)
        return
    if not held:
        lock = WriterLock(path)
        with contextlib.suppress(IndexReadOnly):
            lock.take(wait)
            lock.release()
    if foreign(path):
        name = path.name
        raise IndexCorrupt(
            path,
            f"the log beside it ({name}-wal) was written for another file of this name",
            expected="its own, or none",
            do=f"Move {name}-wal and {name}-shm away; or delete {name}.lock if all of them were "
            "copied here together",
        )


def leave(
    connection: sqlite3.Connection, path: Path, number: int, writer: WriterLock | None
) -> bool:
    """Fold the log into the file of a connection, which has lost its name to another; whether that
    one can be opened now.

    `number` says which file it is, `writer` is the lock where this handle holds it. A log that
    somebody writes, or wrote, for the new file is left alone.
    """
    if writer is None and not log_waits(path):
        return True
    lock = writer or WriterLock(path)
    with contextlib.suppress(GalleryError, sqlite3.Error):
        if writer is None:
            lock.take(0.0)
        try:
            if noted(path).number == number:
                file.fold(connection)
        finally:
            if writer is None:
                lock.release()
    return not foreign(path)
