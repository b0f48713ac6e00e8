"""Salient windows: where in a photo a thing probably is, from colour and edges, numpy only.

A window is good when it holds more contrast than the ring around it, the centre–surround cue of
Alexe, Deselaers and Ferrari, "Measuring the objectness of image windows" (TPAMI 2012). Contrast is
the distance of a pixel's colour to the mean colour of the picture (Achanta et al., "Frequency-tuned
salient region detection", CVPR 2009) plus the strength of its edges. It is computed on a picture of
at most 128 pixels a side, with sums of rectangles from one integral image.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kenspeckle.types import Region

SIDE = 128
"""Longest side of the picture that is looked at."""
SCALES = (0.35, 0.5, 0.7)
"""Square root of a window's share of the picture's area."""
ASPECTS = (0.7, 1.0, 1.4)
"""Width by height."""
OVERLAP = 0.5
"""Two windows share at most this part of their union."""
STEPS = 12
"""Places of a window along each side of the picture."""
LEAST = 6
"""A window is at least this many pixels of the reduced picture a side."""

Boxes = NDArray[np.int64]
Floats = NDArray[np.float64]


def find_windows(image: Image.Image, count: int) -> list[Region]:
    """At most `count` salient windows of an RGB picture, the best first.

    A flat or very small picture has none. Scores are contrasts, comparable inside one picture.
    """
    scale = max(image.size) / SIDE
    small = _reduced(image, scale)
    boxes = _boxes(*small.size)
    if not len(boxes):
        return []
    scores = _scores(_contrast(small), boxes)
    regions = []
    for index in _pick(boxes, scores, count):
        x0, y0, x1, y1 = (float(v) for v in boxes[index])
        fx, fy = image.width / small.width, image.height / small.height
        box = (int(x0 * fx), int(y0 * fy), math.ceil(x1 * fx), math.ceil(y1 * fy))
        box = (box[0], box[1], min(box[2], image.width), min(box[3], image.height))
        regions.append(Region(box=box, kind="window", score=float(scores[index])))
    return regions


def _reduced(image: Image.Image, scale: float) -> Image.Image:
    """The picture with its longest side at most `SIDE`; boxes of whole pixels first, for speed."""
    if scale <= 1:
        return image
    width, height = max(1, round(image.width / scale)), max(1, round(image.height / scale))
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=1.0)


def _contrast(small: Image.Image) -> Floats:
    """Contrast of each pixel, `(height, width)`: colour distance and edges, each with mean 1."""
    pixels = np.asarray(small, np.float32)
    colour = np.sqrt(((pixels - pixels.mean(axis=(0, 1))) ** 2).sum(axis=2))
    grey = pixels.mean(axis=2)
    edges = np.zeros_like(grey)
    edges[:, 1:] += np.abs(np.diff(grey, axis=1))
    edges[1:] += np.abs(np.diff(grey, axis=0))
    total = np.zeros(grey.shape, np.float64)
    for part in (colour, edges):
        mean = float(part.mean())
        if mean > 0:
            total += part / mean
    return total


def _boxes(width: int, height: int) -> Boxes:
    """All windows that are looked at, `(n, 4)`; none that is the whole picture."""
    base, boxes = math.sqrt(width * height), []
    for scale in SCALES:
        for aspect in ASPECTS:
            w = min(width, round(scale * base * math.sqrt(aspect)))
            h = min(height, round(scale * base / math.sqrt(aspect)))
            if min(w, h) < LEAST or (w, h) == (width, height):
                continue
            xs = np.unique(np.linspace(0, width - w, STEPS).round().astype(np.int64))
            ys = np.unique(np.linspace(0, height - h, STEPS).round().astype(np.int64))
            x, y = (grid.ravel() for grid in np.meshgrid(xs, ys))
            boxes.append(np.stack([x, y, x + w, y + h], axis=1))
    return np.concatenate(boxes) if boxes else np.empty((0, 4), np.int64)


def _scores(contrast: Floats, boxes: Boxes) -> Floats:
    """(mean inside − mean in the ring) · √(share of the picture): contrast against small specks.

    The ring is as wide as a quarter of the window and ends at the border of the picture.
    """
    height, width = contrast.shape
    table = np.zeros((height + 1, width + 1))
    table[1:, 1:] = contrast.cumsum(0).cumsum(1)

    def sums(b: Boxes) -> Floats:
        x0, y0, x1, y1 = b.T
        return cast("Floats", table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0])

    size = boxes[:, 2:] - boxes[:, :2]
    grown = np.concatenate([boxes[:, :2] - size // 4, boxes[:, 2:] + size // 4], axis=1)
    grown = np.clip(grown, 0, [width, height, width, height])
    area = size.prod(axis=1)
    ring = (grown[:, 2:] - grown[:, :2]).prod(axis=1) - area
    inside = sums(boxes)
    outside = (sums(grown) - inside) / np.maximum(ring, 1)
    return cast("Floats", (inside / area - outside) * np.sqrt(area / (width * height)))


def _pick(boxes: Boxes, scores: Floats, count: int) -> list[int]:
    """Greedy choice of the best windows that overlap little and stand out at all."""
    picked: list[int] = []
    left = scores.copy()
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    while len(picked) < count:
        index = int(left.argmax())
        if left[index] <= 0:
            break
        picked.append(index)
        low = np.maximum(boxes[:, :2], boxes[index, :2])
        high = np.minimum(boxes[:, 2:], boxes[index, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        left[shared > OVERLAP * (area + area[index] - shared)] = -np.inf
    return picked
