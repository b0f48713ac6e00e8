"""What trials let one expect, and which rate they support."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.stats.rates import floats, fpir_by_item, weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

DOUBT = 0.05
"""What a 95 % bound leaves open."""


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
    part = count / len(floats(scores))
    above = fpir_by_item(scores, items, threshold) * count
    return (above + part) / (count + part)


def expected_threshold(scores: ArrayLike, items: ArrayLike, rate: float) -> float:
    """The lowest score T in the sample with `expected_rate(T)` ≤ rate; the largest if none has.

    >>> expected_threshold(range(59), range(59), 0.05)
    56.0
    """
    values = floats(scores)
    each, count = weights(items)
    part = count / len(each)
    order = np.argsort(-values, kind="stable")
    values, cumulative = values[order], np.cumsum(each[order])
    # Ties count as one step: what lies above a value is what came before its first appearance.
    first = np.concatenate([[True], values[1:] < values[:-1]])
    above = np.maximum.accumulate(np.where(first, cumulative - each[order], 0.0))
    fits = np.flatnonzero((above + part) / (count + part) <= rate + 1e-12)
    return float(values[fits[-1]] if len(fits) else values[0])


def expected_interval(
    scores: ArrayLike,
    items: ArrayLike,
    threshold: float,
    *,
    fresh: int = 0,
    samples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Where the FPIR above T among `fresh` items not seen yet lies, 95 %; 0: as many as there are.

    A Bayesian bootstrap over items (Rubin, Annals of Statistics, 1981): each item gets a weight
    drawn from a Dirichlet distribution, and so does one item more, of weight w and above T, as in
    `expected_rate`; `fresh` items are drawn by these weights, and each counts by the share of its
    trials above T. So the interval holds both what the fitted threshold and what the next trials
    leave to chance. With one trial an item and T the k-th largest of m scores the true rate is
    distributed as Beta(k, m + 1 − k), which is what the weights above T then sum to.

    >>> low, high = expected_interval(range(59), range(59), 56.0)
    >>> round(low, 2), round(high, 2)
    (0.0, 0.15)
    """
    values = floats(scores)
    _, of = np.unique(np.asarray(items), return_inverse=True)
    shares = (np.bincount(of, values > threshold) / np.bincount(of)).round(12)
    # Items of equal share are one cell: sums of a Dirichlet's parts are a Dirichlet.
    cells, sizes = np.unique(shares, return_counts=True)
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet([*sizes, len(shares) / len(values)], samples)
    drawn = rng.multinomial(fresh or len(shares), weight)
    rates = drawn @ np.array([*cells, 1.0]) / (fresh or len(shares))
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


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


def fpir_at_size(fmr: float, items: int) -> float:
    """FPIR(N) = 1 − (1 − FMR)^N: one comparison is wrong with probability FMR, N of them are made.

    Holds for independent comparisons. Look-alikes cluster, so it warns and does not promise.

    >>> round(fpir_at_size(6.7e-5, 150), 4)
    0.01
    """
    return -math.expm1(items * math.log1p(-fmr)) if fmr < 1 else 1.0


def fmr_allowed(rate: float, items: int) -> float:
    """The FMR at which `fpir_at_size` is `rate`: 1 − (1 − FPIR)^(1/N).

    >>> [f"{fmr_allowed(0.01, n):.1e}" for n in (150, 1_000, 10_000, 100_000)]
    ['6.7e-05', '1.0e-05', '1.0e-06', '1.0e-07']
    """
    return -math.expm1(math.log1p(-rate) / items) if rate < 1 else 1.0
