"""The models behind an analysis: found by their names, loaded when they are used, given back when
they have been idle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kenspeckle._extras import has, need
from kenspeckle.config import Settings
from kenspeckle.engines.onnx_session import provider
from kenspeckle.engines.torch_loading import device_of
from kenspeckle.errors import KenspeckleError, SettingError
from kenspeckle.flows.describe import open_captioner
from kenspeckle.regions.detect import Detection, detector
from kenspeckle.serve.pool import Models
from kenspeckle.serve.problems import told
from kenspeckle.serve.resident import Resident
from kenspeckle.serve.uses import (
    MAKES,
    check_named,
    check_set,
    identity,
    known_as,
    set_for,
    shown_names,
)
from kenspeckle.types import Float32
from kenspeckle.vectors.raw import raw_features

if TYPE_CHECKING:
    from PIL.Image import Image


class ModelEngines:
    """See `Engines`: one model for each use, set by the settings, and others that a task names.

    In the pool they are called `USE:MODEL`, as in `face:yunet`. A task may name models of the table
    only, never a path: who asks from outside must not learn what lies on this machine. Raises
    SettingError where a GPU is required and there is none, and for a model that can never serve.
    """

    def __init__(self, settings: Settings, models: Models) -> None:
        self._settings, self._models = settings, models
        self._lock = threading.Lock()
        self._residents: dict[tuple[str, str], Resident[Any]] = {}
        if settings.analyze.require_gpu:
            check_gpu(settings.models.device)
        check_set(settings.analyze)
        self._shown = shown_names(settings.analyze)
        for use in MAKES:
            self._resident(use, "")

    def detect(self, use: str, image: Image, model: str = "") -> list[Detection]:
        """See `Engines`."""
        with self._resident(use, model).use() as engine:
            found: list[Detection] = engine.detect(image)
        return found

    def vector(self, use: str, image: Image, model: str = "") -> Float32:
        """See `Engines`."""
        with self._resident(use, model).use() as engine:
            row: Float32 = engine.vector(image)
        return row

    def caption(self, image: Image, max_length: int, model: str = "") -> str:
        """See `Engines`."""
        with self._resident("caption", model).use() as engine:
            text: str = engine.caption(image, max_length)
        return text

    def name(self, use: str) -> str:
        """See `Engines`. Of a path its last part: strangers are told of it."""
        return self._shown[use]

    def missing(self, use: str) -> str:
        """See `Engines`."""
        try:
            self._opener(use, self._set(use))().close()
        except KenspeckleError as error:
            return told(error)
        return ""

    def load_pinned(self) -> None:
        """Load the engines that stay in memory. Raises ModelMissing, MissingExtra, ModelError."""
        for resident in list(self._residents.values()):
            if resident.pinned:
                with resident.use():
                    pass

    def _resident(self, use: str, model: str) -> Resident[Any]:
        """The model of a use; InputError for a name that no task may use."""
        if model:
            check_named(use, model)
        name = model or self._set(use)
        key = use, identity(name)
        with self._lock:
            found = self._residents.get(key)
            if found is None:
                opener = self._opener(use, name)
                found = self._models.keep(
                    known_as(use, name), lambda: _loaded(opener()), lambda engine: engine.close()
                )
                self._residents[key] = found
        return found

    def _set(self, use: str) -> str:
        return set_for(use, self._settings.analyze)

    def _opener(self, use: str, name: str) -> Callable[[], Any]:
        """What opens a model, without loading it."""
        settings = self._settings
        if use == "caption":
            return lambda: open_captioner(settings, name)
        if use in ("clip", "dino"):
            return lambda: raw_features(name, settings.models)
        analyze = settings.analyze
        least = analyze.person_score if use == "person" else analyze.face_score
        return lambda: detector(name, settings.models, use, least)


def _loaded(engine: Any) -> Any:
    """The engine with its network in memory."""
    engine.device  # noqa: B018  asking where it runs loads it
    return engine


def check_gpu(device: str) -> None:
    """Refuse to serve where a GPU is required and there is none. Raises SettingError."""
    expected = "a GPU, as analyze.require_gpu says"
    if device.lower() in ("", "cpu"):
        raise SettingError(
            "models.device", device or "empty", expected=expected, do="Set it to cuda"
        )
    try:
        if has("torch"):
            device_of(need("torch", "a GPU"), device)
        else:
            provider(device)
    except KenspeckleError as error:
        raise SettingError("models.device", f"{device} ({error})", expected=expected) from error
