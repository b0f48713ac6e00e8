"""Pictures in the report: small JPEGs inside the page, with the box that was asked about drawn in.

Pictures are read by the same checked decoder as everywhere; one that cannot be read leaves a blank.
"""

from __future__ import annotations

import base64
from pathlib import Path

from PIL import Image, ImageDraw

from kenspeckle.errors import KenspeckleError
from kenspeckle.evaluate.report.markup import Html, tag
from kenspeckle.evaluate.samples import Dataset, Sample
from kenspeckle.image.decode import decode
from kenspeckle.image.thumbnail import thumbnail
from kenspeckle.types import Box

SIDE = 240
CONTEXT = 0.35
"""How much of its side a box shows of what lies around it."""


class Pictures:
    """Data URIs of the pictures of one evaluation; each is read and reduced once.

    Names are those of the dataset where there is one, else paths below `folder`.
    """

    def __init__(self, folder: Path, dataset: Dataset | None = None) -> None:
        self._folder = folder
        self._made: dict[tuple[str, Box | None], str] = {}
        self._paths: dict[str, Path] = {}
        self._references: dict[tuple[str, str], Sample] = {}
        if dataset is not None:
            for sample in (*dataset.references, *dataset.queries, *dataset.strangers):
                self._paths.setdefault(sample.name, sample.path)
            for sample in dataset.references:
                self._references.setdefault((sample.label, ""), sample)
                self._references.setdefault((sample.label, sample.name), sample)

    def reference(self, label: str, name: str, what: str, called: str) -> Html:
        """What an item looks like: its reference of this name, else its first one."""
        sample = self._references.get((label, name)) or self._references.get((label, ""))
        if sample is None:
            return self.figure(name, None, what, called)
        return self.figure(sample.name, sample.box, what, called)

    def figure(self, path: str, box: Box | None, what: str, name: str) -> Html:
        """A picture with a caption: what it is, and the name that belongs to it."""
        words = tag("figcaption", tag("small", what), name)
        uri = self.uri(path, box) if path else ""
        if not uri:
            blank = tag("span", "no picture" if not path else "cannot be read", cls="blank")
            return tag("figure", blank, words)
        return tag("figure", tag("img", src=uri, alt=f"{what}: {name}"), words)

    def uri(self, path: str, box: Box | None = None) -> str:
        """Empty when the picture cannot be read."""
        key = (path, box)
        if key not in self._made:
            self._made[key] = self._uri(path, box)
        return self._made[key]

    def _uri(self, path: str, box: Box | None) -> str:
        try:
            image = decode(self._paths.get(path, self._folder / path)).image
        except (KenspeckleError, OSError, ValueError):  # ValueError: a path that cannot be one
            return ""
        small = thumbnail(around(image, box) if box else image, SIDE)
        return "data:image/jpeg;base64," + base64.b64encode(small).decode()


def around(image: Image.Image, box: Box) -> Image.Image:
    """The box with its surroundings, outlined light on dark; the picture as it is for a box that
    holds all of it or lies outside."""
    x0, y0, x1, y1 = box
    if x0 <= 0 and y0 <= 0 and x1 >= image.width and y1 >= image.height:
        return image
    spare = CONTEXT * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - spare)), max(0, int(y0 - spare))
    right, bottom = min(image.width, int(x1 + spare)), min(image.height, int(y1 + spare))
    if left >= right or top >= bottom:
        return image
    part = image.crop((left, top, right, bottom))
    part.thumbnail((2 * SIDE, 2 * SIDE), Image.Resampling.BILINEAR)
    scale = part.width / (right - left)
    inner = [(x - left) * scale for x in (x0, x1)], [(y - top) * scale for y in (y0, y1)]
    corners = (inner[0][0], inner[1][0], inner[0][1], inner[1][1])
    draw = ImageDraw.Draw(part)
    draw.rectangle(corners, outline=(0, 0, 0), width=6)
    draw.rectangle(corners, outline=(255, 221, 64), width=3)
    return part
