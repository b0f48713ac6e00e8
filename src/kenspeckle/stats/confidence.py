"""How well a stated confidence comes true."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kenspeckle.stats.rates import floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def ece(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: Σ_b (n_b / n) · |accuracy_b − mean confidence_b|.

    Bins of equal width (Guo et al., "On calibration of modern neural networks", ICML 2017). State
    the bins and give `brier` beside it: a useless predictor can have a small one.

    >>> round(ece([0.9, 0.9, 0.1, 0.1], [True, False, False, False]), 3)
    0.25
    """
    stated = floats(confidence)
    return _ece(confidence, right, np.minimum((stated * bins).astype(np.int64), bins - 1))


def ece_by_mass(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """The same over bins that hold equally many answers (Nixon et al., CVPR Workshops 2019).

    >>> round(ece_by_mass([0.9, 0.8, 0.2, 0.1], [True, True, False, True], 2), 3)
    0.25
    """
    return _ece(confidence, right, equal_mass(confidence, bins))


def equal_mass(confidence: ArrayLike, bins: int) -> NDArray[np.int64]:
    """The bin of each answer, 0 … bins − 1: sorted by confidence, cut into runs of equal length.

    Equal confidences stay in the bin in which they begin, so that no order decides.

    >>> equal_mass([0.9, 0.1, 0.5, 0.5], 2).tolist()
    [1, 0, 0, 0]
    """
    stated = floats(confidence)
    begin = np.searchsorted(np.sort(stated), stated, "left")
    return np.asarray(begin * bins // max(len(stated), 1), np.int64)


class Bin(NamedTuple):
    """One bar of a reliability diagram: how many answers, mean confidence, share right."""

    size: int
    confidence: float
    accuracy: float


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> list[Bin]:
    """The bars of a reliability diagram over bins of equal mass, by rising confidence.

    >>> reliability([0.9, 0.9, 0.1, 0.1], [True, False, False, False], 2)
    [Bin(size=2, confidence=0.1, accuracy=0.0), Bin(size=2, confidence=0.9, accuracy=0.5)]
    """
    stated, true = floats(confidence), floats(right)
    bin_of = equal_mass(stated, bins)
    sizes = np.bincount(bin_of, minlength=bins)
    sums, hits = np.bincount(bin_of, stated, bins), np.bincount(bin_of, true, bins)
    return [
        Bin(int(size), float(total / size), float(hit / size))
        for size, total, hit in zip(sizes, sums, hits, strict=True)
        if size
    ]


def brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """The mean squared distance of the stated chance to what came true (Brier, 1950).

    >>> brier([1.0, 0.5], [True, True])
    0.125
    """
    return float(((floats(confidence) - floats(right)) ** 2).mean())


def _ece(confidence: ArrayLike, right: ArrayLike, bin_of: NDArray[np.int64]) -> float:
    gap = np.bincount(bin_of, floats(right) - floats(confidence))
    return float(np.abs(gap).sum() / len(bin_of))
