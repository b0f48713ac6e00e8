"""From the pixels of a region to the input of a model, as the recipe says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kenspeckle.types import Float32, Recipe
from kenspeckle.vectors.pipeline import StageTimes, timed

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}

LONGEST = 16
"""Longest side over short side of what a crop recipe resizes; the crop would cut the rest off."""

LARGEST = 100_000_000
"""Most pixels of a letterbox square; a longer picture is reduced first whatever the recipe says."""


def factor(size: tuple[int, int], side: int) -> int:
    """The largest whole factor of reduction that keeps the short side at least 2 × `side`.

    >>> factor((1024, 768), 288), factor((4000, 3000), 288), factor((100, 100), 288)
    (1, 5, 1)
    """
    return max(1, min(size) // (2 * side))


def reduced(image: Image.Image, side: int) -> Image.Image:
    """The picture box-reduced by `factor`; the picture itself where that is 1.

    Averaging whole boxes of pixels first costs a fraction of resampling all of them; what is left
    keeps twice the detail that the target can show.
    """
    by = factor(image.size, side)
    return image.reduce(by) if by > 1 else image


def _size(image: Image.Image, recipe: Recipe) -> tuple[int, int]:
    """Width and height at which the recipe wants the picture, before a crop."""
    if recipe.fit != "crop":
        return recipe.side, recipe.side
    width, height = image.size
    short, target = min(image.size), recipe.short or recipe.side
    return int(target * width / short), int(target * height / short)


def _middle(image: Image.Image, recipe: Recipe) -> Image.Image:
    """Before a crop: the middle of a picture so long that resizing all of it would be a waste."""
    width, height = image.size
    long = LONGEST * min(image.size)
    if recipe.fit != "crop" or max(image.size) <= long:
        return image
    left, top = max(0, (width - long) // 2), max(0, (height - long) // 2)
    return image.crop((left, top, min(width, left + long), min(height, top + long)))


def _padded(image: Image.Image, square: int, fill: int) -> Image.Image:
    """The picture in the middle of a square, offsets rounded down."""
    canvas = Image.new("RGB", (square, square), (fill,) * 3)
    canvas.paste(image, ((square - image.width) // 2, (square - image.height) // 2))
    return canvas


def fitted(image: Image.Image, recipe: Recipe, times: StageTimes | None = None) -> Image.Image:
    """The picture as the model sees it: `side` × `side`, RGB.

    Where it is reduced first, the last column and row of the reduced picture may stand for less
    than a whole box: the resampler is told the true size over the factor, not the rounded one.
    """
    with timed(times, "reduce"):
        image = _middle(image, recipe)
        size, full = _size(image, recipe), image.size
        boxed = recipe.fit == "letterbox" and image.width != image.height
        if boxed:
            full = (max(full), max(full))
        by = 1
        if recipe.reduce or (boxed and full[0] * full[1] > LARGEST):
            by = factor(full, recipe.short or recipe.side)
        source = image.reduce(by) if by > 1 else image
        if boxed:
            source = _padded(source, -(-full[0] // by), recipe.fill)
    with timed(times, "resize"):
        if full != size:
            box = (0, 0, full[0] / by, full[1] / by)
            source = source.resize(size, _FILTERS[recipe.resample], box)
        if recipe.fit == "crop":  # rounded as CLIP's own transform does
            left, top = (round((length - recipe.side) / 2) for length in size)
            source = source.crop((left, top, left + recipe.side, top + recipe.side))
    return source


def normalised(image: Image.Image, recipe: Recipe) -> Float32:
    """`(3, side, side)` float32: `(value - mean) / std` per channel."""
    pixels = np.asarray(image).transpose(2, 0, 1)
    mean = np.array(recipe.mean, np.float32)[:, None, None]
    std = np.array(recipe.std, np.float32)[:, None, None]
    planes = np.empty(pixels.shape, np.float32)
    np.subtract(pixels, mean, out=planes)
    np.divide(planes, std, out=planes)
    return planes


def tensor(image: Image.Image, recipe: Recipe, times: StageTimes | None = None) -> Float32:
    """The input of a model for one picture in mode RGB: `(3, side, side)` float32, contiguous."""
    square = fitted(image, recipe, times)
    with timed(times, "resize"):
        return normalised(square, recipe)
