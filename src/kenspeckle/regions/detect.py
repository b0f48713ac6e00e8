"""Things of one kind in a picture, by a detector: people, faces.

Detectors see a copy of bounded size; their boxes are whole pixels of the picture that was asked
about, inside it, best score first.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kenspeckle._extras import need_all
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.engines import files, table
from kenspeckle.engines.boxes import BoxEngine, Boxes
from kenspeckle.engines.devices import on_device
from kenspeckle.errors import ModelError
from kenspeckle.types import Box

if TYPE_CHECKING:
    from PIL.Image import Image

Subject = Literal["person", "face"]

CALLED = {"person": frozenset({"person", "people", "human", "pedestrian"}), "face": {"face"}}
"""What detectors call what is looked for, in lower case."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing: `box` as x0, y0, x1, y1 in pixels, at least one pixel large; `score` 0 … 1."""

    box: Box
    score: float
    label: str


class Detector:
    """Finds things of one kind. `detect` may be called from many threads at once.

    The network is loaded by the first picture, and again by the next one after `close`.
    """

    def __init__(
        self, row: table.ModelRow, settings: ModelSettings, subject: str, least: float
    ) -> None:
        self.name, self.subject = row.name, subject
        self._row, self._settings, self._least = row, settings, least
        self._lock = threading.Lock()
        self._engine: BoxEngine | None = None
        self._note = ""

    @property
    def device(self) -> str:
        """Where the network runs; loads it."""
        return self._loaded().device

    @property
    def note(self) -> str:
        """Why the loaded network runs on another device than was asked for; empty: it does not."""
        return self._note

    @property
    def loaded(self) -> bool:
        """Whether the network is in memory."""
        return self._engine is not None

    def detect(self, image: Image) -> list[Detection]:
        """What is in an RGB picture, best first; empty when nothing is.

        Raises ModelError when the network cannot be loaded or fails.
        """
        engine = self._loaded()
        kinds = _kinds(engine.names, self.subject, self.name)
        boxes = engine.detect(image, self._least)
        wanted = [n for n, kind in enumerate(boxes.kinds) if int(kind) in kinds]
        return _inside(boxes, wanted, image.size, self.subject)

    def close(self) -> None:
        """Give the memory back, when the calls that run now are done."""
        with self._lock:
            self._engine = None

    def _loaded(self) -> BoxEngine:
        engine = self._engine
        if engine is not None:
            return engine
        with self._lock:
            if self._engine is None:
                path, sha256 = files.weights(self._row, self._settings)
                load = partial(_load, self._row.kind, path, sha256)
                made, self._note = on_device(load, self._settings.device)
                self._engine = made
            return self._engine


def open_detector(subject: Subject, settings: Settings) -> Detector:
    """The detector that the settings name for people or for faces; it is not loaded yet.

    Raises ModelMissing and MissingExtra, which say in a sentence what to do, where it is not to be
    had here, and ModelError for a name that nobody knows.
    """
    analyze = settings.analyze
    if subject == "person":
        return detector(analyze.person, settings.models, subject, analyze.person_score)
    return detector(analyze.face, settings.models, subject, analyze.face_score)


def detector(name: str, settings: ModelSettings, subject: str, least: float = 0.5) -> Detector:
    """Any detector by its name or path, for things that it calls `subject`.

    `least` is the lowest score that counts. Raises as `open_detector`.
    """
    row = table.find(name)
    if row.task not in ("", "boxes"):
        raise ModelError(name, f"a model of {row.task}", expected="a detector")
    if row.kind == "torch":
        need_all(("torch", "transformers"), f"finding things with {row.name}")
    files.check_present(row, settings)
    return Detector(row, settings, subject, least)


def _load(kind: str, path: Path, sha256: str, device: str) -> BoxEngine:
    if kind == "torch":
        from kenspeckle.engines.transformers_detector import TransformersDetector

        return TransformersDetector(path, device=device)
    from kenspeckle.engines.onnx_detector import OnnxDetector

    return OnnxDetector(path, sha256=sha256, device=device)


def _kinds(names: tuple[str, ...], subject: str, thing: str) -> set[int]:
    """The kinds of a detector that mean `subject`; a detector of one kind finds that kind."""
    called = CALLED.get(subject, {subject.casefold()})
    found = {n for n, name in enumerate(names) if name.casefold() in called}
    if found or len(names) == 1:
        return found or {0}
    said = ", ".join(names[:8]) or "kinds without names"
    raise ModelError(
        thing,
        f"it finds {said}",
        expected=subject,
        do="Lay a labels.txt beside it, a name a line, or name another detector",
    )


def _inside(boxes: Boxes, wanted: list[int], size: tuple[int, int], label: str) -> list[Detection]:
    """Whole pixels inside the picture; what has none left is gone."""
    found = []
    for n in sorted(wanted, key=lambda n: -float(boxes.scores[n])):
        x0, y0, x1, y1 = (float(value) for value in boxes.corners[n])
        box = (
            max(0, math.trunc(x0)),
            max(0, math.trunc(y0)),
            min(size[0], math.trunc(x1)),
            min(size[1], math.trunc(y1)),
        )
        if box[0] < box[2] and box[1] < box[3]:
            found.append(Detection(box, min(max(float(boxes.scores[n]), 0.0), 1.0), label))
    return found
