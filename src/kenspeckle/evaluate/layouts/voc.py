"""Boxes in Pascal-VOC XML, read without following anything that the file refers to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from kenspeckle.catalog.entry import shown
from kenspeckle.errors import CatalogError
from kenspeckle.types import Box

MAX_BYTES = 1024 * 1024
MAX_TEXT = 1000
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Voc:
    """What one XML says: the size of its picture, or None, and its boxes with their names.

    `broken` are the names of objects whose box cannot be read.
    """

    size: tuple[int, int] | None
    boxes: tuple[tuple[str, Box], ...]
    broken: tuple[str, ...] = ()


@dataclass(slots=True)
class _Walk:
    """Where the parser is, and what it has met."""

    trail: list[str] = field(default_factory=list)
    text: str = ""
    size: dict[str, str] = field(default_factory=dict)
    thing: dict[str, str] = field(default_factory=dict)
    things: list[dict[str, str]] = field(default_factory=list)

    def start(self, tag: str, _: object) -> None:
        """A tag opens."""
        self.trail.append(tag)
        self.text = ""
        if self.trail[1:] == ["object"]:
            self.thing = {}

    def data(self, text: str) -> None:
        """Some text."""
        self.text = (self.text + text)[:MAX_TEXT]

    def end(self, tag: str) -> None:
        """A tag closes."""
        match self.trail[1:]:
            case ["size", _]:
                self.size[tag] = self.text.strip()
            case ["object", "name"] | ["object", "bndbox", _]:
                self.thing.setdefault(tag, self.text.strip())
            case ["object"]:
                self.things.append(self.thing)
        self.trail.pop()


def read_voc(path: Path) -> Voc:
    """The boxes of one XML file.

    Edges are pixels as written, `xmax` and `ymax` outside, fractions rounded outwards. Raises
    CatalogError for a file that is no such XML; one with a document type or an entity is refused,
    whatever its encoding.
    """
    name = shown(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CatalogError(name, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise CatalogError(name, "too large", expected=f"at most {MAX_BYTES >> 20} MiB")
    walk, parser = _Walk(), expat.ParserCreate()

    def refuse(*_: object) -> NoReturn:
        raise CatalogError(name, "XML that declares a document type", expected="plain XML")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    parser.CharacterDataHandler = walk.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise CatalogError(name, f"broken XML ({error})") from error
    boxes, broken = [], []
    for thing in walk.things:
        box = _box(thing)
        if box is None:
            broken.append(thing.get("name", ""))
        else:
            boxes.append((thing.get("name", ""), box))
    return Voc(_size(walk.size), tuple(boxes), tuple(broken))


def _box(thing: dict[str, str]) -> Box | None:
    try:
        x0, y0, x1, y1 = (float(thing[edge]) for edge in _EDGES)
        return math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
    except (KeyError, ValueError, OverflowError):
        return None


def _size(said: dict[str, str]) -> tuple[int, int] | None:
    try:
        width, height = int(said["width"]), int(said["height"])
    except (KeyError, ValueError):
        return None
    return (width, height) if width > 0 and height > 0 else None
