"""A store in memory: what is in it, looked up and changed. Its file is the subject of `home`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from kenspeckle.errors import SpaceMismatch
from kenspeckle.store.base import Enrolled, Hits, Manifest, Standing
from kenspeckle.store.checks import (
    check_enrolled,
    check_features,
    check_feedback,
    check_space,
    last_of_each,
    matches,
)
from kenspeckle.store.home import Homed
from kenspeckle.store.memory import VectorIndex
from kenspeckle.store.snapshot import Known, Snapshot
from kenspeckle.types import Calibration, Feedback, Float32, Int64, Item, Reference


class MemoryStore(Homed):
    """The store in memory; see `Store` for what its calls do, and `Homed` for its file."""

    def set_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest. SpaceMismatch if vectors of another space are stored."""
        with self._changing() as held:
            old = held.manifest.fingerprint
            if manifest.fingerprint.space_id != old.space_id and len(held.vectors):
                new = str(manifest.fingerprint)
                thing = Path(self.path) if self.path else "store"
                raise SpaceMismatch(thing, f"vectors of {old}", expected=new, do="Index anew")
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
            check_space(kept, held.manifest.fingerprint)
            ids = held.add(kept, rows, instead_of)
        found = {
            (one.reference.path, one.reference.view): identifier
            for one, identifier in zip(kept, ids, strict=True)
        }
        return [found[one.reference.path, one.reference.view] for one in enrolled]

    def relabel(self, new: Mapping[int, Reference]) -> None:
        """Exchange what is said of references; see `Store.relabel`."""
        if new:
            with self._changing() as held:
                held.relabel(new)

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

    def counts(self) -> tuple[int, int]:
        """How many items and pictures there are; see `Store.counts`."""
        with self._lock:
            self.refresh()
            return self._held.counts()

    def items(self, *, after: str | None = None, most: int | None = None) -> list[Item]:
        """All items by key, or some; see `Store.items`."""
        with self._lock:
            return self._held.items(after, most)

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
            return list(islice(self._held.pictures(after, key), most))

    def paths(self, *, after: int = 0, most: int | None = None) -> list[tuple[int, str]]:
        """Path of each reference by ascending id; see `Store.paths`."""
        with self._lock:
            return [(n, one.path) for n, one in islice(self._held.pictures(after), most)]

    def snapshot(self) -> Snapshot:
        """References and vectors at this moment; see `Store.snapshot`."""
        with self._lock:
            held, vectors = self._held, self._held.vectors.frozen()
            said = tuple(self.feedback())
            known = Known(held.standing, said, self.calibration())
            return Snapshot(held.manifest, list(self.references()), vectors, known, self)

    def select(self, where: Mapping[str, str]) -> Int64:
        """Ids of references that equal every named value; see `Store.select`."""
        with self._lock:
            found = self._held.chosen(where)
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

    def feedback(
        self,
        where: Mapping[str, str] | None = None,
        *,
        after: int = 0,
        most: int | None = None,
    ) -> list[Feedback]:
        """What people said about answers; see `Store.feedback`."""
        with self._lock:
            return list(islice(self._held.said.chosen(where or {}, after), most))

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

    def memory(self) -> int:
        """Bytes that its vectors hold; see `Store.memory`."""
        return self._held.vectors.memory
