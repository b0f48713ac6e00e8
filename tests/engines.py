"""Engines that tests hand to an embedder in place of a network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from kenspeckle.config import ModelSettings
from kenspeckle.engines import table
from kenspeckle.engines.base import Engine
from kenspeckle.engines.dummy import DummyModel
from kenspeckle.engines.files import ModelFiles
from kenspeckle.types import Float32
from kenspeckle.vectors.base import Embedder, Opener
from kenspeckle.vectors.embed import ModelEmbedder


@dataclass
class Device:
    """A device that runs one call at a time, each `seconds` long, whatever the batch.

    It answers as the model `dummy` does. `calls` are the sizes of its batches; `loads` and `closed`
    count. Work on a closed one is an error.
    """

    seconds: float = 0.0
    device: str = "device"
    loads: int = 0
    closed: int = 0
    calls: list[int] = field(default_factory=list)
    before: Callable[[Float32], None] = lambda batch: None
    width: int = DummyModel.width
    side: int = DummyModel.side

    def __post_init__(self) -> None:
        self._turn, self._dummy = threading.Lock(), DummyModel()

    def run(self, batch: Float32) -> Float32:
        with self._turn:
            assert self.closed < self.loads or not self.loads, "a closed device was asked"
            self.calls.append(len(batch))
            self.before(batch)
            time.sleep(self.seconds)
            return self._dummy.run(batch)

    def close(self) -> None:
        self.closed += 1


def opener(device: Device) -> Opener:
    """Opens every model as the dummy one on that device."""

    def load(row: table.ModelRow, files: ModelFiles, asked: str) -> tuple[Engine, str]:
        device.loads += 1
        return device, ""

    return partial(_opened, load)


def _opened(
    load: Callable[[table.ModelRow, ModelFiles, str], tuple[Engine, str]], settings: ModelSettings
) -> Embedder:
    return ModelEmbedder(table.find("dummy"), settings, load)
