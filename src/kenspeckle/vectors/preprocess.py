"""From the pixels of a region to the input of a model, as the recipe says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kenspeckle.types import Float32, Recipe

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


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


def _resized(image: Image.Image, size: tuple[int, int], recipe: Recipe) -> Image.Image:
    """The picture at `size`, reduced first where the recipe says so.

    The last column and row of a reduced picture may stand for less than a whole box: the source
    box given to the resampler is therefore the true size over the factor, not the rounded one.
    """
    if image.size == size:
        return image
    width, height = image.size
    by = factor(image.size, recipe.side) if recipe.reduce else 1
    source = image.reduce(by) if by > 1 else image
    return source.resize(size, _FILTERS[recipe.resample], (0, 0, width / by, height / by))


def _crop(image: Image.Image, recipe: Recipe) -> Image.Image:
    """Short side to `side`, then the centre square, rounded as CLIP's own transform does."""
    width, height = image.size
    side, short = recipe.side, min(image.size)
    size = (int(side * width / short), int(side * height / short))
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return _resized(image, size, recipe).crop((left, top, left + side, top + side))


def _letterbox(image: Image.Image, recipe: Recipe) -> Image.Image:
    """The picture in the middle of a square of `fill`, then that square at `side`."""
    width, height = image.size
    square = max(width, height)
    canvas = image
    if width != height:
        canvas = Image.new("RGB", (square, square), (recipe.fill,) * 3)
        canvas.paste(image, ((square - width) // 2, (square - height) // 2))
    return _resized(canvas, (recipe.side, recipe.side), recipe)


def fitted(image: Image.Image, recipe: Recipe) -> Image.Image:
    """The picture as the model sees it: `side` × `side`, RGB."""
    if recipe.fit == "crop":
        return _crop(image, recipe)
    if recipe.fit == "letterbox":
        return _letterbox(image, recipe)
    return _resized(image, (recipe.side, recipe.side), recipe)


def normalised(image: Image.Image, recipe: Recipe) -> Float32:
    """`(3, side, side)` float32: `(value - mean) / std` per channel."""
    pixels = np.asarray(image).transpose(2, 0, 1)
    mean = np.array(recipe.mean, np.float32)[:, None, None]
    std = np.array(recipe.std, np.float32)[:, None, None]
    planes = np.empty(pixels.shape, np.float32)
    np.subtract(pixels, mean, out=planes)
    np.divide(planes, std, out=planes)
    return planes


def tensor(image: Image.Image, recipe: Recipe) -> Float32:
    """The input of a model for one picture in mode RGB: `(3, side, side)` float32, contiguous."""
    return normalised(fitted(image, recipe), recipe)
