"""XFeat (Potje et al., CVPR 2024) as a measure beside SIFT and ORB: features by a small network.

Its features have no angle, so matches cannot vote alone; a homography is fitted to all of them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle._extras import need
from kenspeckle.engines import geometry
from kenspeckle.engines.features import SIDE, unit
from kenspeckle.engines.geometry import Geometry, mutual, projected, sane
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

SHA256 = "946b16bc444760d5b6e021074ed9726add50a6e026de6b047d56244b1767d95b"
ALIKE = 0.75
"""The cosine from which on two descriptors may be of one spot, as its authors use it."""
MOST = 500
CELL = 8
"""Pixels a side of one cell of the network's outputs."""
LEAST = 0.05
"""Smallest probability of a keypoint, as its authors use it."""
_APART = 5
"""Keypoints are the largest of `_APART` × `_APART` pixels."""

Found = tuple[Float32, Float32, tuple[int, int]]
"""Points `(n, 2)` in pixels of the picture, unit rows `(n, 64)`, and the picture's size."""


class XFeat:
    """The loaded network."""

    def __init__(self, weights: Path) -> None:
        from kenspeckle import _runtime

        onnxruntime = _runtime.onnxruntime()
        data = weights.read_bytes()
        assert hashlib.sha256(data).hexdigest() == SHA256, f"{weights} is another file"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._cv2: Any = need("cv2", "XFeat")
        self._session = onnxruntime.InferenceSession(data, options)

    def extract(self, image: Image.Image) -> Found:
        """Features of an RGB picture, its longest side brought to that of SIFT and ORB."""
        factor, cell = SIDE / max(image.size), 4 * CELL
        sides = [max(cell, round(edge * factor / cell) * cell) for edge in image.size]
        small = image.convert("L").resize((sides[0], sides[1]))
        grey = np.asarray(small, np.float32)[None, None] / 255
        maps, logits, sure = self._session.run(None, {"image": grey})
        points, score = self._keypoints(logits[0], sure[0, 0])
        points = points[np.argsort(-score, kind="stable")[:MOST]]
        rows = unit(_sampled(maps[0], (points + 0.5) / CELL - 0.5))
        scale = np.array([image.width / sides[0], image.height / sides[1]])
        return ((points + 0.5) * scale).astype(np.float32), rows, image.size

    def compare(self, query: Found, reference: Found) -> Geometry:
        """The geometry of one pair by MAGSAC over all matches."""
        ours, theirs = mutual(query[1], reference[1], ALIKE)
        if len(ours) < geometry.LEAST:
            return Geometry(len(ours), 0)
        to, start = query[0][ours], reference[0][theirs]
        near = geometry.NEAR * max(query[2])
        matrix = geometry._estimated(self._cv2, start, to, near, "magsac", 0)
        width, height = reference[2]
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
        seen = None if matrix is None else projected(matrix, corners)
        there = None if matrix is None else projected(matrix, start.astype(float))
        if matrix is None or seen is None or there is None:
            return Geometry(len(ours), 0)
        inside = np.hypot(*(there - to).T) <= near
        count = geometry.distinct(start[inside], to[inside], near)
        return Geometry(len(ours), 0, count, matrix, sane=sane(corners, seen, query[2]))

    def _keypoints(self, logits: Float32, sure: Float32) -> tuple[Float32, Float32]:
        """Points `(n, 2)` in pixels of the network's input, and how sure each is."""
        chance = np.exp(logits - logits.max(axis=0))
        chance = (chance / chance.sum(axis=0))[:-1]
        high, wide = chance.shape[1:]
        heat = chance.reshape(CELL, CELL, high, wide).transpose(2, 0, 3, 1)
        heat = np.ascontiguousarray(heat.reshape(CELL * high, CELL * wide))
        peak = self._cv2.dilate(heat, np.ones((_APART, _APART), np.uint8))
        y, x = np.nonzero((heat == peak) & (heat > LEAST))
        points = np.stack((x, y), axis=1).astype(np.float32)
        trust = _sampled(sure[None], (points + 0.5) / CELL - 0.5)[:, 0]
        return points, heat[y, x] * trust


def _sampled(maps: Float32, at: NDArray[Any]) -> Float32:
    """Values `(n, c)` of maps `(c, h, w)` at `(n, 2)` places between their cells, bilinearly."""
    high, wide = maps.shape[1:]
    x, y = np.clip(at[:, 0], 0, wide - 1), np.clip(at[:, 1], 0, high - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, low = np.minimum(left + 1, wide - 1), np.minimum(top + 1, high - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    flat = np.ascontiguousarray(maps.reshape(len(maps), -1).T)
    upper = flat[top * wide + left] * (1 - across) + flat[top * wide + right] * across
    lower = flat[low * wide + left] * (1 - across) + flat[low * wide + right] * across
    values: NDArray[np.float32] = (upper * (1 - down) + lower * down).astype(np.float32)
    return values
