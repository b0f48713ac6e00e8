"""Nearest rows among all pairs of a gallery, in blocks: never an N × N matrix.

For N rows of width D one pass costs N²·D floating-point operations (half of the full product,
which is symmetric) and about `BLOCK_BYTES` of memory beside one copy of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kenspeckle.types import Float32, Int64

BLOCK_BYTES = 32 * 1024 * 1024
NONE = np.float32(-2)
"""Below every cosine: there is no such row."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Best similarities of every row, `(N,)` float32 each; NaN where there is no such row.

    best
        With any other row.
    other
        With a row of another item.
    mate
        With another row of the same item.
    pairs
        The most similar pairs `(similarity, i, j)`, i < j, the most similar first.
    """

    best: Float32
    other: Float32
    mate: Float32
    pairs: tuple[tuple[float, int, int], ...]


def item_codes(keys: Sequence[str]) -> Int64:
    """A number for each key, `(N,)` int64, counted from 0 in order of first appearance."""
    seen: dict[str, int] = {}
    return np.fromiter((seen.setdefault(key, len(seen)) for key in keys), np.int64, len(keys))


def neighbours(rows: Float32, codes: Int64, top: int) -> Neighbours:
    """Nearest rows of `rows` `(N, D)`, whose items are `codes` `(N,)`; all rows must be finite."""
    count = len(rows)
    order = np.argsort(codes, kind="stable")
    inside = np.ascontiguousarray(rows[order], np.float32)
    ends = np.searchsorted(codes[order], codes[order], side="right")
    best, other, mate = (np.full(count, NONE, np.float32) for _ in range(3))
    pairs: list[tuple[float, int, int]] = []
    for start, stop in blocks(count, count):
        scores = inside[start:stop] @ inside[start:].T
        for line, row in enumerate(scores):
            row[: line + 1] = NONE  # each pair once: (i, j) with i < j
        rowwise = scores.max(axis=1)
        pairs = _best_pairs(pairs, scores, rowwise, start, order, top)
        _raise(best, start, stop, rowwise, scores)
        _split_mates(scores, mate, start, ends)
        _raise(other, start, stop, scores.max(axis=1), scores)
    back = np.empty(count, np.int64)
    back[order] = np.arange(count)
    found = (np.where(values > NONE, values, np.nan)[back] for values in (best, other, mate))
    best, other, mate = (values.astype(np.float32) for values in found)
    return Neighbours(best, other, mate, tuple(pairs))


def blocks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Slices of the rows whose products with all columns take about `BLOCK_BYTES`."""
    step = max(1, min(4096, BLOCK_BYTES // (4 * max(columns, 1))))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _raise(maxima: Float32, start: int, stop: int, rowwise: Float32, scores: Float32) -> None:
    """Lift maxima by one block of the upper triangle: its rows, and its columns by symmetry."""
    np.maximum(maxima[start:stop], rowwise, out=maxima[start:stop])
    np.maximum(maxima[start:], scores.max(axis=0), out=maxima[start:])


def _split_mates(scores: Float32, mate: Float32, start: int, ends: Int64) -> None:
    """Move what rows of one item have in common out of the block and into `mate`."""
    for line, row in enumerate(scores):
        here, end = start + line, int(ends[start + line])
        if end > here + 1:
            own = row[line + 1 : end - start]
            mate[here] = max(mate[here], own.max())
            np.maximum(mate[here + 1 : end], own, out=mate[here + 1 : end])
            own[:] = NONE


def _best_pairs(
    pairs: list[tuple[float, int, int]],
    scores: Float32,
    rowwise: Float32,
    start: int,
    order: Int64,
    top: int,
) -> list[tuple[float, int, int]]:
    """The `top` best of the pairs so far and one block's.

    The best k entries of a matrix lie in the k rows with the largest maxima.
    """
    least = pairs[-1][0] if len(pairs) == top and pairs else float(NONE)
    if top <= 0 or float(rowwise.max()) <= least:
        return pairs
    lines = np.argsort(-rowwise, kind="stable")[:top]
    part = scores[lines]
    picked = np.argpartition(part, -min(top, part.size), axis=None)[-min(top, part.size) :]
    for flat in picked:
        line, column = divmod(int(flat), part.shape[1])
        value = float(part[line, column])
        if value > NONE:
            ends = int(order[start + lines[line]]), int(order[start + column])
            pairs.append((value, min(ends), max(ends)))
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:top]


def beaten(rows: Float32, suspects: Int64, twins: Int64) -> Int64:
    """The row that is more similar to a suspect than it is to itself, or -1: `(S,)`, in float64.

    `twins` `(N,)` numbers rows with the same bytes alike; twins do not beat each other.
    """
    winners = np.full(len(suspects), -1, np.int64)
    step = max(1, BLOCK_BYTES // (8 * max(rows.shape[1], 1)))
    for start, stop in blocks(len(suspects), 2 * step):
        chosen, lines = suspects[start:stop], np.arange(stop - start)
        mine = rows[chosen].astype(np.float64)
        top = np.einsum("ij,ij->i", mine, mine)
        for first in range(0, len(rows), step):
            scores = mine @ rows[first : first + step].astype(np.float64).T
            scores[twins[chosen][:, None] == twins[None, first : first + step]] = NONE
            columns = scores.argmax(axis=1)
            better = scores[lines, columns] > top
            top[better] = scores[lines, columns][better]
            winners[start:stop][better] = columns[better] + first
    return winners
