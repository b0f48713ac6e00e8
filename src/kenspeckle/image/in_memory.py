"""Pixels that a program already has, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kenspeckle.errors import PictureError
from kenspeckle.image.colour import to_rgb
from kenspeckle.types import Intake, Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray


def in_memory(source: Image.Image | NDArray[np.uint8], name: str = "picture") -> Picture:
    """A Pillow image, or an array `(height, width, 3)` uint8 RGB or `(height, width)` grey.

    Alpha goes on white and colours to sRGB, as when a file is read; the pixels are taken as
    upright. Raises PictureError.

    >>> in_memory(np.zeros((3, 4), np.uint8)).size
    (4, 3)
    """
    if isinstance(source, np.ndarray):
        fits = source.ndim == 2 or (source.ndim == 3 and source.shape[2] == 3)
        if source.dtype != np.uint8 or not fits or not source.size:
            raise PictureError(
                name,
                f"an array {source.dtype} {source.shape}",
                expected="uint8 (height, width, 3), RGB",
            )
        source = Image.fromarray(source)
    if not all(source.size):
        raise PictureError(name, "no pixels", expected="a picture")
    image = to_rgb(source, source.info.get("icc_profile") or b"", Intake())
    return Picture(image, name)
