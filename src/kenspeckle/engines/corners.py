"""SIFT and ORB: local features by OpenCV, which find turned things without being asked twice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.engines.features import MOST, FeatureKind, Features, layout_of, unit, working
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from PIL import Image


class Corners:
    """One of OpenCV's extractors. A fresh one is made for each picture: they are not shared."""

    def __init__(self, kind: FeatureKind) -> None:
        self._cv2: Any = need("cv2", "a second look")
        self._cv2.setNumThreads(_threads.INTRA_OP)
        self.kind: FeatureKind = kind

    def extract(self, image: Image.Image) -> Features:
        """Features of an RGB picture."""
        small, factor = working(image)
        grey = np.asarray(small.convert("L"))
        if self.kind == "sift":  # half of the usual contrast: photos are duller than references
            engine = self._cv2.SIFT_create(nfeatures=MOST, contrastThreshold=0.02)
        else:
            engine = self._cv2.ORB_create(nfeatures=MOST, fastThreshold=10, edgeThreshold=15)
        found, raw = engine.detectAndCompute(grey, None)
        found, raw = _surest(found, raw)
        points = np.array([one.pt for one in found], np.float32).reshape(-1, 2)
        where = ((points + 0.5) * factor).astype(np.float32)
        poses = np.array([(one.size, math.radians(one.angle)) for one in found], np.float32)
        poses = poses.reshape(-1, 2) * np.array([factor.mean(), 1], np.float32)
        rows = self._rows(raw)
        return Features(self.kind, where, poses, rows, image.size, layout_of(image))

    def close(self) -> None:
        """Nothing is held."""

    def _rows(self, raw: Any) -> Float32:
        """OpenCV's descriptors as rows of length 1 whose product tells how alike they are."""
        if raw is None:
            return np.empty((0, 128 if self.kind == "sift" else 256), np.float32)
        if self.kind == "orb":  # the product falls by 2 / 256 with every bit that differs
            return unit(np.unpackbits(raw, axis=1).astype(np.float32) * 2 - 1)
        # The square roots of normalised histograms (Arandjelović and Zisserman, CVPR 2012).
        total = np.maximum(raw.sum(axis=1, keepdims=True), 1e-9)
        return unit(np.sqrt(raw / total).astype(np.float32))


def _surest(found: Any, raw: Any) -> tuple[list[Any], Any]:
    """The strongest `MOST`, in an order that does not depend on how they were found."""
    if raw is None:
        return [], None
    order = sorted(range(len(found)), key=lambda n: (-found[n].response, *found[n].pt))[:MOST]
    return [found[n] for n in order], raw[order]
