"""Reading an index file as of one commit: its manifest, its vectors, its counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kenspeckle.errors import GalleryError
from kenspeckle.store import beside, helpers, log, records
from kenspeckle.store import connection as file
from kenspeckle.store.base import Manifest, Standing, Summary
from kenspeckle.store.memory import VectorIndex

WAIT = 10.0
"""Seconds that a locked file is waited for."""
TRIES = 5
"""Files that are opened one after the other where each is exchanged in that moment."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file just opened: which one it is, and what was read of it up to commit `seen`."""

    connection: sqlite3.Connection
    place: tuple[int, int] | None
    space: int
    manifest: Manifest
    index: VectorIndex
    seen: int


def standing(connection: sqlite3.Connection, path: Path, space: int) -> Standing:
    """What answers in a space stand on, read within one transaction."""
    calibration = records.read_calibration(connection, path, space)
    change = records.number(connection, path, "change")
    return Standing(calibration, change, records.number(connection, path, beside.COUNTER))


def data_version(connection: sqlite3.Connection) -> int:
    """A number that is another one after a commit by another connection."""
    (number,) = connection.execute("PRAGMA data_version").fetchone()
    return int(number)


def opened(
    path: Path,
    *,
    write: bool,
    wait: float,
    about: Callable[[tuple[int, int] | None], None] = lambda _: None,
) -> Opened:
    """Open the file that is there now and load its vectors; see `connection.open_file`.

    Where another one is put there meanwhile, that one: which of the two has been opened, and
    whether what was read is of one of them alone, cannot be told. `about` hears of each before.
    """
    for left in reversed(range(TRIES)):
        there = place(path)
        log.check(path, held=write, wait=wait)
        about(there)
        try:
            found = _opened(path, there, write=write, wait=wait)
        except GalleryError:
            if not left or not _overtaken(path, there):
                raise
            continue
        if not left or not _overtaken(path, there):
            break
        found.connection.close()
    return found


def _opened(path: Path, there: tuple[int, int] | None, *, write: bool, wait: float) -> Opened:
    connection = connected(path, there, write=write, wait=wait)
    try:
        with file.translated(path), one_read(connection):
            space, manifest = records.read_manifest(connection, path)
            if there is not None:
                helpers.claim(path, there[1])
            index = VectorIndex(manifest.fingerprint.width)
            seen = bring_up(index, -1, connection, path, space)
    except BaseException:
        connection.close()
        raise
    return Opened(connection, there, space, manifest, index, seen)


def connected(
    path: Path, there: tuple[int, int] | None, *, write: bool, wait: float
) -> sqlite3.Connection:
    """Open that file and no other one, nor with the log of another one: to close it would write
    such a log into it. Raises as `open_file`, and IndexBusy."""

    def sure() -> None:
        if _overtaken(path, there):
            raise file.exchanged(path)

    return file.open_file(path, write=write, wait=wait, sure=sure)


def _overtaken(path: Path, there: tuple[int, int] | None) -> bool:
    return place(path) not in (there, None) or log.foreign(path)


def place(path: Path) -> tuple[int, int] | None:
    """Which file lies there, by device and number; None if none does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def one_read(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction in which everything is read of one commit; within one that goes on, a part of
    that."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def bring_up(
    index: VectorIndex, since: int, connection: sqlite3.Connection, path: Path, space: int
) -> int:
    """Take in what was committed after change `since` (−1: everything); the last change."""
    change = records.number(connection, path, "change")
    gone = records.removed(connection, since) if since >= 0 else np.empty(0, np.int64)
    ids, owners, rows = records.vectors(connection, path, space, index.width, since)
    index.exchange(gone, ids, owners, rows)
    return change


def peek(path: Path) -> Summary:
    """What an index file says of itself, without loading a vector.

    Raises IndexMissing, IndexCorrupt, IndexVersion or IndexBusy.
    """
    there = place(path)
    log.check(path, held=False, wait=WAIT)
    connection = connected(path, there, write=False, wait=WAIT)
    try:
        with file.translated(path):
            space, manifest = records.read_manifest(connection, path)
            items, references, vectors = records.counts(connection, space)
            calibration = records.read_calibration(connection, path, space)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            size = path.stat().st_size
    finally:
        connection.close()
    return Summary(
        str(path), "disk", version, manifest, items, references, vectors, size, calibration
    )
