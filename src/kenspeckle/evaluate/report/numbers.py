"""The numbers behind the report's plots: pure functions on plain arrays, no drawing.

A score that is no number names nobody: it counts in every rate and appears in no distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kenspeckle import stats

Floats = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True, slots=True)
class Open:
    """One draw's answers as scores: of photos of enrolled items, whether the best item is the
    right one, and of photos of strangers."""

    mated: Floats
    right: NDArray[np.bool_]
    strangers: Floats


@dataclass(frozen=True, slots=True)
class Curve:
    """Rates named rightly over rates of strangers named: mean, least and most of the draws."""

    fpir: Floats
    tpir: Floats
    low: Floats
    high: Floats
    draws: int


@dataclass(frozen=True, slots=True)
class Bar:
    """Answers of like confidence: how many, what they stated, what came true and its interval."""

    count: int
    stated: float
    true: float
    low: float
    high: float


def named_at(draw: Open, rates: ArrayLike) -> Floats:
    """TPIR at each FPIR, thresholds as in `kenspeckle.stats.threshold_at`.

    >>> draw = Open(np.array([0.9, 0.3]), np.array([True, True]), np.array([0.1, 0.2, 0.5]))
    >>> named_at(draw, [0.0, 0.34]).tolist()
    [0.5, 1.0]
    """
    strangers = np.sort(_known(draw.strangers))[::-1]
    place = (np.asarray(rates, np.float64) * len(strangers)).astype(np.int64)
    thresholds = strangers[np.minimum(place, len(strangers) - 1)]
    found = np.sort(_known(draw.mated)[draw.right])
    named: Floats = (len(found) - np.searchsorted(found, thresholds, "right")) / len(draw.mated)
    return named


def curve(draws: Sequence[Open], points: int = 121) -> Curve | None:
    """The identification ROC, averaged at equal FPIR; None without strangers or mated photos.

    It starts at the least rate that every draw's strangers can show, one photo of them.
    """
    whole = [draw for draw in draws if len(draw.strangers) and len(draw.mated)]
    if not whole:
        return None
    least = 1 / min(len(draw.strangers) for draw in whole)
    rates = np.geomspace(least, 1.0, points) if least < 1 else np.array([1.0])
    # The product of a rate and a count is cut to a whole number: a touch more keeps it.
    named = np.stack([named_at(draw, rates * (1 + 1e-9)) for draw in whole])
    return Curve(rates, named.mean(0), named.min(0), named.max(0), len(whole))


def bars(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> tuple[Bar, ...]:
    """The bars of `kenspeckle.stats.reliability`, each with Wilson's interval.

    >>> [(bar.count, bar.stated, bar.true) for bar in bars([0.2, 0.8], [False, True], 2)]
    [(1, 0.2, 0.0), (1, 0.8, 1.0)]
    """
    made = stats.reliability(confidence, right, bins)
    return tuple(
        Bar(
            one.size, one.confidence, one.accuracy, *stats.wilson(one.accuracy * one.size, one.size)
        )
        for one in made
    )


def _known(scores: Floats) -> Floats:
    return np.where(np.isnan(scores), -np.inf, scores)
