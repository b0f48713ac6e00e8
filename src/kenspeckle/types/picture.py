"""Pictures, how they are read, and parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from kenspeckle.errors import InputError
from kenspeckle.types.arrays import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Intake:
    """How a picture is read: our default rotates by EXIF, puts alpha on white, converts to sRGB.

    A surface that has to see pictures as another program did hands in its own value.
    """

    rotate: bool = True
    alpha: Literal["white", "black", "drop"] = "white"
    colour: Literal["srgb", "raw"] = "srgb"


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture.

    `image` is a Pillow image in mode RGB, after the intake. `name` is what people call it (a path,
    an address, `stdin`). `sha256` is of the undecoded bytes, empty for a picture made in memory
    and for one that was decoded without it.
    """

    image: Image
    name: str
    format: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.image.mode != "RGB":
            raise InputError(
                self.name,
                f"a picture in mode {self.image.mode}",
                expected="mode RGB",
                do="Read it with kenspeckle.image.decode",
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """A copy of the pixels: `(height, width, 3)` uint8, RGB."""
        return np.asarray(self.image)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture. The whole picture is a region.

    `kind` is the rule that found it. `corners` are four `(x, y)` of a flat object, clockwise from
    its own top left; a region with corners is flattened when it is cut out.
    """

    box: Box
    kind: str = "whole"
    score: float = 1.0
    label: str = ""
    corners: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        if x0 >= x1 or y0 >= y1:
            raise InputError("region", f"an empty box {self.box}", expected="x0 < x1 and y0 < y1")
        if self.corners is not None and len(self.corners) != 4:
            raise InputError("region", f"{len(self.corners)} corners", expected="four")
