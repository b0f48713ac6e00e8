"""How a picture is laid into the input of a detector, and how boxes come back out of it.

A detector sees a copy of bounded size, so what it costs does not grow with the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kenspeckle.types import Float32

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of `source` pixels, resized to `scaled`, at `offset` on a ground of `size`."""

    source: Size
    scaled: Size
    size: Size
    offset: Size = (0, 0)

    def picture(self, image: Image.Image, fill: int = 0) -> Image.Image:
        """The input as a picture of `size`."""
        small = image
        if image.size != self.scaled:
            small = image.resize(self.scaled, Image.Resampling.BILINEAR, reducing_gap=2.0)
        if self.scaled == self.size:
            return small
        ground = Image.new("RGB", self.size, (fill,) * 3)
        ground.paste(small, self.offset)
        return ground

    def back(self, corners: Float32) -> Float32:
        """Corners `(N, 4)` in pixels of the input, in pixels of the source."""
        x, y = (full / part for full, part in zip(self.source, self.scaled, strict=True))
        moved = corners - np.array([*self.offset, *self.offset], np.float32)
        found: Float32 = moved * np.array([x, y, x, y], np.float32)
        return found


def _by(source: Size, factor: float) -> Size:
    return max(1, round(source[0] * factor)), max(1, round(source[1] * factor))


def bounded(source: Size, side: int, multiple: int = 1, *, enlarge: bool = False) -> Frame:
    """Longest side to `side` at most, at the top left, padded to multiples of `multiple`."""
    factor = side / max(source)
    scaled = _by(source, factor if enlarge else min(factor, 1.0))
    size = (-(-scaled[0] // multiple) * multiple, -(-scaled[1] // multiple) * multiple)
    return Frame(source, scaled, size)


def letterbox(source: Size, side: int, *, centre: bool = False) -> Frame:
    """The longest side to `side`, on a square, at the top left or in its middle."""
    scaled = _by(source, side / max(source))
    offset = ((side - scaled[0]) // 2, (side - scaled[1]) // 2) if centre else (0, 0)
    return Frame(source, scaled, (side, side), offset)


def stretched(source: Size, side: int) -> Frame:
    """Squashed to a square."""
    return Frame(source, (side, side), (side, side))


def short_side(source: Size, short: int, longest: int) -> Frame:
    """The short side to `short`, unless the long one would be more than `longest`.

    >>> short_side((640, 480), 800, 1333).size, short_side((3000, 1000), 800, 1333).size
    ((1067, 800), (1333, 444))
    """
    factor = short / min(source)
    if max(source) * factor > longest:
        factor = longest / max(source)
    size = _by(source, factor)
    return Frame(source, size, size)


def planes(image: Image.Image, order: str, mean: Sequence[float], std: Sequence[float]) -> Float32:
    """`(1, 3, h, w)` float32: `(value - mean) / std`, channels in the order `RGB` or `BGR`."""
    shape = image.height, image.width
    result = np.empty((1, 3, *shape), np.float32)
    for plane, band, middle, spread in zip(result[0], order, mean, std, strict=True):
        plane[...] = np.frombuffer(image.tobytes("raw", band), np.uint8).reshape(shape)
        plane -= np.float32(middle)
        plane /= np.float32(spread)
    return result
