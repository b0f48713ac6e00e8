"""Detectors by ONNX Runtime: the layout of a file's outputs decides how it is fed and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle.engines import recipes
from kenspeckle.engines.box_layouts import LAYOUTS, Layout
from kenspeckle.engines.boxes import NONE, Boxes, kind_names, suppressed
from kenspeckle.engines.frame import Frame, planes
from kenspeckle.engines.onnx_session import opened, running_on
from kenspeckle.errors import ModelError
from kenspeckle.types import Recipe

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_LABELS = 1024 * 1024
"""Largest `labels.txt` that is read, bytes."""


class OnnxDetector:
    """One loaded detector. See `BoxEngine`.

    What its kinds are called, in their order, says `labels.txt` beside the file (a name a line) or
    the `config.json` of a checkpoint. How pictures are prepared says `<file>.json` beside it, as
    for a model of features, where the layout alone does not. Raises ModelError for a file of no
    known layout, or another one than `sha256` says.
    """

    def __init__(self, path: Path, *, sha256: str = "", device: str = "cpu") -> None:
        self._thing = str(path)
        self._session, _ = opened(path, sha256=sha256, device=device, foreign=not sha256)
        self.device = running_on(self._session, device)
        self._outputs = [entry.name for entry in self._session.get_outputs()]
        self._layout = _layout(self._session.get_outputs(), self._thing)
        self.names = self._layout.names or _labels(path)
        self._input, side = _input(self._session.get_inputs(), self._thing)
        recipe = _beside(path) or self._layout.recipe
        self._recipe = replace(recipe, side=side) if side and not recipe.short else recipe

    def detect(self, image: Image, least: float) -> Boxes:
        """See `BoxEngine`."""
        for frame in self._layout.frames(image.size, self._recipe):
            boxes = self._looked(image, frame, least)
            if len(boxes):
                return boxes
        return NONE

    def _looked(self, image: Image, frame: Frame, least: float) -> Boxes:
        recipe, layout = self._recipe, self._layout
        picture = frame.picture(image, recipe.fill)
        batch = planes(picture, layout.order, recipe.mean, recipe.std)
        try:
            rows = self._session.run(None, {self._input: batch})
            outputs = dict(zip(self._outputs, rows, strict=True))
            boxes = layout.decode(outputs, frame.size, least, len(self.names))
        except Exception as error:  # the runtime raises its own unrelated kinds
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(self._thing, f"the network failed ({first})") from error
        whole = np.isfinite(boxes.corners).all(axis=1) & np.isfinite(boxes.scores)
        boxes = suppressed(boxes.at(np.flatnonzero(whole)), layout.overlap)
        return replace(boxes, corners=frame.back(boxes.corners))


def _layout(outputs: Any, thing: str) -> Layout:
    found = next((one for one in LAYOUTS if one.fits(outputs)), None)
    if found is None:
        said = ", ".join(f"{entry.name} {entry.shape}" for entry in outputs)
        known = "; ".join(one.name for one in LAYOUTS)
        raise ModelError(thing, f"outputs {said}", expected=f"a detector like {known}")
    return found


def _input(inputs: Any, thing: str) -> tuple[str, int]:
    """Name of the input, and the side of its square, 0 where it is open."""
    shape = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in inputs)
        raise ModelError(thing, f"inputs {found}", expected="one float32 input (1, 3, h, w)")
    fixed = {length for length in shape[2:] if isinstance(length, int)}
    if len(fixed) > 1:
        raise ModelError(thing, f"pictures of {shape[3]} × {shape[2]}", expected="a square")
    return inputs[0].name, fixed.pop() if fixed else 0


def _beside(path: Path) -> Recipe | None:
    """The recipe that lies beside a file, if there is one."""
    own = path.with_name(path.name + ".json")
    return recipes.from_fields(recipes.read_json(own), str(own)) if own.is_file() else None


def _labels(path: Path) -> tuple[str, ...]:
    """What the kinds are called by the files beside the network, or nothing."""
    beside, config = path.with_name("labels.txt"), path.with_name("config.json")
    if not beside.is_file():
        return kind_names(recipes.read_json(config).get("id2label")) if config.is_file() else ()
    try:
        if beside.stat().st_size > MAX_LABELS:
            raise ModelError(str(beside), "too large", expected=f"at most {MAX_LABELS} bytes")
        lines = beside.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(str(beside), f"unreadable ({error})", expected="a name a line") from error
    return tuple(line.strip() for line in lines if line.strip())
