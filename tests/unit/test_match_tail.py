"""What is foretold beyond the trials."""

from __future__ import annotations

import numpy as np
import pytest

from kenspeckle.match.tail import LEAST, STEEPEST, grown, growth, tail_of
from kenspeckle.match.trials import NO_TRIALS, Trials


def strangers(scores: np.ndarray, each: int = 1) -> Trials:
    items = np.repeat(np.arange(len(scores) // each), each)
    return Trials(scores, items, np.zeros(len(scores), bool))


@pytest.mark.parametrize("each", [1, 3])
def test_an_exponential_tail_is_found_again(each: int) -> None:
    rng = np.random.default_rng(0)
    tail = tail_of(strangers(rng.exponential(0.05, 30_000), each))
    assert tail is not None
    for rate in (0.05, 0.01, 0.001):
        assert tail.threshold(rate) == pytest.approx(-0.05 * np.log(rate), rel=0.05)
        assert tail.rate(tail.threshold(rate)) == pytest.approx(rate)


def test_items_count_alike_however_many_photos_show_them() -> None:
    rng = np.random.default_rng(1)
    scores = rng.exponential(1, 400)
    loud = Trials(
        np.concatenate([scores, np.full(5000, 0.1)]),
        np.concatenate([np.arange(400), np.full(5000, 400)]),
        np.zeros(5400, bool),
    )
    alone, with_loud = tail_of(strangers(scores)), tail_of(loud)
    assert alone is not None
    assert with_loud is not None
    assert with_loud.threshold(0.01) == pytest.approx(alone.threshold(0.01), rel=0.05)


@pytest.mark.parametrize(
    "trials", [NO_TRIALS, strangers(np.arange(LEAST - 1.0)), strangers(np.ones(100))]
)
def test_too_few_or_equal_scores_have_no_tail(trials: Trials) -> None:
    assert tail_of(trials) is None


def test_the_rate_of_independent_comparisons_grows_with_the_gallery() -> None:
    rng = np.random.default_rng(2)
    cosines = rng.normal(size=(4000, 64))
    whole = strangers(cosines.max(axis=1))
    halves = [strangers(cosines[:, rng.permutation(64)[:32]].max(axis=1)) for _ in range(4)]
    power = growth(whole, halves, float(np.quantile(whole.scores, 0.95)))
    assert power == pytest.approx(1, abs=0.15)
    assert grown(0.05, 2, power) == pytest.approx(0.1, rel=0.12)


def test_chance_alone_foretells_no_more_than_its_bound() -> None:
    whole = strangers(np.array([1.0] * 50 + [0.0] * 50))
    half = strangers(np.array([1.0] + [0.0] * 99))
    assert growth(whole, [half], 0.5) == STEEPEST
    assert growth(half, [whole], 0.5) == -STEEPEST
    assert growth(whole, [strangers(np.zeros(100))], 0.5) is None
    assert grown(0.9, 10, STEEPEST) == 1
