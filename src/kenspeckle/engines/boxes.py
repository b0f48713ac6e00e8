"""Boxes as detectors give them: arrays of corners, scores and kinds, before anybody names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kenspeckle.types import Float32, Int64

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Boxes:
    """`corners` `(N, 4)` as x0, y0, x1, y1 in pixels of the picture asked about, `scores` `(N,)` in
    0 … 1, `kinds` `(N,)` as indices into the detector's names. In no order."""

    corners: Float32
    scores: Float32
    kinds: Int64

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, index: Int64) -> Boxes:
        """The boxes at these indices, in this order."""
        return Boxes(self.corners[index], self.scores[index], self.kinds[index])


class BoxEngine(Protocol):
    """A loaded detector. `detect` may be called from many threads at once.

    `names` are what its kinds are called.
    """

    names: tuple[str, ...]

    def detect(self, image: Image, least: float) -> Boxes:
        """Boxes of an RGB picture that score `least` or more, those of one thing joined.

        Raises ModelError when the network fails.
        """


def joined(parts: list[Boxes]) -> Boxes:
    """Several sets of boxes as one."""
    if not parts:
        return NONE
    return Boxes(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.kinds for part in parts]),
    )


NONE = Boxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))

MOST = 1000
"""Boxes of highest score that are compared with each other; a picture holds fewer things."""


def suppressed(boxes: Boxes, overlap: float) -> Boxes:
    """Non-maximum suppression: best first, without boxes that overlap a better one of their kind.

    `overlap` is the largest intersection over union that two boxes of one kind may have. Equal
    scores keep their order, so that the same picture has the same answer.
    """
    order = np.argsort(-boxes.scores, kind="stable")[:MOST]
    boxes = boxes.at(order)
    x0, y0, x1, y1 = boxes.corners.T.astype(np.float64)
    areas = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(best)
        wide = np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest])
        high = np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        union = np.maximum(areas[best] + areas[rest] - shared, 1e-9)
        other = boxes.kinds[rest] != boxes.kinds[best]
        left = rest[(shared / union <= overlap) | other]
    return boxes.at(np.array(kept, np.int64))


def cells(size: tuple[int, int], stride: int) -> Float32:
    """`(columns * rows, 2)`: x and y of each cell of a grid over an input, row by row, in cells."""
    columns, rows = -(-size[0] // stride), -(-size[1] // stride)
    y, x = np.divmod(np.arange(columns * rows), columns)
    return np.stack([x, y], axis=1).astype(np.float32)
