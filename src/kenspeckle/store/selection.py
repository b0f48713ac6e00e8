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

_LOWEST = np.finfo(np.float32).min
_NOTHING: Best = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


def best(
    row: Float64, blocks: Sequence[Block], estimates: Sequence[Estimates], query: int, k: int
) -> Best:
    """Ids, owners and exact products of the k best rows for one query row `(D,)` float64.

    Every row that the bounds allow among the best is scored exactly, so the answer is that of a
    full float64 product.
    """
    parts, places, upper = _candidates(estimates, query, k)
    order = np.argsort(-upper, kind="stable")
    kept, reached, start, step = _NOTHING, -np.inf, 0, max(FIRST, 2 * k)
    while start < len(order) and upper[order[start]] >= reached:
        some = order[start : start + step]
        found = _exact(row, blocks, parts if parts is None else parts[some], places[some])
        kept = ranked([kept, *found] if start else found, k)
        if len(kept[0]) == k:
            reached = kept[2][-1]
        start, step = start + step, min(2 * step, MOST)
    return kept


def _candidates(
    estimates: Sequence[Estimates], query: int, k: int
) -> tuple[Int64 | None, Int64, Float64]:
    """Block number (None: there is one block), place and upper bound of each row that may be
    among the k best."""
    groups = [group_maxima(part.scores[query]).astype(np.float64) for part in estimates]
    widest = max(part.bounds[query][0] * part.largest + part.bounds[query][1] for part in estimates)
    # In k groups there is a row at least this good, so k rows are.
    floor = kth_largest(groups[0] if len(groups) == 1 else np.concatenate(groups), k) - widest
    found = [_near(part, query, floor - widest) for part in estimates]
    if len(found) == 1:
        parts, (places, near, bounds) = None, found[0]
    else:
        parts = np.repeat(np.arange(len(found)), [len(part[0]) for part in found])
        places, near, bounds = (np.concatenate(columns) for columns in zip(*found, strict=True))
    upper = near + bounds
    keep = upper >= max(floor, kth_largest(near - bounds, k))
    return parts if parts is None else parts[keep], places[keep], upper[keep]


def _near(part: Estimates, query: int, limit: float) -> tuple[Int64, Float64, Float64]:
    """Places, estimates and bounds of the rows of a block whose estimate reaches the limit."""
    line = part.scores[query]
    least = np.nextafter(np.float32(limit), np.float32(-np.inf))  # rounded, it may be too high
    places: Int64 = np.flatnonzero(line >= max(least, _LOWEST)).astype(np.int64, copy=False)
    near = line[places].astype(np.float64)
    factor, constant = part.bounds[query]
    bounds: Float64 = factor * part.errors[places].astype(np.float64) + constant
    return places, near, bounds


def _exact(row: Float64, blocks: Sequence[Block], parts: Int64 | None, places: Int64) -> list[Best]:
    """Ids, owners and float64 products of the rows at those places, block by block."""
    if parts is None:
        return [_products(row, blocks[0], places)]
    return [_products(row, blocks[n], places[parts == n]) for n in np.unique(parts)]


def _products(row: Float64, block: Block, places: Int64) -> Best:
    products = np.einsum("ij,j->i", block.rows[places].astype(np.float64), row)
    return block.ids[places], block.owners[places], products


def ranked(parts: Sequence[Best], k: int) -> Best:
    """The k best of all parts, by descending score, then ascending id."""
    if len(parts) == 1:
        ids, owners, scores = parts[0]
    else:
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
