"""Beyond the trials: smaller rates and larger galleries. Extrapolation by a model, no promise.

Small rates: above the score that a tenth of the strangers reach, scores are taken to fall off
exponentially, P(S > x) = q · exp(−(x − u) / m), with u that score, q the share of trials above it
and m their mean excess (the limit of Pickands, Balkema and de Haan with shape 0; a free shape,
fitted to so few scores, went wrong by more). Every item weighs the same.

Larger galleries: FPIR(N) is taken to follow a power of N, FPIR(k N) = k^g · FPIR(N), with g
measured between random halves of the gallery and the whole of it. Independent comparisons would
have g = 1 while rates are small; the margin has a g below 0, since a larger gallery also raises the
runner-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kenspeckle.match.trials import Trials
from kenspeckle.stats import fpir_by_item

SHARE = 0.1
"""Of the trials, how many make the tail."""
LEAST = 20
"""Items without which a tail is not drawn: two of them lie in it."""
STEEPEST = 2.0
"""Bound of g: chance alone must not foretell more than this."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Strangers' scores above `level`: the share of them, and their mean excess."""

    level: float
    share: float
    excess: float

    def threshold(self, rate: float) -> float:
        """The score that strangers exceed at this rate, at most `share`.

        >>> round(Tail(0.2, 0.1, 0.05).threshold(0.001), 3)
        0.43
        """
        return self.level + self.excess * math.log(self.share / rate)

    def rate(self, threshold: float) -> float:
        """The share of strangers above a threshold that is not below `level`."""
        return self.share * math.exp(-(threshold - self.level) / self.excess)


def tail_of(trials: Trials) -> Tail | None:
    """The tail of some strangers' scores; None for too few items, or for scores all alike."""
    if trials.independent < LEAST:
        return None
    _, of, sizes = np.unique(trials.items, return_inverse=True, return_counts=True)
    weight = 1 / (sizes[of] * len(sizes))
    order = np.argsort(-trials.scores, kind="stable")
    above = np.cumsum(weight[order])
    level = float(trials.scores[order][min(int(np.searchsorted(above, SHARE)), len(order) - 1)])
    over = trials.scores > level
    share = float(weight[over].sum())
    if share == 0:
        return None
    excess = float(np.average(trials.scores[over] - level, weights=weight[over]))
    return Tail(level, share, excess) if excess > 0 else None


def growth(whole: Trials, halves: list[Trials], threshold: float) -> float | None:
    """g: by which power of its size the rate grows with the gallery. None if nothing is above.

    `halves` are the same strangers asked about random halves of the gallery.
    """
    rate = fpir_by_item(whole.scores, whole.items, threshold)
    half = float(np.mean([fpir_by_item(t.scores, t.items, threshold) for t in halves]))
    if rate == 0 or half == 0:
        return None
    return max(-STEEPEST, min(STEEPEST, math.log2(rate / half)))


def grown(rate: float, times: float, power: float) -> float:
    """The rate in a gallery `times` as large.

    >>> round(grown(0.05, 2, 1.0), 3), round(grown(0.05, 4, -0.5), 3)
    (0.1, 0.025)
    """
    return float(min(1.0, rate * times**power))
