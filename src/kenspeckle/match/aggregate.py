"""From hits on references to items: the best item, the best other item, and how high is by chance.

For one region, with b the largest cosine to a reference of any item, s the largest cosine to a
reference of any *other* item, and c the mean of its 20 largest cosines to the cohort (unrelated
pictures that come with a model), the scores are

    cosine         b
    margin         b − s
    cohort         b − c
    margin+cohort  (b − s) + (b − c)
    3margin+cohort 3 (b − s) + (b − c)

In a gallery of one item s does not exist; c stands in for it, the level of an unrelated picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from kenspeckle.store.base import Hits
from kenspeckle.types import Float32, Int64

ScoreKind = Literal["cosine", "margin", "cohort", "margin+cohort", "3margin+cohort"]
SCORES: tuple[ScoreKind, ...] = get_args(ScoreKind)

NEAREST = 20
"""Cosines to the cohort that are averaged (all of them in a smaller cohort)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Leaders:
    """For each of Q queries: item number (-1: none), its best cosine, and that of the best other.

    `best` is nan where there is no item, `second` where there is no other one.
    """

    items: Int64
    best: Floats
    second: Floats


def leaders(found: Hits, without: Int64 | None = None) -> Leaders:
    """The two best items of each query, each by its best reference.

    `without` `(Q,)` names an item per query that counts as not enrolled. The hits must reach deep
    enough (see `enough`).
    """
    items = found.items
    free = items >= 0
    if without is not None:
        free = free & (items != without[:, None])
    rows = np.arange(len(items))
    if not items.shape[1]:
        nothing = np.full(len(items), np.nan)
        return Leaders(np.full(len(items), -1, np.int64), nothing, nothing.copy())
    first = free.argmax(axis=1)
    some = free[rows, first]
    name = np.where(some, items[rows, first], -1)
    others = free & (items != name[:, None])
    next_one = others.argmax(axis=1)
    best = np.where(some, found.scores[rows, first], np.nan).astype(np.float64)
    second = np.where(others[rows, next_one], found.scores[rows, next_one], np.nan)
    return Leaders(name, best, second.astype(np.float64))


def enough(found: Hits, distinct: int = 2) -> bool:
    """Whether every query saw `distinct` different items, or every reference there is."""
    seen = (set(row.tolist()) for row in found.items)
    return all(len(items) >= distinct or -1 in items or not items for items in seen)


def reach(
    search: Callable[[Float32, int], Hits], rows: Float32, total: int, distinct: int = 2
) -> Hits:
    """Search deeper until `distinct` items are seen for each row, or all `total` references.

    `search(rows, k)` is a store's. An item with a thousand references fills the first hits alone;
    without this the runner-up would be missed and the margin undefined.
    """
    k = min(max(4 * distinct, 16), max(total, 1))
    while True:
        found = search(rows, k)
        if k >= total or enough(found, distinct):
            return found
        k = min(4 * k, total)


def cohort_level(rows: Float32, cohort: Float32, own: Int64 | None = None) -> Floats:
    """c of each row `(Q, D)`: the mean of its 20 largest cosines to the cohort `(C, D)`.

    `own` `(Q,)` names the cohort row that each query is itself, which then takes no part.
    """
    near = (rows @ cohort.T).astype(np.float64)
    count = min(NEAREST, near.shape[1])
    if own is not None:
        near[np.arange(len(rows)), own] = -np.inf
        count = min(NEAREST, near.shape[1] - 1)
    top = np.partition(near, near.shape[1] - count, axis=1)[:, near.shape[1] - count :]
    return cast("Floats", top.mean(axis=1))


def score(kind: ScoreKind, best: Floats, second: Floats, near: Floats | None) -> Floats:
    """The score of each query by the formulas above; nan where a part of it does not exist.

    >>> values = np.array([0.9]), np.array([0.7]), np.array([0.4])
    >>> [round(float(score(kind, *values)[0]), 6) for kind in SCORES]
    [0.9, 0.2, 0.5, 0.7, 1.1]
    """
    chance = np.full_like(best, np.nan) if near is None else near
    runner = np.where(np.isnan(second), chance, second)
    if kind == "cosine":
        return best
    if kind == "margin":
        return best - runner
    if kind == "cohort":
        return best - chance
    share = 3 if kind == "3margin+cohort" else 1
    return share * (best - runner) + best - chance


def usual_score(has_cohort: bool, items: int) -> ScoreKind:
    """The score of the quick calibration, and of a gallery without one: the margin.

    Of all scores its threshold moves least between camera views and real photos (see
    docs/decisions/quick-calibration-score.md). Leaving an item out of a gallery of two leaves no
    runner-up, so small galleries are measured against the cohort, or, without one, by the cosine.
    """
    if items > 2:
        return "margin"
    return "cohort" if has_cohort else "cosine"


def best_regions(values: Floats, owner: Int64) -> Int64:
    """For each picture the row of its region with the largest score; the first of equal ones.

    `values` `(R,)` are the regions' scores, `owner` `(R,)` the picture of each. Pictures come in
    ascending order of their numbers; nan loses against any number.

    >>> best_regions(np.array([0.1, 0.3, 0.2, np.nan]), np.array([0, 0, 1, 1])).tolist()
    [1, 2]
    """
    known = np.where(np.isnan(values), -np.inf, values)
    order = np.lexsort((np.arange(len(known)), -known, owner))
    _, first = np.unique(owner[order], return_index=True)
    best: Int64 = order[first]
    return best
