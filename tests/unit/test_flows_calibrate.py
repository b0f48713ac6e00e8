"""The quick calibration on real galleries of drawn things, with the model of hashes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kenspeckle.config import IdentifySettings, IndexSettings, ModelSettings, Settings
from kenspeckle.errors import CatalogError, PromiseRefused, SettingError
from kenspeckle.gallery import Gallery
from kenspeckle.image.views import camera_views
from kenspeckle.match.promise import VIEWS
from kenspeckle.types import Calibration, Picture

pytestmark = pytest.mark.slow

SETTINGS = Settings(
    models=ModelSettings(name="dummy"),
    index=IndexSettings(calibrate=False),
    identify=IdentifySettings(regions="whole", fpir=0.05),
)
PATIENCE = 200.0
"""Seconds for every view, on a busy machine too."""


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
        rule = made.calibrate(PATIENCE)
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
        first, second = made.calibrate(PATIENCE), made.calibrate(PATIENCE)
    assert first is not None
    assert second is not None
    assert replace(first, date="") == replace(second, date="")


@pytest.mark.parametrize("items", [1, 2, 3, 5])
@pytest.mark.parametrize("each", [1, 3])
def test_small_galleries(tmp_path: Path, items: int, each: int) -> None:
    with gallery(tmp_path, items, each) as made:
        rule = made.calibrate(PATIENCE)
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
        before = made.calibrate(PATIENCE)
        folder = tmp_path / "refs"
        (folder / "twin.png").write_bytes((folder / "thing-1.png").read_bytes())
        report = made.index(folder)
        assert any(pair.identical for pair in report.look_alikes)
        rule = made.calibrate(PATIENCE)
        assert rule is not None
        assert before is not None
        assert rule.items == 7
        assert rule.promises[0].items == 5
        assert any(note.startswith("2 items look like another one") for note in rule.notes)
        assert rule.threshold < 2 * before.threshold


def test_moved_originals_are_counted(tmp_path: Path) -> None:
    with gallery(tmp_path, 5) as made:
        (tmp_path / "refs" / "thing-2.png").unlink()
        rule = made.calibrate(PATIENCE)
        assert rule is not None
        like = rule.promises[0]
        assert (like.strangers, like.items, like.trials) == ("like your items", 5, 41)
        assert rule.mated_trials == 40
        assert any(note.startswith("10 views not made") for note in rule.notes)
        assert any(note.startswith("1 item without a picture at hand") for note in rule.notes)


def test_one_view_that_was_not_made_is_told_as_one(tmp_path: Path) -> None:
    with gallery(tmp_path, 5) as made:
        (tmp_path / "refs" / "thing-2.png").unlink()
        rule = made.calibrate(fpir=0.5, views=1)
        assert rule is not None
        assert any(note.startswith("1 view not made: ") for note in rule.notes)


@pytest.mark.parametrize("full", [False, True])
def test_without_originals_stored_vectors_are_the_strangers(tmp_path: Path, full: bool) -> None:
    with gallery(tmp_path, 12) as made:
        for path in (tmp_path / "refs").iterdir():
            path.unlink()
        rule = made.calibrate() if full else made.calibrate(PATIENCE)
        assert rule is not None
        like = rule.promises[0]
        assert (like.strangers, like.items, like.trials) == ("like your items", 12, 12)
        assert rule.mated_trials == 0
        assert rule.slope == 0
        assert VIEWS not in rule.notes
        leads = [made.identify(thing(seed)).score for seed in range(100, 140)]
        assert sum(lead > rule.threshold for lead in leads) <= 8


def test_two_things_without_pictures_that_look_alike_are_no_strangers(tmp_path: Path) -> None:
    with gallery(tmp_path, 12) as made:
        thing(3).crop((1, 0, 120, 90)).save(tmp_path / "again.png")
        made.add(tmp_path / "again.png")
        for path in (tmp_path / "refs").iterdir():
            path.unlink()
        rule = made.calibrate(PATIENCE)
        assert rule is not None
        assert rule.promises[0].items == 11
        assert any(note.startswith("2 items look like another one") for note in rule.notes)


def test_few_items_make_nobody_sure(tmp_path: Path) -> None:
    with gallery(tmp_path, 2) as made:
        rule = made.calibrate(PATIENCE)
        assert rule is not None
        assert rule.mated_trials == 20
        views = [made.identify(picture) for picture in camera_views(thing(0), 8, 5)]
        assert any(one.known for one in views)
        assert max(one.confidence or 0.0 for one in views) < 0.95


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
        rule = made.calibrate(PATIENCE)
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
        assert made.calibrate(PATIENCE) is not None
        for rarity in ("ur", "sr"):
            photo = Picture(printed(0, rarity).rotate(3, fillcolor="gray"), "photo")
            answer = made.identify(photo)
            assert answer.known
            assert answer.label == "Thing 0"
            assert answer.variant_certain or any("not certain" in r for r in answer.reasons)


def test_regions_of_the_rule_are_tried(tmp_path: Path) -> None:
    settings = replace(SETTINGS.identify, regions="windows")
    with gallery(tmp_path, 4, identify=settings) as made:
        rule = made.calibrate(PATIENCE)
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
        rule = made.calibrate(PATIENCE)
        assert rule is not None
        general = next(p for p in rule.promises if p.strangers == "general")
        assert general.trials == general.items == 2723
        assert general.fpir <= 0.05
        assert rule.score == ("margin" if items > 2 else "cohort")
        assert made.identify(tmp_path / "refs" / "thing-0.png").known
        noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise.png")
        assert not made.identify(tmp_path / "noise.png").known


def strangers(folder: Path, things: int, each: int = 1, first: int = 1000) -> Path:
    """Photos of things that no shelf holds: a folder a thing where there are several of each."""
    for number in range(things):
        home = folder / f"other-{number}" if each > 1 else folder
        home.mkdir(parents=True, exist_ok=True)
        for shot in range(each):
            picture = thing(first + number).crop((3 * shot, 2 * shot, 120, 90))
            picture.save(home / f"{number}-{shot}.png")
    return folder


def table(path: Path, *rows: str, header: str = "path,label") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_strangers_that_are_given_decide_and_are_promised(tmp_path: Path) -> None:
    with gallery(tmp_path, 20) as made:
        rule = made.calibrate(fpir=0.05, strangers=strangers(tmp_path / "others", 60))
        assert rule is not None
        assert rule == made.calibration
        assert made.stale == ""
        assert (rule.method, rule.fpir, rule.items) == ("full", 0.05, 20)
        promise = rule.promises[0]
        assert (promise.strangers, promise.items, promise.trials) == ("given", 60, 60)
        assert promise.low <= promise.fpir <= promise.high
        assert promise.fpir <= 0.0501
        assert any("60 photos of 60 things" in note for note in rule.notes)
        assert any(note.startswith("extrapolated, not promised") for note in rule.notes)
        assert Calibration.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_a_promise_beyond_the_strangers_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    with gallery(tmp_path, 20) as made:
        before = made.calibrate()
        others = strangers(tmp_path / "others", 30, each=3)
        with pytest.raises(PromiseRefused, match=r"30 independent strangers \(given\).*59"):
            made.calibrate(fpir=0.05, strangers=others)
        with pytest.raises(PromiseRefused, match=r"20 independent .*like your items.*299"):
            made.calibrate(fpir=0.01)
        assert made.calibration == before
        rule = made.calibrate(strangers=others)  # nobody asked for a rate: the promise says less
        assert rule is not None
        assert rule.promises[0].items == 30
        assert rule.promises[0].fpir > 0.05


def test_copies_of_one_stranger_count_once(tmp_path: Path) -> None:
    others = strangers(tmp_path / "others", 60)
    for number in range(5):
        (others / f"copy-{number}.png").write_bytes((others / "7-0.png").read_bytes())
    with gallery(tmp_path, 20) as made:
        rule = made.calibrate(fpir=0.05, strangers=others)
    assert rule is not None
    assert rule.promises[0].items == 60
    assert rule.promises[0].trials == 65
    assert any("nearly the same picture: 5" in note for note in rule.notes)


def test_a_reference_among_the_strangers_is_left_out(tmp_path: Path) -> None:
    with gallery(tmp_path, 20) as made:
        others = strangers(tmp_path / "others", 60)
        (others / "mine.png").write_bytes((tmp_path / "refs" / "thing-3.png").read_bytes())
        rule = made.calibrate(fpir=0.05, strangers=others)
    assert rule is not None
    assert rule.promises[0].items == 60
    assert any("they are references, byte for byte: 1" in note for note in rule.notes)


def test_labelled_photos_are_mated_trials_and_make_the_confidence(tmp_path: Path) -> None:
    shots, rows = tmp_path / "shots", []
    shots.mkdir()
    for item in range(20):
        for shot in range(4):
            name = f"{item}-{shot}.png"
            thing(item).rotate(2 * shot + 1).save(shots / name)
            rows.append(f"shots/{name},thing-{item}")
    strangers(shots, 60)
    rows += [f"shots/{n}-0.png,{'unknown' if n % 2 else ''}" for n in range(20, 60)]
    with gallery(tmp_path, 20) as made:
        rule = made.calibrate(photos=table(tmp_path / "photos.csv", *rows))
        assert rule is not None
        assert rule.confidence_from == "photos"
        assert rule.labelled == 120
        assert rule.mated_trials == 80
        assert [promise.strangers for promise in rule.promises] == ["given", "like your items"]
        assert rule.promises[0].items == 40
        assert any("80 of 20 items" in note for note in rule.notes)
        few = made.calibrate(photos=table(tmp_path / "few.csv", *rows[:20], *rows[-5:]), views=2)
    assert few is not None
    assert few.confidence_from == "views"
    assert few.labelled == 25


def test_what_a_table_of_photos_does_not_offer_is_counted_and_told(tmp_path: Path) -> None:
    strangers(tmp_path / "others", 6)
    (tmp_path / "others" / "broken.png").write_bytes(b"no picture")
    photos = table(
        tmp_path / "photos.csv",
        "others/0-0.png,THING-3,,noon,query",
        "others/1-0.png,thing3,,noon,",
        "others/2-0.png,something else,,noon,",
        "others/3-0.png,,mug,noon,",
        "others/4-0.png,,mug,noon,",
        "others/gone.png,thing-4,,noon,",
        "others/broken.png,,,noon,",
        "others/5-0.png,thing-5,,noon,Reference",
        header="path,label,item,daytime,role",
    )
    with gallery(tmp_path, 20) as made:
        rule = made.calibrate(photos=photos, views=1)
    assert rule is not None
    told = "\n".join(rule.notes)
    assert "1 left out, references by their role" in told
    assert "1 left out, no such file: others/gone.png" in told
    assert "1 with labels that are not enrolled are taken for strangers" in told
    assert "1 left out, written almost like an item: thing3" in told
    assert "columns not used: daytime" in told
    assert "photos that cannot be read: 1" in told
    assert "labelled photos: 1 of 1 items" in told
    assert rule.promises[0].items == 2  # something else, mug


@pytest.mark.parametrize(
    ("header", "row", "told"),
    [
        ("file,label", "a.png,x", "no column path"),
        ("path,name", "a.png,x", "no column label"),
        ("path,label", "gone.png,x", "none of 1 photos is there"),
        ("path,label", "", "no rows"),
    ],
)
def test_a_table_that_says_nothing_usable_is_refused(
    tmp_path: Path, header: str, row: str, told: str
) -> None:
    with gallery(tmp_path, 3) as made, pytest.raises(CatalogError, match=told):
        made.calibrate(photos=table(tmp_path / "photos.csv", *[row][: bool(row)], header=header))


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with gallery(tmp_path, 3) as made:
        with pytest.raises(CatalogError, match="no pictures"):
            made.calibrate(strangers=tmp_path / "empty")
        with pytest.raises(CatalogError, match="not a folder"):
            made.calibrate(strangers=tmp_path / "nowhere")


@pytest.mark.parametrize("fpir", [-0.1, 1.0, 2.0, float("nan")])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, fpir: float) -> None:
    with gallery(tmp_path, 3) as made, pytest.raises(SettingError, match="above 0 and below 1"):
        made.calibrate(fpir=fpir)


def test_a_gallery_of_one_item_needs_strangers(tmp_path: Path) -> None:
    with gallery(tmp_path, 1) as made:
        with pytest.raises(PromiseRefused, match="no stranger to fit"):
            made.calibrate()  # this model has no cohort
        rule = made.calibrate(fpir=0.05, strangers=strangers(tmp_path / "others", 60))
        assert rule is not None
        assert rule.score == "cosine"
        assert made.identify(tmp_path / "refs" / "thing-0.png").known


def test_identical_references_are_no_strangers(tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    folder.mkdir()
    for item in range(4):
        thing(0).save(folder / f"thing-{item}.png")
    with Gallery.create(tmp_path / "made.ken", settings=SETTINGS) as made:
        made.index(folder)
        with pytest.raises(PromiseRefused, match="no stranger"):
            made.calibrate()


def test_an_empty_gallery_is_refused(tmp_path: Path) -> None:
    with (
        Gallery.create(tmp_path / "made.ken", settings=SETTINGS) as made,
        pytest.raises(PromiseRefused, match="empty gallery"),
    ):
        made.calibrate()


def test_indexing_more_leaves_a_full_calibration_out_of_date(tmp_path: Path) -> None:
    wanted = replace(SETTINGS, index=IndexSettings(calibrate=True))
    with gallery(tmp_path, 20) as made:
        rule = made.calibrate(fpir=0.05, strangers=strangers(tmp_path / "others", 60))
        path = made.store.path
    thing(99).save(tmp_path / "refs" / "thing-99.png")
    with Gallery.open(path, settings=wanted, write=True) as made:
        made.index(tmp_path / "refs")
        assert made.calibration == rule
        assert "references were added" in made.stale
        assert any("out of date" in r for r in made.identify(tmp_path / "refs/thing-1.png").reasons)


def test_the_same_material_gives_the_same_rule(tmp_path: Path) -> None:
    others = strangers(tmp_path / "others", 60)
    with gallery(tmp_path, 20) as made:
        first, second = (made.calibrate(fpir=0.05, strangers=others) for _ in range(2))
    assert first is not None
    assert second is not None
    assert replace(first, date="") == replace(second, date="")


def test_with_regions_the_rate_is_per_photo_and_that_of_regions_is_told(tmp_path: Path) -> None:
    others = strangers(tmp_path / "others", 60)
    wanted = IdentifySettings(regions="windows", fpir=0.05)
    with gallery(tmp_path, 20, identify=wanted) as made:
        rule = made.calibrate(fpir=0.05, strangers=others, views=1)
    assert rule is not None
    assert rule.regions == "whole+windows"
    (told,) = (note for note in rule.notes if note.startswith("the rate is per photo"))
    share = float(told.split()[-5])
    assert 0 <= share / 100 <= rule.promises[0].fpir


def test_feedback_is_used_and_makes_a_calibration_stale(tmp_path: Path) -> None:
    others = strangers(tmp_path / "others", 60)
    wrong = thing(5).rotate(3)
    wrong.save(tmp_path / "wrong.png")
    thing(7).rotate(4).save(tmp_path / "right.png")
    with gallery(tmp_path, 20) as made:
        first = made.calibrate(fpir=0.05, strangers=others)
        made.confirm(tmp_path / "right.png", "thing-7")
        made.reject(tmp_path / "wrong.png", "thing-5")
        assert made.stale
        second = made.calibrate(fpir=0.05, strangers=others)
        assert made.stale == ""
    assert first is not None
    assert second is not None
    assert second.feedback > first.feedback
    assert any("labelled photos: 1 of 1 items" in note for note in second.notes)
    assert any("answers rejected: 1" in note for note in second.notes)
    assert second.promises[0].items == 61  # what was rejected counts with the strangers given


@pytest.mark.slow
def test_the_weight_of_a_second_look_is_fitted(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    others = strangers(tmp_path / "others", 60)
    with gallery(tmp_path, 20) as made:
        rule = made.calibrate(fpir=0.05, strangers=others, views=1, second_look="orb")
        assert rule is not None
        (told,) = (note for note in rule.notes if note.startswith("second look: "))
        if rule.second_look is None:
            assert "no gain" in told
        else:
            assert rule.second_look.features == "orb"
            assert f"weight {rule.second_look.weight:g}" in told
        with pytest.raises(SettingError, match="sift, orb or off"):
            made.calibrate(second_look="eyes")


def test_one_confirmed_photo_stands_beside_the_views(tmp_path: Path) -> None:
    thing(7).rotate(4).save(tmp_path / "right.png")
    with gallery(tmp_path, 20) as made:
        before = made.calibrate(views=2)
        made.confirm(tmp_path / "right.png", "thing-7")
        rule = made.calibrate(views=2)
    assert before is not None
    assert rule is not None
    assert rule.score == before.score == "margin"
    assert rule.mated_trials > before.mated_trials > 1
    assert any("labelled ones of 1, strangers of 1 things" in note for note in rule.notes)


def test_a_rule_that_names_fewer_than_the_former_one_says_so(tmp_path: Path) -> None:
    with gallery(tmp_path, 20) as made:
        first = made.calibrate(views=2)
        assert first is not None
        assert not any("names fewer" in note for note in first.notes)
        made.store.set_calibration(replace(first, score="cosine", threshold=-1.0))
        again = made.calibrate(views=2)
        assert again is not None
        (told,) = (note for note in again.notes if "names fewer" in note)
        assert "cosine above -1, asked for 5 %" in told
        named = round(again.named_right * again.mated_trials)
        assert f"{named} of {again.mated_trials} camera views, before " in told
        assert int(told.rsplit(" ", 1)[1]) > named
        made.store.set_calibration(replace(first, threshold=9.0))
        better = made.calibrate(views=2)
    assert better is not None
    assert not any("names fewer" in note for note in better.notes)
