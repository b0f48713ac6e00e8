"""Trials in, rule out: thresholds keep their rate, promises are counted by item."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle import stats
from kenspeckle.errors import PromiseRefused
from kenspeckle.match.calibrate import Subject, fit
from kenspeckle.match.decide import confidence
from kenspeckle.match.prints import Views, print_margin
from kenspeckle.match.trials import NO_TRIALS, Trials, joined, judge
from kenspeckle.store.base import Hits
from kenspeckle.types import Calibration

pytestmark = pytest.mark.slow

SUBJECT = Subject("whole", "space", 10, 20, 3, "2026-01-01T00:00:00+00:00")


def strangers(count: int, seed: int = 0, each: int = 1) -> Trials:
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.normal(0, 1, count), each)
    scores = level + (0.3 * rng.normal(size=count * each) if each > 1 else 0)
    return Trials(scores, np.repeat(np.arange(count), each), np.zeros(count * each, bool))


def mated(count: int, seed: int = 1, shift: float = 3.0, wrong: float = 0.1) -> Trials:
    rng = np.random.default_rng(seed)
    right = rng.random(count) >= wrong
    scores = rng.normal(0, 1, count) + np.where(right, shift, 0)
    return Trials(scores, np.arange(count), right)


def fitted(*given: object, **more: object) -> Calibration:
    rule = fit(SUBJECT, "margin", *given, **more)  # type: ignore[arg-type]
    assert rule is not None
    return rule


@pytest.mark.parametrize("rate", [0.05, 0.01])
@pytest.mark.parametrize("each", [1, 4])
def test_new_strangers_are_named_at_the_asked_rate(rate: float, each: int) -> None:
    """The mean over many galleries of the rate on items that were not seen."""
    fresh = strangers(20_000, seed=10_000, each=each)
    rates = []
    for seed in range(200):
        rule = fitted(mated(50), {"general": strangers(400, seed, each)}, rate)
        rates.append(stats.fpir(fresh.scores, rule.threshold))
    assert 0.7 * rate < np.mean(rates) < 1.3 * rate


@given(count=st.integers(1, 400), each=st.integers(1, 3), rate=st.sampled_from((0.2, 0.05, 0.01)))
@settings(max_examples=60, deadline=None)
def test_no_promise_is_smaller_than_its_items_support(count: int, each: int, rate: float) -> None:
    rule = fitted(mated(20), {"like your items": strangers(count, each=each)}, rate)
    (promise,) = rule.promises
    assert promise.items == count
    assert promise.trials == count * each
    assert promise.fpir >= stats.supported_rate(count) - 1e-12
    assert promise.low <= promise.fpir <= promise.high
    if count >= stats.trials_needed(rate):
        assert promise.fpir <= rate + 1e-12
        assert not any("needs" in note for note in rule.notes)
    else:
        assert promise.fpir > rate
        assert any(f"needs {stats.trials_needed(rate)}" in note for note in rule.notes)


def test_the_strictest_kind_sets_the_threshold() -> None:
    easy, hard = strangers(400), strangers(400, seed=2)
    hard = Trials(hard.scores + 2, hard.items, hard.right)
    alone = fitted(mated(50), {"like your items": hard}, 0.05).threshold
    both = fitted(mated(50), {"general": easy, "like your items": hard}, 0.05)
    assert both.threshold == alone
    assert {promise.strangers for promise in both.promises} == {"general", "like your items"}
    assert all(promise.fpir <= 0.05 for promise in both.promises)


def test_few_items_ask_for_the_strictest_threshold_they_know() -> None:
    few = strangers(5, each=10)
    assert fitted(mated(20), {"like your items": few}, 0.01).threshold == few.scores.max()


def test_no_strangers_no_rule() -> None:
    assert fit(SUBJECT, "margin", mated(20), {"like your items": NO_TRIALS}, 0.01) is None
    assert fit(SUBJECT, "margin", NO_TRIALS, {}, 0.01) is None


def test_a_promise_beyond_the_trials_is_refused_with_the_number_needed() -> None:
    with pytest.raises(
        PromiseRefused, match=r"1 %: 58 independent strangers.*at least 299.*0\.051"
    ):
        fit(SUBJECT, "margin", mated(20), {"given": strangers(58)}, 0.01, strict=True)
    with pytest.raises(PromiseRefused, match=r"0 independent strangers \(general\)"):
        fit(SUBJECT, "margin", mated(20), {}, 0.01, strict=True)
    assert fit(SUBJECT, "margin", mated(20), {"given": strangers(59)}, 0.05, strict=True)


def test_many_photos_of_one_stranger_count_once() -> None:
    one = Trials(np.linspace(0, 1, 300), np.zeros(300, np.int64), np.zeros(300, bool))
    with pytest.raises(PromiseRefused):
        fit(SUBJECT, "margin", mated(20), {"given": one}, 0.05, strict=True)


def test_confidence_is_calibrated_on_fresh_trials() -> None:
    rule = fitted(mated(2000), {"like your items": strangers(2000)}, 0.05)
    names, others = mated(4000, seed=7), strangers(4000, seed=8)
    scores = np.concatenate([names.scores, others.scores])
    right = np.concatenate([names.right, others.right])
    stated = [confidence(float(value), rule) for value in scores]
    assert stats.ece(stated, right) < 0.05
    assert stats.brier(stated, right) < 0.25 * 0.5


def test_separated_trials_give_a_finite_confidence() -> None:
    sure = Trials(np.linspace(5, 6, 40), np.arange(40), np.ones(40, bool))
    rule = fitted(sure, {"like your items": strangers(60)}, 0.05)
    stated = [confidence(value, rule) for value in (-50.0, 2.0, 5.5, 1e9)]
    assert all(value is not None and 0 <= value <= 1 for value in stated)
    assert stated == sorted(stated)  # type: ignore[type-var]


@pytest.mark.parametrize("items", [2, 5, 50, 500])
def test_views_of_few_items_make_nobody_sure(items: int) -> None:
    """As many views as ever, of more or fewer things: sure is who has seen many things."""
    rng, of = np.random.default_rng(1), np.arange(1000) % items
    views = Trials(rng.normal(1.0, 0.1, 1000), of, np.ones(1000, bool))
    others = Trials(rng.normal(0.0, 0.1, 1000), of, np.zeros(1000, bool))
    usual = confidence(1.0, fitted(views, {"like your items": others}, 0.05))
    assert usual == pytest.approx((items + 1) / (items + 2), abs=0.03)


def test_unrelated_pictures_alone_make_no_confidence() -> None:
    """They say nothing about what looks like the items."""
    rule = fitted(mated(200), {"general": strangers(200)}, 0.05)
    assert confidence(5.0, rule) is None


def test_a_handful_of_given_strangers_makes_no_rule_looser() -> None:
    """One odd photo must not replace what sixty items like those of the gallery have shown."""
    few = Trials(np.full(3, -9.0), np.arange(3), np.zeros(3, bool))
    kinds = {"like your items": strangers(60)}
    alone, beside = (fitted(mated(80), one, 0.05) for one in (kinds, {**kinds, "given": few}))
    assert beside.threshold >= alone.threshold


def test_without_right_names_there_is_no_confidence() -> None:
    wrong = Trials(np.ones(9), np.arange(9), np.zeros(9, bool))
    for trials in (wrong, NO_TRIALS):
        rule = fitted(trials, {"general": strangers(60)}, 0.05)
        assert confidence(1.0, rule) is None
        assert rule.named_right == 0


def test_equal_scores_everywhere_still_make_a_rule() -> None:
    same = Trials(np.zeros(70), np.arange(70), np.zeros(70, bool))
    rule = fitted(Trials(np.zeros(5), np.arange(5), np.ones(5, bool)), {"general": same}, 0.05)
    assert rule.threshold == 0
    assert stats.fpir(same.scores, rule.threshold) == 0


def test_a_calibration_survives_json() -> None:
    views = Views(np.arange(30), np.linspace(0, 1, 30), np.linspace(-0.1, 0.4, 30))
    rule = fitted(mated(50), {"general": strangers(400)}, 0.01, views=views, notes=("one",))
    assert Calibration.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    assert rule.view_level == pytest.approx(0.9)


def test_the_margin_between_prints_needs_nineteen_items() -> None:
    rng = np.random.default_rng(0)
    leads = rng.normal(0.05, 0.05, 400)
    items = np.arange(400) % 18
    assert print_margin(Views(items, leads, leads)) is None
    margin = print_margin(Views(np.arange(400), leads, leads))
    assert margin is not None
    assert (-leads > margin).mean() <= 0.05
    single = np.full(400, np.nan)
    assert print_margin(Views(np.arange(400), leads, single)) is None


def test_prints_never_mistaken_need_no_margin() -> None:
    leads = np.linspace(0.1, 0.3, 40)
    assert print_margin(Views(np.arange(40), leads, leads)) == 0.0


def test_a_trial_takes_its_best_region_and_leaves_its_item_out() -> None:
    # Two queries of two regions each; items 1, 2, 3 with one reference each.
    items = np.array([[1, 2, 3], [2, 1, 3], [3, 1, 2], [1, 3, 2]])
    scores = np.array(
        [[0.9, 0.5, 0.1], [0.8, 0.7, 0.0], [0.6, 0.5, 0.4], [0.9, 0.3, 0.2]], np.float32
    )
    found, owner, shown = Hits(items, items, scores), np.array([0, 0, 1, 1]), np.array([1, 3])
    own = judge("margin", found, None, owner, shown)
    assert own.scores == pytest.approx([0.4, 0.6])
    assert own.right.tolist() == [True, False]
    left_out = judge("margin", found, None, owner, shown, without=shown)
    assert left_out.scores == pytest.approx([0.8, 0.7])
    assert not left_out.right.any()


def test_a_query_with_nothing_left_is_no_trial() -> None:
    items = np.array([[1, 1], [1, 1]])
    found = Hits(items, items, np.array([[0.9, 0.8], [0.5, 0.4]], np.float32))
    shown, owner = np.array([1, 1]), np.arange(2)
    assert len(judge("cosine", found, None, owner, shown, without=shown)) == 0
    assert len(judge("margin", found, None, owner, shown)) == 0
    assert len(judge("cosine", found, None, owner, shown)) == 2
    assert len(joined([])) == 0


@pytest.mark.parametrize(("count", "rate"), [(59, 0.05), (100, 0.05), (400, 0.01)])
@pytest.mark.parametrize("each", [1, 4])
def test_the_stated_interval_holds_what_as_many_new_strangers_come_to(
    count: int, rate: float, each: int
) -> None:
    """Fitted on some items, counted on as many others, over many galleries."""
    held = 0
    for seed in range(200):
        rule = fitted(mated(50), {"given": strangers(count, seed, each)}, rate)
        fresh = strangers(count, 5000 + seed, each)
        seen = stats.fpir_by_item(fresh.scores, fresh.items, rule.threshold)
        (promise,) = rule.promises
        held += promise.low <= seen <= promise.high
    assert held / 200 >= 0.9


def test_given_strangers_decide_alone() -> None:
    kinds = {"given": strangers(60), "like your items": strangers(10, 1), "general": strangers(90)}
    alone = fitted(mated(50), {"given": kinds["given"]}, 0.05)
    beside = fitted(mated(50), kinds, 0.05)
    assert beside.threshold == alone.threshold
    assert [promise.strangers for promise in beside.promises] == list(kinds)
    assert not any("like your items" in note for note in beside.notes)


def test_enough_labelled_photos_make_the_confidence_by_themselves() -> None:
    photos = joined([mated(80, 5), strangers(40, 6)])
    rule = fitted(mated(50), {"given": strangers(60)}, 0.05, labelled=photos)
    assert (rule.confidence_from, rule.labelled) == ("photos", 120)
    few = fitted(mated(50), {"given": strangers(60)}, 0.05, labelled=mated(99, 5))
    assert (few.confidence_from, few.labelled) == ("views", 99)
    only_known = fitted(mated(50), {"given": strangers(60)}, 0.05, labelled=mated(200, 5, wrong=0))
    assert only_known.confidence_from == "views"
