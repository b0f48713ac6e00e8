"""Any Hugging Face checkpoint's image tower, by torch (extra `torch`), weights only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.engines.torch_loading import described, device_of, network
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32

_TOWERS = {
    "clip": "CLIPVisionModelWithProjection",
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
}
"""Kind of checkpoint, by its config → the class that loads its image tower alone."""


class TorchModel:
    """One loaded image tower, with the calls of every engine.

    The readout is what the kind of checkpoint is trained for: projected image features of CLIP,
    image features of SigLIP, else the pooler's output, else the class token of the last layer. No
    code of the checkpoint runs, and weights are read as weights only.
    """

    def __init__(self, folder: Path, *, side: int, device: str = "cpu") -> None:
        self._torch = torch = need("torch", f"running {folder.name}")
        transformers = need("transformers", f"running {folder.name}")
        self._thing, self.side = folder, side
        self.device = device_of(torch, device)
        if self.device == "cpu":
            torch.set_num_threads(_threads.INTRA_OP)
        self._network: Any = _tower(transformers, folder, self._thing).to(self.device).eval()
        self.width = self.run(np.zeros((1, 3, side, side), np.float32)).shape[1]

    def run(self, batch: Float32) -> Float32:
        """Features `(B, width)` float32 of prepared pictures `(B, 3, side, side)` float32."""
        if self._network is None:
            raise ModelError(self._thing, "closed", expected="an open model")
        torch = self._torch
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)
            try:
                rows = self._readout(pixels)
            except (RuntimeError, ValueError) as error:
                first = str(error).splitlines()[0]
                raise ModelError(self._thing, f"the network failed ({first})") from error
            features: Float32 = rows.to("cpu", torch.float32).numpy()
        return features

    def _readout(self, pixels: Any) -> Any:
        tower = self._network
        if hasattr(tower, "get_image_features"):
            answer = tower.get_image_features(pixel_values=pixels)
            return getattr(answer, "pooler_output", answer)
        answer = tower(pixel_values=pixels)
        for name in ("image_embeds", "pooler_output"):
            rows = getattr(answer, name, None)
            if rows is not None:
                return rows.flatten(1)
        return answer.last_hidden_state[:, 0]

    def close(self) -> None:
        """Give the memory back. The model cannot be used afterwards."""
        self._network = None


def _tower(transformers: Any, folder: Path, thing: Path) -> Any:
    """The image tower in float32. Raises ModelError where weights are missing or code is needed."""
    config = described(transformers, folder, thing)
    name = _TOWERS.get(config.model_type, "AutoModel")
    if config.model_type == "clip":  # the tower's own config may not know the projection
        config.vision_config.projection_dim = config.projection_dim
    if name != "AutoModel":
        config = getattr(config, "vision_config", config)
    return network(transformers, name, folder, config, thing)
