"""Properties of the figures, beyond the examples in their docstrings."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle import stats

scores = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=60)


@given(values=scores, rate=st.floats(0.001, 0.999))
def test_the_threshold_of_a_sample_keeps_its_rate(values: list[float], rate: float) -> None:
    assert stats.fpir(values, stats.threshold_at(values, rate)) <= rate


@given(values=scores, rate=st.floats(0.001, 0.999), each=st.integers(1, 4))
def test_the_expected_threshold_is_the_lowest_that_fits(
    values: list[float], rate: float, each: int
) -> None:
    items = [n // each for n in range(len(values))]
    threshold = stats.expected_threshold(values, items, rate)
    assert threshold in values
    fits = [v for v in values if stats.expected_rate(values, items, v) <= rate + 1e-9]
    assert threshold == (min(fits) if fits else max(values))


@given(values=scores)
def test_the_order_of_trials_has_no_effect(values: list[float]) -> None:
    items = list(range(len(values)))
    there = stats.expected_threshold(values, items, 0.1)
    assert stats.expected_threshold(values[::-1], items[::-1], 0.1) == there


def test_one_trial_an_item_expects_the_rank() -> None:
    """P(new > k-th largest of n) = k / (n + 1), by simulation."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 100))
    thresholds = [stats.expected_threshold(row[:99], range(99), 0.05) for row in draws]
    assert np.mean(draws[:, 99] > thresholds) == pytest.approx(0.05, abs=0.01)


def test_many_photos_of_an_item_weigh_as_one() -> None:
    values, items = [0.9] * 50 + [0.1, 0.2, 0.3], [0] * 50 + [1, 2, 3]
    assert stats.fpir_by_item(values, items, 0.5) == 0.25
    assert stats.fpir(values, 0.5) > 0.9


@given(trials=st.integers(1, 100_000))
def test_a_rate_is_supported_by_the_trials_it_needs(trials: int) -> None:
    rate = stats.supported_rate(trials)
    assert stats.trials_needed(rate) <= trials
    assert stats.trials_needed(rate * (1 - 1e-9)) == trials + 1
    assert (1 - rate) ** trials == pytest.approx(0.05)


@given(rate=st.floats(0, 1, exclude_min=True))
def test_any_rate_above_0_has_its_trials(rate: float) -> None:
    needed = stats.trials_needed(rate)
    if needed < 2**53:
        assert stats.supported_rate(needed) <= rate * (1 + 1e-15)
        assert needed == 0 or stats.supported_rate(needed - 1) > rate
    else:
        assert float(needed * Fraction(rate)) == pytest.approx(-math.log(0.05))


@pytest.mark.parametrize("rate", [0.0, -0.1, float("nan")])
def test_no_trials_support_a_rate_of_0(rate: float) -> None:
    with pytest.raises(ValueError, match="no trials support"):
        stats.trials_needed(rate)


@given(trials=st.integers(1, 500), data=st.data())
def test_wilson_holds_the_rate(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = stats.wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1


def test_wilson_covers_in_about_95_of_100() -> None:
    rng = np.random.default_rng(1)
    counts = rng.binomial(80, 0.1, 3000)
    inside = [low <= 0.1 <= high for low, high in (stats.wilson(c, 80) for c in counts)]
    assert 0.92 < np.mean(inside) < 0.98


@given(a=scores, b=scores)
@settings(max_examples=50)
def test_auroc_of_swapped_sides_adds_up_to_one(a: list[float], b: list[float]) -> None:
    assert stats.auroc(a, b) + stats.auroc(b, a) == pytest.approx(1)


def test_tpir_counts_right_names_only() -> None:
    assert stats.tpir_at_fpir([0.9, 0.9], [True, False], [0.1, 0.2], 0.01) == 0.5


def test_the_bootstrap_is_wider_by_item_than_by_photo() -> None:
    rng = np.random.default_rng(2)
    values = np.repeat(rng.random(20), 30)
    by_item = stats.bootstrap(values, np.repeat(np.arange(20), 30))
    by_photo = stats.bootstrap(values, np.arange(600))
    assert by_item[1] - by_item[0] > 3 * (by_photo[1] - by_photo[0])
    assert stats.bootstrap(values, np.repeat(np.arange(20), 30)) == by_item


def test_stated_truth_has_no_calibration_error() -> None:
    assert stats.ece([1.0, 0.0], [True, False]) == 0
    assert stats.brier([1.0, 0.0], [True, False]) == 0
