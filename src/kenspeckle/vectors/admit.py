"""A device is admitted only if it gives the vectors that the CPU gives."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kenspeckle.engines.base import Engine, load
from kenspeckle.engines.files import ModelFiles
from kenspeckle.engines.table import ModelRow
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32, Recipe
from kenspeckle.vectors.base import unit_rows
from kenspeckle.vectors.preprocess import tensor

LEAST = 0.999
"""Least cosine between a device's vector and the CPU's, over all drawn pictures."""


def drawn_pictures(count: int = 8, seed: int = 1, side: int = 320) -> list[Image.Image]:
    """Pictures drawn from a seed: a gradient, blocks of colour, some noise."""
    random = np.random.default_rng(seed)
    across = np.linspace(0, 1, side)[None, :, None]
    pictures = []
    for _ in range(count):
        first, second = random.uniform(0, 255, (2, 3))
        pixels = first * across + second * (1 - across) + np.zeros((side, side, 3))
        for _ in range(12):
            x, y = random.integers(0, side - side // 8, 2)
            w, h = random.integers(side // 16, side // 2, 2)
            pixels[y : y + h, x : x + w] = random.uniform(0, 255, 3)
        pixels += random.normal(0, 12, pixels.shape)
        pictures.append(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
    return pictures


def drawn_batch(recipe: Recipe, count: int = 8) -> Float32:
    """The drawn pictures as the model sees them: `(count, 3, side, side)` float32."""
    return np.stack([tensor(picture, recipe) for picture in drawn_pictures(count)])


def agreement(one: Engine, other: Engine, recipe: Recipe) -> float:
    """Least cosine between the vectors of two engines over the drawn pictures."""
    batch = drawn_batch(recipe)
    rows = [unit_rows(engine.run(batch), "device") for engine in (one, other)]
    return float(np.einsum("ij,ij->i", *rows).min())


def admitted(row: ModelRow, files: ModelFiles, device: str) -> tuple[Engine, str]:
    """The model on the device that was asked for, or on the CPU with a sentence that says why.

    Raises ModelError when the model cannot be loaded at all.
    """
    reference = load(row, files)
    if device.strip().lower() in ("", "cpu") or row.kind == "dummy":
        return reference, ""
    try:
        engine = load(row, files, device)
        if engine.device == "cpu":
            return engine, f"{device} did not start; the CPU is used"
        least = agreement(engine, reference, files.recipe)
    except ModelError as error:
        return reference, f"the CPU is used: {error}"
    if least >= LEAST:
        reference.close()
        return engine, ""
    engine.close()
    return reference, (
        f"{device} gives other vectors than the CPU (cosine {least:.4f}, {LEAST} is needed); "
        "the CPU is used"
    )
