"""A picture in words, by the captioner that the settings name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kenspeckle._extras import need_all
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.engines import files, recipes, table
from kenspeckle.engines.caption import KINDS, CaptionModel
from kenspeckle.engines.caption_chat import ChatCaptionModel, converses
from kenspeckle.engines.devices import on_device
from kenspeckle.errors import InputError, ModelError
from kenspeckle.vectors.preprocess import tensor

if TYPE_CHECKING:
    from PIL.Image import Image

Describe = Callable[["Image", int], str]
"""A caption of an RGB picture in so many tokens."""

USUAL = 50
"""Tokens of a caption where nobody says how many."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A network in memory. It goes when the last call that holds this is done."""

    describe: Describe
    device: str
    note: str


class Captioner:
    """Describes pictures. `caption` may be called from many threads at once.

    The network is loaded by the first picture, and again by the next one after `close`.
    """

    def __init__(self, row: table.ModelRow, settings: ModelSettings, most: int) -> None:
        self.name = row.name
        self._row, self._settings, self._most = row, settings, most
        self._lock = threading.Lock()
        self._held: _Loaded | None = None

    @property
    def loaded(self) -> bool:
        """Whether the network is in memory."""
        return self._held is not None

    @property
    def device(self) -> str:
        """Where the network runs; loads it."""
        return self._loaded().device

    @property
    def note(self) -> str:
        """Why the loaded network runs on another device than was asked for; empty: it does not."""
        held = self._held
        return held.note if held is not None else ""

    def caption(self, image: Image, max_length: int = USUAL) -> str:
        """What an RGB picture shows, in `max_length` tokens at most.

        Raises InputError for a length that is none, ModelError when the network cannot be loaded
        or fails.
        """
        if not 1 <= max_length <= self._most:
            raise InputError("max_length", f"{max_length}", expected=f"1 to {self._most}")
        held = self._loaded()
        return held.describe(image, max_length)

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
                folder, _ = files.weights(self._row, self._settings)
                load = partial(_describer, folder)
                (describe, device), note = on_device(load, self._settings.device)
                self._held = _Loaded(describe, device, note)
            return self._held


def _describer(folder: Path, device: str) -> tuple[Describe, str]:
    """What makes captions with the checkpoint in a folder, and where it runs."""
    kind = recipes.read_json(folder / "config.json").get("model_type")
    if kind not in KINDS and converses(folder):
        chat = ChatCaptionModel(folder, device)
        return chat.run, chat.device
    network = CaptionModel(folder, device)
    recipe = replace(recipes.from_processor(folder), reduce=False)

    def describe(image: Image, max_length: int) -> str:
        return network.run(tensor(image, recipe), max_length)

    return describe, network.device


def open_captioner(settings: Settings, name: str = "") -> Captioner:
    """The captioner that the settings name, or another by its name or path; not loaded yet.

    Raises ModelMissing and MissingExtra, which say in a sentence what to do, where it is not to be
    had here, and ModelError for a name that nobody knows or that writes no captions.
    """
    row = table.find(name or settings.analyze.caption)
    if row.task not in ("", "captions") or row.kind != "torch":
        what = row.task or "an ONNX file"
        raise ModelError(row.name, f"a model of {what}", expected="one that writes captions")
    need_all(("torch", "transformers"), f"captions by {row.name}")
    files.check_present(row, settings.models)
    return Captioner(row, settings.models, settings.analyze.max_caption)
