"""Pictures drawn in code."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw


def draw(seed: int, side: int = 240) -> Image.Image:
    """A picture that no other seed gives: shapes in colours on a ground."""
    choose = random.Random(seed)
    image = Image.new("RGB", (side, side), tuple(choose.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = choose.randrange(side - 40), choose.randrange(side - 40)
        box = (x, y, x + choose.randrange(20, 100), y + choose.randrange(20, 100))
        colour = tuple(choose.randrange(256) for _ in range(3))
        (pen.ellipse if choose.random() < 0.5 else pen.rectangle)(box, fill=colour)
    return image


def draw_folder(folder: Path, count: int = 6) -> Path:
    """A folder of so many reference pictures, made."""
    folder.mkdir(parents=True)
    for number in range(count):
        draw(number).save(folder / f"thing_{number}.png")
    return folder
