"""A store in memory, which may have a home: a file that is read and written as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from kenspeckle.errors import IndexReadOnly, SpaceMismatch
from kenspeckle.store.base import (
    Enrolled,
    Hits,
    Manifest,
    check_enrolled,
    last_of_each,
    matches,
)
from kenspeckle.store.memory import VectorIndex
from kenspeckle.types import Calibration, Float32, Int64, Item, Reference


@dataclass(slots=True)
class Contents:
    """Everything a store holds: `rows` `(n, D)` float32, one for each of `references`."""

    manifest: Manifest
    rows: Float32
    ids: list[int] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    calibration: Calibration | None = None
    change: int = 0
    next_id: int = 1


class Home(Protocol):
    """A file that is read and written as a whole."""

    path: str

    def read(self) -> Contents:
        """What the file holds."""

    def write(self, contents: Contents) -> None:
        """Replace the file, at once or not at all."""

    def is_newer(self) -> bool:
        """Whether another process has replaced the file since it was read or written here."""


class MemoryStore:
    """The store in memory; see `Store` for what its calls do.

    With a home and `write`, what was changed is written when it is closed.
    """

    def __init__(
        self, contents: Contents, home: Home | None = None, *, write: bool = True, new: bool = False
    ) -> None:
        self._home, self._write = home, write
        self._lock = threading.RLock()
        self._dirty = new
        self._take(contents)

    def _take(self, contents: Contents) -> None:
        self._manifest, self._calibration = contents.manifest, contents.calibration
        self._change, self._next = contents.change, contents.next_id
        self._references: dict[int, Reference] = {}
        self._thumbnails: dict[int, bytes] = {}
        self._places: dict[tuple[str, str], int] = {}
        self._numbers: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._members: dict[int, set[int]] = {}
        self._index = VectorIndex(contents.manifest.fingerprint.width, np.float32)
        self._insert(contents.ids, contents.references, contents.rows)

    def _insert(self, ids: Sequence[int], references: Sequence[Reference], rows: Float32) -> None:
        owners = []
        for identifier, reference in zip(ids, references, strict=True):
            number = self._numbers.setdefault(reference.key, len(self._keys) + 1)
            self._keys[number] = reference.key
            self._references[identifier] = reference
            self._places[reference.path, reference.view] = identifier
            self._members.setdefault(number, set()).add(identifier)
            owners.append(number)
        self._index.extend(np.array(ids, np.int64), np.array(owners, np.int64), rows)

    def _erase(self, ids: Sequence[int]) -> int:
        known = [identifier for identifier in ids if identifier in self._references]
        for identifier in known:
            reference = self._references.pop(identifier)
            self._thumbnails.pop(identifier, None)
            del self._places[reference.path, reference.view]
            self._members[self._numbers[reference.key]].discard(identifier)
        self._index.discard(np.array(known, np.int64))
        return len(known)

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""
        return self._manifest

    @property
    def path(self) -> str:
        """Where its home lies, empty when it has none."""
        return self._home.path if self._home else ""

    def set_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest. SpaceMismatch if vectors of another space are stored."""
        old = self._manifest.fingerprint
        with self._changing():
            if manifest.fingerprint.space_id != old.space_id and len(self):
                new = str(manifest.fingerprint)
                raise SpaceMismatch(
                    self.path or "store", f"vectors of {old}", expected=new, do="Index anew"
                )
            self._manifest = manifest
            if manifest.fingerprint.width != old.width:
                self._index = VectorIndex(manifest.fingerprint.width, np.float32)

    def add(self, enrolled: Sequence[Enrolled]) -> list[int]:
        """Store references in one commit; see `Store.add`."""
        last = last_of_each(enrolled)
        kept = [enrolled[place] for place in sorted(last.values())]
        rows = check_enrolled(kept, self._manifest.fingerprint.width)
        if not kept:
            return []
        with self._changing():
            self._erase([self._places[place] for place in last if place in self._places])
            ids = list(range(self._next, self._next + len(kept)))
            self._next += len(kept)
            self._insert(ids, [one.reference for one in kept], rows)
            for identifier, one in zip(ids, kept, strict=True):
                if one.thumbnail:
                    self._thumbnails[identifier] = one.thumbnail
            self._change += 1
            return [self._places[one.reference.path, one.reference.view] for one in enrolled]

    def remove(self, ids: Sequence[int]) -> int:
        """Erase references; how many there were."""
        if not len(ids):
            return 0
        with self._changing():
            count = self._erase([int(identifier) for identifier in ids])
            self._change += 1
            return count

    def search(self, rows: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1) -> Hits:
        """The `k` best references of each row; see `Store.search`."""
        return self._index.search(rows, k, ids=ids, threads=threads)

    def get(self, ids: Sequence[int]) -> list[Reference]:
        """References by id, in order. KeyError names one that is not stored."""
        with self._lock:
            return [self._references[int(identifier)] for identifier in ids]

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
        with self._lock:
            members = self._members[int(number)]
            if not members:
                raise KeyError(number)
            references = [self._references[identifier] for identifier in sorted(members)]
        variants = sorted({one.variant for one in references if one.variant})
        pictures = sum(not one.view for one in references)
        return Item(self._keys[int(number)], references[-1].label, tuple(variants), pictures)

    def items(self) -> list[Item]:
        """All items, by key."""
        with self._lock:
            numbers = [number for number, members in self._members.items() if members]
            return sorted(map(self.item, numbers), key=lambda item: item.key)

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""
        with self._lock:
            found = list(self._references.items())
        return iter(sorted(found, key=lambda pair: (pair[1].path, pair[1].view)))

    def select(self, where: Mapping[str, str]) -> Int64:
        """Ids of references that equal every named value; see `Store.select`."""
        with self._lock:
            found = list(self._references.items())
        return np.array(sorted(n for n, one in found if matches(one, where)), np.int64)

    def thumbnail(self, identifier: int) -> bytes:
        """The small JPEG of a reference, empty if none is stored."""
        return self._thumbnails.get(int(identifier), b"")

    def touch(self, stats: Sequence[tuple[int, int, int]]) -> None:
        """Note new `(id, size, mtime_ns)` of files whose content is unchanged."""
        if not stats:
            return
        with self._changing():
            for identifier, size, mtime_ns in stats:
                old = self._references.get(identifier)
                if old is not None:
                    self._references[identifier] = replace(old, size=size, mtime_ns=mtime_ns)

    def calibration(self) -> Calibration | None:
        """The rule fitted for the space in use, if there is one."""
        return self._calibration

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Store or erase that rule. It does not count as a change."""
        with self._changing():
            self._calibration = calibration

    def change(self) -> int:
        """How many commits have added or removed references."""
        return self._change

    def refresh(self) -> bool:
        """Read the home anew if another process has replaced it; whether it had."""
        with self._lock:
            if self._home is None or self._dirty or not self._home.is_newer():
                return False
            self._take(self._home.read())
            return True

    def contents(self) -> Contents:
        """Everything it holds, references by path, then view."""
        with self._lock:
            found = list(self.references())
            ids = [identifier for identifier, _ in found]
            return Contents(
                self._manifest,
                self.rows(ids),
                ids,
                [reference for _, reference in found],
                self._calibration,
                self._change,
                self._next,
            )

    def close(self) -> None:
        """Write what was changed to the home, if there is one."""
        with self._lock:
            if self._home is not None and self._dirty:
                self._home.write(self.contents())
                self._dirty = False

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
    def _changing(self) -> Iterator[None]:
        if not self._write:
            raise IndexReadOnly(
                self.path, "it was opened for reading", do="Open it with write=True"
            )
        with self._lock:
            yield
            self._dirty = True
