"""Seeded camera views of a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image


def camera_views(
    image: Image.Image, count: int, seed: int, strength: float = 1.0
) -> list[Image.Image]:
    """`count` views as a camera might take them, the same for the same seed."""
    small = image.copy()
    small.thumbnail((448, 448), Image.Resampling.BOX)
    views = []
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        angle = float(rng.uniform(-20, 20)) * strength
        views.append(small.rotate(angle, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)))
    return views
