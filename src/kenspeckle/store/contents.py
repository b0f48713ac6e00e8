"""What a store in memory holds: as it is read and written, and as it is looked up and changed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kenspeckle.store.base import Enrolled, Manifest, Standing
from kenspeckle.store.memory import VectorIndex
from kenspeckle.types import Calibration, Feedback, Float32, Item, Reference


@dataclass(slots=True)
class Said:
    """Feedback by id, the id of the next, and how often any of it has changed."""

    found: dict[int, Feedback] = field(default_factory=dict)
    next_id: int = 1
    change: int = 0

    def add(self, feedback: Feedback) -> int:
        """Store it, in place of the one of its id if there is one; its id."""
        number = feedback.id if feedback.id in self.found else self.next_id
        self.next_id = max(self.next_id, number + 1)
        self.found[number] = replace(feedback, id=number)
        self.change += 1
        return number

    def chosen(self, where: Mapping[str, str], after: int) -> Iterator[Feedback]:
        """Those after an id that equal every named value, by id."""
        for number in sorted(number for number in self.found if number > after):
            one = self.found[number]
            if all(getattr(one, name) == value for name, value in where.items()):
                yield one

    def remove(self, number: int) -> bool:
        """Erase one; whether it was there."""
        gone = self.found.pop(number, None) is not None
        self.change += gone
        return gone

    def set_aside(self, width: int) -> None:
        """Let go of the vectors, which are of another space than the one now in use."""
        none = np.empty((0, width), np.float32)
        self.found = {number: replace(one, rows=none) for number, one in self.found.items()}


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
    feedback: Said = field(default_factory=lambda: Said())


@dataclass(slots=True)
class Held:
    """The same by id, path, key and item number. One thread at a time may change it.

    `vectors` are exchanged last where references come, first where they go, so that a search
    beside it finds only what can be looked up.
    """

    manifest: Manifest
    vectors: VectorIndex
    calibration: Calibration | None
    change: int
    next_id: int
    said: Said
    references: dict[int, Reference] = field(default_factory=dict)
    thumbnails: dict[int, bytes] = field(default_factory=dict)
    features: dict[int, dict[str, bytes]] = field(default_factory=dict)
    members: dict[int, set[int]] = field(default_factory=dict)
    _paths: dict[str, list[int]] = field(default_factory=dict)
    _hashes: dict[str, list[int]] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _keys: dict[int, str] = field(default_factory=dict)
    _sorted: list[str] | None = None
    _counted: tuple[int, int] | None = None

    @classmethod
    def of(cls, contents: Contents) -> Held:
        """What was read, made ready; the ids ascend."""
        manifest = contents.manifest
        vectors = VectorIndex(manifest.fingerprint.width, np.float32)
        rule, change, said = contents.calibration, contents.change, contents.feedback
        held = cls(manifest, vectors, rule, change, contents.next_id, said)
        held._exchange((), contents.ids, contents.references, contents.rows)
        return held

    @property
    def standing(self) -> Standing:
        """What an answer stands on; see `Standing`."""
        return Standing(self.calibration, self.change, self.said.change)

    def add(
        self, enrolled: Sequence[Enrolled], rows: Float32, instead_of: Iterable[int] = ()
    ) -> list[int]:
        """Store these instead of all that is there of their paths, and of those ids; their ids."""
        paths = dict.fromkeys(one.reference.path for one in enrolled)
        gone = [identifier for path in paths for identifier in self._paths.get(path, ())]
        gone += [identifier for identifier in instead_of if identifier in self.references]
        gone = list(dict.fromkeys(gone))
        ids = list(range(self.next_id, self.next_id + len(enrolled)))
        for identifier, one in zip(ids, enrolled, strict=True):
            if one.thumbnail:
                self.thumbnails[identifier] = one.thumbnail
        self._exchange(gone, ids, [one.reference for one in enrolled], rows)
        self.next_id += len(enrolled)
        self.change += 1
        return ids

    def remove(self, ids: Iterable[int]) -> int:
        """Erase those that are here; how many that are."""
        known = [identifier for identifier in dict.fromkeys(ids) if identifier in self.references]
        if known:
            self._exchange(known, (), (), np.empty((0, self.vectors.width), np.float32))
            self.change += 1
        return len(known)

    def relabel(self, new: Mapping[int, Reference]) -> None:
        """Exchange what is said of references that are still the same picture of their item."""
        changed = False
        for identifier, one in new.items():
            old = self.references.get(identifier)
            if old and (old.path, old.view, old.key) == (one.path, one.view, one.key):
                self.references[identifier] = replace(one, sha256=old.sha256)
                changed = True
        self.change += changed

    def touch(self, stats: Iterable[tuple[int, int, int]]) -> None:
        """Note new `(id, size, mtime_ns)`."""
        for identifier, size, mtime_ns in stats:
            old = self.references.get(identifier)
            if old is not None:
                self.references[identifier] = replace(old, size=size, mtime_ns=mtime_ns)

    def item(self, number: int) -> Item:
        """The item of that number. KeyError if there is none."""
        members = self.members[number]
        if not members:
            raise KeyError(number)
        found = [self.references[identifier] for identifier in sorted(members)]
        variants = sorted({one.variant for one in found if one.variant})
        pictures = sum(not one.view for one in found)
        return Item(self._keys[number], found[-1].label, tuple(variants), pictures)

    def items(self, after: str | None, most: int | None) -> list[Item]:
        """Items by key: those that come `after` one, at most so many."""
        keys = self._in_order()
        start = 0 if after is None else bisect_right(keys, after)
        chosen = keys[start:] if most is None else keys[start : start + most]
        return [self.item(self._numbers[key]) for key in chosen]

    def counts(self) -> tuple[int, int]:
        """How many items and pictures there are."""
        if self._counted is None:
            pictures = sum(not one.view for one in self.references.values())
            self._counted = len(self._in_order()), pictures
        return self._counted

    def _in_order(self) -> list[str]:
        if self._sorted is None:
            self._sorted = sorted(self._keys[n] for n, members in self.members.items() if members)
        return self._sorted

    def pictures(self, after: int = 0, key: str = "") -> Iterator[tuple[int, Reference]]:
        """References after an id, of one item or all, by id; enrolled views left out."""
        own = np.array(sorted(self.members.get(self._numbers.get(key, 0), ())), np.int64)
        ids = own if key else self.vectors.ids()
        for identifier in map(int, ids[np.searchsorted(ids, after, "right") :]):
            reference = self.references[identifier]
            if not reference.view:
                yield identifier, reference

    def chosen(self, where: Mapping[str, str]) -> list[tuple[int, Reference]]:
        """References that may equal every named value: few, if a path, hash or key is named."""
        if "path" in where:
            ids: Iterable[int] = self._paths.get(where["path"], ())
        elif where.get("sha256"):
            ids = self._hashes.get(where["sha256"], ())
        elif "key" in where:
            ids = self.members.get(self._numbers.get(where["key"], 0), ())
        else:
            return list(self.references.items())
        return [(identifier, self.references[identifier]) for identifier in ids]

    def _exchange(
        self, gone: Sequence[int], ids: Sequence[int], new: Sequence[Reference], rows: Float32
    ) -> None:
        owners = []
        for identifier, reference in zip(ids, new, strict=True):
            number = self._numbers.setdefault(reference.key, len(self._keys) + 1)
            self._keys[number] = reference.key
            self.references[identifier] = reference
            self._paths.setdefault(reference.path, []).append(identifier)
            if reference.sha256:
                self._hashes.setdefault(reference.sha256, []).append(identifier)
            self.members.setdefault(number, set()).add(identifier)
            owners.append(number)
        old, fresh, numbers = (np.array(column, np.int64) for column in (gone, ids, owners))
        self.vectors.exchange(old, fresh, numbers, rows)
        for identifier in gone:
            reference = self.references.pop(identifier)
            self.thumbnails.pop(identifier, None)
            self.features.pop(identifier, None)
            self.members[self._numbers[reference.key]].discard(identifier)
            _drop(self._paths, reference.path, identifier)
            if reference.sha256:
                _drop(self._hashes, reference.sha256, identifier)
        self._sorted = self._counted = None


def _drop(found: dict[str, list[int]], name: str, identifier: int) -> None:
    """Take an id from those of a name, and the name with its last one."""
    left = found[name]
    left.remove(identifier)
    if not left:
        del found[name]
