"""The fixed rules, against loops that spell their definitions out and the worked examples."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.errors import InputError
from kenspeckle.match.methods import (
    METHODS,
    ROUNDING,
    Rule,
    averaged,
    ceilings,
    compared,
    table,
    verdicts,
)

ALL = (0.0, 0.05, 0.1)


def slow(rule, row, owners, near):
    """Names of one region, by the definitions of the module, one reference after another."""
    of = {}
    for value, owner in zip(row, owners, strict=True):
        of.setdefault(owner, []).append(value)
    at = lambda value, limit: value >= limit - ROUNDING  # noqa: E731
    if rule.method == "simple":
        return {item for item, values in of.items() if any(at(v, rule.threshold) for v in values)}
    if rule.method == "margin":
        order = sorted(range(len(row)), key=lambda place: -row[place])
        if not at(row[order[0]], rule.threshold):
            return set()
        if len(order) > 1 and not at(row[order[0]] - row[order[1]], rule.margin):
            return set()
        return {owners[order[0]]}
    pool = {
        "multi-ref": max if rule.pool == "max" else lambda v: sum(v) / len(v),
        "top-k": lambda v: sum(sorted(v)[-rule.top :]) / len(v[: rule.top]),
        "cohort": lambda v: max(v) - near,
    }.get(rule.method, max)
    scores = {item: pool(values) for item, values in of.items()}
    counts = {item: sum(at(v, rule.threshold) for v in values) for item, values in of.items()}
    if rule.method == "multi-ref" and rule.legacy:
        scores = {item: a for item, a in scores.items() if counts[item] >= rule.least}
    if not scores:
        return set()
    best = max(sorted(scores), key=scores.__getitem__)
    others = [a for item, a in scores.items() if item != best]
    if not at(scores[best], rule.threshold):
        return set()
    if others and not at(scores[best] - max(others), rule.margin):
        return set()
    if rule.method == "multi-ref" and counts[best] < rule.least:
        return set()
    return {best}


cosines_of = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        st.lists(
            st.lists(st.integers(-20, 100), min_size=count, max_size=count), min_size=1, max_size=6
        ),
        st.lists(st.integers(0, 4), min_size=count, max_size=count),
    )
)
rules = st.builds(
    Rule,
    method=st.sampled_from([m for m in METHODS if m != "centroid"]),
    threshold=st.sampled_from([-1.0, 0.2, 0.5, 0.8]),
    margin=st.sampled_from(ALL),
    least=st.integers(1, 4),
    pool=st.sampled_from(["mean", "max"]),
    top=st.integers(1, 4),
    legacy=st.booleans(),
)


@given(cosines_of, rules, st.integers(0, 30))
def test_the_rules_say_what_the_loop_says(made, rule, level):
    values, owners = np.array(made[0]) / 100, np.array(made[1])
    near = np.full(len(values), level / 100)
    said = verdicts(rule, table(values, owners), near)
    for row, names in zip(values, said.names, strict=True):
        wanted = slow(rule, row.tolist(), owners.tolist(), level / 100)
        if len(wanted) == 1 and rule.method != "simple":  # ties may go to either
            assert names.sum() == 1
        else:
            assert set(said.places[names].tolist()) == wanted


@given(cosines_of, rules)
def test_a_higher_threshold_never_adds_a_name(made, rule):
    rule = replace(rule, legacy=False)
    values, owners = np.array(made[0]) / 100, np.array(made[1])
    near = np.zeros(len(values))
    cosines = table(values, owners)
    limits = ceilings(rule, cosines, near)
    for threshold in np.linspace(-1, 1.5, 26):
        at = replace(rule, threshold=float(threshold))
        np.testing.assert_array_equal(
            verdicts(at, cosines, near).named, limits >= threshold - ROUNDING
        )


# The worked examples of the test bench


def one(rule, **items):
    values = [v for item in items.values() for v in item]
    owners = [n for n, item in enumerate(items.values()) for _ in item]
    said = verdicts(rule, table(np.array([values], np.float32), np.array(owners)))
    return said, [list(items)[p] for p in said.places[said.names[0]].tolist()]


def test_one_logo_with_five_references():
    scores = {"logo": (0.92, 0.78, 0.85, 0.71, 0.88)}
    mean, _ = one(Rule("multi-ref", 0.80, pool="mean"), **scores)
    top, _ = one(Rule("multi-ref", 0.80, pool="max"), **scores)
    assert mean.scores[0] == pytest.approx(0.828)
    assert top.scores[0] == pytest.approx(0.92)
    assert top.counts[0] == mean.counts[0] == 3


def test_margin_refuses_between_two_references_of_one_logo_and_multi_ref_names_it():
    both = {"A": (0.92, 0.91, 0.85), "B": (0.78, 0.75, 0.72)}
    said, names = one(Rule("margin", 0.70, 0.05), **both)
    assert names == []
    assert said.margins[0] == pytest.approx(0.01)
    assert said.rivals[0] == said.items[0] == 0
    said, names = one(Rule("multi-ref", 0.70, 0.05, pool="max"), **both)
    assert names == ["A"]
    assert said.margins[0] == pytest.approx(0.14)


@pytest.mark.parametrize("method", ["margin", "multi-ref", "centroid", "item-margin"])
def test_too_near_is_unknown(method):
    assert one(Rule(method, 0.70, 0.05), A=(0.82,), B=(0.79,))[1] == []


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_a_lone_survivor_near_a_rival(pool):
    """Two references of A reach T, one of B: with n = 2 the former pool knows A alone."""
    both = {"A": (0.84, 0.84), "B": (0.83, 0.79)}
    rule = Rule("multi-ref", 0.80, 0.05, least=2, pool=pool)
    both["B"] = (0.83, 0.79) if pool == "max" else (0.83, 0.799)
    assert one(rule, **both)[1] == []
    assert one(replace(rule, legacy=True), **both)[1] == ["A"]


def test_raising_the_threshold_adds_a_name_in_the_former_pool_only():
    both = {"A": (0.84,), "B": (0.82,)}
    for legacy, wanted in ((False, []), (True, ["A"])):
        rule = Rule("multi-ref", 0.83, 0.05, legacy=legacy)
        assert one(replace(rule, threshold=0.70), **both)[1] == []
        assert one(rule, **both)[1] == wanted


def test_simple_names_several():
    assert one(Rule("simple", 0.70), A=(0.9, 0.1), B=(0.7,), C=(0.69,))[1] == ["A", "B"]


@pytest.mark.parametrize("method", METHODS)
def test_round_numbers_are_what_they_look_like(method):
    """0.75 − 0.70 is a hair below 0.05, and float32 0.7 below 0.7."""
    rule = Rule(method, 0.75, 0.05)
    cosines = table(np.array([[0.75, 0.70]], np.float32), np.array([0, 1]))
    assert verdicts(rule, cosines, np.zeros(1)).named.tolist() == [True]


# Averages


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 99))
def test_averages_are_the_renormalised_means(count, items, seed):
    rng = np.random.default_rng(seed)
    rows, owners = unit(rng.normal(size=(count, 6))), rng.integers(0, items, count)
    means, names = averaged(rows, owners)
    assert names.tolist() == sorted(set(owners.tolist()))
    for name, mean in zip(names, means, strict=True):
        wanted = rows[owners == name].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(mean, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_rows_that_cancel_out_have_no_average():
    means, names = averaged(unit([[1, 0], [-1, 0], [0, 1]]), np.array([0, 0, 1]))
    assert names.tolist() == [1]
    np.testing.assert_allclose(means, [[0, 1]])


def test_the_odd_reference_is_left_out_of_an_average():
    rng = np.random.default_rng(0)
    rows = unit(np.eye(1, 5) + rng.normal(0, 0.05, (5, 5)))
    rows = np.concatenate([rows, unit([[0, 1, 0, 0, 0]])])
    owners = np.zeros(6, np.int64)
    free, _ = averaged(rows, owners, outlier_free=True)
    sound, _ = averaged(rows[:5], owners[:5])
    np.testing.assert_allclose(free, sound, atol=1e-6)
    few, _ = averaged(rows[3:], owners[3:], outlier_free=True)
    np.testing.assert_allclose(few, averaged(rows[3:], owners[3:])[0])


def test_centroids_are_compared_with_queries():
    rows, owners = unit([[1, 0, 0], [0, 1, 0], [0, 0, 1]]), np.array([4, 4, 7])
    query = unit([[1, 1, 0]])
    rule = Rule("centroid", 0.9, 0.05)
    said = verdicts(rule, compared(rule, query, rows, owners))
    assert (said.items[0], said.named[0]) == (4, True)
    assert said.scores[0] == pytest.approx(1.0, abs=1e-6)
    apart = replace(rule, method="item-margin")
    assert verdicts(apart, compared(apart, query, rows, owners)).scores[0] == pytest.approx(
        math.sqrt(0.5), abs=1e-6
    )


# Bad input, and little of it


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_gallery_names_nothing(method):
    rule = Rule(method)
    said = verdicts(rule, table(np.empty((2, 0)), np.empty(0, np.int64)), np.zeros(2))
    assert not said.named.any()
    assert said.items.tolist() == [-1, -1]
    assert (
        ceilings(rule, table(np.empty((2, 0)), np.empty(0, np.int64))).tolist() == [-math.inf] * 2
    )


@pytest.mark.parametrize("method", METHODS)
def test_one_reference_is_judged_by_the_threshold(method):
    for value, wanted in ((0.8, True), (0.6, False)):
        cosines = table(np.array([[value]]), np.array([3]))
        said = verdicts(Rule(method, 0.7, 0.05), cosines, np.zeros(1))
        assert said.named.tolist() == [wanted]
        assert math.isnan(said.margins[0])
        assert said.rivals[0] == -1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    with pytest.raises(InputError, match="1 of 2 regions"):
        table(np.array([[0.1, bad], [0.1, 0.2]]), np.array([0, 1]))


def test_shapes_must_fit():
    with pytest.raises(InputError, match="3 references"):
        table(np.zeros((2, 2)), np.array([0, 1, 2]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "best"},
        {"pool": "min"},
        {"threshold": math.nan},
        {"threshold": 3.0},
        {"margin": -0.1},
        {"margin": math.nan},
        {"least": 0},
        {"top": 0},
    ],
)
def test_a_rule_with_impossible_numbers_is_refused(wrong):
    with pytest.raises(InputError):
        Rule(**wrong)


def test_the_cohort_rule_needs_a_cohort():
    with pytest.raises(InputError, match="cohort"):
        verdicts(Rule("cohort"), table(np.ones((1, 1)), np.zeros(1, np.int64)))


def test_the_former_pool_has_no_ceiling():
    with pytest.raises(InputError, match="legacy"):
        ceilings(Rule("multi-ref", legacy=True), table(np.ones((1, 1)), np.zeros(1, np.int64)))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule("simple", 0.7), "simple, T 0.7"),
        (Rule("margin", 0.7, 0.05), "margin, T 0.7, m 0.05"),
        (Rule("multi-ref", 0.8, 0.1, least=3, pool="max"), "multi-ref max, n 3, T 0.8, m 0.1"),
        (Rule("multi-ref", legacy=True), "multi-ref mean, n 1, legacy, T 0.7, m 0.05"),
        (Rule("top-k", top=2), "top-k, k 2, T 0.7, m 0.05"),
        (Rule("centroid", outlier_free=True), "centroid, outlier-free, T 0.7, m 0.05"),
    ],
)
def test_a_rule_says_what_it_is(rule, text):
    assert str(rule) == text
