"""NanoDet's outputs as boxes: scores of 80 kinds, and sides as distributions over eight bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kenspeckle.engines.boxes import Boxes, cells, joined
from kenspeckle.types import Float32

STRIDES = (8, 16, 32)
BINS = 8
OVERLAP = 0.6
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
"""Blue first."""


def decoded(
    scores: Sequence[Float32], sides: Sequence[Float32], size: tuple[int, int], least: float
) -> Boxes:
    """Boxes in pixels of the input of width and height `size` that score `least` or more.

    For each stride `scores` is `(n, kinds)` after the sigmoid and `sides` `(n, 32)`: the distance
    from a cell's centre (i + ½) · stride to left, top, right and bottom is the expectation of a
    softmax over eight bins, times the stride (Generalized Focal Loss, Li et al. 2020).
    """
    parts = []
    for stride, certain, bins in zip(STRIDES, scores, sides, strict=True):
        kinds = certain.argmax(axis=1)
        best = certain[np.arange(len(certain)), kinds]
        kept = np.flatnonzero(best >= least)
        spread = bins[kept].reshape(-1, 4, BINS).astype(np.float64)
        spread = np.exp(spread - spread.max(axis=2, keepdims=True))
        spread /= spread.sum(axis=2, keepdims=True)
        far = spread @ np.arange(BINS) * stride
        centres = (cells(size, stride)[kept] + 0.5) * stride
        corners = np.concatenate([centres - far[:, :2], centres + far[:, 2:]], axis=1)
        parts.append(Boxes(corners.astype(np.float32), best[kept], kinds[kept].astype(np.int64)))
    return joined(parts)
