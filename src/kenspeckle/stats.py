"""The figures that calibration and evaluation share: pure functions with formula and example.

Words as in ISO/IEC 19795-1: a *mated* query shows an enrolled item, a *non-mated* one does not. A
query is answered with a name when its score is above the threshold T. All rates depend on the
number N of enrolled items: state it beside them.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""
DOUBT = 0.05
"""What a 95 % bound leaves open."""

Floats = NDArray[np.float64]


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)


def fpir(strangers: ArrayLike, threshold: float) -> float:
    """FPIR(N, T): the share of non-mated queries whose score is above T.

    >>> fpir([0.1, 0.2, 0.3, 0.4], 0.3)
    0.25
    """
    return float((_floats(strangers) > threshold).mean())


def fnir(mated: ArrayLike, right: ArrayLike, threshold: float) -> float:
    """FNIR(N, 1, T): the share of mated queries that are not answered with the right name.

    `mated` holds their scores, `right` whether the best item is the right one.

    >>> fnir([0.9, 0.8, 0.2, 0.7], [True, False, True, True], 0.5)
    0.5
    """
    found = (_floats(mated) > threshold) & np.asarray(right, bool)
    return float(1 - found.mean())


def tpir(mated: ArrayLike, right: ArrayLike, threshold: float) -> float:
    """TPIR(N, 1, T) = 1 − FNIR: the share of mated queries answered with the right name.

    >>> tpir([0.9, 0.8, 0.2, 0.7], [True, False, True, True], 0.5)
    0.5
    """
    return 1 - fnir(mated, right, threshold)


def threshold_at(strangers: ArrayLike, rate: float) -> float:
    """The lowest T of the sample with FPIR(T) ≤ rate: the (⌊rate · n⌋ + 1)-th largest score.

    It describes the sample. A threshold for queries still to come is fitted with
    `expected_threshold`.

    >>> threshold_at(range(100), 0.05)
    94.0
    """
    scores = np.sort(_floats(strangers))[::-1]
    return float(scores[min(int(rate * len(scores)), len(scores) - 1)])


def tpir_at_fpir(mated: ArrayLike, right: ArrayLike, strangers: ArrayLike, rate: float) -> float:
    """TPIR at the T of `threshold_at(strangers, rate)`.

    >>> tpir_at_fpir([0.9, 0.4], [True, True], [0.1, 0.2, 0.5], 0.01)
    0.5
    """
    return tpir(mated, right, threshold_at(strangers, rate))


def fpir_by_item(scores: ArrayLike, items: ArrayLike, threshold: float) -> float:
    """FPIR with every stranger item weighing the same, however many photos show it.

    >>> fpir_by_item([0.9, 0.9, 0.9, 0.1], [0, 0, 0, 1], 0.5)
    0.5
    """
    weights, count = _weights(items)
    return float(weights[_floats(scores) > threshold].sum()) / count


def expected_rate(scores: ArrayLike, items: ArrayLike, threshold: float) -> float:
    """The FPIR to expect above T on a photo not seen yet: (a + w) / (m + w).

    m is the number of stranger items, a the sum over them of the share of their trials above T, so
    that many photos of one item count once; w is the share that one trial is of its item in the
    mean. With one trial an item, w is 1 and (a + 1) / (m + 1) the exact expectation for
    exchangeable items when T is one of the scores (the rank argument of conformal prediction:
    Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005).

    >>> round(expected_rate([1, 2, 3, 4], [0, 1, 2, 3], 3.0), 3)
    0.4
    """
    count = len(np.unique(np.asarray(items)))
    part = count / len(_floats(scores))
    above = fpir_by_item(scores, items, threshold) * count
    return (above + part) / (count + part)


def expected_threshold(scores: ArrayLike, items: ArrayLike, rate: float) -> float:
    """The lowest score T in the sample with `expected_rate(T)` ≤ rate; the largest if none has.

    >>> expected_threshold(range(59), range(59), 0.05)
    56.0
    """
    values = _floats(scores)
    weights, count = _weights(items)
    part = count / len(weights)
    order = np.argsort(-values, kind="stable")
    values, cumulative = values[order], np.cumsum(weights[order])
    # Ties count as one step: what lies above a value is what came before its first appearance.
    first = np.concatenate([[True], values[1:] < values[:-1]])
    above = np.maximum.accumulate(np.where(first, cumulative - weights[order], 0.0))
    fits = np.flatnonzero((above + part) / (count + part) <= rate + 1e-12)
    return float(values[fits[-1]] if len(fits) else values[0])


def _weights(items: ArrayLike) -> tuple[Floats, int]:
    """One part of each item for every trial of it, and the number of items."""
    _, of, sizes = np.unique(np.asarray(items), return_inverse=True, return_counts=True)
    return 1.0 / sizes[of], len(sizes)


def auroc(mated: ArrayLike, strangers: ArrayLike) -> float:
    """The chance that a mated query scores above a non-mated one, ties counting half.

    >>> auroc([2, 3], [1, 2])
    0.875
    """
    a, u = _floats(mated), np.sort(_floats(strangers))
    below = np.searchsorted(u, a, "left") + np.searchsorted(u, a, "right")
    return float(below.mean() / (2 * len(u)))


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a rate (Wilson, JASA 1927).

    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), p = successes / n. No trials: 0 … 1.

    >>> tuple(round(v, 4) for v in wilson(1, 100))
    (0.0018, 0.0545)
    """
    if trials == 0:
        return 0.0, 1.0
    p, square = successes / trials, Z95 * Z95
    centre = p + square / (2 * trials)
    spread = Z95 * math.sqrt(p * (1 - p) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    # Rounding must not push an end past the rate itself, or past 0 and 1.
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return min(max(0.0, low), p), max(min(1.0, high), p)


def supported_rate(trials: int) -> float:
    """The rate that n independent trials, none of them wrong, bound at 95 %: 1 − 0.05^(1/n).

    (1 − p)^n = 0.05 solved for p; about 3 / n, hence "rule of three". No trials support 1.

    >>> [round(supported_rate(n), 4) for n in (59, 299, 2995)]
    [0.0495, 0.01, 0.001]
    """
    return 1.0 if trials == 0 else -math.expm1(math.log(DOUBT) / trials)


def trials_needed(rate: float) -> int:
    """The least n with `supported_rate(n)` ≤ rate: log 0.05 / log(1 − p), rounded up.

    Raises ValueError where there is none, which is for a rate that is not above 0.

    >>> [trials_needed(p) for p in (0.05, 0.01, 0.003, 0.001)]
    [59, 299, 998, 2995]
    """
    if not rate > 0:
        raise ValueError(f"no trials support a rate of {rate}")
    if rate >= 1:
        return 0
    # The quotient of the least rates is beyond a float, not beyond a fraction.
    needed = math.ceil(Fraction(math.log(DOUBT)) / Fraction(math.log1p(-rate)))
    # Where it is a whole number, rounding may have put it one too high.
    return needed - 1 if 1 < needed < 2**53 and supported_rate(needed - 1) <= rate else needed


def bootstrap(
    values: ArrayLike, items: ArrayLike, *, samples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """A 95 % percentile interval of the mean of `values`, drawing items, not values.

    The values of an item come and go together, since photos of one thing are not independent
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).

    >>> low, high = bootstrap([0, 0, 1, 1], [0, 0, 1, 1])
    >>> (low, high)
    (0.0, 1.0)
    """
    _, of = np.unique(np.asarray(items), return_inverse=True)
    count = int(of.max()) + 1
    sums = np.bincount(of, _floats(values), count)
    sizes = np.bincount(of, minlength=count)
    rng = np.random.default_rng(seed)
    weight = rng.multinomial(count, np.full(count, 1 / count), samples)
    means = (weight @ sums) / (weight @ sizes)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def ece(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: Σ_b (n_b / n) · |accuracy_b − mean confidence_b|.

    Bins of equal width (Guo et al., "On calibration of modern neural networks", ICML 2017). State
    the bins and give `brier` beside it: a useless predictor can have a small one.

    >>> round(ece([0.9, 0.9, 0.1, 0.1], [True, False, False, False]), 3)
    0.25
    """
    stated, true = _floats(confidence), _floats(right)
    bin_of = np.minimum((stated * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of, true - stated, bins)
    return float(np.abs(gap).sum() / len(stated))


def brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """The mean squared distance of the stated chance to what came true (Brier, 1950).

    >>> brier([1.0, 0.5], [True, True])
    0.125
    """
    return float(((_floats(confidence) - _floats(right)) ** 2).mean())
