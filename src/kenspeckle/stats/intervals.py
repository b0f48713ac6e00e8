"""Intervals of 95 %: of a rate by its formula, of anything else by drawing items anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kenspeckle.stats.rates import floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


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
    sums = np.bincount(of, floats(values), count)
    sizes = np.bincount(of, minlength=count)
    rng = np.random.default_rng(seed)
    weight = rng.multinomial(count, np.full(count, 1 / count), samples)
    means = (weight @ sums) / (weight @ sizes)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_of(
    statistic: Callable[[NDArray[np.int64]], float],
    items: ArrayLike,
    *,
    samples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """A 95 % percentile interval of any figure, drawing items, not values.

    `statistic` gets the positions of the values that were drawn, all those of an item together and
    as often as the item was drawn. For a difference of two methods let it return the difference:
    both then see the same queries. Draws on which it is not finite are left out; with none left
    the interval is nan … nan.

    >>> values = np.array([0.0, 0.0, 1.0, 1.0])
    >>> bootstrap_of(lambda rows: float(np.median(values[rows])), [0, 0, 1, 1])
    (0.0, 1.0)
    """
    _, of = np.unique(np.asarray(items), return_inverse=True)
    order = np.argsort(of, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(of[order])) + 1)
    rng = np.random.default_rng(seed)
    figures = np.array(
        [
            statistic(np.concatenate([parts[i] for i in rng.integers(0, len(parts), len(parts))]))
            for _ in range(samples)
        ]
    )
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return math.nan, math.nan
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)


class Difference(NamedTuple):
    """By how much one method differs from another on the same queries, with its interval."""

    mean: float
    low: float
    high: float

    @property
    def beyond(self) -> bool:
        """Whether 0 lies outside the interval: a gain inside it is not a gain."""
        return self.low > 0 or self.high < 0


def paired(
    ours: ArrayLike, theirs: ArrayLike, items: ArrayLike, *, samples: int = 2000, seed: int = 0
) -> Difference:
    """Mean of `ours` − `theirs` over the same queries, and its interval by drawing items.

    The values are what each method did on each query (1 right, 0 not). Queries that both answer
    alike widen nothing, which is why two methods are never compared by two intervals.

    >>> paired([1, 1, 1, 0], [0, 1, 0, 0], [0, 1, 2, 3]).mean
    0.5
    """
    gain = floats(ours) - floats(theirs)
    return Difference(float(gain.mean()), *bootstrap(gain, items, samples=samples, seed=seed))
