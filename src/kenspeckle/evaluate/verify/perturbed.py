"""How well perturbed queries (camera views of the references) find their items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kenspeckle.evaluate.verify.neighbours import blocks, item_codes
from kenspeckle.stats import wilson
from kenspeckle.types import Float32, Int64


@dataclass(frozen=True, slots=True)
class PerturbedResult:
    """Queries made from references, judged by items.

    description
        How they were made, for people: `64 camera views of 32 references`.
    sources
        `(Q,)` int64: the row that each query was made from.
    ranks
        `(Q,)` int64: how many other items score as high as the own one, or higher.
    margins
        `(Q,)` float32: similarity of the own item less that of the best other one; NaN when
        there is no other item.
    rivals
        `(Q,)` int64: the best row of the best other item; -1 when there is none.
    """

    description: str
    sources: Int64
    ranks: Int64
    margins: Float32
    rivals: Int64

    @property
    def top1(self) -> float:
        """Share of queries whose item is the best."""
        return float((self.ranks < 1).mean())

    @property
    def top5(self) -> float:
        """Share of queries whose item is among the best five."""
        return float((self.ranks < 5).mean())

    @property
    def median_margin(self) -> float:
        """Median of the margins; NaN when there are none."""
        return self._percentile(50)

    @property
    def low_margin(self) -> float:
        """The margin that 5 % of the queries stay below; NaN when there are none."""
        return self._percentile(5)

    def top1_interval(self, keys: Sequence[str]) -> tuple[float, float]:
        """95 % interval of `top1` with every item counted once, since views of one item are not
        independent; `keys` are those of the rows."""
        fared = by_item(self, keys)
        return wilson(sum(one.right / one.queries for one in fared), len(fared))

    def part(self, queries: Int64, description: str) -> PerturbedResult:
        """The result of some of the queries."""
        return PerturbedResult(
            description,
            self.sources[queries],
            self.ranks[queries],
            self.margins[queries],
            self.rivals[queries],
        )

    def _percentile(self, share: float) -> float:
        finite = self.margins[np.isfinite(self.margins)]
        return float(np.percentile(finite, share)) if len(finite) else float("nan")


@dataclass(frozen=True, slots=True)
class Fared:
    """An item by its queries: how many, how many found it first, their median margin (NaN without
    another item), and the row of the item that the worst of them was nearest to (-1: none)."""

    key: str
    queries: int
    right: int
    margin: float
    rival: int


def judge(
    rows: Float32,
    keys: Sequence[str],
    queries: Float32,
    sources: Int64,
    description: str,
    *,
    hidden: Sequence[Sequence[int]] = (),
) -> PerturbedResult:
    """Search `queries` `(Q, D)`, made from rows `sources` `(Q,)`, among `rows` `(N, D)`.

    An item scores as its best row. Another item that scores the same as the own one counts as
    better: a tie is no answer. `hidden` lists for each query the rows that are not enrolled for
    it; every item must keep one. Q must be at least 1.
    """
    codes = item_codes(keys)
    order = np.argsort(codes, kind="stable")
    place = np.argsort(order)
    inside = np.ascontiguousarray(rows[order], np.float32)
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ends = np.append(starts[1:], len(rows))
    ranks = np.empty(len(queries), np.int64)
    margins = np.full(len(queries), np.nan, np.float32)
    rivals = np.full(len(queries), -1, np.int64)
    for start, stop in blocks(len(queries), len(rows)):
        scores = queries[start:stop] @ inside.T
        for line, gone in enumerate(hidden[start:stop]):
            scores[line, place[list(gone)]] = -np.inf
        items = np.maximum.reduceat(scores, starts, axis=1)
        lines, own = np.arange(stop - start), codes[sources[start:stop]]
        right = items[lines, own]
        items[lines, own] = -np.inf
        ranks[start:stop] = (items >= right[:, None]).sum(axis=1)
        if len(starts) > 1:
            margins[start:stop] = right - items.max(axis=1)
            for line, item in enumerate(items.argmax(axis=1).tolist()):
                best = scores[line, starts[item] : ends[item]].argmax()
                rivals[start + line] = order[starts[item] + best]
    return PerturbedResult(description, sources, ranks, margins, rivals)


def by_item(result: PerturbedResult, keys: Sequence[str]) -> list[Fared]:
    """How each item asked about fared, the worst first: by share found, then by margin."""
    of: dict[str, list[int]] = {}
    for query, row in enumerate(result.sources.tolist()):
        of.setdefault(keys[row], []).append(query)
    fared = []
    for key, asked in of.items():
        margins = result.margins[asked]
        right = int((result.ranks[asked] < 1).sum())
        worst = asked[int(np.nan_to_num(margins).argmin())]
        fared.append(
            Fared(key, len(asked), right, float(np.median(margins)), int(result.rivals[worst]))
        )
    return sorted(fared, key=lambda one: (one.right / one.queries, one.margin, one.key))
