"""The best pairing, against all pairings tried one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kenspeckle.match.assign import assign


def tried(gain: np.ndarray) -> float:
    """The most that any pairing gains; each row may stay alone."""
    count, width = gain.shape
    best = 0.0
    for columns in itertools.product(range(-1, width), repeat=count):
        taken = [column for column in columns if column >= 0]
        if len(set(taken)) == len(taken):
            best = max(best, sum(gain[row, c] for row, c in enumerate(columns) if c >= 0))
    return best


@pytest.mark.parametrize("seed", range(40))
def test_it_gains_as_much_as_the_best_of_all(seed):
    draw = np.random.default_rng(seed)
    count, width = draw.integers(1, 5, 2)
    gain = draw.normal(0.3, 1, (count, width))
    if seed % 3 == 0:
        gain = np.round(gain)  # ties
    gain[draw.random(gain.shape) < 0.2] = -np.inf
    pairs = assign(gain)
    rows, columns = [row for row, _ in pairs], [column for _, column in pairs]
    assert rows == sorted(set(rows))
    assert len(set(columns)) == len(columns)
    assert all(gain[pair] > 0 for pair in pairs)
    assert sum(gain[pair] for pair in pairs) == pytest.approx(tried(gain))


def test_a_large_table_agrees_with_its_order_shuffled():
    draw = np.random.default_rng(5)
    gain = draw.random((60, 40))
    rows, columns = draw.permutation(60), draw.permutation(40)
    shuffled = {(int(rows[r]), int(columns[c])) for r, c in assign(gain[rows][:, columns])}
    assert shuffled == set(assign(gain))
    assert len(shuffled) == 40


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_pairs_with_nothing(shape):
    assert assign(np.zeros(shape)) == []


def test_nobody_is_forced_into_a_pair():
    assert assign(np.array([[0.0, -1.0], [-np.inf, 2.0]])) == [(1, 1)]
