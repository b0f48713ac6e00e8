"""Prints drawn for tests: shapes that hang on a seed, and a number that does not."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def card(seed: int, number: int = 41, size: tuple[int, int] = (300, 420)) -> Image.Image:
    """One print; two with the same seed differ in their number alone."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(v) for v in rng.integers(120, 250, 3)))
    pen = ImageDraw.Draw(image)
    for turn in range(40):
        x, y, reach = (float(rng.uniform(0, most)) for most in (size[0], size[1] - 90, 40))
        box = (x, y, x + reach + 8, y + reach + 8)
        paint = tuple(int(v) for v in rng.integers(0, 230, 3))
        (pen.ellipse if turn % 2 else pen.rectangle)(box, paint, "black")
    pen.rectangle((0, size[1] - 80, *size), "white", "black")
    pen.text((size[0] / 2, size[1] - 40), str(number), "black", ImageFont.load_default(60), "mm")
    return image
