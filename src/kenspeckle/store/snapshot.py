"""A gallery as it is at one commit, for work that reads references and vectors side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kenspeckle.store.base import Hits, Manifest, Standing
from kenspeckle.store.memory import VectorIndex
from kenspeckle.types import Calibration, Feedback, Float32, Int64, Reference


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
    ) -> None:
        self.manifest = manifest
        self._references = dict(references)
        self._vectors, self._known = vectors, known

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

    def standing(self) -> Standing:
        """The rule that is stored, and the counters; see `Store.standing`."""
        return self._known.standing

    def calibration(self) -> Calibration | None:
        """The rule in force: the one stored, else the one that was assumed."""
        return self._known.rule

    def feedback(self) -> list[Feedback]:
        """What people said about answers; see `Store.feedback`."""
        return list(self._known.feedback)
