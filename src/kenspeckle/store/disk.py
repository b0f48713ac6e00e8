"""An index as one SQLite file: the source of truth, with the vectors in memory for search."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from kenspeckle.errors import IndexBusy, IndexMissing, IndexReadOnly, SpaceMismatch
from kenspeckle.store import connection as file
from kenspeckle.store import reading, records
from kenspeckle.store.base import (
    Enrolled,
    Hits,
    Manifest,
    check_enrolled,
    last_of_each,
    matches,
)
from kenspeckle.store.lock import WriterLock
from kenspeckle.store.memory import VectorIndex
from kenspeckle.store.place import kind_of
from kenspeckle.store.snapshot import Snapshot
from kenspeckle.types import Calibration, Float32, Int64, Item, Reference

WAIT = reading.WAIT


class DiskStore:
    """The store in one SQLite file; see `Store` for what its calls do.

    One connection serves all threads, one at a time; searches run beside it on the vectors in
    memory. What a process commits it reads back as any other process does.
    """

    def __init__(self, path: Path, *, writer: WriterLock | None, wait: float) -> None:
        self._path, self._writer, self._wait = path, writer, wait
        self._lock = threading.RLock()
        self._reading = file.translated(path, self._lock)
        self._use(reading.opened(path, write=writer is not None, wait=wait))

    def _use(self, opened: reading.Opened) -> None:
        self._connection, self._place = opened.connection, opened.place
        self._space, self._manifest = opened.space, opened.manifest
        self._index, self._seen = opened.index, opened.seen
        self._glance: reading.Glance | None = None

    def _follow(self) -> bool:
        """Open the file anew if another has been put in its place; whether one had.

        SpaceMismatch, now and at every later call, if that one holds vectors of another model.
        """
        if reading.place(self._path) in (self._place, None):
            return False
        fingerprint, write = self._manifest.fingerprint, self._writer is not None
        opened = reading.opened(self._path, write=write, wait=self._wait)
        if opened.manifest.fingerprint.space_id != fingerprint.space_id:
            opened.connection.close()
            raise SpaceMismatch(
                self.path,
                f"replaced by an index of {opened.manifest.fingerprint}",
                expected=str(fingerprint),
                do="Open it anew",
            )
        old = self._connection
        self._use(opened)
        old.close()
        return True

    @classmethod
    def create(cls, path: Path, manifest: Manifest, *, wait: float = WAIT) -> DiskStore:
        """Make a new file. Raises GalleryError, IndexBusy, IndexReadOnly."""
        file.check_free(path)
        writer = WriterLock(path)
        writer.take(wait)
        try:
            file.make(path, lambda new: records.write_manifest(new, manifest))
            return cls(path, writer=writer, wait=wait)
        except BaseException:
            writer.release()
            raise

    @classmethod
    def open(cls, path: Path, *, write: bool = False, wait: float = WAIT) -> DiskStore:
        """Open a file; `wait` is how many seconds a lock is waited for.

        Raises IndexMissing, IndexCorrupt, IndexVersion, IndexReadOnly or IndexBusy.
        """
        if not write:
            return cls(path, writer=None, wait=wait)
        kind_of(path)
        file.check_writable(path)
        writer = WriterLock(path)
        writer.take(wait)
        try:
            return cls(path, writer=writer, wait=wait)
        except BaseException:
            writer.release()
            raise

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
        with self._reading:
            with self._commit():
                old = self._manifest.fingerprint
                stored = records.counts(self._connection, self._space)[2]
                if manifest.fingerprint.space_id != old.space_id and stored:
                    new = str(manifest.fingerprint)
                    raise SpaceMismatch(
                        self.path, f"vectors of {old}", expected=new, do="Index anew"
                    )
                records.write_manifest(self._connection, manifest)
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
        if not count:
            return 0
        with self._reading:
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
        with self._reading:
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

    def prints(self, item: int) -> int:
        """How many prints of that item are enrolled; see `Store.prints`."""
        with self._reading:
            count = records.prints(self._connection, int(item))
        if not count:
            raise KeyError(item)
        return count

    def items(self) -> list[Item]:
        """All items, by key."""
        with self._reading:
            found = records.items(self._connection, self._path)
        return sorted(found, key=lambda item: item.key)

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""
        with self._current():
            found = records.references(self._connection, self._path)
        return records.all_sorted(found)

    def snapshot(self) -> Snapshot:
        """References and vectors of the last commit; see `Store.snapshot`."""
        with self._current():
            found = records.references(self._connection, self._path)
            calibration = records.read_calibration(self._connection, self._path, self._space)
            vectors, seen = self._index.frozen(), self._seen
        ordered = list(records.all_sorted(found))
        return Snapshot(self._manifest, ordered, vectors, calibration, seen)

    def select(self, where: Mapping[str, str]) -> Int64:
        """Ids of references that equal every named value; see `Store.select`."""
        columns = {"key": "key", "label": "reference.label"}
        columns |= {name: name for name in ("variant", "path", "view")}
        direct = {name: value for name, value in where.items() if name in columns}
        condition = " AND ".join(f"{columns[name]} = ?" for name in direct)
        values = [records.encode(value) for value in direct.values()]
        with self._current():
            found = records.references(
                self._connection, self._path, condition and f"WHERE {condition}", values
            )
        ids = [identifier for identifier, reference in found if matches(reference, where)]
        return np.array(sorted(ids), np.int64)

    def thumbnail(self, identifier: int) -> bytes:
        """The small JPEG of a reference, empty if none is stored."""
        with self._reading:
            return records.thumbnail(self._connection, int(identifier))

    def touch(self, stats: Sequence[tuple[int, int, int]]) -> None:
        """Note new `(id, size, mtime_ns)` of files whose content is unchanged."""
        if stats:
            with self._commit():
                records.touch(self._connection, stats)

    def calibration(self) -> Calibration | None:
        """The rule fitted for the space in use, if there is one."""
        with self._reading:
            return self._last().calibration

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store or erase that rule. It does not count as a change."""
        with self._commit():
            records.write_calibration(self._connection, self._space, calibration)

    def change(self) -> int:
        """How many commits have added or removed references, over all processes."""
        with self._reading:
            return self._last().change

    def refresh(self) -> bool:
        """Take in what has been committed since, or a new file; whether there was anything."""
        with self._reading:
            if self._follow():
                return True
            if records.number(self._connection, self._path, "change") == self._seen:
                return False
            with reading.one_read(self._connection):
                self._load()
        return True

    def memory(self) -> int:
        """Bytes that its vectors hold; see `Store.memory`."""
        return self._index.memory

    def check(self) -> list[str]:
        """Read the whole file for damage; sentences, none when it is sound."""
        with self._reading:
            found = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
        return [str(row[0]) for row in found if row[0] != "ok"]

    def close(self, *, drop_empty: bool = False) -> None:
        """Let go of the file; see `Store.close`."""
        with self._reading:
            try:
                drop = drop_empty and self._is_empty()
                self._connection.close()
                if drop and reading.place(self._path) == self._place:
                    file.forget(self._path)
            finally:
                if self._writer is not None:
                    self._writer.release()

    def _is_empty(self) -> bool:
        """Whether this handle may write and the file, as it is now, holds no reference."""
        if self._writer is None or not self._writer.held:
            return False
        return not any(records.counts(self._connection, self._space))

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

    def _last(self) -> reading.Glance:
        """Rule and number of the last commit, read again only when there was another one."""
        if self._glance is None or self._glance.data != reading.data_version(self._connection):
            self._glance = reading.glance(self._connection, self._path, self._space)
        return self._glance

    @contextmanager
    def _commit(self) -> Iterator[None]:
        if self._writer is None:
            raise IndexReadOnly(
                self.path, "it was opened for reading", do="Open it with write=True"
            )
        with self._lock:
            self._follow()
            self._glance = None  # SQLite counts the commits of other connections only
            with file.transaction(self._connection, self._path):
                self._check_place()
                if records.number(self._connection, self._path, "space") != self._space:
                    raise _other_model(self._path)
                yield
                self._check_place()

    def _check_place(self) -> None:
        """Refuse to commit to a file that nobody will find again."""
        place = reading.place(self._path)
        if place is None:
            raise IndexMissing(
                self.path, "deleted or moved since it was opened", do="Put it back, or index anew"
            )
        if place != self._place:
            raise IndexBusy(
                self.path, "another file was put in its place just now", do="Run it again"
            )

    @contextmanager
    def _current(self) -> Iterator[None]:
        """One read of the last commit, to which the vectors in memory are brought first."""
        with self._reading:
            self._follow()
            with reading.one_read(self._connection):
                if records.number(self._connection, self._path, "change") != self._seen:
                    self._load()
                yield

    def _load(self) -> None:
        """Bring the vectors in memory to the commit that is being read."""
        connection, path = self._connection, self._path
        space, manifest = records.read_manifest(connection, path)
        if space != self._space:
            raise _other_model(path)
        behind = self._seen < records.number(connection, path, "removals_from")
        index = VectorIndex(manifest.fingerprint.width) if behind else self._index
        seen = reading.bring_up(index, -1 if behind else self._seen, connection, path, space)
        self._manifest, self._index, self._seen = manifest, index, seen


def _other_model(path: Path) -> SpaceMismatch:
    return SpaceMismatch(str(path), "another process has set another model", do="Open it anew")
