"""The two regions that need no look at the pixels: the whole picture and its centre."""

from __future__ import annotations

from kenspeckle.types import Region

CENTER = (0.10, 0.05, 0.90, 0.95)
"""x0, y0, x1, y1 of the centre as shares of the picture: the crop that `/api/falcon` falls to."""


def whole(size: tuple[int, int]) -> Region:
    """The whole picture of `size` = (width, height) pixels."""
    return Region(box=(0, 0, *size), kind="whole")


def center(size: tuple[int, int]) -> Region:
    """The centre of a picture of `size` pixels; at least one pixel, whatever the size.

    >>> center((100, 200)).box
    (10, 10, 90, 190)
    """
    width, height = size
    x0, y0 = int(CENTER[0] * width), int(CENTER[1] * height)
    x1, y1 = max(int(CENTER[2] * width), x0 + 1), max(int(CENTER[3] * height), y0 + 1)
    return Region(box=(x0, y0, x1, y1), kind="center")
