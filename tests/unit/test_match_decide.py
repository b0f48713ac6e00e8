"""Decisions over a real store: the item first, its print apart, reasons that say why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kenspeckle.match.aggregate import cohort_level, reach
from kenspeckle.match.decide import decide
from kenspeckle.match.similar import look_alikes
from kenspeckle.store.base import Enrolled, Manifest, Store
from kenspeckle.store.open import create_store
from kenspeckle.types import (
    Calibration,
    Decision,
    Fingerprint,
    Float32,
    Promise,
    Recipe,
    Reference,
    Region,
)

WIDTH = 32
FINGERPRINT = Fingerprint("made", "0" * 64, Recipe(32), WIDTH)
WHOLE = Region((0, 0, 100, 100))
RULE = Calibration(
    score="margin",
    threshold=0.1,
    slope=20.0,
    intercept=-2.0,
    promises=(Promise("like your items", 0.05, 0.01, 0.09, 120, 60),),
    fpir=0.05,
    regions="whole",
    space_id=FINGERPRINT.space_id,
    items=20,
    references=20,
    change=1,
    date="2026-01-01",
    mated_trials=40,
    named_right=0.9,
    variant_margin=0.2,
)


def axis(number: int, lean: int = 0, by: float = 0.0) -> Float32:
    """A unit vector along one axis, leaning towards another."""
    row = np.zeros(WIDTH, np.float32)
    row[number] = 1
    row[lean] += by
    return (row / np.linalg.norm(row)).astype(np.float32)


def enrolled(
    key: str, vector: Float32, variant: str = "", name: str = "", sha: str = ""
) -> Enrolled:
    path = name or f"{key}{variant}.jpg"
    return Enrolled(Reference(key, key.title(), path, variant=variant, sha256=sha), vector)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    stores: list[Store] = []

    def made(*rows: Enrolled) -> Store:
        store = create_store(tmp_path / f"{len(stores)}.ken", Manifest(FINGERPRINT))
        store.add(rows)
        stores.append(store)
        return store

    yield made
    for store in stores:
        store.close()


def ask(store: Store, *rows: Float32, rule: Calibration | None = None, **more: object) -> Decision:
    queries = np.stack(rows)
    found = reach(store.search, queries, max(len(store), 1))
    regions = [replace(WHOLE, kind="whole" if n == 0 else "window") for n in range(len(rows))]
    near = more.pop("near", None)
    return decide(regions, found, near, store, rule, **more)  # type: ignore[arg-type]


def test_an_uncalibrated_gallery_names_the_nearest_and_promises_nothing(
    make: Callable[..., Store],
) -> None:
    answer = ask(make(enrolled("a", axis(1)), enrolled("b", axis(2))), axis(1, 2, 0.5))
    assert answer.known
    assert (answer.key, answer.label) == ("a", "A")
    assert answer.confidence is None
    assert answer.threshold is None
    assert answer.reasons[0].startswith("not calibrated")


def test_a_calibrated_answer_gives_its_rule_and_runner_up(make: Callable[..., Store]) -> None:
    store = make(enrolled("a", axis(1)), enrolled("b", axis(2)))
    answer = ask(store, axis(1, 2, 0.5), rule=RULE)
    assert answer.known
    assert answer.margin == pytest.approx(answer.similarity / 2, abs=1e-3)
    assert answer.score == answer.margin
    assert 0.5 < (answer.confidence or 0) < 1
    text = " | ".join(answer.reasons)
    assert answer.reasons[0] == f"margin {answer.score:.3f} above the threshold 0.100"
    assert "of those like your items" in text
    near, second = (candidate.similarity for candidate in answer.candidates)
    assert f"nearest is A (cosine {near:.3f}), then B ({second:.3f})" in text
    assert [c.key for c in answer.candidates] == ["a", "b"]


def test_a_small_margin_is_unknown_but_the_candidates_stay(make: Callable[..., Store]) -> None:
    store = make(enrolled("a", axis(1)), enrolled("b", axis(2)))
    answer = ask(store, axis(1, 2, 0.95), rule=RULE)
    assert not answer.known
    assert (answer.key, answer.label, answer.variant) == ("", "", "")
    assert "not above the threshold" in answer.reasons[0]
    assert answer.candidates[0].key == "a"
    assert any(reason.startswith("nearest is A (cosine 0.7") for reason in answer.reasons)


def test_how_many_candidates_are_shown_does_not_change_the_reasons(
    make: Callable[..., Store],
) -> None:
    store = make(enrolled("a", axis(1)), enrolled("b", axis(2)))
    one, five = (ask(store, axis(1, 2, 0.5), rule=RULE, top=top) for top in (1, 5))
    assert one.reasons == five.reasons
    assert (len(one.candidates), len(five.candidates)) == (1, 2)


def test_two_prints_among_eighteen_others_never_drop_the_item(make: Callable[..., Store]) -> None:
    others = [enrolled(f"item{n}", axis(n)) for n in range(3, 21)]
    prints = [enrolled("card", axis(1), "UR"), enrolled("card", axis(1, 2, 0.05), "ScR")]
    answer = ask(make(*prints, *others), axis(1, 2, 0.02), rule=RULE)
    assert answer.known
    assert answer.key == "card"
    assert (answer.margin or 0) > 0.9
    assert answer.variant == "UR"
    assert not answer.variant_certain
    assert any("print UR is not certain" in reason for reason in answer.reasons)


def test_a_print_that_leads_is_certain(make: Callable[..., Store]) -> None:
    store = make(
        enrolled("card", axis(1), "UR"), enrolled("card", axis(2), "ScR"), enrolled("b", axis(3))
    )
    assert ask(store, axis(1, 2, 0.3), rule=RULE).variant_certain
    uncalibrated = ask(store, axis(1, 2, 0.3))
    assert uncalibrated.variant == "UR"
    assert not uncalibrated.variant_certain


def test_a_plain_print_competes_with_a_named_one(make: Callable[..., Store]) -> None:
    prints = [enrolled("card", axis(1)), enrolled("card", axis(1, 2, 0.05), "holo")]
    store = make(*prints, enrolled("b", axis(3)))
    answer = ask(store, axis(1, 2, 0.02), rule=RULE)
    assert (answer.variant, answer.variant_certain) == ("", False)
    assert any("the plain print is not certain" in reason for reason in answer.reasons)


def test_a_print_beyond_the_hits_counts_with_the_last_of_them(make: Callable[..., Store]) -> None:
    many = [enrolled("card", axis(1, 2, n / 100), "UR", f"{n}.jpg") for n in range(4)]
    store = make(*many, enrolled("b", axis(1, 3, 0.6)), enrolled("card", axis(5), "ScR"))
    answer = decide([WHOLE], store.search(axis(1)[None], 5), None, store, RULE)
    assert (answer.key, answer.variant) == ("card", "UR")
    assert not answer.variant_certain
    assert any("leads the next by 0.143" in reason for reason in answer.reasons)
    assert ask(store, axis(1), rule=RULE).variant_certain


def test_the_best_region_counts_and_equal_ones_leave_it_with_the_whole(
    make: Callable[..., Store],
) -> None:
    store = make(enrolled("a", axis(1)), enrolled("b", axis(2)))
    better = ask(store, axis(1, 2, 0.9), axis(2, 1, 0.1), rule=RULE)
    assert (better.key, better.region.kind) == ("b", "window")
    assert better.reasons[-1] == "best of 2 regions: window"
    assert ask(store, axis(1), axis(1), rule=RULE).region.kind == "whole"


def test_one_item_is_scored_against_the_cohort(make: Callable[..., Store]) -> None:
    store, cohort = make(enrolled("a", axis(1))), np.stack([axis(n) for n in range(2, 32)])
    near = cohort_level(axis(1, 2, 0.2)[None], cohort)
    answer = ask(store, axis(1, 2, 0.2), rule=RULE, near=near)
    assert answer.known
    assert answer.margin is None
    assert answer.score == pytest.approx(answer.similarity - near[0], abs=1e-6)
    assert any("one item enrolled, no runner-up" in reason for reason in answer.reasons)


def test_a_rule_that_cannot_be_applied_is_not_pretended(make: Callable[..., Store]) -> None:
    """A margin was fitted, all items but one have gone, and there is no cohort."""
    answer = ask(make(enrolled("a", axis(1))), axis(1), rule=RULE, stale="removed")
    assert not answer.known
    assert answer.reasons[0].endswith("one item is left: calibrate anew")
    assert [candidate.key for candidate in answer.candidates] == ["a"]


def test_a_stale_calibration_says_so(make: Callable[..., Store]) -> None:
    store = make(enrolled("a", axis(1)), enrolled("b", axis(2)))
    answer = ask(store, axis(1), rule=RULE, stale="references were added")
    assert "no promise: the calibration is out of date: references were added" in answer.reasons
    assert not any(reason.startswith("strangers") for reason in answer.reasons)


@pytest.mark.parametrize("rule", [None, RULE])
def test_an_empty_gallery_knows_nothing(make: Callable[..., Store], rule: Calibration) -> None:
    answer = ask(make(), axis(1), rule=rule)
    assert not answer.known
    assert answer.reasons == ("the gallery is empty",)
    assert answer.candidates == ()


def test_top_candidates_are_different_items(make: Callable[..., Store]) -> None:
    rows = [
        enrolled(f"i{n}", axis(n, 0, 0.1 * m), name=f"{n}-{m}.jpg")
        for n in range(1, 5)
        for m in range(3)
    ]
    store = make(*rows)
    found = reach(store.search, axis(2, 3, 0.4)[None], len(store), distinct=4)
    answer = decide([WHOLE], found, None, store, RULE, top=3)
    keys = [candidate.key for candidate in answer.candidates]
    assert len(set(keys)) == len(keys) == 3
    cosines = [candidate.similarity for candidate in answer.candidates]
    assert cosines == sorted(cosines, reverse=True)


def test_look_alikes_are_same_files_and_near_references_of_other_items(
    make: Callable[..., Store],
) -> None:
    store = make(
        enrolled("a", axis(1), sha="ff"),
        enrolled("b", axis(2), sha="ff"),
        enrolled("c", axis(3)),
        enrolled("d", axis(3, 4, 0.1)),
        enrolled("e", axis(5), "x"),
        enrolled("e", axis(5), "y"),
    )
    only_bytes = look_alikes(store)
    assert [(pair.a.key, pair.b.key, pair.identical) for pair in only_bytes] == [("a", "b", True)]
    store.set_calibration(replace(RULE, view_level=0.9))
    pairs = look_alikes(store)
    assert (pairs[0].a.key, pairs[0].b.key) == ("a", "b")
    assert {frozenset((pair.a.key, pair.b.key)) for pair in pairs} == {
        frozenset("ab"),
        frozenset("cd"),
    }
    assert pairs[1].similarity == pytest.approx(1 / np.sqrt(1.01), abs=1e-3)
