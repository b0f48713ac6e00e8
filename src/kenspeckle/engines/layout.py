"""Where look-alikes differ: candidates laid over each other, and the photo over them.

Prints of one design share nearly all of their features, so counting these cannot tell one from
another. What can is the photo at the spots where the prints differ, and nowhere else: the rest says
nothing, however well it fits. Colours are compared as local correlation over the three channels,
which light and shade leave alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from kenspeckle._extras import need
from kenspeckle.engines.features import LAYOUT, Features
from kenspeckle.engines.geometry import Geometry, Points, compare
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOK_ALIKE = 0.4
"""Candidates with this share of the best one's inliers are compared with it."""
SURE = 8
"""Inliers below which an alignment is too loose to compare colours."""
SAME = 20
"""Inliers that two references share if they are of one design."""
DIFFERS = 0.35
"""Spots count where references differ at least this much of their largest difference."""
FLAT = 60.0
"""Variance, in squared grey levels, that noise has: below it nothing is compared."""
PHOTO = 2 * LAYOUT
"""Longest side of the photo that is laid over the references."""


@dataclass(frozen=True, slots=True)
class _Plane:
    """A picture in the common frame `(h, w, 3)`, its local means, and its local variance."""

    pixels: Float32
    mean: Float32
    variance: Float32


def agreements(
    photo: Image.Image, seen: Features, candidates: Sequence[tuple[Features, Geometry]]
) -> list[float | None]:
    """How well the photo agrees with each candidate where the candidates differ, −1 … 1.

    `seen` are the photo's features, to which the geometries refer. None for candidates that are no
    look-alikes of the best one; all None where there is no second one, or they do not differ.
    """
    nothing: list[float | None] = [None] * len(candidates)
    sure = [n for n, (_, one) in enumerate(candidates) if one.sane and one.inliers >= SURE]
    if not sure:
        return nothing
    best = max(sure, key=lambda n: candidates[n][1].inliers)
    least = LOOK_ALIKE * candidates[best][1].inliers
    alike = [n for n in sure if n != best and candidates[n][1].inliers >= least]
    if not alike:
        return nothing
    cv2 = need("cv2", "a second look")
    frame, lie = candidates[best]
    inside = np.ones(frame.layout.shape[:2], bool)
    layers: dict[int, NDArray[np.uint8]] = {best: frame.layout}
    for place in alike:
        one = candidates[place][0]
        onto = compare(frame, one)
        if onto.sane and onto.inliers >= SAME and onto.homography is not None:
            back: Points = np.linalg.inv(onto.homography).astype(np.float64)
            layers[place], there = _laid(cv2, one.layout, one.size, frame, back)
            inside &= there
    if len(layers) < 2 or lie.homography is None:
        return nothing
    asked, there = _laid(cv2, _reduced(photo), seen.size, frame, lie.homography)
    return _told(cv2, asked, layers, inside & there, best, nothing)


def _told(
    cv2: Any,
    asked: NDArray[np.uint8],
    layers: dict[int, NDArray[np.uint8]],
    inside: NDArray[np.bool_],
    best: int,
    nothing: list[float | None],
) -> list[float | None]:
    """Local correlation of the photo with each layer, weighed by how much the layers differ."""
    planes = {place: _plane(cv2, layer, inside) for place, layer in layers.items()}
    photo, first = _plane(cv2, asked, inside), planes[best]
    weight = np.zeros(inside.shape, np.float32)
    for place, plane in planes.items():
        if place != best:
            contrast = np.sqrt(np.maximum(first.variance, plane.variance))
            weight = np.maximum(weight, (1 - _correlation(cv2, first, plane)) * contrast)
    weight[~inside] = 0
    weight[weight < DIFFERS * weight.max()] = 0
    total = float(weight.sum())
    if total <= 0:
        return nothing
    told = list(nothing)
    for place, plane in planes.items():
        told[place] = float((_correlation(cv2, photo, plane) * weight).sum()) / total
    return told


def _reduced(photo: Image.Image) -> NDArray[np.uint8]:
    small = photo.copy()
    small.thumbnail((PHOTO, PHOTO), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(small)


def _laid(
    cv2: Any, pixels: NDArray[np.uint8], size: tuple[int, int], frame: Features, matrix: Points
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture (of what was `size` once) in the layout of `frame`, and where there is one.

    `matrix` leads from pixels of the frame's picture to pixels of the other.
    """
    high, wide = frame.layout.shape[:2]
    into = np.diag([pixels.shape[1] / size[0], pixels.shape[0] / size[1], 1.0])
    path = into @ matrix @ np.diag([frame.size[0] / wide, frame.size[1] / high, 1.0])
    u, v, depth = path @ np.array([wide / 2, high / 2, 1.0])
    part = (path[:2, :2] - np.outer((u / depth, v / depth), path[2, :2])) / depth
    factor = math.sqrt(abs(float(np.linalg.det(part))))
    if factor > 1.3:  # pixels that are left out would leave their grain behind
        pixels = cv2.GaussianBlur(pixels, (0, 0), min(factor / 2, 8.0))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(pixels, path, (wide, high), flags=flags)
    there = cv2.warpPerspective(
        np.full(pixels.shape[:2], 255, np.uint8),
        path,
        (wide, high),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    return laid, there > 0


def _plane(cv2: Any, pixels: NDArray[np.uint8], inside: NDArray[np.bool_]) -> _Plane:
    """A layer made smooth, so that an error of a pixel does not count; black where nothing is."""
    values = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 1.0) * inside[:, :, None]
    mean = cv2.blur(values, _window(inside))
    square = cv2.blur(values * values, _window(inside)) - mean * mean
    return _Plane(values, mean, np.maximum(square.sum(axis=2), 0))


def _correlation(cv2: Any, one: _Plane, other: _Plane) -> Float32:
    """Local correlation of two layers over all channels, `(h, w)`."""
    window = _window(one.variance)
    shared = cv2.blur(one.pixels * other.pixels, window) - one.mean * other.mean
    spread = np.sqrt((one.variance + FLAT) * (other.variance + FLAT))
    found: Float32 = shared.sum(axis=2) / spread
    return found


def _window(plane: NDArray[Any]) -> tuple[int, int]:
    """Sides of the neighbourhood that is correlated: a seventeenth of the frame."""
    side = max(5, round(max(plane.shape) / 17)) | 1
    return side, side
