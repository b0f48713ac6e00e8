"""Items from hits: against a loop over every reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenspeckle.match.aggregate import (
    SCORES,
    best_regions,
    cohort_level,
    enough,
    leaders,
    reach,
    score,
    usual_score,
)
from kenspeckle.store.base import Hits
from kenspeckle.types import Float32, Int64


def unit(rng: np.random.Generator, count: int, width: int = 16) -> Float32:
    rows = rng.normal(size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Shelf:
    """An exact search over rows in memory, with as many columns as asked for."""

    def __init__(self, rows: Float32, owners: Int64) -> None:
        self.rows, self.owners, self.asked = rows, owners, []

    def search(self, queries: Float32, k: int) -> Hits:
        self.asked.append(k)
        cosines = queries @ self.rows.T
        ids = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(cosines, ids, 1)
        items = self.owners[ids]
        short = max(k - ids.shape[1], 0)
        pad = ((0, 0), (0, short))
        return Hits(
            np.pad(ids, pad, constant_values=-1),
            np.pad(items, pad, constant_values=-1),
            np.pad(scores, pad, constant_values=-np.inf),
        )


@given(seed=st.integers(0, 10_000), references=st.integers(1, 40), items=st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_leaders_are_those_of_a_loop(seed: int, references: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    rows, owners = unit(rng, references), rng.integers(0, items, references)
    queries = unit(rng, 5)
    shelf = Shelf(rows, owners)
    found = reach(shelf.search, queries, references, distinct=3)
    without = rng.integers(0, items, 5)
    for left_out in (None, without):
        ranked = leaders(found, left_out)
        for q, query in enumerate(queries):
            best: dict[int, float] = {}
            for row, owner in zip(rows, owners.tolist(), strict=True):
                if left_out is None or owner != left_out[q]:
                    best[owner] = max(best.get(owner, -2.0), float(query @ row))
            order = sorted(best, key=lambda item: -best[item])
            if not order:
                assert ranked.items[q] == -1
                assert np.isnan(ranked.best[q])
                continue
            assert ranked.items[q] == order[0]
            assert ranked.best[q] == pytest.approx(best[order[0]], abs=1e-6)
            if len(order) == 1:
                assert np.isnan(ranked.second[q])
            else:
                assert ranked.second[q] == pytest.approx(best[order[1]], abs=1e-6)


def test_the_search_goes_deeper_past_an_item_of_many_references() -> None:
    rng = np.random.default_rng(1)
    near = unit(rng, 1) + 0.01 * rng.normal(size=(500, 16)).astype(np.float32)
    rows = np.concatenate([near / np.linalg.norm(near, axis=1, keepdims=True), unit(rng, 3)])
    owners = np.array([7] * 500 + [1, 2, 3])
    shelf = Shelf(rows.astype(np.float32), owners)
    found = reach(shelf.search, rows[:1], len(rows))
    assert enough(found)
    assert shelf.asked == [16, 64, 256, 503]
    assert not np.isnan(leaders(found).second[0])


def test_the_search_stops_at_all_there_is() -> None:
    rng = np.random.default_rng(2)
    shelf = Shelf(unit(rng, 4), np.array([5, 5, 5, 5]))
    found = reach(shelf.search, unit(rng, 2), 4)
    assert shelf.asked == [4]
    assert np.isnan(leaders(found).second).all()


def test_an_empty_gallery_has_no_leaders() -> None:
    nothing = Hits(np.empty((2, 0), np.int64), np.empty((2, 0), np.int64), np.empty((2, 0), "f4"))
    assert leaders(nothing).items.tolist() == [-1, -1]
    assert enough(nothing)


def test_an_unrelated_item_changes_the_margin_only() -> None:
    rng = np.random.default_rng(3)
    rows, owners = unit(rng, 6), np.array([0, 0, 1, 1, 2, 2])
    query = unit(rng, 1)
    before = leaders(Shelf(rows, owners).search(query, 6))
    more = np.concatenate([rows, unit(rng, 1)])
    after = leaders(Shelf(more, np.append(owners, 9)).search(query, 7))
    if after.items[0] != 9:
        assert after.best[0] == before.best[0]
    assert after.second[0] >= before.second[0] or after.items[0] == 9


def test_the_cohort_level_is_the_mean_of_the_twenty_nearest() -> None:
    rng = np.random.default_rng(4)
    cohort, rows = unit(rng, 60), unit(rng, 3)
    wanted = np.sort(rows @ cohort.T, axis=1)[:, -20:].mean(1)
    assert np.allclose(cohort_level(rows, cohort), wanted, atol=1e-6)


def test_a_cohort_picture_takes_no_part_in_its_own_level() -> None:
    cohort = unit(np.random.default_rng(5), 60)
    own = np.arange(3)
    without = [cohort_level(cohort[i : i + 1], np.delete(cohort, i, axis=0))[0] for i in range(3)]
    assert np.allclose(cohort_level(cohort[:3], cohort, own), without, atol=1e-6)
    assert cohort_level(cohort[:3], cohort[:3], own).shape == (3,)


def test_without_a_runner_up_the_cohort_stands_in() -> None:
    best, none, near = np.array([0.8]), np.array([np.nan]), np.array([0.3])
    got = {kind: float(score(kind, best, none, near)[0]) for kind in SCORES}
    assert got == pytest.approx(
        {
            "cosine": 0.8,
            "margin": 0.5,
            "cohort": 0.5,
            "margin+cohort": 1.0,
            "3margin+cohort": 2.0,
        }
    )
    assert np.isnan(score("margin", best, none, None)).all()


@pytest.mark.parametrize(
    ("cohort", "items", "kind"),
    [(True, 9, "margin"), (False, 3, "margin"), (True, 2, "cohort"), (False, 2, "cosine")],
)
def test_the_usual_score_exists(cohort: bool, items: int, kind: str) -> None:
    assert usual_score(cohort, items) == kind


def test_equal_regions_go_to_the_first() -> None:
    values = np.array([0.5, 0.5, np.nan, np.nan, 0.1, 0.2])
    assert best_regions(values, np.array([0, 0, 1, 1, 2, 2])).tolist() == [0, 2, 5]
