"""An index as one SQLite file: the source of truth, with the vectors in memory for search."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from kenspeckle.errors import IndexReadOnly, SpaceMismatch
from kenspeckle.store import connection as file
from kenspeckle.store import records
from kenspeckle.store.base import (
    Enrolled,
    Hits,
    Manifest,
    Summary,
    check_enrolled,
    last_of_each,
    matches,
)
from kenspeckle.store.memory import VectorIndex
from kenspeckle.types import Calibration, Float32, Int64, Item, Reference

WAIT = 10.0
"""Seconds that a locked file is waited for."""


class DiskStore:
    """The store in one SQLite file; see `Store` for what its calls do.

    One connection serves all threads, one at a time; searches run beside it on the vectors in
    memory. What a process commits it reads back as any other process does.
    """

    def __init__(self, path: Path, *, write: bool, wait: float) -> None:
        self._path, self._write, self._wait = path, write, wait
        self._lock = threading.RLock()
        self._take()

    def _take(self) -> None:
        """Open the file that is there now, and load its vectors."""
        connection = file.open_file(self._path, write=self._write, wait=self._wait)
        try:
            with file.translated(self._path):
                self._connection, self._inode = connection, _inode(self._path)
                self._space, self._manifest = records.read_manifest(connection, self._path)
                self._index, self._seen = VectorIndex(self._manifest.fingerprint.width), -1
                self._load()
        except BaseException:
            connection.close()
            raise

    def _follow(self) -> bool:
        """Open the file anew if another has been put in its place; whether one had.

        SpaceMismatch if that one holds vectors of another model.
        """
        if _inode(self._path) in (self._inode, 0):
            return False
        old, before = self._connection, self._manifest.fingerprint
        self._take()
        old.close()
        if self._manifest.fingerprint.space_id != before.space_id:
            raise SpaceMismatch(
                self.path,
                f"replaced by an index of {self._manifest.fingerprint}",
                expected=str(before),
                do="Open it anew",
            )
        return True

    @classmethod
    def create(cls, path: Path, manifest: Manifest, *, wait: float = WAIT) -> DiskStore:
        """Make a new file. Raises GalleryError, IndexReadOnly."""
        file.make(path, lambda new: records.write_manifest(new, manifest))
        return cls.open(path, write=True, wait=wait)

    @classmethod
    def open(cls, path: Path, *, write: bool = False, wait: float = WAIT) -> DiskStore:
        """Open a file; `wait` is how many seconds a lock is waited for.

        Raises IndexMissing, IndexCorrupt, IndexVersion, IndexReadOnly or IndexBusy.
        """
        return cls(path, write=write, wait=wait)

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""
        return self._manifest

    @property
    def path(self) -> str:
        """Where it lies."""
        return str(self._path)

    def set_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest. SpaceMismatch if vectors of another space are stored."""
        old = self._manifest.fingerprint
        with self._commit():
            stored = records.counts(self._connection, self._space)[2]
            if manifest.fingerprint.space_id != old.space_id and stored:
                new = str(manifest.fingerprint)
                raise SpaceMismatch(self.path, f"vectors of {old}", expected=new, do="Index anew")
            records.write_manifest(self._connection, manifest)
        with self._reading():
            self._space, self._manifest = records.read_manifest(self._connection, self._path)
        if manifest.fingerprint.width != old.width:
            self._index = VectorIndex(manifest.fingerprint.width)

    def add(self, enrolled: Sequence[Enrolled]) -> list[int]:
        """Store references in one atomic commit; see `Store.add`."""
        last = last_of_each(enrolled)
        kept = [enrolled[place] for place in sorted(last.values())]
        rows = check_enrolled(kept, self._manifest.fingerprint.width)
        if not kept:
            return []
        with self._commit():
            numbers = records.put(self._connection, kept, rows, self._space)
        self.refresh()
        ids = {
            (one.reference.path, one.reference.view): identifier
            for one, identifier in zip(kept, numbers, strict=True)
        }
        return [ids[one.reference.path, one.reference.view] for one in enrolled]

    def remove(self, ids: Sequence[int]) -> int:
        """Erase references with their vectors and thumbnails; how many there were."""
        if not len(ids):
            return 0
        with self._commit():
            count = records.erase(self._connection, map(int, ids))
        with self._reading():
            # The log still holds the erased pages until it is folded into the file.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.refresh()
        return count

    def search(self, rows: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1) -> Hits:
        """The `k` best references of each row; see `Store.search`."""
        return self._index.search(rows, k, ids=ids, threads=threads)

    def get(self, ids: Sequence[int]) -> list[Reference]:
        """References by id, in order. KeyError names one that is not stored."""
        found: dict[int, Reference] = {}
        wanted = sorted({int(identifier) for identifier in ids})
        with self._reading():
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                where = f"WHERE id IN ({','.join('?' * len(some))})"
                found.update(records.references(self._connection, self._path, where, some))
        return [found[int(identifier)] for identifier in ids]

    def rows(self, ids: Sequence[int] | Int64 | None = None) -> Float32:
        """Vectors `(n, D)` as stored; see `Store.rows`."""
        return self._index.rows(None if ids is None else np.asarray(ids, np.int64))

    def ids(self) -> Int64:
        """All reference ids, ascending."""
        return self._index.ids()

    def owners(self, ids: Sequence[int] | Int64 | None = None) -> Int64:
        """Item numbers; see `Store.owners`."""
        return self._index.owners(None if ids is None else np.asarray(ids, np.int64))

    def item(self, number: int) -> Item:
        """The item of that number. KeyError if there is none."""
        with self._reading():
            found = records.items(self._connection, self._path, int(number))
        if not found:
            raise KeyError(number)
        return found[0][1]

    def items(self) -> list[Item]:
        """All items, by key."""
        with self._reading():
            found = records.items(self._connection, self._path)
        return sorted((item for _, item in found), key=lambda item: item.key)

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""
        with self._reading():
            found = records.references(self._connection, self._path)
        return records.all_sorted(found)

    def select(self, where: Mapping[str, str]) -> Int64:
        """Ids of references that equal every named value; see `Store.select`."""
        columns = {"key": "key", "label": "reference.label"}
        columns |= {name: name for name in ("variant", "path", "view")}
        direct = {name: value for name, value in where.items() if name in columns}
        condition = " AND ".join(f"{columns[name]} = ?" for name in direct)
        values = [records.encode(value) for value in direct.values()]
        with self._reading():
            found = records.references(
                self._connection, self._path, condition and f"WHERE {condition}", values
            )
        ids = [identifier for identifier, reference in found if matches(reference, where)]
        return np.array(sorted(ids), np.int64)

    def thumbnail(self, identifier: int) -> bytes:
        """The small JPEG of a reference, empty if none is stored."""
        with self._reading():
            return records.thumbnail(self._connection, int(identifier))

    def touch(self, stats: Sequence[tuple[int, int, int]]) -> None:
        """Note new `(id, size, mtime_ns)` of files whose content is unchanged."""
        if stats:
            with self._commit():
                records.touch(self._connection, stats)

    def calibration(self) -> Calibration | None:
        """The rule fitted for the space in use, if there is one."""
        with self._reading():
            return records.read_calibration(self._connection, self._path, self._space)

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store or erase that rule. It does not count as a change."""
        with self._commit():
            records.write_calibration(self._connection, self._space, calibration)

    def change(self) -> int:
        """How many commits have added or removed references, over all processes."""
        with self._reading():
            return records.number(self._connection, self._path, "change")

    def refresh(self) -> bool:
        """Take in what has been committed since, or a new file; whether there was anything."""
        with self._reading():
            if self._follow():
                return True
            if records.number(self._connection, self._path, "change") == self._seen:
                return False
            self._load()
        return True

    def check(self) -> list[str]:
        """Read the whole file for damage; sentences, none when it is sound."""
        with self._reading():
            found = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
        return [str(row[0]) for row in found if row[0] != "ok"]

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def __len__(self) -> int:
        return len(self._index)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, file.translated(self._path):
            yield

    @contextmanager
    def _commit(self) -> Iterator[None]:
        if not self._write:
            raise IndexReadOnly(
                self.path, "it was opened for reading", do="Open it with write=True"
            )
        with self._lock:
            self._follow()
            with file.transaction(self._connection, self._path):
                if records.number(self._connection, self._path, "space") != self._space:
                    raise SpaceMismatch(
                        self.path, "another process has set another model", do="Open it anew"
                    )
                yield

    def _load(self) -> None:
        """Bring the vectors in memory to the file's last commit, in one consistent read."""
        connection, path, width = self._connection, self._path, self._index.width
        connection.execute("BEGIN")
        try:
            change = records.number(connection, path, "change")
            since = self._seen
            if since < records.number(connection, path, "removals_from"):
                since = -1
            gone = records.removed(connection, since)
            ids, owners, rows = records.vectors(connection, path, self._space, width, since)
        finally:
            connection.execute("COMMIT")
        index = VectorIndex(width) if since < 0 else self._index
        if since >= 0:
            index.discard(gone)
        index.extend(ids, owners, rows)
        self._index, self._seen = index, change


def _inode(path: Path) -> int:
    """Which file lies there, 0 if none does."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def peek(path: Path) -> Summary:
    """What an index file says of itself, without loading a vector.

    Raises IndexMissing, IndexCorrupt, IndexVersion or IndexBusy.
    """
    connection = file.open_file(path, write=False, wait=WAIT)
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
