"""A generated set of printed cards, in families of variants that differ in one detail.

All cards of a family share ground, picture, frame, title and text. A variant changes one thing: the
number in the corner, the colour of one mark, one mark for another, or one word. References are the
cards as drawn, photos are seeded camera views of them, and the right answer is the very variant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kenspeckle.image.views import camera_views

SIZE = (360, 500)
"""Width and height of a card, pixels."""
DETAILS = ("plain", "number", "colour", "mark")
"""The variants of a family; `plain` is the one that the others differ from."""
_WORDS = (
    *("AMBER", "BASALT", "CEDAR", "DUSK", "EMBER", "FJORD", "GALE", "HERON"),
    *("IRIS", "JASPER", "KELP", "LARK", "MOSS", "NORTH"),
)


@dataclass(frozen=True, slots=True)
class Card:
    """One print: the family it belongs to, its detail, and the picture."""

    family: int
    detail: str
    image: Image.Image

    @property
    def label(self) -> str:
        """Its name: unlike that of any other print."""
        return f"{self.family:03d}-{self.detail}"


def cards(families: int, seed: int = 0) -> list[Card]:
    """All prints of a number of families."""
    return [
        Card(family, detail, _card(seed, family, detail))
        for family in range(families)
        for detail in DETAILS
    ]


def photos(card: Card, count: int, seed: int) -> list[Image.Image]:
    """Camera views of one print."""
    return camera_views(card.image, count, seed)


def _card(seed: int, family: int, detail: str) -> Image.Image:
    """Everything is drawn from the family's own generator; the detail only changes what it is."""
    rng = np.random.default_rng((seed, family))
    colour = [_paint(rng) for _ in range(3)]
    width, height = SIZE
    image = Image.new("RGB", SIZE, colour[0])
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((14, 14, width - 14, height - 14), 18, colour[1], colour[2], 5)
    pen.text((30, 26), " ".join(rng.choice(_WORDS, 2)), "black", _font(24))
    _scene(image, rng, (30, 62, width - 30, 300))
    for line in range(4):
        pen.text((34, 312 + 22 * line), " ".join(rng.choice(_WORDS, 4)).lower(), "black", _font(15))
    number, shape, tint = int(rng.integers(2, 98)), int(rng.integers(4)), int(rng.integers(3))
    paints = [(200, 40, 40), (40, 90, 200), (30, 140, 60), (220, 170, 20)]
    if detail == "number":
        number += 1
    for place in range(4):
        chosen = place == family % 4
        kind = (shape + place + (chosen and detail == "mark")) % 4
        paint = paints[(tint + place + (chosen and detail == "colour")) % 4]
        _mark(pen, (60 + 62 * place, 440), kind, paint)
    pen.ellipse((width - 82, 412, width - 26, 468), "white", colour[2], 3)
    pen.text((width - 54, 440), str(number), "black", _font(28), anchor="mm")
    return image


def _scene(image: Image.Image, rng: np.random.Generator, box: tuple[int, int, int, int]) -> None:
    """A picture of soft clouds of colour and overlapping shapes, other for each family."""
    x0, y0, x1, y1 = box
    size = (x1 - x0, y1 - y0)
    clouds = rng.integers(0, 256, (int(rng.integers(2, 6)), int(rng.integers(2, 6)), 3))
    scene = Image.fromarray(clouds.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(scene)
    for turn in range(int(rng.integers(5, 25))):
        x, y, reach = (float(rng.uniform(0, most)) for most in (*size, 60))
        low, high = (x - reach, y - reach * float(rng.uniform(0.4, 1))), (x + reach, y + reach)
        paint = _paint(rng)
        if turn % 3 == 0:
            pen.ellipse((*low, *high), paint, "black", 2)
        elif turn % 3 == 1:
            pen.rectangle((*low, *high), paint, "black", 2)
        else:
            pen.polygon([low, (high[0], low[1]), ((low[0] + high[0]) / 2, high[1])], paint, "black")
    image.paste(scene, (x0, y0))


def _paint(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(20, 236, 3))
    return red, green, blue


def _mark(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], kind: int, paint: tuple[int, int, int]
) -> None:
    """A small sign: disc, square, triangle or star."""
    x, y = at
    if kind == 0:
        pen.ellipse((x - 20, y - 20, x + 20, y + 20), paint)
    elif kind == 1:
        pen.rectangle((x - 18, y - 18, x + 18, y + 18), paint)
    else:
        points, inner = (3, 1.0) if kind == 2 else (5, 0.45)
        corners = []
        for step in range(points if inner == 1.0 else 2 * points):
            reach = 22 * (inner if inner < 1 and step % 2 else 1.0)
            angle = 2 * math.pi * step / (points if inner == 1.0 else 2 * points) - math.pi / 2
            corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        pen.polygon(corners, paint)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, so that the set is the same everywhere."""
    return ImageFont.load_default(size)
