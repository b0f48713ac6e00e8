"""Which rule decides about a frame, and in which numbers clients are told of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rephotographed import scenes

from kenspeckle import Gallery
from kenspeckle.config import ServeSettings
from kenspeckle.flows.masks import Fixed
from kenspeckle.serve.routes import falcon_examples, falcon_rule, falcon_schemas
from kenspeckle.serve.routes.falcon_answer import corners, cosine
from kenspeckle.serve.routes.falcon_rule import (
    FORMER,
    Deciding,
    asked_for,
    described,
    stricter,
    thresholds,
)
from kenspeckle.types import Calibration

FITTED = Calibration(
    score="margin", threshold=0.1, slope=1.0, intercept=0.0, promises=(), fpir=0.05,
    regions="whole", space_id="s", items=3, references=3, change=1, date="2026-01-02",
    mated_trials=1, named_right=1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, None),
        ({"similarity": 0.5}, Fixed(0.5, 0.04)),
        ({"margin": 0.1}, Fixed(0.70, 0.1)),
        ({"similarity": -1.0, "margin": 0.0}, Fixed(-1.0, 0.0)),
    ],
)
def test_either_number_asks_for_the_fixed_rule(given: dict[str, float], rule: Fixed | None) -> None:
    assert asked_for(ServeSettings(**given)) == rule


def test_the_threshold_stands_under_the_number_that_is_compared() -> None:
    assert thresholds(FITTED) == (0.0, 0.1)
    assert thresholds(replace(FITTED, score="cosine")) == (0.1, 0.0)
    assert thresholds(FORMER) == (0.70, 0.04)
    assert described(FITTED, "old")["stale"] == "old"
    assert described(FORMER, "")["kind"] == "fixed"


def test_a_rule_for_frames_is_never_looser() -> None:
    frames = replace(FITTED, regions="whole+center")
    assert stricter(replace(frames, threshold=0.05), FITTED) == replace(frames, threshold=0.1)
    assert stricter(replace(frames, threshold=0.2), FITTED) == replace(frames, threshold=0.2)
    other = replace(frames, score="cosine", threshold=0.05)
    assert stricter(other, FITTED) == other, "thresholds of two scores cannot be compared"
    assert stricter(None, FITTED) is None
    told = stricter(replace(frames, slope=0.0, intercept=3.0), FITTED)
    assert told is not None
    assert (told.slope, told.intercept) == (1.0, 0.0)


def test_boxes_stay_within_the_picture() -> None:
    told = corners((-5, 0, 50, 70), (40, 60))
    assert (told.x1, told.y1, told.x2, told.y2) == (0, 0, 1, 1)
    assert (cosine(1.00001), cosine(-1.2), cosine(0.5)) == (1, -1, 0.5)


def test_the_examples_are_answers() -> None:
    for model, example in (
        (falcon_schemas.Frame, falcon_examples.FRAME),
        (falcon_schemas.TopPrices, falcon_examples.TOP),
        (falcon_schemas.Info, falcon_examples.INFO),
    ):
        assert model.model_validate(example, strict=True).model_dump() == example


@pytest.mark.slow
def test_a_quick_rule_is_replaced_by_one_for_frames_and_a_full_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Fixed | Calibration] = []
    (tmp_path / "refs").mkdir()
    for name, image in scenes().items():
        image.save(tmp_path / "refs" / f"{name}.png")
    with Gallery.create(tmp_path / "g.ken") as gallery:
        gallery.index(tmp_path / "refs")
        own = gallery.calibration
        assert own is not None
        deciding = Deciding(gallery)
        monkeypatch.setattr(
            falcon_rule, "give_back", lambda: given.append(deciding.now(gallery.store))
        )
        assert deciding.now(gallery.store) == own, "nothing begins unless it is asked to"
        first = deciding.now(gallery.store, begin=True)
        assert isinstance(first, Calibration)
        assert "window" in first.regions
        assert first.threshold >= own.threshold
        assert first.slope == own.slope
        deciding.wait(200)
        better = deciding.now(gallery.store)
        assert isinstance(better, Calibration)
        assert better.mated_trials > 0
        assert better.threshold >= own.threshold
        assert given == [better], "memory is given back once the better rule is there"
        gallery.store.set_calibration(replace(own, method="full"))
        assert deciding.now(gallery.store, begin=True) == gallery.calibration
