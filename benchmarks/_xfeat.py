"""XFeat: local features by a small network (Potje et al., CVPR 2024), weights in the package."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.engines.features import MOST, FeatureKind, Features, layout_of, unit, working
from kenspeckle.engines.files import WEIGHTS
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

FILE = WEIGHTS / "xfeat.onnx"
SHA256 = "946b16bc444760d5b6e021074ed9726add50a6e026de6b047d56244b1767d95b"
CELL = 8
"""Pixels a side of one cell of the network's outputs."""
LEAST = 0.05
"""Smallest probability of a keypoint, as its authors use it."""
_APART = 5
"""Keypoints are the largest of `_APART` × `_APART` pixels."""


class XFeat:
    """The loaded network."""

    kind: FeatureKind = "xfeat"

    def __init__(self) -> None:
        self._cv2: Any = need("cv2", "a second look")
        try:
            data = FILE.read_bytes()
        except OSError as error:
            raise ModelError(str(FILE), "not there", do="Install Kenspeckle anew") from error
        found = hashlib.sha256(data).hexdigest()
        if found != SHA256:
            raise ModelError(
                str(FILE),
                f"sha256 {found[:16]}…",
                expected=f"{SHA256[:16]}…",
                do="The file is damaged: install Kenspeckle anew",
            )
        self._session: Any = _session(data)

    def extract(self, image: Image.Image) -> Features:
        """Features of an RGB picture."""
        if self._session is None:
            raise ModelError("xfeat", "closed", expected="an open network")
        small, factor = working(image, 4 * CELL)
        grey = np.asarray(small.convert("L"), np.float32)[None, None] / 255
        maps, logits, sure = self._session.run(None, {"image": grey})
        points, score = self._keypoints(logits[0], sure[0, 0])
        best = np.argsort(-score, kind="stable")[:MOST]
        points = points[best]
        rows = unit(_sampled(maps[0], (points + 0.5) / CELL - 0.5))
        where = ((points + 0.5) * factor).astype(np.float32)
        return Features(self.kind, where, rows, image.size, layout_of(image))

    def close(self) -> None:
        """Give the memory back."""
        self._session = None

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


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = _threads.INTRA_OP, 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
