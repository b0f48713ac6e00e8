"""The best one-to-one pairing of two groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def assign(gain: Floats) -> list[tuple[int, int]]:
    """Pairs `(row, column)` of an `(n, m)` table that together gain the most, by row.

    No row and no column is used twice. A gain of 0 or less, or -inf, is never taken: who has none
    better stays alone. Shortest augmenting paths with potentials (Jonker and Volgenant, Computing
    38, 1987), O(n² (n + m)).

    >>> assign(np.array([[5.0, 4.0], [5.0, -1.0]]))
    [(0, 1), (1, 0)]
    """
    count, width = gain.shape
    if not count or not width:
        return []
    # A column of cost 0 for every row: being alone is always possible, and better than any loss.
    alone = np.zeros((count, count))
    cost = np.hstack([np.where(gain > 0, -gain, 1.0), alone])
    owner = np.full(width + count, -1)
    of_row, of_column = np.zeros(count), np.zeros(width + count)
    for row in range(count):
        _augment(cost, row, owner, of_row, of_column)
    return sorted((int(row), column) for column, row in enumerate(owner[:width]) if row >= 0)


def _augment(
    cost: Floats, start: int, owner: NDArray[np.int64], of_row: Floats, of_column: Floats
) -> None:
    """Give row `start` a column, moving other rows along the cheapest path where that pays."""
    width = cost.shape[1]
    reached = np.full(width, np.inf)
    before = np.full(width, -1)
    done = np.zeros(width, bool)
    row, column, length = start, -1, 0.0
    while row >= 0:
        if column >= 0:
            done[column] = True
        along = length + cost[row] - of_row[row] - of_column
        shorter = ~done & (along < reached)
        reached[shorter], before[shorter] = along[shorter], column
        column = int(np.where(done, np.inf, reached).argmin())
        length = float(reached[column])
        row = int(owner[column])
    of_row[start] += length
    slack = length - reached[done]
    of_row[owner[done]] += slack
    of_column[done] -= slack
    while column >= 0:
        previous = int(before[column])
        owner[column] = owner[previous] if previous >= 0 else start
        column = previous
