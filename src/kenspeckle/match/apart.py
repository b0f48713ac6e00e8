"""Of overlapping boxes the best one. Pure: boxes and scores in, places out."""

from __future__ import annotations

from collections.abc import Sequence

from kenspeckle.match.sighting import Rect, overlap

OVERLAP = 0.5
"""Two boxes that share more than this part of their union show one thing."""
INSIDE = 0.8
"""So do two of one name where this share of the smaller lies in the larger: a card and its art."""


def apart(boxes: Sequence[Rect], scores: Sequence[float], names: Sequence[str]) -> list[int]:
    """Places of the boxes that are kept, the best score first (greedy non-maximum suppression).

    Of equal scores the first one counts.

    >>> boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (2, 2, 6, 6), (20, 0, 30, 10)]
    >>> apart(boxes, [0.7, 0.9, 0.5, 0.8], ["a", "b", "b", "a"])
    [1, 3]
    """
    kept: list[int] = []
    for place in sorted(range(len(boxes)), key=lambda n: -scores[n]):
        box, name = boxes[place], names[place]
        if not any(
            overlap(box, boxes[other]) > OVERLAP
            or (name == names[other] and _inside(box, boxes[other]) >= INSIDE)
            for other in kept
        ):
            kept.append(place)
    return kept


def _inside(a: Rect, b: Rect) -> float:
    """How much of the smaller box lies in the other one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / smaller
