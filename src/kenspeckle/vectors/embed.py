"""Opening a model, and pictures to unit vectors by it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.engines.dummy import DummyModel
from kenspeckle.engines.onnx_session import OnnxModel
from kenspeckle.errors import ModelError
from kenspeckle.types import Fingerprint, Float32
from kenspeckle.vectors.base import Embedder, unit_rows
from kenspeckle.vectors.preprocess import fitted, normalised

if TYPE_CHECKING:
    from PIL.Image import Image

    from kenspeckle.vectors.pipeline import StageTimes


class Engine(Protocol):
    """A loaded network: prepared pictures to raw features."""

    width: int
    side: int
    device: str

    def run(self, batch: Float32) -> Float32:
        """`(B, 3, side, side)` to `(B, F)`."""

    def close(self) -> None:
        """Give the memory back."""


class ModelEmbedder:
    """A model with its recipe. The network is loaded when the first vector is asked for."""

    def __init__(self, row: table.ModelRow, settings: ModelSettings) -> None:
        if row.recipe is None:
            raise ModelError(row.name, "its recipe is not known")
        self._row, self._recipe, self._settings = row, row.recipe, settings
        self._files = None if row.kind == "dummy" else files.locate(row, settings)
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """See `Embedder`."""
        weights = self._files.sha256 if self._files else "dummy-1"
        return Fingerprint(self._row.name, weights, self._recipe, self.width)

    @property
    def space_id(self) -> str:
        """See `Embedder`."""
        return self.fingerprint.space_id

    @property
    def width(self) -> int:
        """See `Embedder`."""
        return self._row.width

    @cached_property
    def cohort(self) -> Float32 | None:
        """See `Embedder`."""
        if self._files is None or self._files.cohort is None:
            return None
        return read_cohort(self._files.cohort, self._row.cohort_keys)

    def _loaded(self) -> Engine:
        with self._lock:
            if self._engine is None:
                if self._files is None:
                    self._engine = DummyModel()
                else:
                    self._engine = OnnxModel(self._files.weights, sha256=self._files.sha256)
            return self._engine

    def vector(self, image: Image, times: StageTimes | None = None) -> Float32:
        """See `Embedder`."""
        row: Float32 = self.vectors([image], times)[0]
        return row

    def vectors(self, images: Sequence[Image], times: StageTimes | None = None) -> Float32:
        """See `Embedder`."""
        engine = self._loaded()
        if not images:
            return np.empty((0, self.width), np.float32)
        rows = []
        for image in images:
            with times.stage("resize") if times else nullcontext():
                planes = normalised(fitted(image, self._recipe), self._recipe)
            with times.stage("model") if times else nullcontext():
                rows.append(engine.run(planes[None]))
        return unit_rows(np.concatenate(rows), self._row.name)

    def close(self) -> None:
        """See `Embedder`."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None


def read_cohort(path: Path, keys: tuple[str, str]) -> Float32:
    """Unit rows `(C, D)` from a cohort file: int8 rows times a scale."""
    with np.load(path, allow_pickle=False) as members:
        rows = members[keys[0]].astype(np.float32) * np.float32(members[keys[1]])
    return unit_rows(rows, str(path))


DEFAULTS = ModelSettings()


def open_embedder(settings: ModelSettings = DEFAULTS) -> Embedder:
    """The embedder that the settings name. Loads nothing yet. Raises ModelError."""
    row = table.find(settings.name)
    return ModelEmbedder(row, settings)
