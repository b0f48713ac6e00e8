"""Open-set figures over all thresholds: DET points, OSCR, GAP, FPR at 95 % TPR.

Scores may be of any scale, higher is surer; minus infinity stands for no candidate at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kenspeckle.stats.rates import Floats, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Det(NamedTuple):
    """Points of the identification DET, by falling threshold.

    At `threshold[i]`, which a score has to exceed, FPIR is `fpir[i]` and FNIR at rank 1 `fnir[i]`.
    The first point names nobody, the last all that have a candidate. 1 − fnir over fpir is the
    ROC. `wrong[i]` is the share of mated queries that get a wrong name, part of FNIR.
    """

    threshold: Floats
    fpir: Floats
    fnir: Floats
    wrong: Floats


def det(mated: ArrayLike, right: ArrayLike, strangers: ArrayLike) -> Det:
    """FPIR and FNIR at every threshold that changes one of them, and at minus infinity.

    >>> points = det([0.9, 0.4], [True, True], [0.5])
    >>> points.threshold.tolist(), points.fpir.tolist(), points.fnir.tolist()
    ([0.9, 0.5, 0.4, -inf], [0.0, 0.0, 1.0, 1.0], [1.0, 0.5, 0.5, 0.0])
    """
    a, u, ok = _numbers(mated), _numbers(strangers), np.asarray(right, bool)
    threshold = np.unique(np.concatenate([a, u, [-np.inf]]))[::-1]
    return Det(
        threshold,
        _above(u, threshold) / max(len(u), 1),
        1 - _above(a[ok], threshold) / max(len(a), 1),
        _above(a[~ok], threshold) / max(len(a), 1),
    )


def oscr(mated: ArrayLike, right: ArrayLike, strangers: ArrayLike) -> float:
    """The area under CCR(θ) over FPR(θ) (Dhamija, Günther and Boult, NeurIPS 2018).

    CCR: mated, right and at or above θ, of all mated; FPR: strangers at or above θ. The area under
    the straight lines between its points is (1/M) Σ right_i · (P(u < s_i) + ½ P(u = s_i)).

    >>> oscr([0.9, 0.8, 0.2], [True, False, True], [0.1, 0.5])
    0.5
    """
    a, u, ok = _numbers(mated), np.sort(_numbers(strangers)), np.asarray(right, bool)
    below = np.searchsorted(u, a, "left") + np.searchsorted(u, a, "right")
    return float((ok * below).sum() / (2 * len(u) * len(a)))


def gap(scores: ArrayLike, right: ArrayLike, mated: int) -> float:
    """GAP or µAP: (1/M) Σ_i P(i) · rel(i) over all predictions sorted by score.

    `scores` holds one prediction a query, strangers' included as wrong ones; a query without a
    prediction is absent. M is the number of mated queries. Of equal scores the wrong ones come
    first, so that no order flatters. With detections and M boxes it is the AP of detection.

    >>> round(gap([0.9, 0.8, 0.7], [True, False, True], 2), 4)
    0.8333
    """
    values, true = _numbers(scores), floats(right)
    order = np.lexsort((true, -values))
    true = true[order]
    precision = np.cumsum(true) / np.arange(1, len(true) + 1)
    return float((precision * true).sum() / mated)


def fpr_at_tpr(mated: ArrayLike, strangers: ArrayLike, rate: float = 0.95) -> float:
    """FPR@95TPR: strangers at or above the highest threshold that accepts `rate` of the mated.

    Of known against unknown only; whether the name is right plays no part.

    >>> fpr_at_tpr([0.9, 0.8, 0.7, 0.1], [0.75, 0.2], 0.75)
    0.5
    """
    a = np.sort(_numbers(mated))[::-1]
    least = a[max(int(np.ceil(rate * len(a) - 1e-9)), 1) - 1]
    return float((_numbers(strangers) >= least).mean())


def _above(scores: Floats, thresholds: Floats) -> Floats:
    """How many scores exceed each threshold."""
    return floats(len(scores) - np.searchsorted(np.sort(scores), thresholds, "right"))


def _numbers(values: ArrayLike) -> Floats:
    """Scores as float64. Raises ValueError for one that is no number: it has no place in order."""
    numbers = floats(values)
    if np.isnan(numbers).any():
        raise ValueError(f"{int(np.isnan(numbers).sum())} of {numbers.size} scores are NaN")
    return numbers
