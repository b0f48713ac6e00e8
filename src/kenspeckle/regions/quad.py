"""Flat things with four corners, found by their outline (extra `geometry`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.types import Region

SIDE = 512
"""Longest side of the picture that outlines are looked for in."""
LEAST = 32
"""Shortest side of a picture in which outlines mean anything."""
LEAST_AREA = 0.02
"""A quadrangle covers at least this share of the picture …"""
MOST_AREA = 0.9
"""… and at most this: the frame of the picture is no thing."""
LEAST_FILL = 0.85
"""An outline fills at least this share of its quadrangle, else it is another shape."""
OVERLAP = 0.6
"""Two quadrangles whose boxes share more than this part of their union are one."""

Points = NDArray[np.float64]


def find_quads(image: Image.Image, count: int) -> list[Region]:
    """At most `count` quadrangles of an RGB picture, the largest first, corners in its pixels.

    The outline cannot tell which corner was the thing's own top left; the corner nearest to the
    top left of the picture is taken. Raises MissingExtra without OpenCV.
    """
    cv2 = need("cv2", "regions 'quad'")
    cv2.setNumThreads(_threads.INTRA_OP)
    scale = max(1.0, max(image.size) / SIDE)
    size = max(1, round(image.width / scale)), max(1, round(image.height / scale))
    if min(size) < LEAST:
        return []
    small = image if size == image.size else image.resize(size, Image.Resampling.BOX)
    factor = np.array([image.width / size[0], image.height / size[1]])
    found: list[tuple[float, Region]] = []
    for outline in _outlines(cv2, np.asarray(small)):
        corners = _corners(cv2, outline)
        if corners is None:
            continue
        area = _area(corners) / (size[0] * size[1])
        filled = cv2.contourArea(outline) >= LEAST_FILL * _area(corners)
        if filled and LEAST_AREA <= area <= MOST_AREA:
            found.append((area, _region(_ordered(corners) * factor, area, image.size)))
    found.sort(key=lambda pair: -pair[0])
    picked: list[Region] = []
    for _, region in found:
        if len(picked) < count and all(_iou(region, other) <= OVERLAP for other in picked):
            picked.append(region)
    return picked


def _outlines(cv2: Any, pixels: NDArray[np.uint8]) -> list[Any]:
    """Outlines of edges (found per channel, so that equal greys still differ) and of bright and
    dark areas."""
    edges = np.zeros(pixels.shape[:2], np.uint8)
    for channel in range(3):
        plane = cv2.GaussianBlur(np.ascontiguousarray(pixels[:, :, channel]), (5, 5), 0)
        high, _ = cv2.threshold(plane, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        edges |= cv2.Canny(plane, high / 3, high)
    edges = cv2.dilate(edges, np.ones((3, 3), np.uint8))
    grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (5, 5), 0)
    _, bright = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    outlines: list[Any] = []
    for mask in (edges, bright, 255 - bright):
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        outlines += contours
    return outlines


def _corners(cv2: Any, outline: Any) -> Points | None:
    """The four corners of an outline whose convex hull is a quadrangle, else None."""
    hull = cv2.convexHull(outline)
    around = cv2.arcLength(hull, True)
    if around < 4 * 16:
        return None
    polygon = cv2.approxPolyDP(hull, 0.03 * around, True).reshape(-1, 2)
    if len(polygon) != 4 or not cv2.isContourConvex(polygon):
        return None
    corners: Points = polygon.astype(np.float64)
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    return corners if sides.min() * 8 >= sides.max() else None


def _ordered(corners: Points) -> Points:
    """Clockwise as seen (y grows downwards), beginning with the corner nearest to the top left."""
    x, y = (corners - corners.mean(axis=0)).T
    clockwise = corners[np.argsort(np.arctan2(y, x))]
    return np.roll(clockwise, -int(clockwise.sum(axis=1).argmin()), axis=0)


def _area(corners: Points) -> float:
    """Area of a polygon by the shoelace formula."""
    x, y = corners.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _region(corners: Points, score: float, size: tuple[int, int]) -> Region:
    low = np.clip(np.floor(corners.min(axis=0)), 0, np.array(size) - 1).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), low + 1, size).astype(int)
    points = tuple((float(x), float(y)) for x, y in corners)
    return Region((*low.tolist(), *high.tolist()), "quad", score, corners=points)


def _iou(a: Region, b: Region) -> float:
    width = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    height = min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])
    shared = max(width, 0) * max(height, 0)
    areas = ((r.box[2] - r.box[0]) * (r.box[3] - r.box[1]) for r in (a, b))
    return shared / (sum(areas) - shared)
