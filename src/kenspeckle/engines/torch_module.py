"""Any Hugging Face checkpoint's image tower, by torch (extra `torch`), weights only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kenspeckle import _threads
from kenspeckle._extras import need
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
        self._thing, self.side = str(folder), side
        self.device = _device(torch, device)
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
        network = self._network
        if hasattr(network, "get_image_features"):
            answer = network.get_image_features(pixel_values=pixels)
            return getattr(answer, "pooler_output", answer)
        answer = network(pixel_values=pixels)
        for name in ("image_embeds", "pooler_output"):
            rows = getattr(answer, name, None)
            if rows is not None:
                return rows.flatten(1)
        return answer.last_hidden_state[:, 0]

    def close(self) -> None:
        """Give the memory back. The model cannot be used afterwards."""
        self._network = None


def _device(torch: Any, device: str) -> str:
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"device {device}", f"torch cannot use it ({first})") from error
    return str(found)


def _tower(transformers: Any, folder: Path, thing: str) -> Any:
    """The image tower in float32. Raises ModelError where weights are missing or code is needed."""
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _quiet(transformers.logging):
            config = transformers.AutoConfig.from_pretrained(folder, **safe)
            name = _TOWERS.get(config.model_type, "AutoModel")
            if config.model_type == "clip":  # the tower's own config may not know the projection
                config.vision_config.projection_dim = config.projection_dim
            if name != "AutoModel":
                config = getattr(config, "vision_config", config)
            network, report = getattr(transformers, name).from_pretrained(
                folder,
                config=config,
                weights_only=True,
                dtype="float32",
                output_loading_info=True,
                **safe,
            )
    except Exception as error:  # a damaged checkpoint can raise any kind in there
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(thing, f"transformers cannot load it ({first})") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            thing, f"{len(missing)} weights are missing, {missing[0]} first", expected="all of them"
        )
    return network


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep the library's progress bars and remarks about unused weights off the terminal."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
