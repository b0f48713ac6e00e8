"""Detectors by ONNX Runtime: the layout of a file's outputs decides how it is fed and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle.engines import nanodet, yunet
from kenspeckle.engines.boxes import NONE, Boxes, suppressed
from kenspeckle.engines.frame import Frame, bounded, letterbox, planes
from kenspeckle.engines.onnx_session import opened
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32

if TYPE_CHECKING:
    from PIL.Image import Image

Outputs = Mapping[str, Float32]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """What is particular about one family of detectors.

    `frames` are the ways a picture is laid into the input, tried in turn until something is found;
    `decode` makes boxes of the outputs for an input of that size, scored `least` or more.
    """

    name: str
    fits: Callable[[Sequence[Any]], bool]
    frames: Callable[[Size, int], Sequence[Frame]]
    decode: Callable[[Outputs, Size, float], Boxes]
    overlap: float
    order: str = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    names: tuple[str, ...] = ()


FACES = (640, 320, 1280)
"""Longest sides at which faces are looked for, one after the other: the network knows faces of 10
to 300 pixels, so the second finds those that fill a picture, the third small ones in a large
one."""


def _face_frames(source: Size, side: int) -> list[Frame]:  # noqa: ARG001  its input has any size
    sides = [s for n, s in enumerate(FACES) if n == 0 or max(source) > min(s, FACES[0])]
    return [bounded(source, one, yunet.MULTIPLE) for one in sides]


def _nanodet_decode(outputs: Outputs, size: Size, least: float) -> Boxes:
    grids = sorted((rows[0] for rows in outputs.values()), key=len, reverse=True)
    wide = 4 * nanodet.BINS
    scores = [grid for grid in grids if grid.shape[1] != wide]
    sides = [grid for grid in grids if grid.shape[1] == wide]
    return nanodet.decoded(scores, sides, size, least)


def _is_nanodet(outputs: Sequence[Any]) -> bool:
    shapes = [entry.shape for entry in outputs]
    if len(shapes) != 6 or any(len(shape) != 3 for shape in shapes):
        return False
    return len([shape for shape in shapes if shape[2] == 4 * nanodet.BINS]) == 3


LAYOUTS = (
    Layout(
        "yunet",
        lambda outputs: {entry.name for entry in outputs} >= yunet.OUTPUTS,
        _face_frames,
        yunet.decoded,
        yunet.OVERLAP,
        order="BGR",
        names=yunet.NAMES,
    ),
    Layout(
        "nanodet",
        _is_nanodet,
        lambda source, side: [letterbox(source, side or 416)],
        _nanodet_decode,
        nanodet.OVERLAP,
        order="BGR",
        mean=nanodet.MEAN,
        std=nanodet.STD,
    ),
)
"""Every family that is known. One row each."""


class OnnxDetector:
    """One loaded detector. See `BoxEngine`.

    `names` are what its kinds are called, in their order; `labels.txt` beside the file says so
    where its layout does not. Raises ModelError for a file of no known layout, or another one than
    `sha256` says.
    """

    def __init__(self, path: Path, *, sha256: str = "", device: str = "cpu") -> None:
        self._thing = str(path)
        self._session, _ = opened(path, sha256=sha256, device=device, foreign=not sha256)
        outputs = self._session.get_outputs()
        found = next((one for one in LAYOUTS if one.fits(outputs)), None)
        if found is None:
            said = ", ".join(f"{entry.name} {entry.shape}" for entry in outputs)
            known = ", ".join(one.name for one in LAYOUTS)
            raise ModelError(self._thing, f"outputs {said}", expected=f"a detector like {known}")
        self._layout = replace(found, names=found.names or _labels(path))
        self.names = self._layout.names
        entry = self._session.get_inputs()[0]
        self._input = entry.name
        fixed = [length for length in entry.shape[2:] if isinstance(length, int)]
        self._side = fixed[0] if fixed else 0

    def detect(self, image: Image, least: float) -> Boxes:
        """See `BoxEngine`."""
        for frame in self._layout.frames(image.size, self._side):
            boxes = self._looked(image, frame, least)
            if len(boxes):
                return boxes
        return NONE

    def _looked(self, image: Image, frame: Frame, least: float) -> Boxes:
        layout = self._layout
        batch = planes(frame.picture(image), layout.order, layout.mean, layout.std)
        try:
            rows = self._session.run(None, {self._input: batch})
            names = [entry.name for entry in self._session.get_outputs()]
            boxes = layout.decode(dict(zip(names, rows, strict=True)), frame.size, least)
        except Exception as error:  # the runtime raises its own unrelated kinds
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(self._thing, f"the network failed ({first})") from error
        whole = np.isfinite(boxes.corners).all(axis=1) & np.isfinite(boxes.scores)
        boxes = suppressed(boxes.at(np.flatnonzero(whole)), layout.overlap)
        return replace(boxes, corners=frame.back(boxes.corners))


MAX_LABELS = 1024 * 1024


def _labels(path: Path) -> tuple[str, ...]:
    """One name a line of `labels.txt` beside a file, or none."""
    beside = path.with_name("labels.txt")
    if not beside.is_file():
        return ()
    try:
        if beside.stat().st_size > MAX_LABELS:
            raise ModelError(str(beside), "too large", expected=f"at most {MAX_LABELS} bytes")
        lines = beside.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(str(beside), f"unreadable ({error})", expected="a name a line") from error
    return tuple(line.strip() for line in lines if line.strip())
