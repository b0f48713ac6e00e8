"""Counting named boxes: the count that adds up, the count by photo, and the former one."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.errors import InputError
from kenspeckle.evaluate.counting import Detection, Truth, by_photo, legacy, one_to_one

A, B, FAR = (0, 0, 10, 10), (100, 0, 110, 10), (500, 500, 510, 510)


def said(label, box=A, score=0.9, picture="p"):
    return Detection(picture, box, label, score)


def true(label, box=A, picture="p"):
    return Truth(picture, box, label)


def numbers(count):
    return count.tp, count.fp, count.fn, count.expected


# One list, made by hand: two photos with logos, one without
TRUTH = [true("cup"), true("cup", B), true("hat", B, "q"), true("pen", A, "q")]
SAID = [
    said("cup"),
    said("cup", (1, 1, 10, 10), 0.8),  # the same box again
    said("cup", FAR, 0.7),  # right name, wrong place
    said("hat", A, 0.6),  # hat is not in p
    said("hat", B, 0.5, "q"),
    said("hat", B, 0.4, "none"),
]


def test_the_count_that_adds_up():
    count = one_to_one(SAID, TRUTH)
    assert numbers(count) == (2, 4, 2, 4)
    assert count.matched == (0, -1, -1, -1, 2, -1)
    assert count.missed == (("p", "cup"), ("q", "pen"))
    assert count.false == (("p", "cup"), ("p", "cup"), ("p", "hat"), ("none", "hat"))
    assert (count.precision, count.recall) == (2 / 6, 0.5)
    assert count.f1 == pytest.approx(2 * 2 / (2 * 2 + 4 + 2))


def test_the_former_count():
    count = legacy(SAID, TRUTH)
    assert numbers(count) == (4, 2, 1, 3)
    assert count.precision == pytest.approx(4 / 6)
    assert count.recall == pytest.approx(4 / 3)
    assert count.f1 == pytest.approx(2 * (4 / 6) * (4 / 3) / (4 / 6 + 4 / 3))
    assert count.missed == (("q", "pen"),)


def test_the_count_by_photo():
    count = by_photo(SAID, TRUTH)
    assert numbers(count) == (2, 2, 1, 3)
    assert count.f1 == pytest.approx(4 / 7)


def test_the_best_score_takes_the_box():
    shifted = (2, 0, 12, 10)
    count = one_to_one([said("cup", shifted, 0.3), said("cup", A, 0.9)], [true("cup")])
    assert count.matched == (-1, 0)
    count = one_to_one([said("cup", shifted, 0.9), said("cup", A, 0.3)], [true("cup")])
    assert count.matched == (0, -1)


def test_a_detection_takes_the_box_it_overlaps_most():
    near = (0, 0, 10, 9)
    assert one_to_one([said("cup")], [true("cup", near), true("cup", A)]).matched == (1,)


@pytest.mark.parametrize(("height", "hit"), [(5, True), (4.99, False)])
def test_half_of_the_union_is_enough(height, hit):
    assert one_to_one([said("cup", (0, 0, 10, height))], [true("cup")]).tp == hit


def test_another_name_at_the_box_is_false():
    assert numbers(one_to_one([said("hat")], [true("cup")])) == (0, 1, 1, 1)


def test_without_boxes_the_name_decides():
    assert numbers(one_to_one([said("cup", None)], [true("cup", None)])) == (1, 0, 0, 1)
    assert numbers(one_to_one([said("cup")], [true("cup", None)])) == (1, 0, 0, 1)
    assert numbers(one_to_one([said("cup", None)] * 3, [true("cup"), true("cup", B)])) == (
        2,
        1,
        0,
        2,
    )


def test_a_box_that_overlaps_goes_before_one_that_is_not_stated():
    count = one_to_one([said("cup", B)], [true("cup", None), true("cup", B)])
    assert count.matched == (1,)
    assert one_to_one([said("cup", FAR)], [true("cup", A), true("cup", None)]).matched == (1,)


def test_a_poor_overlap_does_not_hide_a_truth_without_a_box():
    poor = (0, 0, 10, 2)
    assert one_to_one([said("cup", poor)], [true("cup"), true("cup", None)]).matched == (1,)


def test_nothing_said_and_nothing_true():
    silent = one_to_one([], TRUTH)
    assert numbers(silent) == (0, 0, 4, 4)
    assert math.isnan(silent.precision)
    assert (silent.recall, silent.f1) == (0.0, 0.0)
    empty = one_to_one(SAID, [])
    assert numbers(empty) == (0, 6, 0, 0)
    assert math.isnan(empty.recall)
    assert math.isnan(one_to_one([], []).f1)
    assert json.loads(json.dumps(silent.to_dict(), allow_nan=False))["precision"] is None


boxes = st.one_of(
    st.none(),
    st.builds(
        lambda x, y, w, h: (x, y, x + w, y + h),
        st.integers(0, 20),
        st.integers(0, 20),
        st.integers(1, 20),
        st.integers(1, 20),
    ),
)
pictures, labels = st.sampled_from("pq"), st.sampled_from("abc")
truths = st.lists(st.builds(Truth, pictures, boxes, labels), max_size=8)
detections = st.lists(
    st.builds(Detection, pictures, boxes, labels, st.integers(0, 5).map(float)), max_size=8
)


@given(detections, truths, st.sampled_from([0.1, 0.5, 1.0]))
def test_hits_and_misses_are_the_boxes(said_ones, true_ones, iou):
    count = one_to_one(said_ones, true_ones, iou)
    assert count.tp + count.fn == count.expected == len(true_ones)
    assert count.tp + count.fp == len(said_ones)
    places = [place for place in count.matched if place >= 0]
    assert len(set(places)) == len(places) == count.tp
    for one, place in zip(said_ones, count.matched, strict=True):
        if place >= 0:
            assert (one.picture, one.label) == (true_ones[place].picture, true_ones[place].label)
    photo = by_photo(said_ones, true_ones)
    assert photo.tp + photo.fn == photo.expected
    assert photo.fn == legacy(said_ones, true_ones).fn <= count.fn


@pytest.mark.parametrize("iou", [0, -1, 1.1, math.nan])
def test_an_impossible_overlap_is_refused(iou):
    with pytest.raises(InputError, match="iou"):
        one_to_one([], [], iou)


def test_bad_detections_are_named():
    with pytest.raises(InputError, match=r"p: cup with a score"):
        one_to_one([said("cup", A, math.nan)], [])
    with pytest.raises(InputError, match="empty box"):
        one_to_one([], [true("cup", (5, 5, 5, 9))])
