"""A store in memory, which may have a home: a file that is read and written as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from kenspeckle.errors import IndexReadOnly, SpaceMismatch
from kenspeckle.store.base import Enrolled, Hits, Manifest, Standing
from kenspeckle.store.checks import (
    check_enrolled,
    check_features,
    check_feedback,
    last_of_each,
    matches,
)
from kenspeckle.store.contents import Contents, Held
from kenspeckle.store.lock import WriterLock
from kenspeckle.store.memory import VectorIndex
from kenspeckle.store.snapshot import Known, Snapshot
from kenspeckle.types import Calibration, Feedback, Float32, Int64, Item, Reference

WAIT = 10.0
"""Seconds that another writer is waited for."""


class Home(Protocol):
    """A file that is read and written as a whole."""

    path: str

    def stamp(self) -> tuple[int, ...]:
        """Tells one file under this name from another; empty when there is none."""

    def read(self) -> Contents:
        """What the file holds."""

    def write(self, contents: Contents, stamp: tuple[int, ...]) -> None:
        """Replace the file of that stamp, at once or not at all."""


class MemoryStore:
    """The store in memory; see `Store` for what its calls do.

    With a home, what was changed is written when it is closed. `writer` is the lock of the home,
    held; without one a home is only read. `new` says that the home is still to be written.
    """

    def __init__(
        self,
        contents: Contents,
        home: Home | None = None,
        *,
        stamp: tuple[int, ...] = (),
        writer: WriterLock | None = None,
        new: bool = False,
    ) -> None:
        self._home, self._stamp, self._writer = home, stamp, writer
        self._write = home is None or writer is not None
        self._lock = threading.RLock()
        self._always = self._write
        self._turn, self._lent = threading.Lock(), 0
        self._dirty = new
        self._held = Held.of(contents)
        self._assumed: Calibration | None = None
        self._edition = 0

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""
        return self._held.manifest

    @property
    def edition(self) -> int:
        """How often its home was replaced and read anew."""
        return self._edition

    @property
    def path(self) -> str:
        """Where its home lies, empty when it has none."""
        return self._home.path if self._home else ""

    def set_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest. SpaceMismatch if vectors of another space are stored."""
        with self._changing() as held:
            old = held.manifest.fingerprint
            if manifest.fingerprint.space_id != old.space_id and len(held.vectors):
                new = str(manifest.fingerprint)
                raise SpaceMismatch(
                    self.path or "store", f"vectors of {old}", expected=new, do="Index anew"
                )
            held.manifest = manifest
            if manifest.fingerprint.space_id != old.space_id:
                held.said.set_aside(manifest.fingerprint.width)
            if manifest.fingerprint.width != old.width:
                held.vectors = VectorIndex(manifest.fingerprint.width, np.float32)

    def add(self, enrolled: Sequence[Enrolled], *, instead_of: Sequence[int] = ()) -> list[int]:
        """Store references in one commit; see `Store.add`."""
        last = last_of_each(enrolled)
        kept = [enrolled[place] for place in sorted(last.values())]
        rows = check_enrolled(kept, self.manifest.fingerprint.width)
        if not kept:
            self.remove(instead_of)
            return []
        with self._changing() as held:
            ids = held.add(kept, rows, instead_of)
        found = {
            (one.reference.path, one.reference.view): identifier
            for one, identifier in zip(kept, ids, strict=True)
        }
        return [found[one.reference.path, one.reference.view] for one in enrolled]

    def remove(self, ids: Sequence[int]) -> int:
        """Erase references; how many there were."""
        if not len(ids):
            return 0
        with self._changing() as held:
            return held.remove(map(int, ids))

    def search(self, rows: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1) -> Hits:
        """The `k` best references of each row; see `Store.search`."""
        return self._held.vectors.search(rows, k, ids=ids, threads=threads)

    def get(self, ids: Sequence[int]) -> list[Reference]:
        """References by id, in order. KeyError names one that is not stored."""
        with self._lock:
            return [self._held.references[int(identifier)] for identifier in ids]

    def rows(self, ids: Sequence[int] | Int64 | None = None) -> Float32:
        """Vectors `(n, D)` as stored; see `Store.rows`."""
        return self._held.vectors.rows(None if ids is None else np.asarray(ids, np.int64))

    def ids(self) -> Int64:
        """All reference ids, ascending."""
        return self._held.vectors.ids()

    def owners(self, ids: Sequence[int] | Int64 | None = None) -> Int64:
        """Item numbers; see `Store.owners`."""
        return self._held.vectors.owners(None if ids is None else np.asarray(ids, np.int64))

    def prints(self, item: int) -> int:
        """How many prints of that item are enrolled; see `Store.prints`."""
        with self._lock:
            references = self._held.references
            if not (members := self._held.members[int(item)]):
                raise KeyError(item)
            return len({references[identifier].variant for identifier in members})

    def items(self, *, after: str | None = None, most: int | None = None) -> list[Item]:
        """All items by key, or some; see `Store.items`."""
        with self._lock:
            numbers = [number for number, members in self._held.members.items() if members]
            found = sorted(map(self._held.item, numbers), key=lambda item: item.key)
        return [item for item in found if after is None or item.key > after][:most]

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""
        with self._lock:
            found = list(self._held.references.items())
        return iter(sorted(found, key=lambda pair: (pair[1].path, pair[1].view)))

    def page(
        self, *, after: int = 0, most: int = 100, key: str = ""
    ) -> list[tuple[int, Reference]]:
        """References by ascending id; see `Store.page`."""
        with self._lock:
            found = [
                pair
                for pair in self._held.references.items()
                if pair[0] > after and not pair[1].view and key in ("", pair[1].key)
            ]
        return sorted(found, key=lambda pair: pair[0])[:most]

    def snapshot(self) -> Snapshot:
        """References and vectors at this moment; see `Store.snapshot`."""
        with self._lock:
            held, vectors = self._held, self._held.vectors.frozen()
            said = tuple(self.feedback())
            known = Known(held.standing, said)
            return Snapshot(held.manifest, list(self.references()), vectors, known)

    def select(self, where: Mapping[str, str]) -> Int64:
        """Ids of references that equal every named value; see `Store.select`."""
        with self._lock:
            found = list(self._held.references.items())
        return np.array(sorted(n for n, one in found if matches(one, where)), np.int64)

    def thumbnail(self, identifier: int) -> bytes:
        """The small JPEG of a reference, empty if none is stored."""
        return self._held.thumbnails.get(int(identifier), b"")

    def touch(self, stats: Sequence[tuple[int, int, int]]) -> None:
        """Note new `(id, size, mtime_ns)` of files whose content is unchanged."""
        if stats:
            with self._changing() as held:
                held.touch(stats)

    def features(self, ids: Sequence[int], kind: str) -> dict[int, bytes]:
        """Local features by reference id; see `Store.features`."""
        with self._lock:
            kept = {
                int(identifier): self._held.features.get(int(identifier), {}) for identifier in ids
            }
        return {identifier: own[kind] for identifier, own in kept.items() if kind in own}

    def set_features(self, kind: str, features: Mapping[int, bytes]) -> None:
        """Keep local features as long as the store is open; see `Store.set_features`."""
        check_features(features)
        self._check_write()
        with self._lock:
            for identifier, data in features.items():
                if int(identifier) in self._held.references:
                    self._held.features.setdefault(int(identifier), {})[kind] = data

    def feature_kinds(self) -> list[str]:
        """The kinds of local features of which some are kept."""
        with self._lock:
            return sorted({kind for own in self._held.features.values() for kind in own})

    def feedback(self) -> list[Feedback]:
        """What people said about answers; see `Store.feedback`."""
        with self._lock:
            return [self._held.said.found[number] for number in sorted(self._held.said.found)]

    def add_feedback(self, feedback: Feedback) -> int:
        """Store feedback; see `Store.add_feedback`."""
        check_feedback(feedback, self.manifest.fingerprint.width)
        rows = np.array(feedback.rows, np.float32)
        with self._changing() as held:
            return held.said.add(replace(feedback, rows=rows))

    def remove_feedback(self, identifier: int) -> bool:
        """Erase feedback; whether it was there."""
        with self._changing() as held:
            return held.said.remove(int(identifier))

    def calibration(self) -> Calibration | None:
        """The rule fitted for the space in use, if there is one."""
        return self._held.calibration or self._assumed

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store or erase that rule. It does not count as a change."""
        with self._changing() as held:
            held.calibration = calibration

    def assume(self, calibration: Calibration | None) -> None:
        """Decide by that rule as long as none is stored; see `Store.assume`."""
        self._assumed = calibration

    def standing(self) -> Standing:
        """The rule and the counters; see `Store.standing`."""
        with self._lock:
            found = self._held.standing
        return found if found.calibration else replace(found, calibration=self._assumed)

    def refresh(self) -> bool:
        """Read the home anew if another process has replaced it; whether it had.

        SpaceMismatch, now and at every later call, if that one holds vectors of another model.
        """
        with self._lock:
            if self._home is None or self._dirty:
                return False
            stamp = self._home.stamp()
            if stamp in (self._stamp, ()):
                return False
            held, fingerprint = Held.of(self._home.read()), self.manifest.fingerprint
            if held.manifest.fingerprint.space_id != fingerprint.space_id:
                raise SpaceMismatch(
                    self.path,
                    f"replaced by an index of {held.manifest.fingerprint}",
                    expected=str(fingerprint),
                    do="Open it anew",
                )
            self._held, self._stamp = held, stamp
            self._edition += 1
            return True

    @contextmanager
    def writing(self, wait: float = WAIT) -> Iterator[None]:
        """Let this handle change its home for as long as a block runs; see `Store.writing`."""
        if self._always:
            yield
            return
        with self._turn:
            if not self._lent:
                self._borrow(wait)
            self._lent += 1
        try:
            yield
        finally:
            with self._turn:
                self._lent -= 1
                self._give_back()

    def _borrow(self, wait: float) -> None:
        assert self._home is not None  # noqa: S101  without a home it may write at any time
        writer = WriterLock(Path(self._home.path))
        writer.take(wait)
        try:
            self.refresh()
        except BaseException:
            writer.release()
            raise
        self._writer, self._write = writer, True

    def _give_back(self) -> None:
        """Write what was changed; what cannot be written did not happen here either."""
        assert self._home is not None  # noqa: S101
        try:
            with self._lock:
                try:
                    if self._dirty:
                        self._home.write(self.contents(), self._stamp)
                        self._stamp = self._home.stamp()
                except BaseException:
                    self._held, self._stamp = Held.of(self._home.read()), self._home.stamp()
                    raise
                finally:
                    self._dirty = False
        finally:
            if not self._lent and self._writer is not None:
                self._write = False
                self._writer.release()
                self._writer = None

    def memory(self) -> int:
        """Bytes that its vectors hold; see `Store.memory`."""
        return self._held.vectors.memory

    def contents(self) -> Contents:
        """Everything it holds, references by path, then view."""
        with self._lock:
            held, found = self._held, list(self.references())
            ids = [identifier for identifier, _ in found]
            references = [reference for _, reference in found]
            return Contents(
                held.manifest,
                self.rows(ids),
                ids,
                references,
                held.calibration,
                held.change,
                held.next_id,
                held.said,
            )

    def close(self, *, drop_empty: bool = False) -> None:
        """Write what was changed to the home, if there is one; see `Store.close`.

        Raises IndexMissing, IndexBusy or IndexReadOnly where it cannot be written; what was
        changed is then still here, and closing can be tried again.
        """
        with self._lock:
            if self._home is None or self._writer is None:
                return
            try:
                if self._dirty and not (drop_empty and not len(self) and not self._stamp):
                    self._writer.take(0.0)  # held, unless closing is tried again
                    self._home.write(self.contents(), self._stamp)
                    self._stamp = self._home.stamp()
                self._dirty = False
            finally:
                self._writer.release()

    def __len__(self) -> int:
        return len(self._held.vectors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_write(self) -> None:
        if not self._write:
            raise IndexReadOnly(
                self.path, "it was opened for reading", do="Open it with write=True"
            )

    @contextmanager
    def _changing(self) -> Iterator[Held]:
        self._check_write()
        with self._lock:
            yield self._held
            self._dirty = True
