"""From estimates to the k best: which rows must be scored exactly, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.types import Float32, Int64

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kenspeckle.store.blocks import Block, Estimates

    Float64 = NDArray[np.float64]
    Best = tuple[Int64, Int64, Float64]

GROUP = 32
"""Rows whose largest estimate stands for them in the first look."""

FIRST, MOST = 64, 4096
"""Rows scored exactly at once: at first, and at most."""


def best(
    row: Float64, blocks: Sequence[Block], estimates: Sequence[Estimates], query: int, k: int
) -> Best:
    """Ids, owners and exact products of the k best rows for one query row `(D,)` float64.

    Every row that the bounds allow among the best is scored exactly, so the answer is that of a
    full float64 product.
    """
    parts, places, upper = _candidates(estimates, query, k)
    order = np.argsort(-upper, kind="stable")
    scored: list[Best] = []
    reached, start, step = -np.inf, 0, max(FIRST, 2 * k)
    while start < len(order) and upper[order[start]] >= reached:
        some = order[start : start + step]
        scored.append(_exact(row, blocks, parts[some], places[some]))
        start, step = start + step, min(2 * step, MOST)
        kept = ranked(scored, k)
        scored = [kept]
        if len(kept[0]) == k:
            reached = kept[2][-1]
    return ranked(scored, k)


def _candidates(estimates: Sequence[Estimates], query: int, k: int) -> tuple[Int64, Int64, Float64]:
    """Block number, place and upper bound of each row that may be among the k best."""
    scores = np.concatenate([part.scores[query] for part in estimates])
    edges = np.cumsum([0, *(part.scores.shape[1] for part in estimates)])
    maxima = group_maxima(scores).astype(np.float64)
    widest = max(part.bounds[query][0] * part.largest + part.bounds[query][1] for part in estimates)
    # In k groups there is a row at least this good, so k rows are.
    floor = kth_largest(maxima, k) - widest
    places = members(np.flatnonzero(maxima >= floor - widest), len(scores))
    near = scores[places].astype(np.float64)  # float32 would round the limit it is compared with
    keep = (near >= floor - widest) & np.isfinite(near)
    places, near = places[keep], near[keep]
    parts = np.searchsorted(edges, places, "right") - 1
    places = places - edges[parts]
    bounds = np.empty(len(places))
    for number in np.unique(parts):
        here, part = parts == number, estimates[number]
        factor, constant = part.bounds[query]
        bounds[here] = factor * part.errors[places[here]] + constant
    keep = near + bounds >= max(floor, kth_largest(near - bounds, k))
    return parts[keep], places[keep], (near + bounds)[keep]


def _exact(row: Float64, blocks: Sequence[Block], parts: Int64, places: Int64) -> Best:
    """Ids, owners and float64 products of the rows at those places."""
    found = []
    for number in np.unique(parts):
        block, some = blocks[number], places[parts == number]
        products = np.einsum("ij,j->i", block.rows[some].astype(np.float64), row)
        found.append((block.ids[some], block.owners[some], products))
    ids, owners, scores = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return ids, owners, scores


def ranked(parts: Sequence[Best], k: int) -> Best:
    """The k best of all parts, by descending score, then ascending id."""
    if not parts:
        empty = np.empty(0, np.int64)
        return empty, empty, np.empty(0, np.float64)
    ids, owners, scores = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], owners[order], scores[order]


def kth_largest(values: Float64, k: int) -> float:
    """The k-th largest value, -inf when there are fewer.

    >>> kth_largest(np.array([3.0, 1.0, 2.0]), 2), kth_largest(np.array([3.0]), 2)
    (2.0, -inf)
    """
    if len(values) < k:
        return -np.inf
    return float(np.partition(values, len(values) - k)[len(values) - k])


def group_maxima(scores: Float32) -> Float32:
    """The largest of every `GROUP` scores: of G groups, group g holds places g, g + G, g + 2 G, …

    Neighbours, often alike, are thereby in different groups.

    >>> group_maxima(np.arange(65, dtype=np.float32))
    array([63., 64., 62.], dtype=float32)
    """
    groups = -(-len(scores) // GROUP)
    if not groups:
        return scores
    whole = len(scores) // groups * groups
    maxima: Float32 = scores[:whole].reshape(-1, groups).max(axis=0)
    rest = len(scores) - whole
    np.maximum(maxima[:rest], scores[whole:], out=maxima[:rest])
    return maxima


def members(groups: Int64, count: int) -> Int64:
    """Places among `count` rows that belong to these groups of `group_maxima`.

    >>> members(np.array([2]), 65)[:3], len(members(np.array([2]), 65))
    (array([2, 5, 8]), 21)
    """
    total = -(-count // GROUP)
    places = (groups[:, None] + total * np.arange(GROUP)).ravel()
    return places[places < count].astype(np.int64)
