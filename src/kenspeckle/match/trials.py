"""Trials: queries whose right answer is known, by what they show.

*Mated* ones show an enrolled item; *non-mated* ones a stranger, of one of three kinds: `given`,
`like your items` (each item left out of the gallery in turn), `general` (the cohort). The kinds are
kept apart, since a threshold for one says nothing about another, and counted by item, since photos
of one thing are not independent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kenspeckle.match.aggregate import Floats, ScoreKind, best_regions, leaders, score
from kenspeckle.store.base import Hits
from kenspeckle.types import Int64

Bools = NDArray[np.bool_]
Strangers = Literal["given", "like your items", "general"]


@dataclass(frozen=True, slots=True)
class Trials:
    """Scores of n queries `(n,)`, the independent item that each shows, and whether the best item
    is the right one (always false for strangers)."""

    scores: Floats
    items: Int64
    right: Bools

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def independent(self) -> int:
        """How many different items the trials show."""
        return len(np.unique(self.items))


NO_TRIALS = Trials(np.empty(0), np.empty(0, np.int64), np.empty(0, bool))


def judge(
    kind: ScoreKind,
    found: Hits,
    near: Floats | None,
    owner: Int64,
    items: Int64,
    without: Int64 | None = None,
) -> Trials:
    """Trials from the hits of regions: the best region of each query counts.

    `found` and `near` have a row a region; `owner` `(R,)` is the query 0 … n − 1 of each region and
    `items` `(n,)` the item that each query shows. `without` `(n,)` leaves an item a query out of
    the gallery. Queries with no score (nothing left to compare with) are left out.
    """
    ranked = leaders(found, None if without is None else without[owner])
    values = score(kind, ranked.best, ranked.second, near)
    best = best_regions(values, owner)
    scores = values[best]
    stands = ~np.isnan(scores)
    right = ranked.items[best] == items
    return Trials(scores[stands], items[stands], right[stands])


def joined(parts: Iterable[Trials]) -> Trials:
    """Several trials as one."""
    all_parts = list(parts)
    if not all_parts:
        return NO_TRIALS
    return Trials(
        np.concatenate([p.scores for p in all_parts]),
        np.concatenate([p.items for p in all_parts]),
        np.concatenate([p.right for p in all_parts]),
    )


def but(trials: Trials, items: Collection[int]) -> Trials:
    """The trials that show none of these items."""
    stays = ~np.isin(trials.items, list(items))
    return Trials(trials.scores[stays], trials.items[stays], trials.right[stays])
