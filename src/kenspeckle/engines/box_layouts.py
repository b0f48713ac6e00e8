"""Families of detectors by what they give: how each is fed, and how its outputs become boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kenspeckle.engines import nanodet, yunet
from kenspeckle.engines.boxes import Boxes, from_logits
from kenspeckle.engines.frame import Frame, Size, bounded, letterbox, stretched
from kenspeckle.types import Float32, Recipe

Outputs = Mapping[str, Float32]

USUAL = 640
"""Side of the square where neither the file nor a recipe says one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What is particular about one family of detectors.

    fits
        Whether these outputs of a session (`name`, `shape`) are of the family.
    frames
        Ways to lay a picture of a size into the input, tried in turn until something is found.
    decode
        Boxes in pixels of an input of a size, `least` or more in score, for so many kinds (0 where
        nobody has named them).
    overlap
        Largest intersection over union of two boxes of one kind; 1 where the network sees to it.
    recipe
        Preparation where no file beside the network says another; mean and std in the order of
        `order`.
    """

    name: str
    fits: Callable[[Sequence[Any]], bool]
    decode: Callable[[Outputs, Size, float, int], Boxes]
    recipe: Recipe
    overlap: float
    frames: Callable[[Size, Recipe], Sequence[Frame]]
    order: str = "RGB"
    names: tuple[str, ...] = ()


FACES = (640, 320, 1280)
"""Longest sides at which faces are looked for, one after the other: the network knows faces of 10
to 300 pixels, so the second is surer of those that fill a picture, the third finds small ones in
a large one."""


def _face_frames(source: Size, recipe: Recipe) -> list[Frame]:  # noqa: ARG001  any size will do
    sides = [s for n, s in enumerate(FACES) if n == 0 or max(source) > min(s, FACES[0])]
    return [bounded(source, one, yunet.MULTIPLE) for one in sides]


def _at_the_corner(source: Size, recipe: Recipe) -> list[Frame]:
    return [letterbox(source, recipe.side)]


def _as_said(source: Size, recipe: Recipe) -> list[Frame]:
    if recipe.fit == "letterbox":
        return [letterbox(source, recipe.side, centre=True)]
    return [stretched(source, recipe.side)]


def _named(*names: str) -> Callable[[Sequence[Any]], bool]:
    return lambda outputs: {entry.name for entry in outputs} >= set(names)


def _is_nanodet(outputs: Sequence[Any]) -> bool:
    shapes = [entry.shape for entry in outputs]
    if len(shapes) != 6 or any(len(shape) != 3 for shape in shapes):
        return False
    return len([shape for shape in shapes if shape[2] == 4 * nanodet.BINS]) == 3


def _is_yolo(outputs: Sequence[Any]) -> bool:
    return len(outputs) == 1 and len(outputs[0].shape) == 3


def _yunet(outputs: Outputs, size: Size, least: float, kinds: int) -> Boxes:  # noqa: ARG001
    return yunet.decoded(outputs, size, least)


def _nanodet(outputs: Outputs, size: Size, least: float, kinds: int) -> Boxes:  # noqa: ARG001
    grids = sorted((rows[0] for rows in outputs.values()), key=len, reverse=True)
    wide = 4 * nanodet.BINS
    scores = [grid for grid in grids if grid.shape[1] != wide]
    sides = [grid for grid in grids if grid.shape[1] == wide]
    return nanodet.decoded(scores, sides, size, least)


def _logits(outputs: Outputs, size: Size, least: float, kinds: int) -> Boxes:
    logits = outputs["logits"][0]
    return from_logits(logits, outputs["pred_boxes"][0], kinds or logits.shape[1], size, least)


def _ready(outputs: Outputs, size: Size, least: float, kinds: int) -> Boxes:  # noqa: ARG001
    """Boxes that the network has sorted out itself, in pixels of its input."""
    corners = outputs["boxes"].reshape(-1, 4).astype(np.float32)
    scores = outputs["scores"].reshape(-1).astype(np.float32)
    labels = outputs["labels"].reshape(-1).astype(np.int64)
    return Boxes(corners, scores, labels).at(np.flatnonzero(scores >= least))


def _yolo(outputs: Outputs, size: Size, least: float, kinds: int) -> Boxes:  # noqa: ARG001
    """One row a place: centre x and y, width, height in pixels, then a score of each kind."""
    (rows,) = (rows[0] for rows in outputs.values())
    rows = rows.T if rows.shape[0] < rows.shape[1] else rows
    certain = rows[:, 4:]
    found = certain.argmax(axis=1)
    scores = certain[np.arange(len(certain)), found]
    kept = np.flatnonzero(scores >= least)
    centres, half = rows[kept, :2], rows[kept, 2:4] / 2
    corners = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    return Boxes(corners, scores[kept], found[kept].astype(np.int64))


_PLAIN = Recipe(USUAL, mean=(0, 0, 0), std=(1, 1, 1))
_UNIT = Recipe(USUAL, "letterbox", "bilinear", fill=114)
_IMAGENET = Recipe(USUAL, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
_NANODET = Recipe(416, "letterbox", mean=nanodet.MEAN, std=nanodet.STD)

LAYOUTS = (
    Layout(
        "yunet",
        _named(*yunet.OUTPUTS),
        _yunet,
        _PLAIN,
        yunet.OVERLAP,
        _face_frames,
        order="BGR",
        names=yunet.NAMES,
    ),
    Layout("nanodet", _is_nanodet, _nanodet, _NANODET, nanodet.OVERLAP, _at_the_corner, "BGR"),
    Layout(
        "detr (logits, pred_boxes)",
        _named("logits", "pred_boxes"),
        _logits,
        _IMAGENET,
        1.0,
        _as_said,
    ),
    Layout(
        "boxes, labels, scores", _named("boxes", "labels", "scores"), _ready, _UNIT, 1.0, _as_said
    ),
    Layout("yolo (one output)", _is_yolo, _yolo, _UNIT, 0.7, _as_said),
)
"""Every family that is known. One row each; the first that fits counts."""
