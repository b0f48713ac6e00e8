"""A small picture to keep beside a vector, so that an answer can be shown without its source."""

from __future__ import annotations

import io

from PIL import Image

QUALITY = 75
_SAMPLES = 6


def thumbnail(image: Image.Image, side: int) -> bytes:
    """JPEG bytes of `image` with its longest side at most `side` pixels; empty when `side` is 0.

    A picture that is already small enough keeps its size. Of a much larger one only six pixels
    a side are read for each pixel of the thumbnail, so that its cost does not grow with it.

    >>> thumbnail(Image.new("RGB", (400, 300)), 0)
    b''
    """
    if side <= 0:
        return b""
    width, height = image.size
    longest = max(width, height)
    small = image if image.mode == "RGB" else image.convert("RGB")
    if longest > _SAMPLES * side:
        small = small.resize(_fitted(small.size, _SAMPLES * side), Image.Resampling.NEAREST)
    if longest > side:
        size = _fitted(image.size, side)
        small = small.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """`size` scaled so that its longest side is `side`."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
