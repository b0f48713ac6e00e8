"""Boxes: what detectors give, joined where they mean one thing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kenspeckle.engines import nanodet, yunet
from kenspeckle.engines.boxes import Boxes, from_logits, kind_names, suppressed
from kenspeckle.engines.frame import bounded, letterbox, planes, short_side, stretched
from kenspeckle.types import Float32


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Boxes:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def iou(a: Float32, b: Float32) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0) * max(high, 0)
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))


def test_the_best_of_boxes_that_overlap_stays() -> None:
    found = boxes(
        (0, 0, 10, 10, 0.5, 0),
        (1, 0, 11, 10, 0.9, 0),
        (0, 0, 10, 10, 0.8, 1),
        (30, 0, 40, 9, 0.1, 0),
    )
    kept = suppressed(found, 0.5)
    assert kept.scores.tolist() == pytest.approx([0.9, 0.8, 0.1])
    assert kept.kinds.tolist() == [0, 1, 0]


corner = st.integers(0, 40)
row = st.tuples(
    corner, corner, st.integers(1, 20), st.integers(1, 20), st.integers(0, 100), st.integers(0, 1)
)


@given(st.lists(row, max_size=30), st.sampled_from([0.0, 0.3, 0.6]))
def test_what_is_kept_overlaps_little_and_covers_the_rest(
    rows: list[tuple[int, ...]], overlap: float
) -> None:
    found = boxes(*((x, y, x + w, y + h, s / 100, k) for x, y, w, h, s, k in rows))
    kept = suppressed(found, overlap)
    assert np.all(np.diff(kept.scores) <= 0)
    pairs = [(a, b) for a in range(len(kept)) for b in range(a)]
    for a, b in pairs:
        same = kept.kinds[a] == kept.kinds[b]
        assert not same or iou(kept.corners[a], kept.corners[b]) <= overlap + 1e-6
    for n in range(len(found)):
        covers = [
            m
            for m in range(len(kept))
            if kept.kinds[m] == found.kinds[n]
            and kept.scores[m] >= found.scores[n]
            and (
                iou(kept.corners[m], found.corners[n]) > overlap - 1e-6
                or np.array_equal(kept.corners[m], found.corners[n])
            )
        ]
        assert covers


def test_yunet_reads_a_cell() -> None:
    """A 64 × 32 input; one face in column 3, row 1 of the grid of stride 16."""
    outputs = {}
    for stride in yunet.STRIDES:
        count = (64 // stride) * (32 // stride)
        outputs |= {
            f"{name}_{stride}": np.zeros((1, count, 1), np.float32) for name in ("cls", "obj")
        }
        outputs[f"bbox_{stride}"] = np.zeros((1, count, 4), np.float32)
    cell = 1 * 4 + 3
    outputs["cls_16"][0, cell], outputs["obj_16"][0, cell] = 0.9, 0.4
    outputs["bbox_16"][0, cell] = (0.25, 0.5, np.log(2), np.log(3))
    found = yunet.decoded(outputs, (64, 32), 0.5)
    assert found.scores.tolist() == pytest.approx([0.6])
    x, y = 3.25 * 16, 1.5 * 16
    assert found.corners[0] == pytest.approx([x - 16, y - 24, x + 16, y + 24])


def test_nanodet_reads_a_cell() -> None:
    """Distances are the expectation over eight bins, here all of the weight on one of them."""
    scores = [np.zeros((n, 80), np.float32) for n in (16, 4, 1)]
    sides = [np.zeros((n, 32), np.float32) for n in (16, 4, 1)]
    scores[1][2, 0] = 0.7
    for side, length in enumerate((1, 2, 3, 0)):
        sides[1][2, side * 8 + length] = 50.0
    found = nanodet.decoded(scores, sides, (32, 32), 0.5)
    assert found.kinds.tolist() == [0]
    x, y = 0.5 * 16, 1.5 * 16
    assert found.corners[0] == pytest.approx([x - 16, y - 32, x + 48, y], abs=1e-4)


@pytest.mark.parametrize("extra", [0, 1])
def test_queries_with_and_without_a_kind_for_nothing(extra: int) -> None:
    logits = np.full((2, 2 + extra), -5.0, np.float32)
    logits[0, 1] = 4.0
    queries = np.array([[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.1, 0.1]], np.float32)
    found = from_logits(logits, queries, 2, (100, 50), 0.9)
    assert found.kinds.tolist() == [1]
    assert found.corners[0] == pytest.approx([40, 15, 60, 35])


@pytest.mark.parametrize(
    "said",
    [None, [], {"a": "b"}, {"1000000": "far"}, {}],
    ids=["none", "list", "word", "far", "empty"],
)
def test_names_that_are_no_names(said: object) -> None:
    assert kind_names(said) == ()


size = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@given(size)
def test_a_box_finds_its_way_back_into_the_picture(source: tuple[int, int]) -> None:
    frames = [
        bounded(source, 640, 32),
        letterbox(source, 416),
        letterbox(source, 416, centre=True),
        stretched(source, 320),
        short_side(source, 800, 1333),
    ]
    for frame in frames:
        assert max(frame.size) <= 1333 + 32
        assert all(part <= full for part, full in zip(frame.scaled, frame.size, strict=True))
        left, top = frame.offset
        inside = np.array([[left, top, left + frame.scaled[0], top + frame.scaled[1]]], np.float32)
        assert frame.back(inside)[0] == pytest.approx([0, 0, *source], rel=1e-4, abs=1e-2)


def test_channels_come_in_the_order_asked_for() -> None:
    from PIL import Image

    image = Image.new("RGB", (2, 1), (10, 20, 30))
    rows = planes(image, "BGR", (30, 20, 10), (1, 1, 2))
    assert rows.shape == (1, 3, 1, 2)
    assert not rows.any()
    assert planes(image, "RGB", (0, 0, 0), (10, 10, 10))[0, :, 0, 0].tolist() == [1, 2, 3]
