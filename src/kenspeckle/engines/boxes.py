"""Boxes as detectors give them: arrays of corners, scores and kinds, before anybody names them."""

from __future__ import annotations

from collections.abc import Mapping
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

    `names` are what its kinds are called, `device` says where it runs.
    """

    names: tuple[str, ...]
    device: str

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

MOST_KINDS = 100_000
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


def from_logits(
    logits: Float32, boxes: Float32, kinds: int, size: tuple[int, int], least: float
) -> Boxes:
    """Boxes of the DETR kin, best first, in pixels of an input of width and height `size`.

    `logits` is `(queries, kinds [+ 1])`, `boxes` `(queries, 4)`: centre, width and height as
    fractions of the input. One column more than there are kinds is "nothing here" under a softmax
    (DETR, Carion et al. 2020); otherwise each kind has a sigmoid of its own (Deformable DETR and
    later).
    """
    if logits.shape[1] == kinds + 1:
        spread = np.exp(logits - logits.max(axis=1, keepdims=True))
        certain = (spread / spread.sum(axis=1, keepdims=True))[:, :-1]
    else:
        certain = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    found = certain.argmax(axis=1)
    scores = certain[np.arange(len(certain)), found].astype(np.float32)
    kept = np.flatnonzero((scores >= least) & np.isfinite(boxes).all(axis=1))
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    centres, half = boxes[kept, :2], boxes[kept, 2:] / 2
    corners = np.concatenate([centres - half, centres + half], axis=1)
    corners = (corners * np.array([*size, *size], np.float32)).astype(np.float32)
    return Boxes(corners, scores[kept], found[kept].astype(np.int64))


def kind_names(id2label: object) -> tuple[str, ...]:
    """What the kinds of a checkpoint are called, in their order; empty where it is unclear.

    >>> kind_names({"0": "N/A", "1": "person"})
    ('N/A', 'person')
    """
    if not isinstance(id2label, Mapping):
        return ()
    try:
        named = {int(number): str(name) for number, name in id2label.items()}
    except ValueError:
        return ()
    most = max(named, default=-1) + 1
    return tuple(named.get(n, "") for n in range(most)) if most <= MOST_KINDS else ()
