"""The vectors of an open index: appended, removed, searched exactly.

Most rows lie in blocks whose bytes say which few rows can be among the best; those are scored in
float64 from the rows as stored. The newest rows wait in a tail of floats until there are enough of
them for bytes, so that adding one costs a millisecond. docs/decisions/exact-search.md says why.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kenspeckle import _threads
from kenspeckle.store.base import Hits
from kenspeckle.store.blocks import Block, Bytes, Estimates, Floats
from kenspeckle.store.checks import check_queries
from kenspeckle.store.prefilter import Frame, Query
from kenspeckle.store.selection import best, ranked
from kenspeckle.types import Float32, Int64

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kenspeckle.store.prefilter import Rows
    from kenspeckle.store.selection import Best

In = TypeVar("In")
Out = TypeVar("Out")

BLOCK = 32_768
"""Most rows of a block."""

GROWING = 16_384
"""A block with fewer rows is re-made to take in a full tail: some 40 ms once in 2,048 rows."""

TAIL = 2_048
"""Most rows of the tail, which a query reads in full."""

QUERIES = 16
"""Query rows taken at once, so that their estimates stay in the processor's cache."""

_NONE = np.empty(0, np.int64)

FEW = 4_096
"""Rows that a filter may leave for all of them to be scored exactly."""


class VectorIndex:
    """Unit rows by ascending id, with the item number that owns each.

    `dtype` is that of the rows as stored, float16 or float32.
    """

    def __init__(self, width: int, dtype: type[np.floating[Any]] = np.float16) -> None:
        self.width, self._dtype = width, dtype
        self._lock = threading.Lock()
        self._frame = Frame.plain(width)
        self._framed = False
        self._blocks: tuple[Block, ...] = ()
        self._pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def extend(self, ids: Int64, owners: Int64, rows: NDArray[np.floating[Any]]) -> None:
        """Append rows; `ids` ascend and are greater than all before them."""
        self.exchange(_NONE, ids, owners, rows)

    def discard(self, ids: Int64) -> int:
        """Remove rows by id; how many there were."""
        return self.exchange(ids, _NONE, _NONE, np.empty((0, self.width), self._dtype))

    def exchange(
        self, gone: Int64, ids: Int64, owners: Int64, rows: NDArray[np.floating[Any]]
    ) -> int:
        """Remove the rows `gone` and append others; how many went.

        A search sees all of it or nothing. `ids` ascend and are greater than all before them.
        """
        with self._lock:
            blocks = list(self._blocks)
            before = sum(map(len, blocks))
            if len(gone):
                blocks = self._without(blocks, gone)
            removed = before - sum(map(len, blocks))
            if len(ids):
                blocks = self._with(blocks, ids, owners, rows.astype(self._dtype, copy=False))
            self._blocks = tuple(blocks)
            return removed

    def frozen(self) -> VectorIndex:
        """The same rows, whatever is added and removed here later. Nothing is copied."""
        with self._lock:
            other = VectorIndex(self.width, self._dtype)
            other._frame, other._framed, other._blocks = self._frame, self._framed, self._blocks
            return other

    @property
    def memory(self) -> int:
        """Bytes of the rows and of what search has made of them."""
        return sum(block.memory for block in self._blocks)

    def _with(self, blocks: list[Block], ids: Int64, owners: Int64, rows: Rows) -> list[Block]:
        parts = [(ids, owners, rows)]
        if blocks and isinstance(blocks[-1].scorer, Floats):
            parts.insert(0, blocks.pop().living())
        count = sum(len(part[0]) for part in parts)
        if count > TAIL and blocks and len(blocks[-1].ids) < GROWING:
            parts.insert(0, blocks.pop().living())
        return [*blocks, *self._cut(parts)]

    def _without(self, blocks: Sequence[Block], gone: Int64) -> list[Block]:
        left: list[Block] = []
        for old in blocks:
            block = old.without(gone)
            if 4 * len(block) < 3 * len(block.ids):
                left.extend(self._cut([block.living()]) if len(block) else ())
            else:
                left.append(block)
        return left

    def _cut(self, parts: Sequence[tuple[Int64, Int64, Rows]]) -> Iterator[Block]:
        if len(parts) == 1:
            ids, owners, rows = parts[0]  # a whole index is not copied as it is opened
        else:
            ids, owners, rows = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        if len(ids) > TAIL and not self._framed:
            self._frame, self._framed = Frame.of(rows), True
        for part in _even(len(ids)):
            some = rows[part]
            scorer = Floats(some) if len(some) <= TAIL else Bytes(some, self._frame)
            yield Block(ids[part], owners[part], some, scorer)

    def ids(self) -> Int64:
        """All ids, ascending."""
        return np.concatenate([np.empty(0, np.int64), *(b.living()[0] for b in self._blocks)])

    def rows(self, ids: Int64 | None = None) -> Float32:
        """Rows `(n, D)`, all or in the order of `ids`. KeyError names an unknown id."""
        blocks = self._blocks
        if ids is None:
            ids = np.concatenate([np.empty(0, np.int64), *(b.living()[0] for b in blocks)])
        out = np.empty((len(ids), self.width), np.float32)
        for block, places, here in _find(blocks, ids):
            out[here] = block.rows[places]
        return out

    def owners(self, ids: Int64 | None = None) -> Int64:
        """Item numbers, all or in the order of `ids`. KeyError names an unknown id."""
        blocks = self._blocks
        if ids is None:
            return np.concatenate([np.empty(0, np.int64), *(b.living()[1] for b in blocks)])
        out = np.empty(len(ids), np.int64)
        for block, places, here in _find(blocks, ids):
            out[here] = block.owners[places]
        return out

    def search(
        self, queries: Float32, k: int, *, ids: Int64 | None = None, threads: int = 1
    ) -> Hits:
        """The `k` best rows of each query; see `Store.search`."""
        queries = check_queries(queries, self.width)
        blocks = self._blocks
        only = None if ids is None else np.unique(np.asarray(ids, np.int64))
        if not blocks or not k:
            return _hits((), len(queries), k)
        if only is not None and len(only) <= FEW:
            answers = _among(queries, blocks, only, k)
        else:
            answers = self._bounded(queries, blocks, k, only, threads)
        return _hits(list(answers), len(queries), k)

    def _bounded(
        self, queries: Float32, blocks: Sequence[Block], k: int, only: Int64 | None, threads: int
    ) -> Iterator[Best]:
        """The best rows by estimates first."""
        for start in range(0, len(queries), QUERIES):
            rows = queries[start : start + QUERIES].astype(np.float64)
            asked = [Query.of(row, self._frame) for row in rows]

            def estimate(block: Block, asked: list[Query] = asked) -> Estimates:
                return block.estimates(asked, only)

            if fresh := [block for block in blocks if not block.scorer.made]:
                self._over(lambda block: block.scorer.make(), fresh, _threads.callers())
            estimates = self._over(estimate, blocks, threads)
            for n, query in enumerate(asked):
                ids, owners, scores = best(query.row, blocks, estimates, n, k)
                yield ids, owners, scores * query.unit

    def _over(self, work: Callable[[In], Out], parts: Sequence[In], threads: int) -> list[Out]:
        """`work` on every part, on this thread and up to `threads - 1` others."""
        if threads < 2 or len(parts) < 2:
            return [work(part) for part in parts]
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_threads.callers(), "kenspeckle-search")
        share = min(threads, len(parts))

        def one_share(first: int) -> list[Out]:
            return [work(part) for part in parts[first::share]]

        jobs = [self._pool.submit(one_share, first) for first in range(1, share)]
        results = [one_share(0), *(job.result() for job in jobs)]
        return [results[n % share][n // share] for n in range(len(parts))]


def _hits(answers: Sequence[Best], count: int, k: int) -> Hits:
    """What was found for `count` queries, filled up where there were fewer than `k` rows."""
    if count == 1 and answers and len(answers[0][0]) == k:
        ids, owners, scores = answers[0]
        return Hits(ids[None], owners[None], scores[None].astype(np.float32))
    shape = (count, k)
    hits = Hits(
        np.full(shape, -1, np.int64),
        np.full(shape, -1, np.int64),
        np.full(shape, -np.inf, np.float32),
    )
    for n, (ids, owners, scores) in enumerate(answers):
        hits.ids[n, : len(ids)] = ids
        hits.items[n, : len(ids)] = owners
        hits.scores[n, : len(ids)] = scores
    return hits


def _even(count: int) -> Iterator[slice]:
    """Blocks of about equal size, an even number of them, so that two threads share them well."""
    parts = -(-count // BLOCK)
    parts += parts % 2 if parts > 1 else 0
    edges = [count * n // parts for n in range(parts + 1)]
    return (slice(*edge) for edge in itertools.pairwise(edges))


def _find(blocks: Sequence[Block], ids: Int64) -> Iterator[tuple[Block, Int64, NDArray[np.bool_]]]:
    """Blocks, places in them, and which of `ids` those are. KeyError names one in none."""
    missing = np.ones(len(ids), np.bool_)
    for block in blocks:
        places, here = block.find(ids)
        if len(places):
            missing &= ~here
            yield block, places, here
    if missing.any():
        raise KeyError(int(ids[missing][0]))


def _among(queries: Float32, blocks: Sequence[Block], only: Int64, k: int) -> Iterator[Best]:
    """The best of a few rows, all of them scored exactly."""
    chosen = []
    for block in blocks:
        places, _ = block.find(only)
        some = block.rows[places].astype(np.float64)
        chosen.append((block.ids[places], block.owners[places], some))
    for query in queries.astype(np.float64):
        products = [
            (ids, owners, np.einsum("ij,j->i", rows, query)) for ids, owners, rows in chosen
        ]
        yield ranked(products, k)
