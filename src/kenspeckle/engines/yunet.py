"""YuNet, the face detector that this package carries: its outputs as boxes.

For strides 8, 16 and 32 the network says of each cell of a grid whether a face is there (`cls`,
`obj`), where its centre lies and how large it is (`bbox`), and where eyes, nose and mouth are
(`kps`, not used here).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kenspeckle.engines.boxes import Boxes, cells, joined
from kenspeckle.types import Float32

STRIDES = (8, 16, 32)
OUTPUTS = frozenset(f"{name}_{stride}" for name in ("cls", "obj", "bbox") for stride in STRIDES)
"""Names of the outputs, by which the layout of a file is known."""
OVERLAP = 0.3
MULTIPLE = 32
"""Width and height of an input are multiples of this."""
NAMES = ("face",)
LARGEST = 9.0
"""Largest exponent of a size: beyond it a box is wider than any picture."""


def decoded(outputs: Mapping[str, Float32], size: tuple[int, int], least: float) -> Boxes:
    """Boxes in pixels of the input of width and height `size` that score `least` or more.

    The score of a cell is √(cls · obj), its box is centred at (cell + xy) · stride and measures
    exp(wh) · stride.
    """
    parts = []
    for stride in STRIDES:
        face, thing, offsets = (
            outputs[f"{name}_{stride}"].reshape(-1, width)
            for name, width in (("cls", 1), ("obj", 1), ("bbox", 4))
        )
        scores = np.sqrt(np.clip(face[:, 0], 0, 1) * np.clip(thing[:, 0], 0, 1))
        kept = np.flatnonzero(scores >= least)
        centres = (cells(size, stride)[kept] + offsets[kept, :2]) * stride
        half = np.exp(np.minimum(offsets[kept, 2:], LARGEST)) * (stride / 2)
        corners = np.concatenate([centres - half, centres + half], axis=1)
        parts.append(Boxes(corners.astype(np.float32), scores[kept], np.zeros(len(kept), np.int64)))
    return joined(parts)
