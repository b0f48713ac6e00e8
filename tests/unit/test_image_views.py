"""Camera views and thumbnails: repeatable, within bounds, and doing what they say."""

from __future__ import annotations

import io
from dataclasses import replace

import hostile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kenspeckle.image.camera import SIDE, View, reduced
from kenspeckle.image.thumbnail import thumbnail
from kenspeckle.image.views import camera_views, draw_view

PHOTO = hostile.picture(1, (240, 180))
KINDS = {
    "perspective": View(pitch=20, yaw=-15),
    "rotation": View(turn=12),
    "crop": View(scale=1.15),
    "light": View(gain=1.2, contrast=0.8, shade=0.3),
    "colour": View(cast=(1.1, 1.0, 0.9)),
    "blur": View(blur=2.0),
    "noise": View(noise=6.0),
    "jpeg": View(quality=30),
    "occlusion": View(cover="finger", cover_at=(0.4, 0.1), cover_size=0.15),
    "background": View(scale=0.7, surface="grain", surface_colours=((90, 80, 70), (60, 50, 40))),
}


def apart(one: Image.Image, other: Image.Image) -> float:
    size = (64, 48)
    pair = [np.asarray(image.resize(size), np.float32) for image in (one, other)]
    return float(np.abs(pair[0] - pair[1]).mean())


def test_the_same_seed_gives_the_same_views() -> None:
    first, again = (camera_views(PHOTO, 6, seed=4) for _ in range(2))
    assert [view.tobytes() for view in first] == [view.tobytes() for view in again]
    assert [view.tobytes() for view in camera_views(PHOTO, 3, 4)] == [
        view.tobytes() for view in first[:3]
    ]
    assert len({view.tobytes() for view in first}) == 6
    assert draw_view(4, 0) == draw_view(4, 0) != draw_view(5, 0)


def test_views_keep_the_thing_recognisable() -> None:
    """A view resembles its own picture more than the mean of other pictures' views does."""
    others = [hostile.picture(number, PHOTO.size) for number in range(2, 8)]
    for seed in range(3):
        for index in range(8):
            view = replace(draw_view(seed, index, 0.4), scale=1.0, shift=(0, 0), aspect=0)
            own = apart(view.draw(PHOTO), PHOTO)
            assert own < np.mean([apart(view.draw(other), PHOTO) for other in others])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_changes_the_picture_and_is_named(kind: str) -> None:
    view = KINDS[kind]
    assert kind in view.kinds
    assert view.draw(PHOTO).tobytes() != PHOTO.tobytes()
    assert apart(view.draw(PHOTO), PHOTO) > 0.05


@pytest.mark.parametrize("kind", ["light", "colour", "blur", "noise", "jpeg", "occlusion"])
def test_kinds_that_move_nothing_are_named_alone(kind: str) -> None:
    assert KINDS[kind].kinds == (kind,)


def test_view_of_no_change_and_strength_zero() -> None:
    assert View().kinds == ()
    assert View().draw(PHOTO).tobytes() == PHOTO.tobytes()
    assert camera_views(PHOTO, 1, 9, strength=0.0)[0].tobytes() == PHOTO.tobytes()


def test_strength_moves_further() -> None:
    weak, strong = (
        np.mean([apart(view, PHOTO) for view in camera_views(PHOTO, 20, 3, strength)])
        for strength in (0.2, 1.0)
    )
    assert weak < strong


def test_turn_is_clockwise_as_seen() -> None:
    dot = Image.new("RGB", (100, 100), "white")
    dot.paste((0, 0, 0), (40, 4, 60, 24))
    view = View(turn=90, surface_colours=((255, 255, 255), (255, 255, 255)))
    dark = np.asarray(view.draw(dot).convert("L")) < 60
    rows, columns = np.nonzero(dark)
    assert columns.mean() > 70
    assert 40 < rows.mean() < 60


def test_scale_and_shift_place_the_thing() -> None:
    view = View(scale=0.5, shift=(0.2, -0.1), surface_colours=((0, 0, 0), (0, 0, 0)))
    bright = np.asarray(view.draw(Image.new("RGB", (200, 200), "white")).convert("L")) > 200
    rows, columns = np.nonzero(bright)
    assert abs(columns.mean() - 140) < 2
    assert abs(rows.mean() - 80) < 2
    assert abs(np.sqrt(bright.sum()) - 100) < 5


def test_all_kinds_occur() -> None:
    seen = {kind for index in range(60) for kind in draw_view(0, index).kinds}
    assert seen == set(KINDS)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.integers(0, 2**32),
    st.floats(0, 2),
)
def test_any_picture_gives_a_view(size: tuple[int, int], seed: int, strength: float) -> None:
    view = draw_view(seed, 0, strength).draw(Image.new("RGB", size, (90, 120, 40)))
    assert view.mode == "RGB"
    assert 1 <= min(view.size) <= max(view.size) <= SIDE


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1), (3, 2)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "red")
    assert all(max(view.size) <= SIDE for view in camera_views(picture, 12, 1))
    assert max(reduced(picture).size) == min(max(size), SIDE)
    assert Image.open(io.BytesIO(thumbnail(picture, 32))).format == "JPEG"


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((400, 300), 96, (96, 72)),
        ((300, 400), 96, (72, 96)),
        ((50, 40), 96, (50, 40)),
        ((4000, 10), 96, (96, 1)),
    ],
)
def test_thumbnail(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    data = thumbnail(hostile.picture(2, size), side)
    with Image.open(io.BytesIO(data)) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", expected)
    assert len(data) < 5000


def test_thumbnail_resembles_its_picture() -> None:
    with Image.open(io.BytesIO(thumbnail(PHOTO, 64))) as small:
        assert apart(small, PHOTO) < 5


def test_no_thumbnail() -> None:
    assert thumbnail(PHOTO, 0) == b""
