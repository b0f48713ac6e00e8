"""The quick calibration on real galleries of drawn things, with the model of hashes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kenspeckle.config import IdentifySettings, IndexSettings, ModelSettings, Settings
from kenspeckle.gallery import Gallery
from kenspeckle.types import Picture

SETTINGS = Settings(
    models=ModelSettings(name="dummy"),
    index=IndexSettings(calibrate=False),
    identify=IdentifySettings(regions="whole", fpir=0.05),
)


def thing(seed: int) -> Image.Image:
    """Some coloured shapes, the same for the same seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (120, 90), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, w, h = rng.integers(0, 80, 4).tolist()
        colour = tuple(rng.integers(0, 256, 3).tolist())
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), fill=colour)
    return image


def shelf(folder: Path, items: int, each: int = 1) -> Path:
    folder.mkdir()
    for item in range(items):
        for number in range(each):
            suffix = f"__{number + 1}" if number else ""
            thing(item).crop((2 * number, 0, 120, 90)).save(folder / f"thing-{item}{suffix}.png")
    return folder


def gallery(tmp_path: Path, items: int, each: int = 1, **settings: object) -> Gallery:
    made = Gallery.create(tmp_path / "made.ken", settings=replace(SETTINGS, **settings))
    made.index(shelf(tmp_path / "refs", items, each))
    return made


def test_a_gallery_is_calibrated_by_its_own_views(tmp_path: Path) -> None:
    with gallery(tmp_path, 70) as made:
        rule = made.calibrate(30)
        assert rule is not None
        assert made.stale == ""
        assert rule.score == "margin"
        assert rule.method == "quick"
        assert (rule.items, rule.references, rule.regions) == (70, 70, "whole")
        (promise,) = rule.promises  # this model has no cohort: no strangers in general
        assert promise.strangers == "like your items"
        assert promise.items == 70
        assert promise.trials == rule.mated_trials == 210
        assert promise.fpir <= 0.05
        answer = made.identify(tmp_path / "refs" / "thing-3.png")
        assert answer.known
        assert answer.label == made.references()[0].label.replace("0", "3")
        assert answer.confidence is not None


def test_the_same_gallery_gives_the_same_rule(tmp_path: Path) -> None:
    with gallery(tmp_path, 6) as made:
        first, second = made.calibrate(30), made.calibrate(30)
    assert first is not None
    assert second is not None
    assert replace(first, date="") == replace(second, date="")


@pytest.mark.parametrize("items", [1, 2, 3, 5])
@pytest.mark.parametrize("each", [1, 3])
def test_small_galleries(tmp_path: Path, items: int, each: int) -> None:
    with gallery(tmp_path, items, each) as made:
        rule = made.calibrate(10)
        if items == 1:
            assert rule is None  # no other item, no cohort: nothing to fit on
        else:
            assert rule is not None
            (promise,) = rule.promises
            assert promise.items == items
            assert any("needs 59" in note for note in rule.notes)
        answer = made.identify(tmp_path / "refs" / "thing-0.png")
        assert answer.candidates[0].similarity > 0.99


def test_items_that_share_a_file_are_no_strangers_to_each_other(tmp_path: Path) -> None:
    """Left out, such an item would still be found under its other name and spoil the threshold."""
    with gallery(tmp_path, 6) as made:
        before = made.calibrate(30)
        folder = tmp_path / "refs"
        (folder / "twin.png").write_bytes((folder / "thing-1.png").read_bytes())
        report = made.index(folder)
        assert any(pair.identical for pair in report.look_alikes)
        rule = made.calibrate(30)
        assert rule is not None
        assert before is not None
        assert rule.items == 7
        assert rule.promises[0].items == 5
        assert any(note.startswith("2 items look like another one") for note in rule.notes)
        assert rule.threshold < 2 * before.threshold


def test_moved_originals_are_counted(tmp_path: Path) -> None:
    with gallery(tmp_path, 5) as made:
        (tmp_path / "refs" / "thing-2.png").unlink()
        rule = made.calibrate(10)
        assert rule is not None
        assert rule.promises[0].items == 4
        assert any(note.startswith("10 views not made") for note in rule.notes)


def test_with_no_original_left_there_is_no_rule(tmp_path: Path) -> None:
    with gallery(tmp_path, 3) as made:
        for path in (tmp_path / "refs").iterdir():
            path.unlink()
        assert made.calibrate(10) is None


def test_the_time_is_kept_and_what_was_left_is_said(tmp_path: Path) -> None:
    with gallery(tmp_path, 30) as made:
        rule = made.calibrate(0.05)
        assert rule is None or any("in the time given" in note for note in rule.notes)


def printed(item: int, rarity: str) -> Image.Image:
    """One card in one of two prints that differ in a band."""
    picture = thing(item)
    colour = "gold" if rarity == "ur" else "silver"
    ImageDraw.Draw(picture).rectangle((0, 0, 120, 12), fill=colour)
    return picture


def test_two_prints_have_one_item_and_a_margin_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    folder.mkdir()
    for item in range(20):
        for rarity in ("ur", "sr"):
            printed(item, rarity).save(folder / f"LOB-EN{item:03}_thing_{item}_{rarity}.png")
    with Gallery.create(tmp_path / "made.ken", settings=SETTINGS) as made:
        made.index(folder)
        rule = made.calibrate(30)
    assert rule is not None
    assert (rule.items, rule.references) == (20, 40)
    assert rule.variant_margin is not None


def test_two_prints_among_eighteen_other_things(tmp_path: Path) -> None:
    """The built-in model names the item for photos of both prints."""
    folder = tmp_path / "refs"
    folder.mkdir()
    for rarity in ("ur", "sr"):
        printed(0, rarity).save(folder / f"LOB-EN000_thing_0_{rarity}.png")
    for item in range(1, 19):
        thing(item).save(folder / f"LOB-EN{item:03}_thing_{item}.png")
    settings = replace(SETTINGS, models=ModelSettings())
    with Gallery.create(tmp_path / "made.ken", settings=settings) as made:
        made.index(folder)
        assert made.calibrate(30) is not None
        for rarity in ("ur", "sr"):
            photo = Picture(printed(0, rarity).rotate(3, fillcolor="gray"), "photo")
            answer = made.identify(photo)
            assert answer.known
            assert answer.label == "Thing 0"
            assert answer.variant_certain or any("not certain" in r for r in answer.reasons)


def test_regions_of_the_rule_are_tried(tmp_path: Path) -> None:
    settings = replace(SETTINGS.identify, regions="windows")
    with gallery(tmp_path, 4, identify=settings) as made:
        rule = made.calibrate(20)
        assert rule is not None
        assert rule.regions == "whole+windows"
        assert made.stale == ""
    with Gallery.open(tmp_path / "made.ken", settings=SETTINGS) as other:
        assert "regions" in other.stale
    unasked = replace(SETTINGS, identify=replace(SETTINGS.identify, regions=""))
    with Gallery.open(tmp_path / "made.ken", settings=unasked) as other:
        assert other.stale == ""
        answer = other.identify(tmp_path / "refs" / "thing-0.png")
        assert any("regions" in reason for reason in answer.reasons)


@pytest.mark.parametrize("items", [1, 2, 8])
def test_the_cohort_stands_for_strangers_in_general(tmp_path: Path, items: int) -> None:
    """The built-in model: its cohort gives a rule even to a gallery of one item."""
    with gallery(tmp_path, items, models=ModelSettings()) as made:
        rule = made.calibrate(20)
        assert rule is not None
        general = next(p for p in rule.promises if p.strangers == "general")
        assert general.trials == general.items == 2723
        assert general.fpir <= 0.05
        assert rule.score == ("margin" if items > 2 else "cohort")
        assert made.identify(tmp_path / "refs" / "thing-0.png").known
        noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise.png")
        assert not made.identify(tmp_path / "noise.png").known
