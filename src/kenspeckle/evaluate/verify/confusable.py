"""Which items are hard to tell apart, and how near the prints of one item are to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kenspeckle.evaluate.verify.neighbours import NONE, blocks
from kenspeckle.types import Float32, Int64, Reference

STEP, MOST_ROWS = 256, 4096
"""Rows looked at in one go, and at most: a gallery of near-equal rows has no end of pairs."""


@dataclass(frozen=True, slots=True)
class RowPair:
    """Two rows and their cosine."""

    similarity: float
    a: int
    b: int


@dataclass(frozen=True, slots=True)
class PrintGroup:
    """An item with several prints: their names, its references, its two nearest prints."""

    key: str
    variants: tuple[str, ...]
    references: int
    nearest: RowPair


def item_pairs(rows: Float32, codes: Int64, other: Float32, top: int) -> list[RowPair]:
    """The `top` most similar pairs of different items, the nearest two rows of each.

    `codes` `(N,)` are the items of `rows` `(N, D)`, `other` `(N,)` the cosine of each row to the
    nearest row of another item (`Neighbours.other`), NaN for rows that take no part.
    """
    taking = np.flatnonzero(np.isfinite(other))
    order = taking[np.argsort(-other[taking], kind="stable")][:MOST_ROWS]
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    best: dict[tuple[int, int], RowPair] = {}
    found: list[RowPair] = []
    for start in range(0, len(order) if top > 0 else 0, STEP):
        chunk = order[start : start + STEP]
        if len(found) == top and other[chunk[0]] <= found[-1].similarity:
            break
        for row, near, value in _nearest(rows, codes, bad, chunk, top):
            ends = sorted((int(codes[row]), int(codes[near])))
            pair = RowPair(value, min(row, near), max(row, near))
            former = best.setdefault((ends[0], ends[1]), pair)
            if value > former.similarity:
                best[ends[0], ends[1]] = pair
        found = sorted(best.values(), key=lambda one: (-one.similarity, one.a, one.b))[:top]
    return found


def _nearest(
    rows: Float32, codes: Int64, bad: Int64, chunk: Int64, top: int
) -> Iterator[tuple[int, int, float]]:
    """For each row of the chunk the nearest row of each of its `top` nearest other items.

    A pair among the `top` best has at most `top` - 1 better ones, so no row needs more.
    """
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ends = np.append(starts[1:], len(rows))
    items = codes[order[starts]]
    count = min(top, len(items))
    for start, stop in blocks(len(chunk), 2 * len(rows)):
        part = chunk[start:stop]
        with np.errstate(invalid="ignore"):  # damaged rows, which the next lines set aside
            scores = rows[part] @ rows.T
        scores[:, bad] = NONE
        scores = scores[:, order]
        best = np.maximum.reduceat(scores, starts, axis=1)
        best[codes[part][:, None] == items[None]] = NONE
        for line, row in enumerate(part.tolist()):
            for item in np.argpartition(-best[line], count - 1)[:count].tolist():
                if best[line, item] > NONE:
                    at = starts[item] + scores[line, starts[item] : ends[item]].argmax()
                    yield row, int(order[at]), float(best[line, item])


def print_groups(rows: Float32, references: Sequence[Reference]) -> list[PrintGroup]:
    """Items with several prints, those with the nearest two prints first."""
    of: dict[str, list[int]] = {}
    for row, one in enumerate(references):
        of.setdefault(one.key, []).append(row)
    groups = []
    for key, own in of.items():
        names = [references[row].variant for row in own]
        variants = tuple(dict.fromkeys(names))
        if len(variants) < 2:
            continue
        numbers = np.array([variants.index(name) for name in names], np.int64)
        pair = _nearest_prints(rows, np.array(own, np.int64), numbers)
        groups.append(PrintGroup(key, variants, len(own), pair))
    return sorted(groups, key=lambda one: (-one.nearest.similarity, one.key))


def _nearest_prints(rows: Float32, own: Int64, prints: Int64) -> RowPair:
    """The two nearest rows of different prints among `own`."""
    mine = np.nan_to_num(rows[own], nan=0.0, posinf=0.0, neginf=0.0)
    best = RowPair(float("-inf"), -1, -1)
    for start, stop in blocks(len(own), len(own)):
        scores = mine[start:stop] @ mine.T
        scores[prints[start:stop][:, None] == prints[None]] = NONE
        line, column = divmod(int(scores.argmax()), len(own))
        if scores[line, column] > best.similarity:
            ends = sorted((int(own[start + line]), int(own[column])))
            best = RowPair(float(scores[line, column]), *ends)
    return best


def same_files(references: Sequence[Reference]) -> list[tuple[int, ...]]:
    """Groups of rows whose pictures are the same bytes, those of different items first."""
    of: dict[str, list[int]] = {}
    for row, one in enumerate(references):
        if one.sha256:
            of.setdefault(one.sha256, []).append(row)
    groups = [tuple(rows) for rows in of.values() if len(rows) > 1]
    return sorted(groups, key=lambda rows: (len({references[r].key for r in rows}) == 1, rows))
