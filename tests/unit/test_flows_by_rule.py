"""Fixed rules on a gallery: views take no part, the region that is named counts."""

from __future__ import annotations

import numpy as np
import pytest

from kenspeckle.config import IdentifySettings, Settings
from kenspeckle.errors import InputError
from kenspeckle.flows.by_rule import ByRule
from kenspeckle.flows.opened import Opened
from kenspeckle.match.methods import Rule
from kenspeckle.store.base import Enrolled, Manifest
from kenspeckle.store.open import create_store
from kenspeckle.types import Fingerprint, Recipe, Reference, Region

WIDTH = 8
WHOLE = Region((0, 0, 10, 10))
CENTER = Region((2, 2, 8, 8), "center")


def unit(**parts):
    row = np.zeros(WIDTH, np.float32)
    for name, value in parts.items():
        row["abcdefgh".index(name)] = value
    return row / np.linalg.norm(row)


class Model:
    """An embedder that is asked for its cohort alone."""

    def __init__(self, cohort=None):
        self.cohort = cohort


@pytest.fixture
def ruled(tmp_path):
    """Makes a gallery of (key, vector[, view[, variant]]), answered by a rule."""
    stores = []

    def made(rule, rows, cohort=None):
        fingerprint = Fingerprint("test", "0" * 64, Recipe(8), WIDTH)
        store = create_store(tmp_path / f"{len(stores)}.ken", Manifest(fingerprint))
        stores.append(store)
        for number, (key, row, *more) in enumerate(rows):
            view, variant = (*more, "", "")[:2]
            path = f"{key}{number}.png"
            store.add([Enrolled(Reference(key, key.upper(), path, variant, view=view), row)])
        settings = Settings(identify=IdentifySettings(top=3))
        return ByRule(Opened(store, Model(cohort), settings), rule)

    yield made
    for store in stores:
        store.close()


def test_the_region_that_is_named_counts_before_a_larger_score(ruled):
    by_rule = ruled(Rule("item-margin", 0.5, 0.1), [("a", unit(a=1)), ("b", unit(b=1))])
    undecided, clear = unit(a=1, b=1), unit(b=1, c=1.2)
    decision = by_rule.answer((WHOLE, CENTER), np.stack([undecided, clear]))
    assert (decision.known, decision.key, decision.region) == (True, "b", CENTER)
    assert decision.similarity < 0.7
    assert decision.reasons[-1] == "best of 2 regions: center"
    assert decision.margin == pytest.approx(decision.similarity)


def test_views_are_no_references(ruled):
    rows = [("a", unit(a=1)), ("a", unit(a=1, b=0.1), "view 1"), ("b", unit(c=1))]
    by_rule = ruled(Rule("multi-ref", 0.5, 0.05, least=2), rows)
    decision = by_rule.answer((WHOLE,), unit(a=1)[None])
    assert not decision.known
    assert "1 references at T or above, asked are 2" in decision.reasons[0]


def test_a_lone_survivor_is_named_by_the_former_pool_only(ruled):
    rows = [("a", unit(a=1)), ("a", unit(a=1, b=0.1)), ("b", unit(a=1, c=0.2)), ("b", unit(d=1))]
    for legacy in (False, True):
        rule = Rule("multi-ref", 0.9, 0.05, least=2, pool="max", legacy=legacy)
        decision = ruled(rule, rows).answer((WHOLE,), unit(a=1)[None])
        assert decision.known is legacy
        assert decision.margin < 0.05  # the item margin is told all the same


def test_the_former_pool_may_choose_another_than_the_nearest(ruled):
    rows = [("a", unit(a=1)), ("b", unit(a=1, c=0.2)), ("b", unit(a=1, c=0.25))]
    rule = Rule("multi-ref", 0.9, 0.05, least=2, pool="max", legacy=True)
    decision = ruled(rule, rows).answer((WHOLE,), unit(a=1)[None])
    assert (decision.known, decision.key) == (True, "b")
    assert decision.candidates[0].key == "b"
    assert decision.reasons[1].startswith("nearest by the rule is B (cosine 0.98")
    assert decision.reasons[1].endswith("though A has a nearer reference (1.000)")
    assert decision.margin < 0


def test_centroids(ruled):
    rows = [("a", unit(a=1)), ("a", unit(b=1)), ("c", unit(c=1))]
    decision = ruled(Rule("centroid", 0.95), rows).answer((WHOLE,), unit(a=1, b=1)[None])
    assert (decision.known, decision.key) == (True, "a")
    assert decision.score == pytest.approx(1, abs=1e-6)
    assert decision.similarity == pytest.approx(np.sqrt(0.5), abs=1e-6)


def test_the_cohort_counts_for_its_rule_alone(ruled):
    cohort = np.stack([unit(a=1, h=1), unit(h=1)])
    rows = [("a", unit(a=1)), ("b", unit(b=1))]
    decision = ruled(Rule("cohort", 0.2), rows, cohort).answer((WHOLE,), unit(a=1)[None])
    assert decision.score == pytest.approx(1 - np.sqrt(0.5) / 2, abs=1e-6)
    with pytest.raises(InputError, match="cohort"):
        ruled(Rule("cohort", 0.2), rows).answer((WHOLE,), unit(a=1)[None])


def test_one_item_and_none(ruled):
    decision = ruled(Rule("margin", 0.5), [("a", unit(a=1))]).answer((WHOLE,), unit(a=1)[None])
    assert (decision.known, decision.margin) == (True, None)
    assert decision.reasons[1].endswith("one item enrolled")
    decision = ruled(Rule("margin", 0.5), []).answer((WHOLE,), unit(a=1)[None])
    assert not decision.known
    assert decision.reasons == ("fixed rule (margin, T 0.5, m 0.05): the gallery is empty",)


def test_the_print_of_an_item_with_several_is_not_certain(ruled):
    rows = [("a", unit(a=1), "", "foil"), ("a", unit(b=1)), ("c", unit(c=1))]
    decision = ruled(Rule("item-margin", 0.5), rows).answer((WHOLE,), unit(a=1)[None])
    assert (decision.variant, decision.variant_certain) == ("foil", False)
    assert decision.reasons[-1] == "print foil is the nearest, which is no proof"
