"""Which file the files of SQLite beside an index (`-wal`, `-shm`) belong to.

They have their names of the index, whatever file has that name. Where one is exchanged while others
have it open, whoever opens the new one would share a table of pages (`-shm`) with those who still
use the former one, and take its size for that of the new file. So the table says whose it is, in an
attribute, and one of a former file loses its name: who has it open keeps it, and the new file gets
another. Where a file system has no attributes, nothing is known, and nothing done.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kenspeckle.store.lock import log_waits

if sys.platform == "linux":
    import fcntl

_OWNER = "user.kenspeckle.index"


def claim(path: Path, number: int) -> None:
    """Say that the table beside an index is of the file of this number (inode), where that one is
    there: by whoever has just opened it, and so uses that table."""
    said = str(number).encode()
    if sys.platform == "linux" and _owner(path) != said:
        with contextlib.suppress(OSError), _alone(path):
            if path.stat().st_ino == number:
                os.setxattr(_table(path), _OWNER, said)


def part(path: Path) -> None:
    """Take their names from helper files of a former file, if no commit waits in the log."""
    if _of_another(path):
        with contextlib.suppress(OSError), _alone(path):
            if _of_another(path):  # still, now that nobody else is about to do the same
                _table(path).unlink(missing_ok=True)
                Path(f"{_real(path)}-wal").unlink(missing_ok=True)


def _of_another(path: Path) -> bool:
    owner = _owner(path)
    try:
        return bool(owner) and not log_waits(path) and owner != str(path.stat().st_ino).encode()
    except OSError:
        return False


def _owner(path: Path) -> bytes:
    """Whose the table is, empty where nobody says."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.getxattr(_table(path), _OWNER)
    return b""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, by a lock on the folder: one on a file beside the index would end with
    whatever else of it is closed."""
    handle = os.open(Path(_real(path)).parent, os.O_RDONLY)
    try:
        if sys.platform == "linux":
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _table(path: Path) -> Path:
    return Path(f"{_real(path)}-shm")


def _real(path: Path) -> str:
    return os.path.realpath(path)
