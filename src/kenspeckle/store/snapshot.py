"""A gallery to be read, and as it is at one commit, for work that reads it side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kenspeckle.store.base import Hits, Manifest, Standing
from kenspeckle.store.memory import VectorIndex
from kenspeckle.types import Calibration, Feedback, Float32, Int64, Reference

if TYPE_CHECKING:
    from kenspeckle.store.base import Store


class Readable(Protocol):
    """What is read alike of a store and of a snapshot of one; see `Store` for what calls do."""

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself."""

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""

    def get(self, ids: Sequence[int]) -> list[Reference]:
        """References by id, in order."""

    def ids(self) -> Int64:
        """All reference ids, ascending."""

    def rows(self, ids: Sequence[int] | Int64 | None = None) -> Float32:
        """Vectors `(n, D)`."""

    def owners(self, ids: Sequence[int] | Int64 | None = None) -> Int64:
        """Item numbers."""

    def search(self, rows: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1) -> Hits:
        """The `k` best references of each row."""

    def features(self, ids: Sequence[int], kind: str) -> dict[int, bytes]:
        """Cached local features."""

    def set_features(self, kind: str, features: Mapping[int, bytes]) -> None:
        """Keep local features."""

    def feedback(self) -> list[Feedback]:
        """What people said about answers."""

    def calibration(self) -> Calibration | None:
        """The rule in force."""

    def standing(self) -> Standing:
        """What an answer stands on."""

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the answers at one commit: what they stand on, what people said, and the
    rule in force, be it stored or assumed."""

    standing: Standing
    feedback: tuple[Feedback, ...]
    rule: Calibration | None = None


class Snapshot:
    """What a store held when it was taken; later commits, from here or elsewhere, do not show.

    Its calls are those of `Store`. The vectors are shared with the store, not copied.
    """

    def __init__(
        self,
        manifest: Manifest,
        references: Sequence[tuple[int, Reference]],
        vectors: VectorIndex,
        known: Known,
        store: Store,
    ) -> None:
        self.manifest = manifest
        self._references = dict(references)
        self._vectors, self._known = vectors, known
        self._store, self._edition = store, store.edition

    def __len__(self) -> int:
        return len(self._vectors)

    def references(self) -> Iterator[tuple[int, Reference]]:
        """All references with their ids, by path, then view."""
        return iter(self._references.items())

    def get(self, ids: Sequence[int]) -> list[Reference]:
        """References by id, in order. KeyError names one that was not stored."""
        return [self._references[int(identifier)] for identifier in ids]

    def ids(self) -> Int64:
        """All reference ids, ascending."""
        return self._vectors.ids()

    def rows(self, ids: Sequence[int] | Int64 | None = None) -> Float32:
        """Vectors `(n, D)`; see `Store.rows`."""
        return self._vectors.rows(None if ids is None else np.asarray(ids, np.int64))

    def owners(self, ids: Sequence[int] | Int64 | None = None) -> Int64:
        """Item numbers; see `Store.owners`."""
        return self._vectors.owners(None if ids is None else np.asarray(ids, np.int64))

    def search(self, rows: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1) -> Hits:
        """The `k` best references of each row; see `Store.search`."""
        return self._vectors.search(rows, k, ids=ids, threads=threads)

    def features(self, ids: Sequence[int], kind: str) -> dict[int, bytes]:
        """Local features, which are of no commit: those that the store keeps by now."""
        if self._store.edition != self._edition:  # these ids are those of another file
            return {}
        return self._store.features(ids, kind)

    def set_features(self, kind: str, features: Mapping[int, bytes]) -> None:
        """Let the store keep local features; see `Store.set_features`."""
        if self._store.edition == self._edition:
            self._store.set_features(kind, features)

    def standing(self) -> Standing:
        """The rule that is stored, and the counters; see `Store.standing`."""
        return self._known.standing

    def calibration(self) -> Calibration | None:
        """The rule in force: the one stored, else the one that was assumed."""
        return self._known.rule

    def feedback(self) -> list[Feedback]:
        """What people said about answers; see `Store.feedback`."""
        return list(self._known.feedback)
