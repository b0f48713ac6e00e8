"""What every engine offers, and the one function that picks the engine of a model."""

from __future__ import annotations

from typing import Protocol

from kenspeckle.engines.files import ModelFiles
from kenspeckle.engines.table import MODELS, ModelRow
from kenspeckle.types import Float32


class Engine(Protocol):
    """A loaded network. `run` may be called from many threads at once.

    `width` counts the columns of its raw features, `side` the pixels of its input square; `device`
    says where it runs.
    """

    width: int
    side: int
    device: str

    def run(self, batch: Float32) -> Float32:
        """Raw features `(B, width)` float32 of prepared pictures `(B, 3, side, side)` float32."""

    def close(self) -> None:
        """Give the memory back. The engine cannot be used afterwards."""


def load(row: ModelRow, files: ModelFiles, device: str = "cpu") -> Engine:
    """Load a model from its files onto a device.

    Raises ModelError (the files are not what they should be, or the device is not there) and
    MissingExtra.
    """
    if row.kind == "dummy":
        from kenspeckle.engines.dummy import DummyModel

        return DummyModel()
    side = files.recipe.side
    if row.kind == "torch":
        from kenspeckle.engines.torch_module import TorchModel

        return TorchModel(files.weights, side=side, device=device)
    from kenspeckle.engines.onnx_session import OnnxModel

    known = files.sha256 in {one.sha256 for one in MODELS}
    return OnnxModel(
        files.weights, sha256=files.sha256, side=side, device=device, foreign=not known
    )
