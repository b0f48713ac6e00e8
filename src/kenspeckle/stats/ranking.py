"""Figures of ranked answers, without a threshold: mated queries only.

A ranking is told by its relevance: one truth value a rank, best first, self-matches taken out
before. A query of which nothing relevant is enrolled is not mated: leave it out and count it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kenspeckle.stats.rates import Floats, floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def hit_at(ranks: ArrayLike, k: int) -> float:
    """hit@k, rank-k accuracy: the share of queries whose item is among the first k.

    `ranks` holds the rank of the right item of each query, from 1; 0 where it is not in the list.
    Elsewhere called Recall@k, which for a query with several relevant pictures is another number
    (`recall_at`).

    >>> hit_at([1, 3, 0, 2], 2)
    0.5
    """
    of = np.asarray(ranks)
    return float(((of >= 1) & (of <= k)).mean())


def cmc(ranks: ArrayLike, depth: int) -> Floats:
    """The cumulative match curve: hit@1 … hit@depth.

    >>> cmc([1, 3, 0, 2], 3).tolist()
    [0.25, 0.5, 0.75]
    """
    of = np.asarray(ranks)
    found = np.bincount(of[(of >= 1) & (of <= depth)], minlength=depth + 1)[1:]
    return floats(np.cumsum(found) / len(of))


def precision_at(relevant: ArrayLike, k: int) -> float:
    """Precision@k: relevant among the first k ÷ k, also where the list is shorter.

    >>> precision_at([True, False, True], 5)
    0.4
    """
    return float(floats(relevant)[:k].sum() / k)


def precision_at_most(relevant: ArrayLike, total: int, k: int) -> float:
    """mP@k of the universal-embedding challenge, for one query: divided by min(m, k).

    `total` is m, the number of relevant pictures enrolled.

    >>> precision_at_most([True, False, True], 2, 5)
    1.0
    """
    return float(floats(relevant)[:k].sum() / min(total, k))


def recall_at(relevant: ArrayLike, total: int, k: int) -> float:
    """Recall@k of information retrieval: relevant among the first k ÷ all relevant ones.

    >>> recall_at([True, False, True], 4, 3)
    0.5
    """
    return float(floats(relevant)[:k].sum() / total)


def average_precision(relevant: ArrayLike, total: int, k: int = 0) -> float:
    """AP: precision@i summed over the ranks i of the relevant ÷ m, all that are relevant.

    With `k` the list is cut there and the divisor is min(m, k): AP@k. Mean over queries: mAP.

    >>> round(average_precision([True, False, True], 3), 4)
    0.5556
    >>> average_precision([True, False, True], 3, k=1)
    1.0
    """
    row = floats(relevant)[: k or None]
    precision = np.cumsum(row) / np.arange(1, len(row) + 1)
    return float((precision * row).sum() / (min(total, k) if k else total))


def r_precision(relevant: ArrayLike, total: int) -> float:
    """Precision@R with R = m, the number of relevant pictures.

    >>> r_precision([True, False, True], 2)
    0.5
    """
    return precision_at(relevant, total)


def average_precision_at_r(relevant: ArrayLike, total: int) -> float:
    """MAP@R for one query: (1/R) Σ_{i ≤ R} P(i) · rel(i), R = m.

    Stricter than AP, since nothing after rank R counts (Musgrave, Belongie and Lim, "A metric
    learning reality check", ECCV 2020).

    >>> average_precision_at_r([True, False, True], 2)
    0.5
    """
    return average_precision(relevant, total, k=total)
