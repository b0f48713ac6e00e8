"""One picture while it is analysed: everything found in it is found once."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from kenspeckle.regions.detect import Detection
from kenspeckle.types import Box, Float32
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class Engines(Protocol):
    """The models behind an analysis. All calls may come from many threads at once.

    `use` is `person`, `face`, `clip`, `dino` or `caption`; `model` names another model than the
    one set for that use, empty: that one. What cannot be had raises ModelMissing or MissingExtra.
    """

    def detect(self, use: str, image: Image, model: str = "") -> list[Detection]:
        """People or faces, the surest first, in pixels of `image`."""

    def vector(self, use: str, image: Image, model: str = "") -> Float32:
        """Features `(D,)` float32 as the model makes them, not scaled."""

    def caption(self, image: Image, max_length: int, model: str = "") -> str:
        """A caption of at most `max_length` tokens."""

    def name(self, use: str) -> str:
        """The model set for a use, as strangers may be told: no path."""

    def missing(self, use: str) -> str:
        """Why the model of a use cannot be had, in a sentence; empty where it can."""


class Scene:
    """One decoded picture, and what was found in it so far.

    Boxes, crops, vectors and captions are kept by what they depend on (the model, the part of the
    picture), so several tasks share them. An error is not kept: the next task tries again. One
    thread at a time.
    """

    def __init__(self, image: Image, engines: Engines, times: StageTimes) -> None:
        self.image, self.engines, self.times = image, engines, times
        self._found: dict[Hashable, object] = {}

    @property
    def whole(self) -> Box:
        """The box of the whole picture."""
        return (0, 0, *self.image.size)

    def detections(self, use: str, within: Box, model: str = "") -> list[Detection]:
        """What a detector finds inside a box, in pixels of the whole picture, the surest first."""

        def find() -> list[Detection]:
            part = self.crop(within)
            with self.times.stage("detection"):
                seen = self.engines.detect(use, part, model)
            placed = (_placed(one, within) for one in seen)
            return sorted((one for one in placed if one is not None), key=lambda one: -one.score)

        return self._once(("detect", use, model, within), find)

    def people(self, model: str = "") -> list[Detection]:
        """Everybody, the surest first."""
        return self.detections("person", self.whole, model)

    def faces(self, *, inside_person: bool, model: str = "") -> list[Detection]:
        """The faces inside the surest person, or in the whole picture, the surest first.

        Where nobody is found the whole picture is searched; where somebody is found without a
        face, there is none.
        """
        people = self.people() if inside_person else []
        return self.detections("face", people[0].box if people else self.whole, model)

    def crop(self, box: Box) -> Image:
        """The pixels of a box; the whole picture comes back as it is."""
        if box == self.whole:
            return self.image
        return self._once(("crop", box), lambda: self.image.crop(box))

    def png(self, box: Box) -> str:
        """The pixels of a box as a PNG in base64."""

        def pack() -> str:
            file = io.BytesIO()
            with self.times.stage("crops"):
                self.crop(box).save(file, "PNG", compress_level=1)
                return base64.b64encode(file.getvalue()).decode("ascii")

        return self._once(("png", box), pack)

    def vector(self, use: str, box: Box, model: str = "") -> Float32:
        """Features `(D,)` of a box."""

        def make() -> Float32:
            part = self.crop(box)
            with self.times.stage("embedding"):
                return self.engines.vector(use, part, model)

        return self._once(("vector", use, model, box), make)

    def caption(self, box: Box, max_length: int, model: str = "") -> str:
        """A caption of a box."""

        def make() -> str:
            part = self.crop(box)
            with self.times.stage("description"):
                return self.engines.caption(part, max_length, model)

        return self._once(("caption", max_length, model, box), make)

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self._found:
            self._found[key] = make()
        return cast("T", self._found[key])


def _placed(found: Detection, within: Box) -> Detection | None:
    """A detection inside `within` in pixels of the whole picture, None where nothing is left."""
    left, top, right, bottom = within
    x0, y0, x1, y1 = found.box
    box = (
        max(left, left + x0),
        max(top, top + y0),
        min(right, left + x1),
        min(bottom, top + y1),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    return Detection(box, found.score, found.label)
