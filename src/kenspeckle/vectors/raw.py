"""Features as a model makes them, of their own length: what classifiers of older services know.

Everywhere else vectors are unit rows of a space. Here the length is kept, and pictures are prepared
as those services did: without the box reduction that our recipes begin with, and DINOv2 at the side
it was trained at instead of the smaller one that its publisher's files name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kenspeckle._extras import need_all
from kenspeckle.config import ModelSettings
from kenspeckle.engines import files, table
from kenspeckle.engines.recipes import read_json
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32, Recipe
from kenspeckle.vectors.admit import admitted
from kenspeckle.vectors.gather import Gather
from kenspeckle.vectors.pipeline import StageTimes, timed
from kenspeckle.vectors.preprocess import tensor
from kenspeckle.vectors.probe import batch_size

if TYPE_CHECKING:
    from PIL.Image import Image

AT_TRAINING = frozenset({"dinov2", "dinov2_with_registers"})
"""Kinds of checkpoints whose pictures get the side of the network, short side and crop alike."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A network in memory. It goes when the last call that holds this is done."""

    run: Callable[[Float32], Float32]
    recipe: Recipe
    width: int
    device: str
    note: str


class RawFeatures:
    """A model whose vectors keep their length. `vector` may be called from many threads at once.

    The network is loaded by the first picture, and again by the next one after `close`.
    """

    def __init__(self, row: table.ModelRow, settings: ModelSettings) -> None:
        self.name = row.name
        self._row, self._settings, self._width = row, settings, row.width
        self._lock = threading.Lock()
        self._held: _Loaded | None = None

    @property
    def loaded(self) -> bool:
        """Whether the network is in memory."""
        return self._held is not None

    @property
    def width(self) -> int:
        """Columns of a vector; loads the network where only it can tell."""
        return self._width or self._loaded().width

    @property
    def device(self) -> str:
        """Where the network runs; loads it."""
        return self._loaded().device

    @property
    def note(self) -> str:
        """Why it runs on another device than the one asked for; empty where it does not."""
        return self._loaded().note

    def vector(self, image: Image, times: StageTimes | None = None) -> Float32:
        """The features `(D,)` float32 of an RGB picture.

        Raises ModelError when the network cannot be loaded, or gives what is no number.
        """
        held = self._loaded()
        planes = tensor(image, held.recipe, times)
        with timed(times, "model"):
            row: Float32 = held.run(planes[None])[0].astype(np.float32)
        if not np.isfinite(row).all():
            raise ModelError(self.name, "features that are no numbers", expected="finite ones")
        return row

    def close(self) -> None:
        """Give the memory back, when the calls that run now are done."""
        with self._lock:
            self._held = None

    def _loaded(self) -> _Loaded:
        held = self._held
        if held is not None:
            return held
        with self._lock:
            if self._held is None:
                self._held = self._load()
                self._width = self._held.width
            return self._held

    def _load(self) -> _Loaded:
        found = files.locate(self._row, self._settings)
        recipe = replace(found.recipe, reduce=False)
        if self._row.kind == "torch":
            recipe = at_training(found.weights, recipe)
        found = replace(found, recipe=recipe)
        engine, note = admitted(self._row, found, self._settings.device)
        run: Callable[[Float32], Float32] = engine.run
        if engine.device != "cpu":
            home = files.home(self._settings)
            batch = batch_size(engine, found.sha256, found.recipe, home)
            if batch > 1:
                run = Gather(engine.run, batch).rows
        return _Loaded(run, found.recipe, engine.width, engine.device, note)


def at_training(folder: Path, recipe: Recipe) -> Recipe:
    """The recipe of a checkpoint, at the side of its network where its kind wants that.

    Raises ModelError for a checkpoint whose description is damaged.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") not in AT_TRAINING:
        return recipe
    side = config.get("image_size", recipe.side)
    if type(side) is not int or not 1 <= side <= 4096:
        raise ModelError(folder, f"image_size {side!r}", expected="pixels, at most 4096")
    return replace(recipe, side=side, short=0, fit="crop")


def raw_features(name: str, settings: ModelSettings) -> RawFeatures:
    """The model of that name or path, for raw features; it is not loaded yet.

    Raises ModelMissing and MissingExtra, which say in a sentence what to do, where it is not to be
    had here, and ModelError for a name that nobody knows.
    """
    row = table.find(name)
    if row.task not in ("", "features"):
        raise ModelError(name, f"a model of {row.task}", expected="one that makes features")
    if row.kind == "torch":
        need_all(("torch", "transformers"), f"the features of {row.name}")
    files.check_present(row, settings)
    return RawFeatures(row, replace(settings, head="", mode="", folder=""))
