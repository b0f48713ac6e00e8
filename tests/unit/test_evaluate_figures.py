"""Figures from answers: against the plain formulas, and what their intervals are."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from kenspeckle import stats
from kenspeckle.evaluate.compare import compared, familiar
from kenspeckle.evaluate.figures import rate, rates
from kenspeckle.evaluate.result import Answer, Counts, Evaluation, plain
from kenspeckle.evaluate.text import lines

pytestmark = pytest.mark.slow


def answer(**given: object) -> Answer:
    usual: dict[str, object] = {
        "draw": 0, "query": "q.jpg", "box": None, "truth": ("cup",), "enrolled": True,
        "said": "cup", "best": "cup", "runner": "hat", "score": 0.5, "similarity": 0.5,
        "margin": 0.1, "confidence": None, "rank": 1, "region": "whole", "asked": 1, "named": 1,
    }  # fmt: skip
    return Answer(**{**usual, **given})  # type: ignore[arg-type]


def drawn(seed: int, draws: int = 3, photos: int = 60, items: int = 20) -> list[Answer]:
    rng = np.random.default_rng(seed)
    made = []
    for draw in range(draws):
        for photo in range(photos):
            item = f"i{rng.integers(items)}"
            enrolled = int(item[1:]) % 2 == draw % 2
            score, right = float(rng.normal(enrolled)), bool(rng.random() < 0.7)
            best = item if enrolled and right else "other"
            made.append(
                answer(
                    draw=draw,
                    query=f"{photo}.jpg",
                    truth=(item,),
                    enrolled=enrolled,
                    best=best,
                    said=best if score > 0.5 else "",
                    score=score,
                    confidence=float(1 / (1 + math.exp(-score))),
                    rank=1 if best == item else 3,
                    asked=2,
                    named=int(score > 0.5),
                )
            )
    return made


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_formulas(seed: int) -> None:
    answers = drawn(seed, draws=1)
    mated = [a for a in answers if a.enrolled]
    strangers = [a.score for a in answers if not a.enrolled]
    scores, right = [a.score for a in mated], [a.right for a in mated]
    stated, true = [a.confidence for a in answers], [a.right for a in answers]
    found = {name: one.value for name, one in rates(answers).items()}
    assert found["tpir"] == pytest.approx(stats.tpir(scores, right, 0.5))
    assert found["fnir"] == pytest.approx(stats.fnir(scores, right, 0.5))
    assert found["fpir"] == pytest.approx(stats.fpir(strangers, 0.5))
    assert found["fpir per region"] == pytest.approx(stats.fpir(strangers, 0.5) / 2)
    assert found["auroc"] == pytest.approx(stats.auroc(scores, strangers))
    assert found["oscr"] == pytest.approx(stats.oscr(scores, right, strangers))
    assert found["ece"] == pytest.approx(stats.ece_by_mass(stated, true, 10))
    assert found["brier"] == pytest.approx(stats.brier(stated, true))
    assert found["rank-5"] == 1.0
    wrong = sum(a.said not in ("", a.truth[0]) for a in mated) / len(mated)
    assert found["misidentified"] == pytest.approx(wrong)


def test_areas_are_taken_in_each_draw_and_averaged() -> None:
    """Scores of two galleries are not compared with each other."""
    answers = drawn(5)
    alone = [rates([a for a in answers if a.draw == n])["auroc"].value for n in range(3)]
    assert rates(answers)["auroc"].value == pytest.approx(np.mean(alone))
    far = [a if a.draw else answer_moved(a, 100.0) for a in answers]
    assert rates(far)["auroc"].value == pytest.approx(rates(answers)["auroc"].value)


def answer_moved(one: Answer, by: float) -> Answer:
    return answer(**{**{f: getattr(one, f) for f in one.__slots__}, "score": one.score + by})


def test_intervals_hold_the_value_and_name_their_kind() -> None:
    for one in rates(drawn(1)).values():
        assert one.low <= one.value <= one.high
        assert one.interval == "bootstrap by item" or one.value in (0.0, 1.0)


def test_an_item_asked_about_once_has_wilsons_interval() -> None:
    answers = [answer(truth=(f"i{n}",), said="x" if n else f"i{n}") for n in range(10)]
    found = rates(answers)["tpir"]
    assert (found.low, found.high) == stats.wilson(1, 10)
    assert (found.n, found.items, found.interval) == (10, 10, "wilson")


def test_photos_of_one_item_are_one_trial() -> None:
    """A hundred photos of two items say as much of strangers as two."""
    answers = [answer(truth=(f"i{n % 2}",), enrolled=False, said="") for n in range(100)]
    found = rates(answers)["fpir"]
    assert found.high == pytest.approx(stats.wilson(0, 2)[1])
    assert (found.n, found.items) == (100, 2)


def test_one_item_has_no_interval() -> None:
    """Drawing one item gives the same sample every time, which is no certainty."""
    answers = [answer(truth=(f"i{n}",), confidence=0.5 + n / 10) for n in range(4)]
    answers += [
        answer(truth=("s",), enrolled=False, said="cup" if n else "", score=n / 6, confidence=0.3)
        for n in range(5)
    ]
    found = rates(answers)
    assert found["fpir"].value == 0.8
    for name in ("fpir", "auroc"):
        assert found[name].interval == "none"
        assert (plain(found[name])["low"], plain(found[name])["high"]) == (None, None)
    assert found["ece"].interval == "bootstrap by item"
    alone = rates(answers[:1])
    for name in ("ece", "brier"):
        assert (alone[name].n, alone[name].interval) == (1, "none")
    assert rate([True, False], ["a", "a"]).interval == "none"
    shown = Evaluation(
        "e", ".", {}, 0.05, tuple(answers), (), found,
        (Counts("ours", "boxes", 0, 0, 0, 0),), None, {}, (), 1.0,
    )  # fmt: skip
    (line,) = (text for text in lines(shown) if "FPIR, per photo" in text)
    assert " 80.0 %  " in line
    assert line.endswith(" –  n 5 of 1 item, no interval of one item")


def test_one_item_does_not_tell_two_evaluations_apart() -> None:
    before = Evaluation(
        "a", ".", {}, None, tuple(answer(query=f"{n}", said="") for n in range(5)),
        (), {}, (), None, {}, (), 1.0,
    )  # fmt: skip
    right = tuple(answer(query=f"{n}", said="cup" if n else "") for n in range(5))
    found = compared(before, replace(before, name="b", answers=right))
    named = found.changes[0]
    assert (named.before, named.after) == (0.0, 0.8)
    assert named.verdict == "one item tells no interval"
    assert named.to_dict()["low"] is None
    assert "+80.0 points (–)" in "\n".join(found.lines())
    page = familiar(replace(before, answers=right), ["cup"])[0]
    assert "tpir 80 %," in page.line()


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Items differ in how often they are named; 95 % intervals hold the mean of the items."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        chance = rng.beta(2, 2, 60)
        named = rng.random((60, 5)) < chance[:, None]
        answers = [
            answer(truth=(f"i{i}",), said=f"i{i}" if named[i, k] else "")
            for i in range(60)
            for k in range(5)
        ]
        found = rates(answers)["tpir"]
        held += found.low <= 0.5 <= found.high
    assert 88 <= held <= 100


def test_perfect_order_of_few_items_is_no_certainty() -> None:
    answers = [answer(truth=(f"i{n}",), score=1.0) for n in range(5)]
    answers += [answer(truth=(f"s{n}",), enrolled=False, said="", score=0.0) for n in range(9)]
    found = rates(answers)["auroc"]
    assert (found.value, found.low) == (1.0, stats.wilson(5, 5)[0])


def test_what_cannot_be_measured_is_absent() -> None:
    found = rates([answer()])
    assert "fpir" not in found
    assert "auroc" not in found
    assert "ece" not in found
    assert rates([]) == {}
    assert math.isnan(rate([], []).value)


def test_a_score_that_is_no_number_counts_as_the_lowest() -> None:
    answers = [answer(score=math.nan), answer(enrolled=False, said="", score=-1.0, truth=("x",))]
    assert rates(answers)["auroc"].value == 0.0


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({}, "right"),
        ({"said": "hat"}, "wrong"),
        ({"said": ""}, "missed"),
        ({"enrolled": False}, "false hit"),
        ({"enrolled": False, "said": ""}, "refused"),
    ],
)
def test_outcomes(given: dict[str, object], outcome: str) -> None:
    assert answer(**given).outcome == outcome


def test_a_photo_without_a_name_is_an_item_of_its_own() -> None:
    assert answer(truth=()).item == "q.jpg"


def test_counts_above_a_hundred_percent_are_shown_as_they_are() -> None:
    assert Counts("legacy", "names of photos", 278, 0, 136, 200).recall == pytest.approx(1.39)
    nothing = Counts("ours", "boxes", 0, 0, 0, 0)
    assert math.isnan(nothing.precision)
    assert nothing.f1 == 0.0


def test_an_evaluation_is_plain_json() -> None:
    found = Evaluation(
        "e", ".", {"a": 1}, 0.05, (answer(score=-math.inf),), (), rates([answer()]),
        (Counts("ours", "boxes", 0, 0, 0, 0),), None, {}, (), 1.0,
    )  # fmt: skip
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["answers"][0]["score"] is None
    assert data["counts"][0]["precision"] is None
    assert "answers" not in found.to_dict(answers=False)
    assert plain({"x": (1, math.inf)}) == {"x": [1, None]}
