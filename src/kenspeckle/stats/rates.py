"""Rates of answers at a threshold (ISO/IEC 19795-1): FPIR, FNIR, TPIR, AUROC."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def floats(values: ArrayLike) -> Floats:
    """Numbers as float64."""
    return np.asarray(values, np.float64)


def fpir(strangers: ArrayLike, threshold: float) -> float:
    """FPIR(N, T): the share of non-mated queries whose score is above T.

    >>> fpir([0.1, 0.2, 0.3, 0.4], 0.3)
    0.25
    """
    return float((floats(strangers) > threshold).mean())


def fnir(mated: ArrayLike, right: ArrayLike, threshold: float) -> float:
    """FNIR(N, 1, T): the share of mated queries that are not answered with the right name.

    `mated` holds their scores, `right` whether the best item is the right one.

    >>> fnir([0.9, 0.8, 0.2, 0.7], [True, False, True, True], 0.5)
    0.5
    """
    found = (floats(mated) > threshold) & np.asarray(right, bool)
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
    scores = np.sort(floats(strangers))[::-1]
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
    each, count = weights(items)
    return float(each[floats(scores) > threshold].sum()) / count


def auroc(mated: ArrayLike, strangers: ArrayLike) -> float:
    """The chance that a mated query scores above a non-mated one, ties counting half.

    >>> auroc([2, 3], [1, 2])
    0.875
    """
    a, u = floats(mated), np.sort(floats(strangers))
    below = np.searchsorted(u, a, "left") + np.searchsorted(u, a, "right")
    return float(below.mean() / (2 * len(u)))


def weights(items: ArrayLike) -> tuple[Floats, int]:
    """One part of each item for every trial of it, and the number of items."""
    _, of, sizes = np.unique(np.asarray(items), return_inverse=True, return_counts=True)
    return 1.0 / sizes[of], len(sizes)
