"""From the pixels of a region to the input of a model, as the recipe says."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from kenspeckle.types import Float32, Recipe
from kenspeckle.vectors.pipeline import StageTimes, timed

FORMER = 224
"""Side of the square that a former program makes before the model's own recipe, whatever it is."""

_FIRST = {
    "stretch": Recipe(FORMER, "stretch", "lanczos", reduce=False),
    "letterbox": Recipe(FORMER, "letterbox", "lanczos", reduce=False),
}

Size = tuple[int, int]
"""Width and height in pixels."""

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}

LONGEST = 16
"""Longest side over short side of what a crop recipe resizes; the crop would cut the rest off."""

LARGEST = 100_000_000
"""Most pixels of a letterbox square; a longer picture is reduced first whatever the recipe says."""


def factor(size: Size, side: int) -> int:
    """The largest whole factor of reduction that keeps the short side at least 2 × `side`.

    >>> factor((1024, 768), 288), factor((4000, 3000), 288), factor((100, 100), 288)
    (1, 5, 1)
    """
    return max(1, min(size) // (2 * side))


def reduced(image: Image.Image, side: int) -> Image.Image:
    """The picture box-reduced by `factor`; the picture itself where that is 1.

    Averaging whole boxes of pixels first costs a fraction of resampling all of them; what is left
    keeps twice the detail that the target can show. Whoever hands the result on to a model says
    what size it had, since its last column and row may stand for less than a whole box.
    """
    by = factor(image.size, side)
    return image.reduce(by) if by > 1 else image


def _by(full: Size, recipe: Recipe) -> int:
    """The factor by which a recipe reduces a picture of this size."""
    target = recipe.short or recipe.side
    square = max(full)
    if recipe.fit == "letterbox" and square * square > LARGEST:
        return factor((square, square), target)
    return factor(full, target) if recipe.reduce else 1


def _over(full: Size, by: int) -> Size:
    """Size of a picture after reduction: Pillow keeps the boxes that are not whole."""
    return -(-full[0] // by), -(-full[1] // by)


def _cropped(source: Image.Image, full: Size, by: int, recipe: Recipe) -> Image.Image:
    """Short side to the target, then the centre square, rounded as CLIP's own transform does."""
    long = LONGEST * min(source.size)
    if max(source.size) > long:  # the crop would cut all of the rest off
        width, height = source.size
        left, top = max(0, (width - long) // 2), max(0, (height - long) // 2)
        source = source.crop((left, top, min(width, left + long), min(height, top + long)))
        full = (source.width * by, source.height * by)
    side, short, target = recipe.side, min(full), recipe.short or recipe.side
    size = (int(target * full[0] / short), int(target * full[1] / short))
    source = _resized(source, size, full, by, recipe)
    left, top = (round((length - side) / 2) for length in size)
    return source.crop((left, top, left + side, top + side))


def _padded(source: Image.Image, full: Size, by: int, fill: int) -> tuple[Image.Image, Size]:
    """The picture in the middle of a square, offsets rounded down; the square before reduction."""
    square = (max(full), max(full))
    if full[0] == full[1]:
        return source, full
    canvas = Image.new("RGB", _over(square, by), (fill,) * 3)
    left, top = (canvas.width - source.width) // 2, (canvas.height - source.height) // 2
    canvas.paste(source, (left, top))
    return canvas, square


def _resized(source: Image.Image, size: Size, full: Size, by: int, recipe: Recipe) -> Image.Image:
    """The reduced picture at `size`; the resampler is told the true size over the factor."""
    if full == size and by == 1:
        return source
    return source.resize(size, _FILTERS[recipe.resample], (0, 0, full[0] / by, full[1] / by))


def fitted(
    image: Image.Image,
    recipe: Recipe,
    times: StageTimes | None = None,
    full: Size | None = None,
) -> Image.Image:
    """The picture as the model sees it: `side` × `side`, RGB.

    `full` is the size that a picture handed in after `reduced` had before; the result is the same
    as that of the picture before.
    """
    if recipe.first:
        with timed(times, "resize"):
            image, full = fitted(image, _FIRST[recipe.first]), None
    with timed(times if full is None else None, "reduce"):
        by = _by(full or image.size, recipe)
        if full is not None and image.size == _over(full, by):
            source = image
        else:
            full = image.size
            by = _by(full, recipe)
            source = image.reduce(by) if by > 1 else image
    with timed(times, "resize"):
        if recipe.fit == "crop":
            return _cropped(source, full, by, recipe)
        if recipe.fit == "letterbox":
            source, full = _padded(source, full, by, recipe.fill)
        return _resized(source, (recipe.side, recipe.side), full, by, recipe)


def normalised(image: Image.Image, recipe: Recipe) -> Float32:
    """`(3, side, side)` float32: `(value - mean) / std` per channel."""
    shape = image.height, image.width
    planes = np.empty((3, *shape), np.float32)
    for plane, band, mean, std in zip(planes, "RGB", recipe.mean, recipe.std, strict=True):
        # One pass for each step: a conversion inside the subtraction goes through a buffer.
        plane[...] = np.frombuffer(image.tobytes("raw", band), np.uint8).reshape(shape)
        plane -= np.float32(mean)
        if math.frexp(std)[0] == 0.5:  # of a power of two both give the same, this one sooner
            plane *= np.float32(1 / std)
        else:
            plane /= np.float32(std)
    return planes


def tensor(
    image: Image.Image,
    recipe: Recipe,
    times: StageTimes | None = None,
    full: Size | None = None,
) -> Float32:
    """The input of a model for one picture in mode RGB: `(3, side, side)` float32, contiguous."""
    square = fitted(image, recipe, times, full)
    with timed(times, "resize"):
        return normalised(square, recipe)
