"""Region rules on pictures of every shape, and what is cut out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from kenspeckle.errors import SettingError
from kenspeckle.regions import base
from kenspeckle.regions.quad import find_quads
from kenspeckle.regions.windows import find_windows
from kenspeckle.types import Picture, Region

SIZES = ((1, 1), (2, 3), (1, 20_000), (20_000, 1), (31, 33), (128, 128), (640, 480), (480, 2000))


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def on_ground(
    box: tuple[int, int, int, int], size: tuple[int, int] = (400, 300), colour: str = "crimson"
) -> Image.Image:
    """A checkered thing on a plain ground."""
    image = Image.new("RGB", size, (180, 180, 170))
    draw = ImageDraw.Draw(image)
    draw.rectangle(box, fill=colour)
    for x in range(box[0], box[2], 10):
        draw.line((x, box[1], x, box[3]), fill="navy", width=3)
    return image


def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = ((r[2] - r[0]) * (r[3] - r[1]) for r in (a, b))
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rule", base.RULES)
@pytest.mark.parametrize("flat", [True, False])
def test_every_rule_splits_every_picture(size: tuple[int, int], rule: str, flat: bool) -> None:
    image = Image.new("RGB", size, "teal") if flat else noise(size)
    regions = base.split(Picture(image, "made"), rule)
    assert 1 <= len(regions) <= base.MOST
    assert regions[0].kind == ("center" if rule == "center" else "whole")
    for region in regions:
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]
        part = base.cut(image, region)
        assert part.mode == "RGB"
        assert part.width >= 1
        assert part.height >= 1


def test_flat_pictures_have_no_windows_and_no_quads() -> None:
    flat = Image.new("RGB", (300, 200), "white")
    assert find_windows(flat, 5) == []
    assert find_quads(flat, 2) == []


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    seed=st.integers(0, 9),
    count=st.integers(0, 8),
)
@settings(max_examples=40, deadline=None)
def test_windows_lie_inside_and_are_few(width: int, height: int, seed: int, count: int) -> None:
    found = find_windows(noise((width, height), seed), count)
    assert len(found) <= count
    assert [w.score for w in found] == sorted((w.score for w in found), reverse=True)
    for window in found:
        assert 0 <= window.box[0] < window.box[2] <= width
        assert 0 <= window.box[1] < window.box[3] <= height


@pytest.mark.parametrize("corner", [(20, 20), (250, 20), (30, 180), (240, 170), (140, 100)])
def test_a_window_comes_close_to_a_thing(corner: tuple[int, int]) -> None:
    box = (*corner, corner[0] + 120, corner[1] + 100)
    windows = find_windows(on_ground(box), 5)
    assert max(iou(window.box, box) for window in windows) > 0.5


def test_windows_see_colour_without_edges_of_grey() -> None:
    """Red and green of one brightness differ."""
    image = Image.new("RGB", (200, 200), (0, 120, 0))
    ImageDraw.Draw(image).rectangle((60, 60, 140, 140), fill=(120, 0, 0))
    assert max(iou(w.box, (60, 60, 141, 141)) for w in find_windows(image, 5)) > 0.5


def test_the_whole_picture_is_cut_without_a_copy() -> None:
    image = noise((20, 10))
    assert base.cut(image, Region((0, 0, 20, 10))) is image


def test_a_box_is_cut_to_the_pixel() -> None:
    image = noise((20, 10))
    part = base.cut(image, Region((3, 2, 9, 8), "window"))
    assert np.array_equal(np.asarray(part), np.asarray(image)[2:8, 3:9])


def test_corners_of_an_upright_rectangle_give_its_pixels() -> None:
    image = noise((40, 30))
    corners = ((5.0, 4.0), (25.0, 4.0), (25.0, 20.0), (5.0, 20.0))
    flat = base.cut(image, Region((5, 4, 25, 20), "quad", corners=corners))
    assert np.array_equal(np.asarray(flat), np.asarray(image)[4:20, 5:25])


CARD = ((70.0, 40.0), (300.0, 75.0), (270.0, 260.0), (50.0, 210.0))


def tilted_card() -> tuple[Image.Image, Image.Image]:
    """A card of four colours, and a photo in which it lies tilted on a dark table."""
    card = Image.new("RGB", (240, 180))
    draw = ImageDraw.Draw(card)
    for number, colour in enumerate(("red", "yellow", "white", "orange")):
        x, y = 120 * (number % 2), 90 * (number // 2)
        draw.rectangle((x, y, x + 120, y + 90), fill=colour)
    photo = Image.new("RGB", (360, 300), (25, 30, 40))
    # From the photo to the card: the inverse of what `cut` does.
    matrix = np.array([*base.perspective(CARD, *card.size), 1]).reshape(3, 3)
    inverse = np.linalg.inv(matrix)
    numbers = (inverse / inverse[2, 2]).ravel()[:8]
    laid = card.transform(photo.size, Image.Transform.PERSPECTIVE, tuple(numbers))
    inside = Image.new("L", card.size, 255).transform(
        photo.size, Image.Transform.PERSPECTIVE, tuple(numbers)
    )
    photo.paste(laid, mask=inside)
    return card, photo


def test_a_tilted_card_is_found_and_flattened() -> None:
    pytest.importorskip("cv2")
    card, photo = tilted_card()
    regions = base.split(Picture(photo, "made"), "quad")
    best = max(regions[1:], key=lambda region: iou(region.box, (50, 40, 300, 260)))
    assert best.corners is not None
    assert np.abs(np.array(best.corners) - np.array(CARD)).max() < 6
    flat = base.cut(photo, best).resize(card.size)
    for x, y in ((60, 45), (180, 45), (60, 135), (180, 135)):
        wanted, got = np.array(card.getpixel((x, y))), np.array(flat.getpixel((x, y)))
        assert np.abs(wanted.astype(int) - got.astype(int)).max() < 20


def test_several_cards_are_found() -> None:
    pytest.importorskip("cv2")
    photo = Image.new("RGB", (600, 300), (20, 60, 30))
    draw = ImageDraw.Draw(photo)
    boxes = ((40, 50, 220, 250), (330, 40, 540, 260))
    for box in boxes:
        draw.rectangle(box, fill="ivory")
    found = find_quads(photo, 2)
    assert len(found) == 2
    for box in boxes:
        assert max(iou(region.box, box) for region in found) > 0.9


def test_a_disc_is_no_quad() -> None:
    pytest.importorskip("cv2")
    photo = Image.new("RGB", (300, 300), "black")
    ImageDraw.Draw(photo).ellipse((60, 60, 240, 240), fill="white")
    assert find_quads(photo, 2) == []


def test_the_rule_is_named_by_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [base.effective(rule) for rule in ("whole", "center", "windows", "quad")] == [
        "whole",
        "center",
        "whole+windows",
        "whole+quad",
    ]
    monkeypatch.setattr(base, "has", lambda module: False)
    assert base.effective("auto") == "whole+center+windows"
    monkeypatch.setattr(base, "has", lambda module: module == "cv2")
    assert base.effective("auto") == "whole+center+windows+quad"


@pytest.mark.parametrize("rule", base.RULES)
def test_a_rule_read_from_a_calibration_is_the_same_rule(rule: str) -> None:
    stored = base.effective(rule)
    assert base.effective(stored) == stored
    picture = Picture(noise((200, 150)), "made")
    assert base.split(picture, stored) == base.split(picture, rule)
    assert base.most(stored) == base.most(rule) <= base.MOST


@pytest.mark.parametrize("rule", ["middle", "", "whole+", "whole+middle", "auto+whole"])
def test_an_unknown_rule_names_the_known_ones(rule: str) -> None:
    with pytest.raises(SettingError, match="whole, center, windows, quad, auto"):
        base.effective(rule)
