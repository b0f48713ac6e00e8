"""Rankings, curves, bins and paired intervals against slow loops and another library."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle import stats

grid = st.integers(0, 12).map(lambda number: number / 12)
"""Few different values, so that ties are common."""
some = st.lists(st.tuples(grid, st.booleans()), min_size=1, max_size=30)
alone = st.lists(grid, min_size=1, max_size=30)


def split(pairs: list[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [score for score, _ in pairs], [right for _, right in pairs]


@given(mated=some, strangers=alone)
def test_every_det_point_is_the_rates_at_its_threshold(
    mated: list[tuple[float, bool]], strangers: list[float]
) -> None:
    scores, right = split(mated)
    points = stats.det(scores, right, strangers)
    for threshold, fpir, fnir, wrong in zip(*points, strict=True):
        assert fpir == pytest.approx(stats.fpir(strangers, threshold))
        assert fnir == pytest.approx(stats.fnir(scores, right, threshold))
        above = [s > threshold and not r for s, r in zip(scores, right, strict=True)]
        assert wrong == pytest.approx(np.mean(above))
    assert (points.fpir[0], points.fnir[0]) == (0, 1)
    assert points.fpir[-1] == 1
    assert (np.diff(points.fpir) >= 0).all()
    assert (np.diff(points.fnir) <= 0).all()


@given(mated=some, strangers=alone)
def test_oscr_is_the_area_under_its_curve(
    mated: list[tuple[float, bool]], strangers: list[float]
) -> None:
    scores, right = split(mated)
    curve = [(0.0, 0.0)]
    for theta in sorted({*scores, *strangers}, reverse=True):
        ccr = sum(s >= theta and r for s, r in zip(scores, right, strict=True)) / len(scores)
        curve.append((sum(u >= theta for u in strangers) / len(strangers), ccr))
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(curve))
    assert stats.oscr(scores, right, strangers) == pytest.approx(area)


@given(mated=some)
def test_gap_is_the_sum_over_its_list(mated: list[tuple[float, bool]]) -> None:
    ordered = sorted(mated, key=lambda pair: (-pair[0], pair[1]))
    hits, total = 0, 0.0
    for place, (_, right) in enumerate(ordered, 1):
        hits += right
        total += right * hits / place
    assert stats.gap(*split(mated), mated=len(mated)) == pytest.approx(total / len(mated))
    turned = mated[::-1]
    assert stats.gap(*split(turned), mated=len(mated)) == pytest.approx(total / len(mated))


@given(mated=alone, strangers=alone, rate=st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_fpr_at_tpr_takes_the_highest_threshold_that_is_enough(
    mated: list[float], strangers: list[float], rate: float
) -> None:
    enough = [t for t in mated if np.mean(np.array(mated) >= t) >= rate - 1e-9]
    expected = np.mean(np.array(strangers) >= max(enough))
    assert stats.fpr_at_tpr(mated, strangers, rate) == pytest.approx(expected)


def test_scores_that_are_no_numbers_are_refused() -> None:
    for figure in (stats.det, stats.oscr):
        with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
            figure([0.5, math.nan], [True, True], [0.1])
    with pytest.raises(ValueError, match="NaN"):
        stats.gap([math.nan], [True], 1)
    with pytest.raises(ValueError, match="NaN"):
        stats.fpr_at_tpr([0.1], [math.nan])


def test_no_candidate_is_above_no_threshold() -> None:
    points = stats.det([-math.inf, 0.5], [False, True], [-math.inf, 0.1])
    assert points.fpir.tolist() == [0, 0, 0.5]
    assert points.wrong.tolist() == [0, 0, 0]
    assert points.fnir.tolist() == [1, 0.5, 0.5]


relevance = st.lists(st.booleans(), min_size=1, max_size=20)


@given(row=relevance, beyond=st.integers(0, 3), k=st.integers(1, 25))
def test_figures_of_a_ranking_are_their_sums(row: list[bool], beyond: int, k: int) -> None:
    total = sum(row) + beyond
    if not total:
        return

    def average(depth: int, divisor: int) -> float:
        ranks = [i for i, hit in enumerate(row[:depth], 1) if hit]
        return sum(sum(row[:i]) / i for i in ranks) / divisor

    assert stats.average_precision(row, total) == pytest.approx(average(len(row), total))
    assert stats.average_precision(row, total, k) == pytest.approx(average(k, min(total, k)))
    assert stats.average_precision_at_r(row, total) == pytest.approx(average(total, total))
    assert stats.r_precision(row, total) == pytest.approx(sum(row[:total]) / total)
    assert stats.precision_at(row, k) == pytest.approx(sum(row[:k]) / k)
    assert stats.precision_at_most(row, total, k) == pytest.approx(sum(row[:k]) / min(total, k))
    assert stats.recall_at(row, total, k) == pytest.approx(sum(row[:k]) / total)
    assert stats.average_precision_at_r(row, total) <= stats.average_precision(row, total) + 1e-12


@given(ranks=st.lists(st.integers(0, 8), min_size=1), depth=st.integers(1, 10))
def test_the_match_curve_is_hit_at_each_depth(ranks: list[int], depth: int) -> None:
    expected = [stats.hit_at(ranks, k) for k in range(1, depth + 1)]
    assert stats.cmc(ranks, depth) == pytest.approx(expected)


@given(pairs=some, bins=st.integers(1, 12))
def test_bins_of_equal_mass(pairs: list[tuple[float, bool]], bins: int) -> None:
    stated, right = split(pairs)
    bars = stats.reliability(stated, right, bins)
    assert sum(bar.size for bar in bars) == len(stated)
    assert [bar.confidence for bar in bars] == sorted(bar.confidence for bar in bars)
    error = sum(bar.size * abs(bar.accuracy - bar.confidence) for bar in bars) / len(stated)
    assert stats.ece_by_mass(stated, right, bins) == pytest.approx(error)
    turned = stats.ece_by_mass(stated[::-1], right[::-1], bins)
    assert turned == pytest.approx(stats.ece_by_mass(stated, right, bins))


def test_bins_of_different_values_differ_by_one_at_most() -> None:
    for count in (100, 103, 7):
        sizes = np.bincount(stats.equal_mass(np.linspace(0, 1, count), 10))
        assert sizes[sizes > 0].max() - sizes[sizes > 0].min() <= 1


@given(n=st.integers(1, 100_000), rate=st.floats(1e-6, 0.9))
def test_a_rate_per_comparison_and_per_search(n: int, rate: float) -> None:
    assert stats.fpir_at_size(stats.fmr_allowed(rate, n), n) == pytest.approx(rate)
    assert stats.fpir_at_size(rate, 1) == pytest.approx(rate)
    assert stats.fpir_at_size(1.0, n) == stats.fmr_allowed(1.0, n) == 1.0


def test_the_two_bootstraps_agree_on_a_mean() -> None:
    rng = np.random.default_rng(3)
    items = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    values = rng.normal(size=len(items)) + items % 2
    fast = stats.bootstrap(values, items)
    slow = stats.bootstrap_of(lambda rows: float(values[rows].mean()), items)
    assert slow == pytest.approx(fast, abs=0.03)
    assert stats.bootstrap_of(lambda rows: math.nan, items) == pytest.approx(
        (math.nan,) * 2, nan_ok=True
    )


def test_a_paired_interval_covers_the_true_gain_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = beyond = 0
    for trial in range(200):
        skill = rng.random(80)
        luck = rng.random(80)
        ours, theirs = luck < skill, luck < skill - 0.1
        gain = stats.paired(ours, theirs, np.arange(80), samples=500, seed=trial)
        expected = np.minimum(skill, 0.1).mean()
        covered += gain.low <= expected <= gain.high
        beyond += gain.beyond
    assert 0.88 <= covered / 200 <= 0.99
    assert beyond > 150
    equal = stats.paired([1, 0, 1], [1, 0, 1], [0, 1, 2])
    assert (equal.mean, equal.low, equal.high, equal.beyond) == (0, 0, 0, False)


@pytest.mark.slow
def test_figures_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    mated, strangers = rng.normal(1, 1, 300), rng.normal(0, 1, 200)
    truth = np.r_[np.ones(300), np.zeros(200)]
    both = np.r_[mated, strangers]
    assert stats.auroc(mated, strangers) == pytest.approx(metrics.roc_auc_score(truth, both))
    assert stats.gap(both, truth, 300) == pytest.approx(
        metrics.average_precision_score(truth, both)
    )
    always = np.ones(300, bool)
    assert stats.oscr(mated, always, strangers) == pytest.approx(metrics.roc_auc_score(truth, both))
    points = stats.det(mated, always, strangers)
    order = np.argsort(-both)
    fpr, tpr, _ = metrics.roc_curve(truth[order], both[order], drop_intermediate=False)
    assert points.fpir == pytest.approx(fpr)
    assert 1 - points.fnir == pytest.approx(tpr)
    stated = rng.random(500)
    right = rng.random(500) < stated
    assert stats.brier(stated, right) == pytest.approx(metrics.brier_score_loss(right, stated))
