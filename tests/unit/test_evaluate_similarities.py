"""The similarity report: spreads, overlap, the threshold of the best F1."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.errors import InputError
from kenspeckle.evaluate.similarities import best_f1, overlap, similarity_details, spread

values = st.lists(st.integers(0, 20).map(lambda v: v / 20), max_size=12)


def test_a_spread_is_what_numpy_says():
    rows = np.random.default_rng(0).random(37)
    found = spread(rows, 0.5)
    assert found["n"] == 37
    assert found["sd"] == pytest.approx(rows.std())
    assert [found[f"p{q}"] for q in (10, 25, 75, 90)] == pytest.approx(
        np.percentile(rows, [10, 25, 75, 90]).tolist()
    )
    assert found["share"] == pytest.approx((rows >= 0.5).mean())


@given(values, values, st.integers(0, 5))
def test_the_best_threshold_is_the_best_of_all(right, wrong, missed):
    found = best_f1(right, wrong, missed)
    if not right:
        assert found is None
        return
    scores = []
    for at in sorted({*right, *wrong}):
        hits, false = sum(v >= at for v in right), sum(v >= at for v in wrong)
        misses = len(right) - hits + missed
        scores.append(2 * hits / (2 * hits + false + misses))
    assert found["f1"] == pytest.approx(max(scores))


@given(values, values)
def test_overlap_by_its_definition(right, wrong):
    found = overlap(right, wrong)
    if found is None:
        assert not right or not wrong or max(right) < min(wrong) or max(wrong) < min(right)
        return
    assert found["low"] == max(min(right), min(wrong))
    assert found["high"] == min(max(right), max(wrong))
    for name, side in (("right", right), ("wrong", wrong)):
        inside = [v for v in side if found["low"] <= v <= found["high"]]
        assert found[name] == pytest.approx(len(inside) / len(side))


def test_missed_names_lower_the_best_f1():
    """Right answers reach .8 and .9; of four more the best score stayed below the threshold."""
    found = similarity_details([0.8, 0.9], [0.75], [0.1, 0.2, 0.3, 0.6], threshold=0.7)
    assert found["best_f1"] == {"threshold": 0.8, "f1": 1.0}
    assert found["best_f1_all"] == {"threshold": 0.8, "f1": 0.5}
    assert found["missed"]["n"] == 4
    assert found["right"]["share"] == 1.0


def test_no_values_are_null_not_nan():
    found = similarity_details([], [], threshold=0.7)
    assert json.loads(json.dumps(found, allow_nan=False))["right"]["mean"] is None
    assert found["overlap"] is found["best_f1"] is None


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="wrong: 1 scores"):
        similarity_details([0.5], [math.nan], threshold=0.7)
