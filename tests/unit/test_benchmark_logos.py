"""The logo benchmark: what is enrolled, what is counted, and that both sides see the same."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kenspeckle.evaluate.asking import Query
from kenspeckle.evaluate.asking import enrolled as gallery_of
from kenspeckle.match.methods import Rule
from kenspeckle.types import Float32, Region

pytest.importorskip("cv2")
ROOT = Path(__file__).parents[2]
BOX = (0, 0, 10, 10)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks._logo_ways")


def unit(*values: float) -> Float32:
    row = np.array(values, np.float32)
    return row / np.linalg.norm(row)


def query(photo: str, label: str, row: Float32) -> Query:
    """A true box; nobody's mark has no truth."""
    truth = (label,) if label != "(other)" else ()
    near = np.array([0.1])
    return Query(photo, BOX, truth, ((label, BOX),), (Region(BOX, "truth"),), row[None, :], near)


@pytest.fixture
def part(ways: ModuleType) -> Any:
    """Two logos with two references each; their boxes, a logo not enrolled and nobody's mark."""
    rows = np.stack([unit(1, 0, 0), unit(1, 0.2, 0), unit(0, 1, 0), unit(0, 1, 0.2)])
    gallery = gallery_of(["a", "a", "b", "b"], rows, ["a1", "a2", "b1", "b2"])
    queries = (
        query("1.jpg", "a", unit(1, 0.1, 0)),
        query("2.jpg", "b", unit(0, 1, 0.1)),
        query("3.jpg", "c", unit(0.9, 0.1, 1)),
        query("4.jpg", "(other)", unit(0, 0, 1)),
    )
    views = {name: rows[n : n + 1] for n, name in enumerate(gallery.files)}
    asked = ways.Asked(0, gallery, queries, ("a", "b", "c", "4.jpg"))
    return ways.Part("made", "truth", (asked,), views)


def test_what_is_enrolled(ways: ModuleType, part: Any) -> None:
    gallery = part.draws[0].gallery
    counts = {kind: len(ways.enrolled(gallery, kind, part.views).rows) for kind in ways.REFERENCES}
    assert counts == {
        "plain": 4,
        "averaged": 2,
        "with views": 8,
        "views averaged in": 4,
        "views and average": 6,
    }
    for kind in ways.REFERENCES:
        made = ways.enrolled(gallery, kind, part.views)
        assert len(made.rows) == len(made.owners) == len(made.files)
        assert np.allclose(np.linalg.norm(made.rows, axis=1), 1, atol=1e-6)
        nearest = gallery.owners[(made.rows @ gallery.rows.T).argmax(axis=1)]
        assert nearest.tolist() == made.owners.tolist()
    beside = ways.enrolled(gallery, "with views", part.views)
    assert beside.owners.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]


def test_counts_of_a_rule_and_of_a_score(ways: ModuleType, part: Any) -> None:
    rule = ways.Way(Rule("multi-ref", 0.7, 0.05, pool="max", legacy=True), every=True)
    sure = ways.came(rule, part, 0.9)
    assert sure.sums.sum(axis=0).tolist() == [2, 0, 2]
    assert (sure.f1, sure.tpir, sure.fpir) == (1.0, 1.0, 0.0)
    loose = ways.came(rule, part, 0.5)
    assert loose.sums.sum(axis=0).tolist() == [2, 1, 2]
    assert loose.fpir == 0.5
    all_named = ways.came(ways.Way("cosine"), part, -1.0)
    assert all_named.sums.sum(axis=0).tolist() == [2, 2, 2]
    assert all_named.f1 == pytest.approx(4 / 6)
    told = ways.figures(rule, part, 0.5)
    assert told["one to one"]["tp"] + told["one to one"]["fn"] == told["one to one"]["expected"]
    assert told["legacy"]["fp"] == 1


def test_gains_are_zero_against_itself_and_at_its_own_rate(ways: ModuleType, part: Any) -> None:
    way = ways.Way("cosine")
    one = ways.came(way, part, 0.5)
    assert ways.gain(one, one) == {name: [0.0, 0.0, 0.0] for name in ("f1", "tpir", "fpir")}
    assert ways.gain_at(way, one, part)["gain"] == [0.0, 0.0, 0.0]


def test_trials_are_what_is_asked_about(ways: ModuleType, part: Any) -> None:
    mated, strangers = ways.trials(ways.Way("margin"), part)
    assert mated.right.tolist() == [True, True]
    assert strangers.independent == 2
    assert min(mated.scores) > strangers.scores[-1]


def test_the_first_of_equal_thresholds_is_taken(ways: ModuleType) -> None:
    assert ways.best_threshold([0.1, 0.2, 0.3], lambda t: min(t, 0.2)) == (0.2, 0.2)


def test_a_second_look_lifts_what_it_saw_and_nothing_else(ways: ModuleType, part: Any) -> None:
    asked = part.draws[0].queries
    looks = {ways.name_of(query): {"b": 1.0 if query.photo == "2.jpg" else 0.0} for query in asked}
    seen = ways.Part(part.name, part.regions, part.draws, part.views, looks)
    plain, strangers = ways.trials(ways.Way("cosine"), part)
    raised, same = ways.trials(ways.Way("cosine", weight=0.2), seen)
    assert (raised.scores - plain.scores).round(6).tolist() == [0.0, 0.2]
    assert same.scores.tolist() == strangers.scores.tolist()
