"""Which region meets which true box, and what that says about finding and naming apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kenspeckle.evaluate.figures import rate
from kenspeckle.evaluate.result import RegionFigures
from kenspeckle.types import Box

IOU = 0.5
"""A region meets a box when their intersection is at least this part of their union."""


@dataclass(frozen=True, slots=True)
class Met:
    """One true box in one draw: what it shows, whether that is enrolled, whether a region met it,
    and whether that region was named rightly."""

    photo: str
    box: Box
    label: str
    enrolled: bool
    met: bool
    right: bool


def pairs(boxes: Sequence[Box], regions: Sequence[Box], least: float = IOU) -> list[int]:
    """The region of each true box, -1 for none: the largest overlap first, each region once.

    >>> pairs([(0, 0, 10, 10), (20, 0, 30, 10)], [(0, 0, 10, 9), (0, 0, 9, 9)])
    [0, -1]
    """
    overlaps = sorted(
        (
            (-overlap(box, region), place, number)
            for place, box in enumerate(boxes)
            for number, region in enumerate(regions)
        ),
    )
    found, taken = [-1] * len(boxes), set()
    for negative, place, number in overlaps:
        if -negative < least:
            break
        if found[place] < 0 and number not in taken:
            found[place] = number
            taken.add(number)
    return found


def overlap(a: Box, b: Box) -> float:
    """Intersection ÷ union of two boxes.

    >>> overlap((0, 0, 2, 1), (1, 0, 3, 1))
    0.3333333333333333
    """
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    inside = wide * high
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return inside / (whole - inside)


def region_figures(boxes: Sequence[Met]) -> RegionFigures | None:
    """The three figures; None without true boxes. A box that several draws ask about is counted
    once for finding, which no draw changes, and in every draw for naming."""
    if not boxes:
        return None
    once = {(one.photo, one.box, one.label): one for one in boxes}.values()
    enrolled = [one for one in boxes if one.enrolled]
    met = [one for one in enrolled if one.met]
    return RegionFigures(
        recall=rate([one.met for one in once], [one.label for one in once]),
        naming=rate([one.right for one in met], [one.label for one in met]),
        end_to_end=rate([one.right for one in enrolled], [one.label for one in enrolled]),
    )
