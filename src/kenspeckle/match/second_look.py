"""What agreeing local features are worth. Pure: hits and evidence in, hits out.

For a candidate i of the shortlist, with k_i the features that one sane homography explains, the
evidence is

    e_i = log10(1 + max(k_i − 4, 0)), and 0 where the homography is not sane or there is none

and its cosines to all regions are raised by weight · e_i. A homography explains any four features,
so these count for nothing: between unrelated pictures hardly ever more agree. From there on every
tenfold counts as much as the one before, since the hundredth feature says less than the tenth.

Prints of one design share nearly all features. Where several of them explain the photo, it is
compared with each at the spots where they differ (`kenspeckle.engines.layout`), and with a_i their
agreement, −1 … 1, and a the largest of them, the evidence becomes max(e_i − 2 (a − a_i), 0).

Candidates outside of the shortlist keep their cosines, so a second look can confirm, reorder, or
have nothing to say; it never brings in an item.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from kenspeckle.match.aggregate import Floats, ScoreKind, leaders, score
from kenspeckle.stats import expected_threshold
from kenspeckle.store.base import Hits
from kenspeckle.types import Evidence, SecondLookRule

if TYPE_CHECKING:
    from kenspeckle.engines.geometry import Geometry

CHANCE = 4
"""Features that some homography explains between any two pictures."""
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Weights that are tried."""
SHORTLIST = 20
"""Items that are looked at again where nobody asks for another number."""
WEIGHT = 0.2
"""Of a second look that is asked for and not fitted."""
NOTHING: Mapping[int, float] = MappingProxyType({})
USUAL = SecondLookRule("sift", "magsac", SHORTLIST, WEIGHT)


DISAGREES = 2.0
"""How much evidence a whole unit of lesser agreement among look-alikes takes away."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a second look found of one candidate.

    `geometry` is None where there was nothing to compare with; `agreement` where no look-alike had
    to be told from it.
    """

    geometry: Geometry | None
    agreement: float | None = None


def strength(geometry: Geometry | None) -> float:
    """The evidence e of the formula above, by geometry alone; None abstains.

    >>> from kenspeckle.engines.geometry import Geometry
    >>> [strength(Geometry(20, k, k, sane=True)) for k in (3, 4, 13, 103)]
    [0.0, 0.0, 1.0, 2.0]
    """
    if geometry is None or not geometry.sane:
        return 0.0
    return math.log10(1 + max(geometry.inliers - CHANCE, 0))


def weighed(seen: Mapping[int, Seen]) -> dict[int, float]:
    """The evidence of each item, look-alikes told from each other."""
    best = max((one.agreement for one in seen.values() if one.agreement is not None), default=0.0)
    return {
        item: max(
            strength(one.geometry)
            - (0.0 if one.agreement is None else DISAGREES * (best - one.agreement)),
            0.0,
        )
        for item, one in seen.items()
    }


def told(one: Seen, value: float) -> tuple[Evidence, ...]:
    """The same in numbers. Nothing found is no disagreement: a photo may be blurred."""
    if one.geometry is None:
        return (Evidence("geometry", "abstains", {}),)
    numbers = {
        "inliers": float(one.geometry.inliers),
        "matches": float(one.geometry.matches),
        "scale": round(one.geometry.scale, 4),
        "rotation": round(one.geometry.rotation, 2),
        "cover": round(one.geometry.cover, 4),
        "sane": float(one.geometry.sane),
        "evidence": round(value, 4),
    }
    found = [Evidence("geometry", "agrees" if strength(one.geometry) > 0 else "abstains", numbers)]
    if one.agreement is not None:
        side: Literal["agrees", "disagrees"] = "agrees" if one.agreement > 0 else "disagrees"
        found.append(Evidence("layout", side, {"agreement": round(one.agreement, 4)}))
    return tuple(found)


def shortlist(found: Hits, count: int) -> list[int]:
    """The `count` items with the largest cosine to any region, best first."""
    best: dict[int, float] = {}
    for items, scores in zip(found.items.tolist(), found.scores.tolist(), strict=True):
        for item, cosine in zip(items, scores, strict=True):
            if item >= 0 and cosine > best.get(item, -math.inf):
                best[item] = cosine
    return sorted(best, key=lambda item: (-best[item], item))[:count]


def raised(found: Hits, by: Mapping[int, float]) -> Hits:
    """The hits with the cosines of some items raised, best first again.

    >>> hits = Hits(np.array([[7, 8]]), np.array([[0, 1]]), np.array([[0.8, 0.7]], np.float32))
    >>> raised(hits, {1: 0.25}).items.tolist()
    [[1, 0]]
    """
    if not any(by.values()):
        return found
    extra = np.zeros(found.scores.shape, np.float32)
    for item, value in by.items():
        extra[found.items == item] = value
    scores = found.scores + extra
    order = np.argsort(-scores, axis=1, kind="stable")
    return Hits(
        np.take_along_axis(found.ids, order, 1),
        np.take_along_axis(found.items, order, 1),
        np.take_along_axis(scores, order, 1),
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """One query whose answer is known, and what a second look found.

    `found` and `near` have a row a region; `evidence` gives e by item number; `item` is what the
    query shows, `enrolled` whether it is (a stranger shows an item all the same: trials are counted
    by it).
    """

    found: Hits
    near: Floats | None
    evidence: Mapping[int, float]
    item: int
    enrolled: bool


def fit_weight(trials: Sequence[Looked], kind: ScoreKind, fpir: float) -> float:
    """Of the weights that name as many as the best one, give or take one standard error, and no
    fewer than none does, the one nearest to `WEIGHT`: camera views are easy, and seldom tell one
    weight from another.

    Each weight of `WEIGHTS` has its own threshold for the rate `fpir` of the strangers among the
    trials; counted are enrolled queries named rightly above it. Without strangers (every item looks
    like another one) all right names count; without enrolled queries the evidence abstains: 0.
    """
    mated = [trial for trial in trials if trial.enrolled]
    strangers = [trial for trial in trials if not trial.enrolled]
    if not mated:
        return 0.0
    shares = [_named(mated, strangers, kind, fpir, weight) for weight in WEIGHTS]
    best = max(shares)
    if best <= shares[0]:  # it helps nobody here
        return 0.0
    error = math.sqrt(max(best * (1 - best), 1 / len(mated)) / len(mated))
    least = max(best - error, shares[0])
    level = [w for w, share in zip(WEIGHTS, shares, strict=True) if share >= least]
    return min(level, key=lambda weight: abs(weight - WEIGHT))


def _named(
    mated: Sequence[Looked],
    strangers: Sequence[Looked],
    kind: ScoreKind,
    fpir: float,
    weight: float,
) -> float:
    """Share of the enrolled queries that are named rightly under one weight."""
    known = [_best(trial, kind, weight) for trial in mated]
    others = np.array([_best(trial, kind, weight)[1] for trial in strangers])
    items = np.array([trial.item for trial in strangers], np.int64)
    threshold = expected_threshold(others, items, fpir) if len(others) else -math.inf
    right = [
        name == trial.item and value > threshold
        for trial, (name, value) in zip(mated, known, strict=True)
    ]
    return float(np.mean(right))


def _best(trial: Looked, kind: ScoreKind, weight: float) -> tuple[int, float]:
    """The item that the best region names, and its score."""
    by = {item: weight * value for item, value in trial.evidence.items()}
    ranked = leaders(raised(trial.found, by))
    values = np.nan_to_num(score(kind, ranked.best, ranked.second, trial.near), nan=-np.inf)
    row = int(values.argmax())
    return int(ranked.items[row]), float(values[row])
