"""A small picture to keep beside a vector, so that an answer can be shown without its source."""

from __future__ import annotations

import io

from PIL import Image

QUALITY = 75
_SAMPLES = 2


def thumbnail(image: Image.Image, side: int) -> bytes:
    """JPEG bytes of `image` with its longest side at most `side` pixels; empty when `side` is 0.

    A picture that is already small enough keeps its size. Of one more than twice as large
    the mean of 2 × 2 pixels makes each pixel of the thumbnail, so that its cost does not grow.

    >>> thumbnail(Image.new("RGB", (400, 300)), 0)
    b''
    """
    if side <= 0:
        return b""
    small = image if image.mode == "RGB" else image.convert("RGB")
    width, height = _fitted(image.size, side)
    if max(image.size) > _SAMPLES * side:
        samples = (width * _SAMPLES, height * _SAMPLES)
        small = small.resize(samples, Image.Resampling.NEAREST).reduce(_SAMPLES)
    elif max(image.size) > side:
        small = small.resize((width, height), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """`size` scaled so that its longest side is `side`."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
