"""Several names in one photo: which boxes stay, and which rule names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from prints import card
from rephotographed import laid, scenes, table

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, Settings
from kenspeckle.flows.masks import THINGS, Fixed, lead, masks, nothing, quads
from kenspeckle.match.apart import OVERLAP, apart
from kenspeckle.match.sighting import overlap
from kenspeckle.types import Region

boxes = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda n: (n[0], n[1], n[0] + n[2], n[1] + n[3])
)


@given(st.lists(st.tuples(boxes, st.floats(-1, 1), st.sampled_from("ab")), max_size=12))
def test_what_is_kept_is_apart_and_the_best(
    found: list[tuple[tuple[int, int, int, int], float, str]],
) -> None:
    rects = [one[0] for one in found]
    scores = [one[1] for one in found]
    kept = apart(rects, scores, [one[2] for one in found])
    assert [scores[n] for n in kept] == sorted((scores[n] for n in kept), reverse=True)
    for place, n in enumerate(kept):
        assert all(overlap(rects[n], rects[m]) <= OVERLAP for m in kept[:place])
    if found:
        assert max(scores) == scores[kept[0]]


def test_a_card_and_its_art_are_one_two_cards_are_two() -> None:
    card, art = (0, 0, 100, 140), (10, 20, 90, 80)
    assert apart([art, card], [0.4, 0.5], ["a", "a"]) == [1]
    assert apart([art, card], [0.4, 0.5], ["b", "a"]) == [1, 0], "a card may lie on another"
    assert apart([], [], []) == []


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("masks")
    (folder / "refs").mkdir()
    for name, image in scenes().items():
        image.save(folder / "refs" / f"{name}.png")
    made = Gallery.create(
        folder / "g.ken",
        settings=Settings(
            models=ModelSettings(name="default"), index=IndexSettings(calibrate=False)
        ),
    )
    made.index(folder / "refs")
    return made


def desk() -> Image.Image:
    ground, things = table(np.random.default_rng(5), (1200, 700)), scenes()
    laid(ground, things["coffee"], (230, 330), 230, 9)
    laid(ground, things["astronaut"], (640, 330), 300, -7)
    return ground


def test_things_are_named_each_for_itself(gallery: Gallery) -> None:
    found = masks(gallery.opened, gallery.picture(desk()), Fixed(0.6, 0.05))
    assert sorted(one.decision.label for one in found) == ["astronaut", "coffee"]
    for one in found:
        assert one.region.kind == "quad"
        assert one.confident
        paths = [reference.path for reference, _ in one.nearest]
        assert len(set(paths)) == len(paths) == 3
        assert paths[0] == f"{one.decision.label}.png"


def test_a_lead_that_is_too_small_is_named_and_not_sure(gallery: Gallery) -> None:
    found = masks(gallery.opened, gallery.picture(desk()), Fixed(0.6, 1.5))
    assert found
    assert not any(one.confident for one in found)
    assert masks(gallery.opened, gallery.picture(desk()), Fixed(0.6, 1.5), find=nothing) == ()


def test_the_frame_counts_where_no_thing_is_named(gallery: Gallery) -> None:
    picture = gallery.picture(scenes()["moon"])
    (one,) = masks(gallery.opened, picture, Fixed(0.6, 0.05), find=nothing)
    assert one.decision.label == "moon"
    assert lead(one.decision) >= 0.05


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Drawn cards in whose pictures corners are found; two are prints of one, but for a number."""
    folder = tmp_path_factory.mktemp("cards")
    (folder / "refs").mkdir()
    for seed in range(4, 14):
        card(seed).save(folder / "refs" / f"LOCH-JP{seed:03}_card_{'abcdefghijklmn'[seed]}.png")
    for number, rarity in ((41, "ur"), (77, "pscr")):
        name = f"LOCH-JP0{number}_dark_magician_{rarity}.png"
        card(1, number).save(folder / "refs" / name)
    made = Gallery.create(folder / "g.ken", settings=Settings())
    made.index(folder / "refs")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["calibrated", "fixed"])
def test_a_picture_of_the_gallery_is_itself_and_not_what_is_drawn_on_it(
    cards: Gallery, kind: str
) -> None:
    rule = cards.calibration if kind == "calibrated" else Fixed(0.6, 0.02)
    assert rule
    found_in = 0
    for one in cards.references():
        picture = cards.picture(Path(cards.store.manifest.refs) / one.path)
        (mask,) = masks(cards.opened, picture, rule)
        assert mask.region.kind == "whole"
        assert mask.decision.candidates[0].reference.path == one.path
        found_in += bool(quads(picture.image))
    assert found_in > 6


@pytest.mark.slow
def test_a_card_in_a_frame_is_no_copy_of_it(cards: Gallery) -> None:
    """The frame as a whole is near to it as well; the card is nearer."""
    frame = Image.new("RGB", (330, 460), "grey")
    frame.paste(card(1, 77), (15, 20))
    (mask,) = masks(cards.opened, cards.picture(frame), Fixed(0.6, 0.02))
    assert mask.region.kind == "quad"
    assert mask.decision.label == "Dark Magician"


def test_another_finder_takes_the_place_of_corners(gallery: Gallery) -> None:
    def left_half(image: Image.Image) -> list[Region]:
        return [Region((0, 150, 470, 500), "detected", 0.9)] * (THINGS + 5)

    (one,) = masks(gallery.opened, gallery.picture(desk()), Fixed(0.3, 0.0), find=left_half)
    assert one.region.kind == "detected"
    assert one.decision.label == "coffee"


def test_small_and_empty_pictures_have_no_things() -> None:
    for size in ((1, 1), (40, 30), (3000, 2)):
        assert quads(Image.new("RGB", size, "white")) == []


def test_an_empty_gallery_names_nothing(tmp_path: Path) -> None:
    settings = Settings(models=ModelSettings(name="dummy"))
    with Gallery.create(tmp_path / "g.ken", settings=settings) as empty:
        assert masks(empty.opened, empty.picture(desk()), Fixed(-1, 0)) == ()
