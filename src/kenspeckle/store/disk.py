"""An index as one SQLite file: the source of truth, with the vectors in memory for search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kenspeckle.errors import SpaceMismatch
from kenspeckle.store import beside, pages, reading, records, relabelled
from kenspeckle.store.base import Enrolled, Hits, Manifest, Standing
from kenspeckle.store.checks import (
    check_enrolled,
    check_features,
    check_feedback,
    check_space,
    last_of_each,
    matches,
)
from kenspeckle.store.disk_file import DiskFile
from kenspeckle.store.memory import VectorIndex
from kenspeckle.store.snapshot import Known, Snapshot
from kenspeckle.types import Calibration, Feedback, Float32, Int64, Item, Reference

FEW = 128
"""References that are remembered of one call; who asks for more goes through the index."""


class DiskStore(DiskFile):
    """The store in one SQLite file; see `Store` for what its calls do."""

    def set_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest. SpaceMismatch if vectors of another space are stored."""
        with self._reading:
            with self._commit():
                old = self._manifest.fingerprint
                stored = records.counts(self._connection, self._space)[2]
                if manifest.fingerprint.space_id != old.space_id and stored:
                    new = str(manifest.fingerprint)
                    raise SpaceMismatch(
                        Path(self.path), f"vectors of {old}", expected=new, do="Index anew"
                    )
                records.write_manifest(self._connection, manifest)
            self._space, self._manifest = records.read_manifest(self._connection, self._path)
            if manifest.fingerprint.width != old.width:
                self._index = VectorIndex(manifest.fingerprint.width)

    def add(self, enrolled: Sequence[Enrolled], *, instead_of: Sequence[int] = ()) -> list[int]:
        """Store references in one atomic commit; see `Store.add`."""
        last = last_of_each(enrolled)
        kept = [enrolled[place] for place in sorted(last.values())]
        rows = check_enrolled(kept, self._manifest.fingerprint.width)
        if not kept:
            self.remove(instead_of)
            return []
        gone = list(map(int, instead_of))
        with self._commit():
            check_space(kept, self._manifest.fingerprint)
            numbers = records.put(self._connection, kept, rows, self._space, gone)
        if gone:
            self._unfolded = True
        self.refresh()
        ids = {
            (one.reference.path, one.reference.view): identifier
            for one, identifier in zip(kept, numbers, strict=True)
        }
        return [ids[one.reference.path, one.reference.view] for one in enrolled]

    def relabel(self, new: Mapping[int, Reference]) -> None:
        """Exchange what is said of references; see `Store.relabel`."""
        if new:
            with self._commit():
                relabelled.relabel(self._connection, new)
            self.refresh()

    def remove(self, ids: Sequence[int]) -> int:
        """Erase references with their vectors and thumbnails; how many there were."""
        if not len(ids):
            return 0
        with self._commit():
            count = records.erase(self._connection, map(int, ids))
        if not count:
            return 0
        self._unfolded = True
        self.refresh()
        return count

    def search(self, rows: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1) -> Hits:
        """The `k` best references of each row; see `Store.search`."""
        return self._index.search(rows, k, ids=ids, threads=threads)

    def get(self, ids: Sequence[int]) -> list[Reference]:
        """References by id, in order. KeyError names one that is not stored."""
        wanted = list(map(int, ids))
        with self._reading:
            recent = self._recent()
            known = recent.references
            found = {one: known[one] for one in wanted if one in known}
            if missing := [one for one in wanted if one not in found]:
                read = self._references(missing)
                if len(read) <= FEW:
                    recent.keep(read)
                found |= read
        return [found[one] for one in wanted]

    def _references(self, ids: Sequence[int]) -> dict[int, Reference]:
        found: dict[int, Reference] = {}
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            where = f"WHERE id IN ({','.join('?' * len(some))})"
            found.update(records.references(self._connection, self._path, where, some))
        return found

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
            known = self._recent().prints
            if item not in known:
                known[item] = records.prints(self._connection, int(item))
            count = known[item]
        if not count:
            raise KeyError(item)
        return count

    def counts(self) -> tuple[int, int]:
        """How many items and pictures there are; see `Store.counts`."""
        with self._current():
            recent = self._recent()
            if recent.counts is None:
                recent.counts = records.counts(self._connection, self._space)[:2]
            return recent.counts

    def items(self, *, after: str | None = None, most: int | None = None) -> list[Item]:
        """All items by key, or some; see `Store.items`."""
        with self._reading:
            found = pages.items(self._connection, self._path, after, most)
        return sorted(found, key=lambda item: item.key)

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""
        with self._current():
            found = records.references(self._connection, self._path)
        return pages.all_sorted(found)

    def page(
        self, *, after: int = 0, most: int = 100, key: str = ""
    ) -> list[tuple[int, Reference]]:
        """References by ascending id; see `Store.page`."""
        with self._current():
            return pages.references(self._connection, self._path, after, most, key)

    def paths(self, *, after: int = 0, most: int | None = None) -> list[tuple[int, str]]:
        """Path of each reference by ascending id; see `Store.paths`."""
        with self._current():
            return pages.paths(self._connection, self._path, after, most)

    def snapshot(self) -> Snapshot:
        """References and vectors of the last commit; see `Store.snapshot`."""
        with self._current():
            found = records.references(self._connection, self._path)
            said = self.feedback()
            standing = reading.standing(self._connection, self._path, self._space)
            rule = self._standing().calibration
            vectors, known = self._index.frozen(), Known(standing, tuple(said), rule)
        return Snapshot(self._manifest, list(pages.all_sorted(found)), vectors, known, self)

    def select(self, where: Mapping[str, str]) -> Int64:
        """Ids of references that equal every named value; see `Store.select`."""
        columns = {"key": "key", "label": "reference.label"}
        columns |= {name: name for name in ("variant", "path", "view", "sha256")}
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

    def features(self, ids: Sequence[int], kind: str) -> dict[int, bytes]:
        """Local features by reference id; see `Store.features`."""
        with self._reading:
            return beside.features(self._connection, map(int, ids), kind)

    def set_features(self, kind: str, features: Mapping[int, bytes]) -> None:
        """Keep local features of references; see `Store.set_features`."""
        check_features(features)
        if features:
            with self._commit():
                beside.put_features(self._connection, kind, features)

    def feature_kinds(self) -> list[str]:
        """The kinds of local features of which some are kept."""
        with self._reading:
            return beside.feature_kinds(self._connection, self._path)

    def feedback(
        self,
        where: Mapping[str, str] | None = None,
        *,
        after: int = 0,
        most: int | None = None,
    ) -> list[Feedback]:
        """What people said about answers; see `Store.feedback`."""
        width, wanted = self._manifest.fingerprint.width, beside.Wanted(where or {}, after, most)
        with self._reading:
            return beside.feedback(self._connection, self._path, self._space, width, wanted)

    def add_feedback(self, feedback: Feedback) -> int:
        """Store feedback; see `Store.add_feedback`."""
        check_feedback(feedback, self._manifest.fingerprint.width)
        with self._commit():
            return beside.put_feedback(self._connection, feedback, self._space)

    def remove_feedback(self, identifier: int) -> bool:
        """Erase feedback; whether it was there."""
        with self._commit():
            gone = beside.erase_feedback(self._connection, int(identifier))
        if gone:
            self._unfolded = True
        self.refresh()
        return gone

    def check(self) -> list[str]:
        """Read the whole file for damage; sentences, none when it is sound."""
        with self._reading:
            found = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
        return [str(row[0]) for row in found if row[0] != "ok"]

    def calibration(self) -> Calibration | None:
        """The rule fitted for the space in use, if there is one."""
        with self._reading:
            return self._standing().calibration

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store or erase that rule. It does not count as a change."""
        with self._commit():
            records.write_calibration(self._connection, self._space, calibration)

    def assume(self, calibration: Calibration | None) -> None:
        """Decide by that rule as long as none is stored; see `Store.assume`."""
        with self._reading:
            self._assumed, self._read = calibration, None

    def standing(self) -> Standing:
        """The rule and the counters; see `Store.standing`."""
        with self._reading:
            return self._standing()

    def memory(self) -> int:
        """Bytes that its vectors hold; see `Store.memory`."""
        return self._index.memory

    def __len__(self) -> int:
        return len(self._index)

    def _standing(self) -> Standing:
        """What answers stand on."""
        recent = self._recent()
        if recent.standing is None:
            with reading.one_read(self._connection):
                found = reading.standing(self._connection, self._path, self._space)
            if found.calibration is None:
                found = replace(found, calibration=self._assumed)
            recent.standing = found
        return recent.standing
