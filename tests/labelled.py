"""Labelled pictures that tests make: small ones, each of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, size: tuple[int, int] = (48, 32), seed: int | None = None) -> Path:
    """A picture whose content is told by its path, or by a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = sum(map(ord, str(path))) if seed is None else seed
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def voc(path: Path, *things: tuple[str, tuple[int, int, int, int]], size: str = "") -> Path:
    """A VOC XML with boxes."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for name, (a, b, c, d) in things
    )
    path.write_text(f"<annotation>{size}{objects}</annotation>", "utf-8")
    return path


def logodet(root: Path) -> Path:
    """Three categories, one brand name in two of them, a broken XML, a box outside."""
    for category, brand, count in (
        ("Food", "Star", 4),
        ("Clothes", "Star", 3),
        ("Clothes", "Moon", 3),
        ("Leisure", "Sun", 2),
    ):
        folder = root / category / brand
        for number in range(1, count + 1):
            picture(folder / f"{number}.jpg")
            voc(folder / f"{number}.xml", (brand, (2, 3, 20, 21)))
    voc(root / "Food/Star/2.xml", ("Star", (2, 3, 20, 21)), ("star", (22, 3, 40, 21)))
    (root / "Food/Star/3.xml").write_text("<annotation><object>", "utf-8")
    voc(root / "Clothes/Moon/2.xml", ("Moon", (2, 3, 99, 21)), ("Star", (1, 1, 9, 9)))
    return root
