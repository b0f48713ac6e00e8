"""A run of rows of an index, in one of two forms, and where its best rows may be.

A block is never changed: removal makes a new one that shares the arrays. So a search that has
taken its blocks goes on undisturbed while others add and remove.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kenspeckle.store.prefilter import Frame, Prefilter, Query
from kenspeckle.types import Float32, Int64

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kenspeckle.store.prefilter import Rows


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a block says of its rows before any is scored exactly.

    `scores` is `(Q, n)` float32; the exact product of query q and row n lies within
    `bounds[q][0] * errors[n] + bounds[q][1]` of it. `largest` is the largest of `errors`.
    """

    scores: Float32
    errors: Float32
    largest: float
    bounds: Sequence[tuple[float, float]]


class Scorer(Protocol):
    """Estimates of the products of queries with all rows of a block."""

    @property
    def made(self) -> bool:
        """Whether it has what the estimates are read from."""

    @property
    def memory(self) -> int:
        """Bytes of what the estimates are read from."""

    def make(self) -> object:
        """Make what the estimates are read from, once."""

    def __call__(self, queries: list[Query]) -> Estimates:
        """Estimates of all rows."""


class Bytes:
    """The scorer of many rows: as bytes, made when first needed."""

    def __init__(self, rows: Rows, frame: Frame) -> None:
        self._rows, self._frame = rows, frame
        self._lock = threading.Lock()
        self._bytes: Prefilter | None = None

    @property
    def made(self) -> bool:
        """Whether the bytes are there."""
        return self._bytes is not None

    @property
    def memory(self) -> int:
        """How many bytes they are."""
        made = self._bytes
        return 0 if made is None else made.memory

    def make(self) -> Prefilter:
        """The bytes."""
        with self._lock:
            if self._bytes is None:
                self._bytes = Prefilter(self._rows, self._frame)
            return self._bytes

    def __call__(self, queries: list[Query]) -> Estimates:
        """Estimates by `Prefilter`."""
        made = self.make()
        scores, bounds = made.scores(queries)
        return Estimates(scores, made.errors, made.largest, bounds)


class Floats:
    """The scorer of few rows, the newest: a float32 copy of them, made when first needed.

    A float32 product of D numbers, in any order, is off by at most (D + 2) 2⁻²⁴ ‖y‖ ‖x‖ (Higham,
    Accuracy and Stability of Numerical Algorithms, section 3.1).
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._lock = threading.Lock()
        self._wide: tuple[Float32, Float32] | None = None

    @property
    def made(self) -> bool:
        """Whether the copy is there."""
        return self._wide is not None

    @property
    def memory(self) -> int:
        """How many bytes it is."""
        made = self._wide
        return 0 if made is None else sum(part.nbytes for part in made)

    def make(self) -> tuple[Float32, Float32]:
        """The copy, and how far its products may be off for a query of length 1."""
        with self._lock:
            if self._wide is None:
                wide = self._rows.astype(np.float32)
                unit = np.float32(1.01 * (wide.shape[1] + 2) * 2.0**-24)
                self._wide = wide, unit * np.sqrt(np.einsum("ij,ij->i", wide, wide))
            return self._wide

    def __call__(self, queries: list[Query]) -> Estimates:
        """Estimates by the plain product; not by BLAS, whose threads would fight the callers."""
        wide, errors = self.make()
        scores = np.empty((len(queries), len(wide)), np.float32)
        for line, query in zip(scores, queries, strict=True):
            np.einsum("ij,j->i", wide, query.row.astype(np.float32), out=line)
        bounds = [(query.length, query.slack) for query in queries]
        return Estimates(scores, errors, float(errors.max()), bounds)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows by ascending id, `(n, D)` as stored; `dead` marks removed ones, or is None."""

    ids: Int64
    owners: Int64
    rows: Rows
    scorer: Scorer
    dead: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Rows that are not removed."""
        return len(self.ids) if self.dead is None else len(self.ids) - int(self.dead.sum())

    @property
    def memory(self) -> int:
        """Bytes of its rows, and of what its scorer has made of them."""
        arrays = (self.ids, self.owners, self.rows, *(() if self.dead is None else (self.dead,)))
        own: int = sum(part.nbytes for part in arrays)
        return own + self.scorer.memory

    def living(self) -> tuple[Int64, Int64, Rows]:
        """Ids, owners and rows without removed ones."""
        if self.dead is None:
            return self.ids, self.owners, self.rows
        keep = ~self.dead
        return self.ids[keep], self.owners[keep], self.rows[keep]

    def find(self, ids: Int64) -> tuple[Int64, NDArray[np.bool_]]:
        """Places of those `ids` that are here and not removed, and which of them those are."""
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        here = self.ids[places] == ids
        if self.dead is not None:
            here &= ~self.dead[places]
        return places[here].astype(np.int64), here

    def without(self, ids: Int64) -> Block:
        """This block with those rows marked as removed, if it has any of them."""
        places, _ = self.find(ids)
        if not len(places):
            return self
        dead = np.zeros(len(self.ids), np.bool_) if self.dead is None else self.dead.copy()
        dead[places] = True
        return replace(self, dead=dead)

    def estimates(self, queries: list[Query], only: Int64 | None) -> Estimates:
        """Estimates of all rows; those removed, or not among the ids `only`, are -inf."""
        found = self.scorer(queries)
        if self.dead is not None:
            found.scores[:, self.dead] = -np.inf
        if only is not None:
            shut = np.ones(len(self.ids), np.bool_)
            shut[self.find(only)[0]] = False
            found.scores[:, shut] = -np.inf
        return found
