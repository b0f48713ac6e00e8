"""Local features, geometry, and the spots where look-alikes differ, on pictures drawn here."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from prints import card

from kenspeckle.engines.features import KINDS, Features, open_features
from kenspeckle.engines.geometry import ESTIMATORS, Geometry, compare, mutual, projected, sane
from kenspeckle.engines.layout import agreements
from kenspeckle.errors import InputError, SettingError
from kenspeckle.image.views import camera_views

cv2 = pytest.importorskip("cv2")


def turned(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="grey")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, 37])
def test_a_turned_print_is_found_and_its_turn_told(kind: str, degrees: int) -> None:
    extractor = open_features(kind)
    reference, query = extractor.extract(card(1)), extractor.extract(turned(card(1), degrees))
    found = compare(query, reference)
    assert found.sane
    assert found.inliers > 25
    assert abs(math.remainder(found.rotation - degrees, 360)) < 2
    assert found.scale == pytest.approx(1, abs=0.03)
    assert found.cover > 0.3


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_homography_leads_from_the_reference_into_the_query(estimator: str) -> None:
    extractor = open_features("sift")
    scene = Image.new("RGB", (640, 640), "grey")
    scene.paste(card(2).resize((150, 210)), (300, 100))
    found = compare(extractor.extract(scene), extractor.extract(card(2)), estimator)
    assert found.homography is not None
    corners = projected(found.homography, np.array([(0.0, 0.0), (300.0, 420.0)]))
    assert corners == pytest.approx(np.array([(300, 100), (450, 310)]), abs=3)
    assert found.scale == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_other_prints_agree_in_nothing_that_counts(kind: str) -> None:
    extractor = open_features(kind)
    reference, *others = (  # without the number, which is the same on all of them
        extractor.extract(card(seed).crop((0, 0, 300, 335))) for seed in (1, *range(20, 26))
    )
    found = [compare(one, reference) for one in others]
    assert max(one.inliers * one.sane for one in found) <= 6


def test_a_mirrored_print_is_no_sighting() -> None:
    extractor = open_features("sift")
    mirrored = card(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    found = compare(extractor.extract(mirrored), extractor.extract(card(1)))
    assert not (found.sane and found.inliers > 8)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_same_pair_and_seed_give_the_same_numbers(estimator: str) -> None:
    extractor = open_features("sift")
    query = extractor.extract(camera_views(card(3), 1, 5)[0])
    reference = extractor.extract(card(3))
    first, again = (compare(query, reference, estimator, seed=4) for _ in range(2))
    assert (first.inliers, first.scale, first.rotation) == (
        again.inliers,
        again.scale,
        again.rotation,
    )
    assert np.array_equal(first.homography, again.homography)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_without_features_compares_to_nothing(kind: str, size: tuple[int, int]) -> None:
    extractor = open_features(kind)
    blank = extractor.extract(Image.new("RGB", size, "white"))
    assert len(blank) == 0
    for pair in ((blank, blank), (blank, extractor.extract(card(1)))):
        assert compare(*pair) == Geometry(0, 0)
    assert Features.from_bytes(blank.to_bytes()).size == size


@pytest.mark.parametrize("kind", KINDS)
def test_cached_features_compare_like_fresh_ones(kind: str) -> None:
    extractor = open_features(kind)
    fresh = extractor.extract(card(1))
    read = Features.from_bytes(fresh.to_bytes())
    assert np.array_equal(read.points, fresh.points)
    assert np.array_equal(read.poses, fresh.poses)
    assert (np.einsum("ij,ij->i", read.descriptors, fresh.descriptors) > 0.999).all()
    query = extractor.extract(camera_views(card(1), 1, 3)[0])
    pair = [compare(query, one).inliers for one in (fresh, read)]
    assert abs(pair[0] - pair[1]) <= 0.1 * pair[0]


@given(st.integers(0, 400), st.binary(max_size=40))
def test_damaged_features_are_refused(cut: int, more: bytes) -> None:
    whole = GOOD[: len(GOOD) - cut] + more
    if whole == GOOD:
        return
    try:
        Features.from_bytes(whole)
    except InputError:
        return
    assert len(whole) == len(GOOD)  # the picture at the end may bear a few wrong bytes


GOOD = open_features("orb").extract(card(1)).to_bytes()


def test_points_that_are_not_numbers_are_refused() -> None:
    data = bytearray(GOOD)
    head = len(GOOD) - len(GOOD[17:])
    data[head : head + 4] = np.array([np.nan], "<f4").tobytes()
    with pytest.raises(InputError, match="not finite"):
        Features.from_bytes(bytes(data))


def test_what_cannot_be_compared_is_said() -> None:
    one, other = (open_features(kind).extract(card(1)) for kind in KINDS)
    with pytest.raises(InputError, match="one kind"):
        compare(one, other)
    with pytest.raises(SettingError, match="magsac or ransac"):
        compare(one, one, "guess")
    with pytest.raises(SettingError, match="sift or orb"):
        open_features("surf")


def test_mutual_matches_are_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(n, 8)).astype(np.float32) for n in (30, 40))
    product = one @ other.T
    slow = [
        (i, j)
        for i in range(30)
        for j in range(40)
        if product[i, j] == product[i].max() == product[:, j].max() and product[i, j] >= 1.0
    ]
    assert list(zip(*(p.tolist() for p in mutual(one, other, 1.0)), strict=True)) == slow


SQUARE = np.array([(0, 0), (100, 0), (100, 100), (0, 100)], float)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (SQUARE, True),
        (SQUARE[[2, 3, 0, 1]], True),  # upside down
        (SQUARE[::-1], False),  # mirrored
        (SQUARE[[0, 2, 1, 3]], False),  # folded
        (SQUARE * 0.01, False),  # a speck
        (SQUARE * 20, False),  # larger than any photo
        (SQUARE * [1, 0.1], False),  # edge on
    ],
)
def test_only_possible_sightings_are_sane(seen: np.ndarray, verdict: bool) -> None:
    assert sane(SQUARE, seen, (150, 150)) is verdict


def test_a_point_at_the_horizon_has_no_place() -> None:
    matrix = np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, -0.5]])
    assert projected(matrix, SQUARE) is None


@pytest.mark.parametrize("shown", [0, 1, 2])
def test_look_alikes_are_told_where_they_differ(shown: int) -> None:
    extractor = open_features("sift")
    prints = [card(7, number) for number in (41, 42, 17)]
    references = [extractor.extract(one) for one in prints]
    photo = camera_views(prints[shown], 1, 12)[0]
    query = extractor.extract(photo)
    told = agreements(photo, query, [(one, compare(query, one)) for one in references])
    assert all(one is not None for one in told)
    assert int(np.argmax(told)) == shown


def test_nothing_is_told_where_there_is_nothing_to_tell_apart() -> None:
    extractor = open_features("sift")
    photo = camera_views(card(7), 1, 11)[0]
    query = extractor.extract(photo)
    same, other = extractor.extract(card(7)), extractor.extract(card(8))
    alone = [(same, compare(query, same)), (other, compare(query, other))]
    assert agreements(photo, query, alone) == [None, None]
    assert agreements(photo, query, []) == []
    twice = agreements(photo, query, [alone[0], alone[0]])
    assert twice[0] == twice[1]
