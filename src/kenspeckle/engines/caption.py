"""Captions by a local checkpoint of transformers (extra `torch`): BLIP, GIT, encoder and decoder.

The text is what the network writes about a prepared picture, word for word as its tokenizer reads
it back: nothing is trimmed, no letter changed. The same picture has the same caption every time.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from kenspeckle import _threads
from kenspeckle._extras import need
from kenspeckle.engines.torch_loading import described, device_of, network, words
from kenspeckle.errors import ModelError
from kenspeckle.types import Float32

KINDS = {
    "blip": "BlipForConditionalGeneration",
    "git": "GitForCausalLM",
    "vision-encoder-decoder": "VisionEncoderDecoderModel",
}
"""Kind of checkpoint, by its config → the class that writes captions with it."""

BEAMS = 4
SHORTEST = 2
"""The first token only opens a text, so one token is an empty one."""


class CaptionModel:
    """One loaded network. `run` may be called from many threads; they take turns.

    Raises ModelError for a checkpoint that writes no captions, is damaged or needs code.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._torch = torch = need("torch", f"captions by {folder.name}")
        self._transformers = transformers = need("transformers", f"captions by {folder.name}")
        self._thing = folder
        self.device = device_of(torch, device)
        if self.device == "cpu":
            torch.set_num_threads(_threads.INTRA_OP)
        config = described(transformers, folder, self._thing)
        name = KINDS.get(config.model_type)
        if name is None:
            known = f"{', '.join(KINDS)}, or one with a chat template"
            raise ModelError(self._thing, f"a {config.model_type} network", expected=known)
        self._most = _positions(config)
        self._words = words(transformers, folder, self._thing)
        self._network: Any = network(transformers, name, folder, config, self._thing)
        self._network = self._network.to(self.device)
        self._turn = threading.Lock()  # generation keeps state of its own between two steps

    def run(self, planes: Float32, max_length: int) -> str:
        """The caption of one prepared picture `(3, side, side)`, `max_length` tokens altogether.

        More than the network has places for are not written. Beam search over four texts, which
        stops as soon as they are finished. Raises ModelError when the network fails.
        """
        if max_length < SHORTEST:
            return ""
        torch = self._torch
        pixels = torch.from_numpy(np.ascontiguousarray(planes[None])).to(self.device)
        try:
            with self._turn, torch.inference_mode():
                rows = self._network.generate(
                    pixel_values=pixels,
                    num_beams=BEAMS,
                    early_stopping=True,
                    do_sample=False,
                    max_length=min(max_length, self._most),
                )
            text = self._words.decode(rows[0].tolist(), skip_special_tokens=True)
        except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(self._thing, f"the network failed ({first})") from error
        return str(text)


def _positions(config: Any) -> int:
    """How many tokens a network of this configuration has places for."""
    for part in (getattr(config, name, None) for name in ("text_config", "decoder")):
        config = part or config
    names = ("max_position_embeddings", "n_positions")
    found = [getattr(config, name, None) for name in names]
    return next((count for count in found if type(count) is int and count > 0), 2**31)
