"""What evidence does to hits: it confirms, reorders, abstains; it never brings in an item."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.engines.geometry import Geometry
from kenspeckle.match.second_look import (
    Looked,
    Seen,
    fit_weight,
    raised,
    shortlist,
    strength,
    told,
    weighed,
)
from kenspeckle.store.base import Hits


def hits(*rows: list[tuple[int, float]]) -> Hits:
    """Hits of one reference an item: (item, cosine), the id being ten times the item."""
    items = np.array([[item for item, _ in row] for row in rows], np.int64)
    scores = np.array([[cosine for _, cosine in row] for row in rows], np.float32)
    return Hits(np.where(items < 0, -1, items * 10), items, scores)


def seen(inliers: int, sane: bool = True) -> Geometry:
    return Geometry(50, inliers, inliers, np.eye(3), 1.0, 0.0, 0.5, sane)


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        (None, 0),
        (seen(0), 0),
        (seen(4), 0),
        (seen(5), 0.30103),
        (seen(103), 2),
        (seen(50, False), 0),
    ],
)
def test_evidence_is_what_goes_beyond_any_four_features(geometry, expected):
    assert strength(geometry) == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.integers(0, 400), min_size=2, max_size=6))
def test_more_features_are_never_less_evidence(counts):
    values = [strength(seen(count)) for count in sorted(counts)]
    assert values == sorted(values)


def test_look_alikes_are_parted_by_their_agreement():
    found = weighed({1: Seen(seen(54), 0.9), 2: Seen(seen(104), 0.5), 3: Seen(seen(14))})
    assert found == pytest.approx({1: np.log10(51), 2: np.log10(101) - 0.8, 3: np.log10(11)})
    assert weighed({1: Seen(seen(6), 0.9), 2: Seen(seen(6), -0.9)})[2] == 0
    assert weighed({1: Seen(None)}) == {1: 0}


def test_the_numbers_are_told():
    assert [one.verdict for one in told(Seen(None), 0)] == ["abstains"]
    assert [one.verdict for one in told(Seen(seen(2)), 0)] == ["abstains"]
    geometry, layout = told(Seen(seen(24), -0.1), 1.0)
    assert (geometry.verdict, geometry.numbers["inliers"]) == ("agrees", 24)
    assert (layout.verdict, layout.numbers) == ("disagrees", {"agreement": -0.1})


def test_the_shortlist_is_of_the_best_items_over_all_regions():
    found = hits([(1, 0.9), (2, 0.5), (-1, -np.inf)], [(3, 0.7), (1, 0.6), (2, 0.55)])
    assert shortlist(found, 2) == [1, 3]
    assert shortlist(found, 10) == [1, 3, 2]
    assert shortlist(hits([(-1, -np.inf)]), 5) == []


def test_hits_are_raised_and_ordered_anew():
    found = hits([(1, 0.9), (2, 0.8), (3, 0.1)], [(2, 0.4), (3, 0.3), (-1, -np.inf)])
    lifted = raised(found, {2: 0.25, 9: 5.0})
    assert lifted.items.tolist() == [[2, 1, 3], [2, 3, -1]]
    assert lifted.ids.tolist() == [[20, 10, 30], [20, 30, -1]]
    assert lifted.scores[0] == pytest.approx([1.05, 0.9, 0.1])
    assert set(lifted.items.ravel()) == set(found.items.ravel())
    assert found.scores[0, 0] == np.float32(0.9), "what came in stays as it was"


def test_without_evidence_nothing_is_made_anew():
    found = hits([(1, 0.9), (2, 0.8)])
    assert raised(found, {}) is found
    assert raised(found, {1: 0.0}) is found


def trials(count: int, evidence: float, chance: float = 0.0) -> list[Looked]:
    """`count` photos whose right item comes second, with evidence for it; and as many strangers
    with evidence for something."""
    made = []
    for item in range(count):
        found = hits([(item + 1000, 0.62), (item, 0.6)])
        made.append(Looked(found, None, {item: evidence}, item, True))
        other = hits([(item + 2000, 0.6 + item / 1e4), (item + 3000, 0.55)])
        made.append(Looked(other, None, {item + 2000: chance}, item + 5000, False))
    return made


def test_the_usual_weight_is_kept_where_trials_do_not_tell_it_from_the_best():
    assert fit_weight(trials(80, 1.5), "margin", 0.05) == 0.2
    assert fit_weight(trials(80, 0.15), "cosine", 0.05) == 0.2


def test_evidence_that_helps_nobody_abstains():
    assert fit_weight(trials(80, 0.0), "margin", 0.05) == 0
    assert fit_weight(trials(80, 1.0, chance=3.0), "margin", 0.05) == 0


def test_without_strangers_the_right_names_count():
    """Every item looks like another one: nobody can stand for a stranger."""
    assert fit_weight(trials(40, 1.5)[::2], "margin", 0.05) == 0.2


def test_without_enrolled_queries_nothing_is_fitted():
    assert fit_weight([], "margin", 0.05) == 0
    assert fit_weight(trials(5, 1.0)[1::2], "margin", 0.05) == 0


def test_no_weight_is_chosen_that_names_fewer_than_none():
    """One photo is lost at .2 and two are won at .3: all lie within one standard error."""

    def photos(count, cosine, evidence, first):
        return [
            Looked(hits([(item, cosine)]), None, {item: evidence}, item, True)
            for item in range(first, first + count)
        ]

    known = photos(80, 0.9, 0, 0) + photos(20, 0.1, 0, 100)
    known += photos(1, 0.65, 0, 200) + photos(2, 0.45, 1, 300)
    others = [
        Looked(hits([(900, 0.6)]), None, {900: 0.3 if item == 400 else 0}, item, False)
        for item in range(400, 420)
    ]
    assert fit_weight(known + others, "cosine", 0.05) == 0.3
