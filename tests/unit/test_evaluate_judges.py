"""Judges and what they are asked: against the functions that the product decides by."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kenspeckle.errors import SettingError
from kenspeckle.evaluate.asking import (
    Gallery,
    Query,
    ask,
    enrolled,
    mated_trials,
    stranger_trials,
)
from kenspeckle.evaluate.fitting import enrolled_share
from kenspeckle.evaluate.judges import DEPTH, Judge, Ruled, Scored, ranked
from kenspeckle.match import methods
from kenspeckle.match.aggregate import SCORES, ScoreKind, leaders, score
from kenspeckle.match.methods import METHODS, Rule
from kenspeckle.match.trials import Trials
from kenspeckle.store.base import Hits
from kenspeckle.types import Box, Float32, Region

WIDTH = 12


def unit(rng: np.random.Generator, count: int) -> Float32:
    rows = rng.normal(size=(count, WIDTH)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def gallery(rng: np.random.Generator, items: int = 6, each: int = 3, first: str = "i") -> Gallery:
    labels = [f"{first}{n}" for n in range(items) for _ in range(each)]
    files = [f"{label}-{n}.jpg" for n, label in enumerate(labels)]
    return enrolled(labels, unit(rng, len(labels)), files)


def query(rng: np.random.Generator, truth: str, regions: int = 1, near: bool = True) -> Query:
    boxes: list[Box] = [(n, 0, n + 5, 5) for n in range(regions)]
    parts = tuple(Region(box, "window" if n else "whole") for n, box in enumerate(boxes))
    level = rng.uniform(0, 0.3, regions) if near else None
    return Query(f"{truth}.jpg", None, (truth,), (), parts, unit(rng, regions), level)


def hits(rows: Float32, held: Gallery) -> Hits:
    cosines = rows @ held.rows.T
    order = np.argsort(-cosines, axis=1, kind="stable")
    return Hits(order, held.owners[order], np.take_along_axis(cosines, order, 1))


@pytest.mark.parametrize("kind", SCORES)
def test_our_score_is_that_of_identify(kind: ScoreKind) -> None:
    rng = np.random.default_rng(1)
    held = gallery(rng)
    asked = [query(rng, "i1", regions=1) for _ in range(40)]
    said = ask(Scored(kind, 0.1), held, asked).answers
    for one, told in zip(asked, said, strict=True):
        best = leaders(hits(one.rows, held))
        value = score(kind, best.best, best.second, one.near)
        assert told.score == pytest.approx(value[0], abs=1e-6)
        assert told.best == held.labels[best.items[0]]
        assert bool(told.said) == (told.score > 0.1)
        assert told.margin == pytest.approx(best.best[0] - best.second[0], abs=1e-6)
        assert held.files.index(told.reference) == hits(one.rows, held).ids[0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_a_rule_says_what_the_rule_says(method: methods.Method) -> None:
    rng = np.random.default_rng(2)
    held = gallery(rng, items=5, each=2)
    rule = Rule(method, threshold=0.3, margin=0.05)
    asked = [query(rng, "i1") for _ in range(60)]
    near = np.concatenate([q.near for q in asked if q.near is not None])
    rows = np.concatenate([q.rows for q in asked])
    table = methods.compared(rule, rows, held.rows, held.owners)
    true = methods.verdicts(rule, table, near)
    answers = ask(Ruled(rule), held, asked).answers
    assert [bool(one.said) for one in answers] == true.named.tolist()
    for place, one in enumerate(answers):
        if one.said:
            assert one.said == held.labels[true.items[place]]
            assert one.best == one.said


def test_a_rule_fitted_to_a_rate_names_no_more_strangers_than_asked() -> None:
    rng = np.random.default_rng(3)
    held = gallery(rng)
    strangers = [query(rng, f"s{n}") for n in range(200)]
    for judge in (Scored("margin"), Scored("cosine"), Ruled(Rule("simple")), Ruled(Rule("margin"))):
        trials = stranger_trials(judge, held, strangers)
        fitted = judge.fitted(trials, trials, 0.1)
        named = np.mean([bool(a.said) for a in ask(fitted, held, strangers).answers])
        assert 0.05 <= named <= 0.1


def test_a_photo_is_answered_by_its_best_region() -> None:
    rng = np.random.default_rng(4)
    held = gallery(rng)
    one = query(rng, "i2", regions=4)
    one.rows[2] = held.rows[held.owners == 2][0]
    told = ask(Scored("margin", 0.0), held, [one]).answers[0]
    assert (told.best, told.region, told.asked, told.rank) == ("i2", "window", 4, 1)
    assert told.similarity == pytest.approx(1.0, abs=1e-6)


def test_fitting_adds_each_item_by_itself() -> None:
    """The mated trials of an item are those of a gallery with that item and no other new one."""
    rng = np.random.default_rng(5)
    held, others = gallery(rng, first="g"), gallery(rng, items=3, first="o")
    asked = [query(rng, f"o{n % 3}") for n in range(12)]
    judge = Scored("margin")
    trials = mated_trials(judge, held, others, asked)
    expected = []
    for label in ("o0", "o1", "o2"):
        own = others.owners == others.labels.index(label)
        grown = enrolled(
            [held.labels[n] for n in held.owners] + [label] * int(own.sum()),
            np.concatenate([held.rows, others.rows[own]]),
            [*held.files, *["x"] * int(own.sum())],
        )
        mine = [q for q in asked if q.item == label]
        expected += [(a.score, a.right) for a in ask(judge, grown, mine).answers]
    assert trials.scores.tolist() == pytest.approx([value for value, _ in expected])
    assert trials.right.tolist() == [right for _, right in expected]
    assert trials.independent == 3


def test_answers_do_not_depend_on_how_queries_are_cut_into_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(6)
    held = gallery(rng)
    asked = [query(rng, f"i{n % 6}", regions=1 + n % 3) for n in range(30)]
    whole = ask(Scored("margin+cohort", 0.2), held, asked)
    monkeypatch.setattr("kenspeckle.evaluate.asking.CELLS", 40)
    cut = ask(Scored("margin+cohort", 0.2), held, asked)
    assert [a.said for a in whole.answers] == [a.said for a in cut.answers]
    for one, other in zip(whole.detections, cut.detections, strict=True):
        assert (one.label, one.box, one.picture) == (other.label, other.box, other.picture)
        assert one.score == pytest.approx(other.score, abs=1e-6)


def test_a_gallery_of_one_item_is_measured_against_the_cohort() -> None:
    rng = np.random.default_rng(7)
    held = gallery(rng, items=1)
    with_level, without = query(rng, "i0"), query(rng, "i0", near=False)
    assert math.isfinite(ask(Scored("margin"), held, [with_level]).answers[0].score)
    alone = ask(Scored("margin"), held, [without])
    assert alone.answers[0].score == -math.inf
    assert alone.answers[0].said == ""
    assert alone.nameless == 1
    assert alone.answers[0].margin is None


def test_identical_references_are_never_told_apart() -> None:
    rng = np.random.default_rng(8)
    row = unit(rng, 1)
    held = enrolled(["a", "b", "c"], np.repeat(row, 3, axis=0), ["a", "b", "c"])
    strangers = [query(rng, f"s{n}") for n in range(80)]
    trials = stranger_trials(Scored("margin"), held, strangers)
    fitted = Scored("margin").fitted(trials, trials, 0.05)
    assert fitted.threshold == 0.0
    assert not any(a.said for a in ask(fitted, held, strangers).answers)


def test_nothing_to_fit_on_leaves_the_judge_as_it_is() -> None:
    nothing = stranger_trials(Scored(), gallery(np.random.default_rng(9)), [])
    judges: tuple[Judge, ...] = (Scored("cosine"), Ruled(Rule("margin")))
    for judge in judges:
        assert judge.fitted(nothing, nothing, 0.05) == judge


def test_legacy_is_not_fitted() -> None:
    rng = np.random.default_rng(10)
    trials = stranger_trials(Scored(), gallery(rng), [query(rng, "s")])
    with pytest.raises(SettingError, match="--threshold"):
        Ruled(Rule("multi-ref", legacy=True)).fitted(trials, trials, 0.05)
    with pytest.raises(SettingError, match="cosine, margin"):
        Scored("loudness")  # type: ignore[arg-type]


def test_the_legacy_pool_may_prefer_another_item_than_the_best() -> None:
    """A has one reference at T, B none of two, though B's mean is larger: legacy says A."""
    rows = np.eye(3, WIDTH, dtype=np.float32)
    held = enrolled(["a", "a", "b"], rows, ["a1", "a2", "b1"])
    asked = np.zeros((1, WIDTH), np.float32)
    asked[0, :3] = (0.8, 0.1, 0.59)
    asked /= np.linalg.norm(asked)
    one = Query("q", None, ("a",), (), (Region((0, 0, 1, 1)),), asked, None)
    rule = Rule("multi-ref", threshold=0.7, margin=0.05, pool="mean", legacy=True)
    told = ask(Ruled(rule), held, [one]).answers[0]
    assert told.best == "a"
    assert told.rank == 1


def test_ranked_is_a_sort_cut_short() -> None:
    values = np.random.default_rng(11).integers(0, 3, (50, 30)).astype(float)
    values[:10] = 1.0
    order, top = ranked(values)
    assert order.shape == (50, DEPTH)
    full = np.argsort(-values, axis=1, kind="stable")[:, :DEPTH]
    assert np.array_equal(top, np.take_along_axis(values, full, axis=1))
    assert np.array_equal(order[:, 0], full[:, 0])


def test_boxes_met_and_named() -> None:
    rng = np.random.default_rng(12)
    held = gallery(rng)
    regions = (Region((0, 0, 20, 20)), Region((0, 0, 10, 10), "window"))
    rows = np.concatenate([unit(rng, 1), held.rows[held.owners == 3][:1]])
    true: tuple[tuple[str, Box], ...] = (("i3", (0, 0, 10, 9)), ("i4", (15, 15, 18, 18)))
    one = Query("p.jpg", None, ("i3", "i4"), true, regions, rows, None)
    said = ask(Scored("margin", 0.0), held, [one])
    assert [(m.label, m.met, m.right) for m in said.met] == [
        ("i3", True, True),
        ("i4", False, False),
    ]
    assert [(t.label, t.box) for t in said.truths] == list(true)
    assert [(d.label, d.box) for d in said.spoken] == [("i3", (0, 0, 10, 10))]


def test_a_photo_without_a_region_is_unknown_and_a_trial_all_the_same() -> None:
    rng = np.random.default_rng(13)
    held, others = gallery(rng), gallery(rng, items=2, first="o")
    box: Box = (0, 0, 5, 5)
    empty = Query(
        "e.jpg", None, ("i1",), (("i1", box),), (), np.empty((0, WIDTH), np.float32), None
    )
    asked = [query(rng, "i0", near=False), empty, query(rng, "i2", near=False)]
    said = ask(Scored("cosine", -1.0), held, asked)
    assert [a.query for a in said.answers] == ["i0.jpg", "e.jpg", "i2.jpg"]
    told = said.answers[1]
    assert (told.said, told.enrolled, told.asked, told.score) == ("", True, 0, -math.inf)
    assert [(m.label, m.met) for m in said.met] == [("i1", False)]
    assert sorted(t.label for t in said.truths) == ["i0", "i1", "i2"]
    strangers = stranger_trials(Scored("cosine"), held, asked)
    assert sorted(np.isneginf(strangers.scores).tolist()) == [False, False, True]
    lost = Query("f.jpg", None, ("o1",), (), (), np.empty((0, WIDTH), np.float32), None)
    mated = mated_trials(Scored("cosine"), held, others, [query(rng, "o0", near=False), lost])
    assert mated.right.tolist()[1] is False
    assert mated.independent == 2
    assert ask(Scored(), held, [empty]).answers[0].said == ""
    assert stranger_trials(Scored(), held, [empty]).scores.tolist() == [-math.inf]


def test_a_stated_chance_is_for_the_mix_that_is_asked_about() -> None:
    """Every fitting photo is asked about as an enrolled thing and as a stranger, and strangers come
    on top: what is stated follows the share that is asked about, not those numbers."""
    rng = np.random.default_rng(11)
    count = 2000
    known = Trials(rng.normal(1.0, 1.0, count), np.arange(count), np.ones(count, bool))
    loose = Trials(
        rng.normal(-1.0, 1.0, 2 * count), np.arange(2 * count), np.zeros(2 * count, bool)
    )
    for share in (0.5, 0.2):
        made = Scored("margin").fitted(known, loose, 0.05, share)
        for value in (-1.0, 0.0, 1.0):
            odds = share / (1 - share) * math.exp(2 * value)  # of two normals a mean of ±1 apart
            assert made.stated(value) == pytest.approx(odds / (1 + odds), abs=0.03)


def test_the_share_of_enrolled_items_is_that_of_the_fitting_part() -> None:
    rng = np.random.default_rng(12)
    others = gallery(rng, items=3, first="o")
    mine = [query(rng, f"o{n % 3}") for n in range(6)]
    assert enrolled_share(others, [*mine, query(rng, "s0"), query(rng, "s1")]) == 0.75
    assert enrolled_share(others, mine) == 0.5  # no strangers of its own: half are left out
    assert enrolled_share(others, []) == 0.5
